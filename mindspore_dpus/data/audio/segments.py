"""Clips on one scale, cut into overlapping segments of one length.

Source: the DCASE 2022 report, sections 2.1 (Eq. 4) and 3.1: mean 0, variance 1, S = 10 segments of
T = 2 s from a clip of 10 s.
"""

import numpy as np

from mindspore_dpus.core.errors import UserError


def standardise(waveforms: np.ndarray) -> np.ndarray:
    """Give every waveform mean 0 and variance 1.

    Args:
        waveforms: (..., n) floating point.

    Returns:
        The same shape and type; sums are of 64 bits.

    Raises:
        UserError: all samples of a waveform are equal.
    """
    silent = waveforms.max(axis=-1) == waveforms.min(axis=-1)
    if np.any(silent):
        which = f"waveform {int(np.argmax(silent))}" if silent.size > 1 else "the waveform"
        raise UserError(f"{which} is silent: all of its samples are equal; leave the clip out")
    mean = waveforms.mean(axis=-1, keepdims=True, dtype=np.float64)
    centred = waveforms - mean
    deviation = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True))
    return (centred / deviation).astype(waveforms.dtype, copy=False)


def segment_starts(n_samples: int, length: int, number: int) -> np.ndarray:
    """Where segments begin that are evenly spread from a clip's first sample to its last.

    Args:
        n_samples: of the clip.
        length: of a segment, in samples.
        number: S, of segments; one alone lies in the middle.

    Returns:
        (S,) int64.

    Raises:
        UserError: the clip is shorter than a segment, or the segments leave parts of it out.
    """
    if number < 1 or length < 1:
        raise UserError(f"{number} segments of {length} samples: both must be at least 1")
    spare = n_samples - length
    if spare < 0:
        raise UserError(f"a clip of {n_samples} samples is shorter than a segment of {length}")
    if number == 1:
        starts = np.array([spare // 2])
    else:
        starts = np.rint(np.linspace(0, spare, number)).astype(np.int64)
    if number * length < n_samples:
        raise UserError(
            f"{number} segments of {length} samples leave out parts of a clip of {n_samples}; "
            f"take {-(-n_samples // length)} segments or more"
        )
    return starts
