"""waveforms -> log-mels of segments: kept on disk where they are small, else made whenever they are needed. No
MindSpore here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import digest
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.core.settings import results
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.data.audio.waveforms import (
    Waveforms,
    build_waveforms,
    open_waveforms,
    waveforms_path,
)
from mindspore_dpus.data.shards import Shards, fill_shards, is_filled, open_shards
from mindspore_dpus.data.source import Source

# Bytes of a file of spectrograms.
PART = 2**26


def decoded(table: pd.DataFrame, source: Source, audio: AudioSettings) -> tuple[Path, str]:
    """The folder of the clips' waveforms, decoded where they are missing, and the fingerprint of their files.

    Raises:
        UserError: some clip cannot be read.
    """
    paths = table["path"].tolist()
    fingerprint = source.fingerprint(paths)
    place = waveforms_path(source.cache, fingerprint, rate=audio.rate, channel=audio.channel)
    build_waveforms(
        *(paths, source.root, place, source.unreadable),
        rate=audio.rate,
        channel=audio.channel,
        max_seconds=audio.max_seconds,
    )
    return place, fingerprint


class MadeSegments:
    """Log-mels that are made from waveforms whenever they are asked for; equal to kept ones bit for bit.

    Args:
        waveforms: of clips.
        first: (N + 1,) first segment of each clip.
        front: what makes them.
    """

    def __init__(self, waveforms: Waveforms, first: np.ndarray, front: FrontEnd) -> None:
        self.waveforms, self.first, self.front = waveforms, first, front

    def __len__(self) -> int:
        return int(self.first[-1])

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        """Segments (M, bands, frames) float32 of these numbers (M,)."""
        numbers = np.asarray(numbers)
        clips = np.searchsorted(self.first, numbers, side="right") - 1
        found = np.empty((len(numbers), *self.front.shape), np.float32)

        def fill(clip: int) -> None:
            rows = np.flatnonzero(clips == clip)
            found[rows] = self.front.chosen(self.waveforms[clip], numbers[rows] - self.first[clip])

        for _ in in_threads(fill, np.unique(clips)):
            pass
        return found


@dataclass(frozen=True)
class Spectrograms:
    """Where the log-mels of the segments of all clips of a table are; what pickle can carry.

    Args:
        first: (N + 1,) clip i has the segments ``first[i]`` to ``first[i + 1]``.
        folder: of the log-mels, or of the waveforms that they are made from.
        audio: how they are made; None: they are kept.
    """

    first: np.ndarray
    folder: Path
    audio: AudioSettings | None

    def open(self) -> Shards | MadeSegments:
        """What gives segments by their numbers."""
        if self.audio is None:
            return open_shards(self.folder)
        return MadeSegments(open_waveforms(self.folder), self.first, FrontEnd(self.audio))


def open_spectrograms(
    table: pd.DataFrame, source: Source, audio: AudioSettings, most_gb: float
) -> Spectrograms:
    """Spectrograms of clips; where they are to be kept, they are made where they are missing.

    Args:
        table: of ``vectors.used``.
        source: where the clips lie, and the cache.
        audio: the section.
        most_gb: gigabytes up to which they are kept.

    Raises:
        UserError: some clip cannot be read, is silent, or too short.
    """
    place, fingerprint = decoded(table, source, audio)
    waveforms, front = open_waveforms(place), FrontEnd(audio)
    first = np.concatenate([[0], np.cumsum([front.n_segments(int(n)) for n in waveforms.lengths])])
    size = 4 * front.shape[0] * front.shape[1]
    folder = source.cache / f"logmels-{digest(fingerprint, results(audio))}"
    if not is_filled(folder):
        if int(first[-1]) * size > most_gb * 1e9:
            return Spectrograms(first, place.absolute(), audio)

        def make(rows: np.ndarray) -> np.ndarray:
            clips = np.unique(np.searchsorted(first, rows, side="right") - 1)
            made = np.concatenate(list(in_threads(lambda i: front(waveforms[i]), clips)))
            return made[rows[0] - first[clips[0]] :][: len(rows)]

        fill_shards(folder, int(first[-1]), max(1, PART // size), make)
    return Spectrograms(first, folder.absolute(), None)
