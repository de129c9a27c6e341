"""waveforms -> log-mels of whole clips, frame by frame, and the windows over them that baselines take. No
MindSpore here."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import digest
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.data.audio.logmel import LogMel
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.data.audio.waveforms import open_waveforms
from mindspore_dpus.data.shards import Shards, fill_shards, is_filled, open_shards
from mindspore_dpus.data.source import Source
from mindspore_dpus.systems.machine_sound.settings import BaselineSettings
from mindspore_dpus.systems.machine_sound.spectrograms import decoded

# Bytes of a file of frames.
PART = 2**26


@dataclass(frozen=True)
class Frames:
    """Log-mels of whole clips.

    Args:
        values: (sum of T, bands) float32, in dB.
        first: (N + 1,) clip i has the frames ``first[i]`` to ``first[i + 1]``.
        folder: of the frames.
    """

    values: Shards
    first: np.ndarray
    folder: Path

    def starts(self, rows: np.ndarray, length: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the windows of clips begin.

        Args:
            rows: (C,) clips.
            length: frames of a window.
            hop: from one window to the next.

        Returns:
            The first frame of each window (M,), and its clip (M,).

        Raises:
            UserError: a clip is shorter than a window.
        """
        lengths = self.first[rows + 1] - self.first[rows]
        if len(rows) and lengths.min() < length:
            raise UserError(
                f"baselines: a clip has {lengths.min()} frames and a baseline takes {length} at a time; "
                "leave the clip out, or set frames of this baseline lower"
            )
        numbers = (lengths - length) // hop + 1
        starts = [self.first[row] + hop * np.arange(n) for row, n in zip(rows, numbers, strict=True)]
        return np.concatenate([*starts, np.empty(0, int)]).astype(int), np.repeat(rows, numbers)

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """(B, length, bands) from these first frames on."""
        return self.values[starts[:, None] + np.arange(length)]


def open_frames(
    table: pd.DataFrame, source: Source, audio: AudioSettings, baselines: BaselineSettings
) -> Frames:
    """Frames of clips; they are made where they are missing.

    As in the official baselines, waveforms are not standardised, and bands reach from 0 to half of the
    rate.

    Args:
        table: of ``vectors.used``.
        source: where the clips lie, and the cache.
        audio: says how clips are decoded.
        baselines: the section.

    Raises:
        UserError: some clip cannot be read, or is too short.
    """
    place, fingerprint = decoded(table, source, audio)
    waveforms = open_waveforms(place)
    keys = {
        "window_seconds": baselines.window_seconds,
        "hop_seconds": baselines.hop_seconds,
        "n_mels": baselines.mel_bands,
    }
    log_mel = LogMel(
        rate=audio.rate, low_hz=0.0, high_hz=audio.rate / 2, floor=sys.float_info.epsilon, **keys
    )
    lengths = [log_mel.n_frames(int(n)) for n in waveforms.lengths]
    first = np.concatenate([[0], np.cumsum(lengths)])
    folder = source.cache / f"frames-{digest(fingerprint, audio.rate, audio.channel, keys)}"
    if not is_filled(folder):

        def make(rows: np.ndarray) -> np.ndarray:
            clips = np.unique(np.searchsorted(first, rows, side="right") - 1)
            made = np.concatenate(list(in_threads(lambda i: log_mel(waveforms[i]).T, clips)))
            return made[rows[0] - first[clips[0]] :][: len(rows)]

        fill_shards(folder, int(first[-1]), max(1, PART // (4 * baselines.mel_bands)), make)
    return Frames(open_shards(folder), first, folder)
