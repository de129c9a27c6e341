"""Log-mel spectrograms by SciPy's FFT.

Equal to librosa's ``melspectrogram`` (``center=True, pad_mode="reflect"``) and ``power_to_db``. A frame
is computed by the same operations in the same order whatever lies around it: a segment has the same
values alone, in a batch, and out of a stream.
"""

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.lib.stride_tricks import sliding_window_view

from mindspore_dpus.core.errors import UserError

# The Slaney scale: linear below 1 kHz, logarithmic above.
LINEAR_STEP, BREAK_HZ, LOG_STEP = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0
SCALES = ("slaney", "htk")


class LogMel:
    """Waveforms -> log-mel spectrograms in dB.

    Args:
        rate: samples per second.
        window_seconds: length of the (periodic) Hann window and of the FFT.
        hop_seconds: from one frame to the next.
        n_mels: M, mel bands.
        low_hz, high_hz: where the first band begins and the last one ends.
        scale: ``slaney`` (librosa's default) or ``htk``.
        floor: smallest power that the logarithm sees.
        top_db: what is more than so much below a spectrogram's largest value is raised to that; None:
            nothing is.
        workers: threads of the FFT.

    Attributes:
        n_fft, hop: window and hop in samples.
        filters: (M, n_fft // 2 + 1) float64, triangles of equal area.

    Raises:
        UserError: a band lies above half of the rate, or is narrower than the FFT resolves.

    Source: the DCASE 2022 report, section 3.1 (128 ms, 16 ms, 224 bands, 50 to 7800 Hz).
    """

    def __init__(
        self,
        *,
        rate: int,
        window_seconds: float = 0.128,
        hop_seconds: float = 0.016,
        n_mels: int = 224,
        low_hz: float = 50.0,
        high_hz: float = 7800.0,
        scale: str = "slaney",
        floor: float = 1e-10,
        top_db: float | None = None,
        workers: int = 1,
    ) -> None:
        self.rate, self.floor, self.top_db, self.workers = rate, floor, top_db, workers
        self.n_fft, self.hop = round(window_seconds * rate), round(hop_seconds * rate)
        if self.n_fft < 2 or self.n_fft % 2 or self.hop < 1:
            raise UserError(
                f"a window of {window_seconds} s and a hop of {hop_seconds} s are {self.n_fft} and "
                f"{self.hop} samples at {rate} Hz; the window needs an even number, the hop one or more"
            )
        self.filters = mel_filters(
            rate=rate, n_fft=self.n_fft, n_mels=n_mels, low_hz=low_hz, high_hz=high_hz, scale=scale
        )
        window = np.hanning(self.n_fft + 1)[:-1]
        self._constants = {
            dtype: (window.astype(dtype), scipy.sparse.csr_array(self.filters.astype(dtype)))
            for dtype in (np.dtype(np.float32), np.dtype(np.float64))
        }

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform: one at its start, and one after every whole hop."""
        return 1 + n_samples // self.hop

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """Compute spectrograms.

        Args:
            waveforms: (..., n) float32 or float64: what is computed with.

        Returns:
            (..., M, frames) of the same type, in dB.

        Raises:
            UserError: a waveform is not longer than half a window, which its ends are mirrored by.
            TypeError: another type.
        """
        if waveforms.dtype not in self._constants:
            raise TypeError(f"waveforms are {waveforms.dtype}; float32 and float64 are computed with")
        n_samples = waveforms.shape[-1]
        if n_samples <= self.n_fft // 2:
            raise UserError(
                f"a waveform of {n_samples} samples is too short for a window of {self.n_fft}: "
                f"{self.n_fft // 2 + 1} are needed"
            )
        flat = waveforms.reshape(-1, n_samples)
        shape = (len(self.filters), self.n_frames(n_samples))
        spectrograms = np.empty((len(flat), *shape), waveforms.dtype)
        for waveform, spectrogram in zip(flat, spectrograms, strict=True):
            self._fill(waveform, spectrogram)
        return spectrograms.reshape(*waveforms.shape[:-1], *shape)

    def _fill(self, waveform: np.ndarray, spectrogram: np.ndarray) -> None:
        window, filters = self._constants[waveform.dtype]
        padded = np.pad(waveform, self.n_fft // 2, mode="reflect")
        frames = sliding_window_view(padded, self.n_fft)[:: self.hop] * window
        spectrum = scipy.fft.rfft(frames, axis=-1, overwrite_x=True, workers=self.workers)
        power = np.empty(spectrum.shape[::-1], waveform.dtype)
        np.add(spectrum.real.T**2, spectrum.imag.T**2, out=power)
        # Sparse: a band has few of the FFT's lines. And a sum's order is its own, whatever the number
        # of frames, which BLAS does not promise.
        np.maximum(filters @ power, self.floor, out=spectrogram)
        np.log10(spectrogram, out=spectrogram)
        spectrogram *= 10
        if self.top_db is not None:
            np.maximum(spectrogram, spectrogram.max() - self.top_db, out=spectrogram)


def mel_filters(
    *, rate: int, n_fft: int, n_mels: int, low_hz: float, high_hz: float, scale: str
) -> np.ndarray:
    """Triangles of equal area whose corners are evenly spaced on a mel scale.

    Args:
        rate: samples per second.
        n_fft: length of the FFT.
        n_mels: M.
        low_hz, high_hz: where the first triangle begins and the last one ends.
        scale: ``slaney`` or ``htk``.

    Returns:
        (M, n_fft // 2 + 1) float64.

    Raises:
        UserError: the band lies above half of the rate, or a triangle has no line of the FFT.
    """
    if not 0 <= low_hz < high_hz <= rate / 2:
        raise UserError(
            f"mel bands from {low_hz:g} to {high_hz:g} Hz: at {rate} samples per second, they lie "
            f"between 0 and {rate / 2:g}, low before high"
        )
    ends = hz_to_mel(np.array([low_hz, high_hz]), scale)
    corners = mel_to_hz(np.linspace(*ends, n_mels + 2), scale)
    lines = np.arange(n_fft // 2 + 1) * (rate / n_fft)
    left, centre, right = (corners[i : n_mels + i, None] for i in range(3))
    rising, falling = (lines - left) / (centre - left), (right - lines) / (right - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (right - left))
    empty = ~filters.any(axis=1)
    if empty.any():
        raise UserError(
            f"mel band {int(empty.argmax())} of {n_mels} lies between two lines of an FFT of {n_fft} "
            "samples; take fewer bands or a longer window"
        )
    return filters


def hz_to_mel(hz: np.ndarray, scale: str) -> np.ndarray:
    """Frequencies on a mel scale: ``slaney`` or ``htk``.

    Source: Slaney's Auditory Toolbox (1998); the HTK Book, Eq. 5.13.
    """
    if _is_htk(scale):
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = BREAK_HZ / LINEAR_STEP + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.where(hz < BREAK_HZ, hz / LINEAR_STEP, above)


def mel_to_hz(mel: np.ndarray, scale: str) -> np.ndarray:
    """The inverse of ``hz_to_mel``."""
    if _is_htk(scale):
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = BREAK_HZ * np.exp(LOG_STEP * (mel - BREAK_HZ / LINEAR_STEP))
    return np.where(mel < BREAK_HZ / LINEAR_STEP, mel * LINEAR_STEP, above)


def _is_htk(scale: str) -> bool:
    if scale not in SCALES:
        raise UserError(f"the mel scale {scale!r} is unknown; there are {' and '.join(SCALES)}")
    return scale == "htk"
