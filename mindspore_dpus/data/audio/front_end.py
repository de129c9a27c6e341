"""A clip -> log-mels of its segments, the same way in training, prediction and streams."""

from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.clipping import share_clipped
from mindspore_dpus.data.audio.logmel import LogMel
from mindspore_dpus.data.audio.reading import read_clip
from mindspore_dpus.data.audio.resampling import resample
from mindspore_dpus.data.audio.segments import segment_starts, standardise
from mindspore_dpus.data.audio.settings import AudioSettings

# Of its samples, from which a clip is said to be clipped; the audit's is ``audit.clipped_share``.
CLIPPED_SHARE = 1e-3


class FrontEnd:
    """What stands before every extractor.

    Args:
        audio: the section.

    Attributes:
        shape: of one segment's log-mels: bands, frames.

    Raises:
        UserError: bands, window and rate do not go together.

    Source: the DCASE 2022 report, section 3.1: standardised waveform, S overlapping segments of T
        seconds, log-mels.
    """

    def __init__(self, audio: AudioSettings) -> None:
        self.audio = audio
        self.length = round(audio.segment_seconds * audio.rate)
        self._log_mel = LogMel(
            rate=audio.rate,
            window_seconds=audio.window_seconds,
            hop_seconds=audio.hop_seconds,
            n_mels=audio.mel_bands,
            low_hz=audio.low_hz,
            high_hz=audio.high_hz,
        )
        self.shape = (audio.mel_bands, self._log_mel.n_frames(self.length))

    def n_segments(self, n_samples: int) -> int:
        """Segments of a clip: ``audio.segments``, or as many as it takes to leave nothing out."""
        return max(self.audio.segments, -(-n_samples // self.length))

    def read(self, path: str | Path) -> np.ndarray:
        """Decode a file.

        Returns:
            (n,) float32 at ``audio.rate``.

        Raises:
            UserError: it cannot be read or resampled; names the file.
        """
        audio = self.audio
        clip = read_clip(path, channel=audio.channel, rate=audio.rate, max_seconds=audio.max_seconds)
        return clip.samples

    def look(self, path: str | Path) -> tuple[np.ndarray, str]:
        """As ``read``; and what lets a clip look anomalous that need not be: fewer samples a second than
        ``audio.rate``, or clipping. Mostly empty."""
        audio, notes = self.audio, []
        clip = read_clip(path, channel=audio.channel, rate=None, max_seconds=audio.max_seconds)
        if clip.rate < audio.rate:
            notes.append(
                f"{clip.rate} samples a second, fewer than the {audio.rate} that are looked at: nothing "
                f"is known above {clip.rate // 2} Hz"
            )
        share = share_clipped(clip.samples)
        if share >= CLIPPED_SHARE:
            notes.append(f"{share:.1%} of its samples are clipped")
        samples = clip.samples
        if clip.rate != audio.rate:
            samples = resample(samples, clip.rate, audio.rate, name=str(path))
        return samples, "; ".join(notes)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Log-mels of a clip's segments.

        Args:
            waveform: (n,) float32 at ``audio.rate``.

        Returns:
            (S, bands, frames) float32, in dB.

        Raises:
            UserError: the clip is shorter than a segment, or silent.
        """
        return self.chosen(waveform, np.arange(self.n_segments(len(waveform))))

    def chosen(self, waveform: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Log-mels of some of a clip's segments: the same numbers as among all.

        Args:
            waveform: (n,) float32 at ``audio.rate``.
            places: (M,) numbers of segments, from 0.

        Returns:
            (M, bands, frames) float32, in dB.

        Raises:
            UserError: the clip is shorter than a segment, or silent.
        """
        if len(waveform) < self.length:
            raise UserError(
                f"the clip is {len(waveform) / self.audio.rate:g} s long; at least "
                f"{self.audio.segment_seconds:g} s are needed (audio.segment_seconds)"
            )
        starts = segment_starts(len(waveform), self.length, self.n_segments(len(waveform)))[places]
        return self._log_mel(standardise(waveform)[starts[:, None] + np.arange(self.length)])

    def starts(self, n_samples: int) -> np.ndarray:
        """(S,) seconds at which the segments of a clip begin."""
        return segment_starts(n_samples, self.length, self.n_segments(n_samples)) / self.audio.rate


# What log-mels of standardised waveforms are brought to mean 0 and deviation 1 by, roughly.
CENTRE_DB, SPREAD_DB = 15.0, 10.0


def network_input(log_mels: np.ndarray) -> np.ndarray:
    """(n, bands, frames) in dB -> (n, 1, bands, frames) float32 around 0: what extractors take."""
    return ((log_mels[:, None] - CENTRE_DB) / SPREAD_DB).astype(np.float32)
