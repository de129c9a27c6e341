"""Another sample rate, by soxr: an optional extra, asked for when a rate differs."""

import numpy as np

from mindspore_dpus.core.errors import UserError


def resample(samples: np.ndarray, old: int, new: int, *, name: str) -> np.ndarray:
    """Resample a waveform (soxr, its quality ``HQ``).

    Args:
        samples: (n,) float32.
        old, new: samples per second.
        name: what a message calls the waveform.

    Returns:
        (:func:`resampled_length`,) float32; the same array where the rates are equal.

    Raises:
        UserError: soxr is not installed, or nothing would be left.
    """
    if old == new:
        return samples
    try:
        import soxr
    except ImportError:
        raise UserError(
            f"{name} has {old} samples per second where {new} are needed: install soxr (pip install "
            "soxr), which resamples it, or convert it"
        ) from None
    length = resampled_length(len(samples), old, new)
    if length == 0:
        raise UserError(
            f"{name}: nothing is left of {len(samples)} samples at {old} Hz when at {new} Hz"
        )
    made = soxr.resample(samples, old, new, quality="HQ").astype(np.float32, copy=False)
    # One sample more or less where the true length is a fraction.
    return np.pad(made[:length], (0, max(0, length - len(made))))


def resampled_length(length: int, old: int, new: int) -> int:
    """Samples of a waveform after ``resample``: to the nearest, a half upwards."""
    return (2 * length * new + old) // (2 * old)
