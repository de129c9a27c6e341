"""Every clip is decoded once, into one memory-mapped array for all who need samples.

The array (``shards``) has rows of one length and knows nothing of shorter ones: clips are padded with
zeros to the longest, and their lengths stand in a second array beside it.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import digest
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.audio.decoded import MEAN, AudioError
from mindspore_dpus.data.audio.reading import MAX_SECONDS, clip_length, read_clip
from mindspore_dpus.data.audio.resampling import resampled_length
from mindspore_dpus.data.shards import Shards, fill_shards, is_filled, open_shards

SAMPLES, LENGTHS = "samples", "lengths"
# Raised when the files' layout changes.
LAYOUT = 2
# Bytes of a file: what is in memory before it is written, and what a killed process decodes again.
PART = 2**27
# Of 16-bit samples; what libsndfile scales them by. A power of two: nothing is lost either way.
FULL_SCALE = np.float32(32768)


class Waveforms:
    """Clips of any length.

    Args:
        samples: (N, longest) float32, or int16 of full scale 32768; zeros behind each clip's end.
        lengths: (N,) samples of each.
    """

    def __init__(self, samples: Shards, lengths: np.ndarray) -> None:
        self.samples, self.lengths = samples, lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> np.ndarray:
        """One clip, (n,) float32, without its padding."""
        return _as_float(self.samples[number][: self.lengths[number]])

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Clips of one length, (M, n) float32.

        Raises:
            UserError: their lengths differ.
        """
        lengths = np.unique(self.lengths[numbers])
        if len(lengths) != 1:
            raise UserError(
                f"clips of {lengths.min()} to {lengths.max()} samples cannot be stacked; cut them into "
                "segments of one length"
            )
        return _as_float(self.samples[numbers][:, : lengths[0]])


def _as_float(samples: np.ndarray) -> np.ndarray:
    return samples if samples.dtype == np.float32 else samples.astype(np.float32) / FULL_SCALE


def waveforms_path(cache_dir: Path, data_fingerprint: str, *, rate: int, channel: int | str) -> Path:
    """The folder of these clips, decoded in this way."""
    return (
        cache_dir / f"waveforms-{digest(data_fingerprint, LAYOUT, {'rate': rate, 'channel': channel})}"
    )


def build_waveforms(
    paths: Sequence[str],
    root: Path,
    folder: Path,
    unreadable: Path,
    *,
    rate: int,
    channel: int | str,
    max_seconds: float = MAX_SECONDS,
) -> None:
    """Decode every clip into ``folder``, unless they are there; as 16-bit integers where all files hold such
    at the wanted rate, which is half the size and loses nothing, else as float32.

    Args:
        paths: file names, relative to ``root``; clip i becomes entry i.
        root: the data root.
        folder: where to (``waveforms_path``).
        unreadable: where a table of clips that cannot be read (path, error) is left.
        rate, channel, max_seconds: as of ``read_clip``.

    Raises:
        UserError: there are no clips, or some cannot be read (the table names all of them).
        OSError: the disk is full.
    """
    if is_filled(folder / SAMPLES) and is_filled(folder / LENGTHS):
        return
    if not len(paths):
        raise UserError(f"data.root: there are no clips of {root} to decode")
    errors: list[tuple[str, str]] = []

    def noted(rows: np.ndarray, load: Callable[[int, Path], None]) -> bool:
        """Load these rows; whether all went well."""

        def attempt(place: int) -> str | None:
            try:
                load(place, root / paths[rows[place]])
            except UserError as error:
                return str(error)
            return None

        results = bar(in_threads(attempt, range(len(rows))), "clips", len(rows))
        found = [(paths[row], error) for row, error in zip(rows, results, strict=True) if error]
        errors.extend(found)
        return not found

    def measure(rows: np.ndarray) -> np.ndarray | None:
        measured = np.empty((len(rows), 2), np.int64)

        def load(place: int, path: Path) -> None:
            length, old, n_channels, subtype = clip_length(path)
            whole = old == rate and subtype == "PCM_16" and (n_channels == 1 or channel != MEAN)
            measured[place] = resampled_length(length, old, rate), whole

        return measured if noted(rows, load) else None

    def decode(rows: np.ndarray) -> np.ndarray | None:
        samples = np.zeros((len(rows), longest), np.int16 if all_whole else np.float32)

        def load(place: int, path: Path) -> None:
            clip = read_clip(path, channel=channel, rate=rate, max_seconds=max_seconds)
            if len(clip.samples) != lengths[rows[place]]:
                raise AudioError(f"{path} has changed while it was read; start again")
            values = clip.samples * FULL_SCALE if all_whole else clip.samples
            samples[place, : len(clip.samples)] = values

        return samples if noted(rows, load) else None

    fill_shards(folder / LENGTHS, len(paths), len(paths), measure)
    if not errors:
        lengths, whole = np.asarray(open_shards(folder / LENGTHS)).T
        longest, all_whole = int(lengths.max()), bool(whole.all())
        per_part = max(1, PART // ((2 if all_whole else 4) * longest))
        fill_shards(folder / SAMPLES, len(paths), per_part, decode)
    if errors:
        # Repaired files are other content, and so another cache: nobody will come back to this one.
        shutil.rmtree(folder)
        write_table(pd.DataFrame(errors, columns=["path", "error"]), unreadable)
        raise UserError(
            f"{errors[0][1]} ({len(errors)} of {len(paths)} clips cannot be used; all are listed in "
            f"{unreadable}: repair or remove them, then start again)"
        )
    unreadable.unlink(missing_ok=True)


def open_waveforms(folder: Path) -> Waveforms:
    """What ``build_waveforms`` made, memory-mapped and read-only.

    Raises:
        UserError: a file is damaged, or the two arrays do not belong together.
        FileNotFoundError: a file is missing.
    """
    samples, lengths = open_shards(folder / SAMPLES), np.asarray(open_shards(folder / LENGTHS))[:, 0]
    if len(samples) != len(lengths) or lengths.max() != samples.shape[1]:
        raise UserError(f"{folder} is damaged; delete it and start the same command again")
    return Waveforms(samples, lengths)
