"""samples -> waveforms -> vectors of segments, machine by machine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import atomic
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.data.arrays import load_arrays, save_arrays
from mindspore_dpus.data.audio.clips import OUTLIER
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.data.audio.waveforms import open_waveforms
from mindspore_dpus.data.source import Source
from mindspore_dpus.detectors.systems import Vectors
from mindspore_dpus.features.simple_sound import SIMPLE, SoundFeatures
from mindspore_dpus.systems.machine_sound.run_data import UNUSED, machines, read_clips, train_normals
from mindspore_dpus.systems.machine_sound.spectrograms import decoded

# Clips of other machines that a machine is told from.
OTHERS = 40


def used(table: pd.DataFrame) -> pd.DataFrame:
    """The clips that are decoded, numbered from 0: all but unused ones of machines."""
    keep = (table["split"] != UNUSED) | (table["machine"] == OUTLIER)
    return table[keep].reset_index(drop=True)


def rows_of(table: pd.DataFrame, machine: str, kind: str) -> np.ndarray:
    """Rows whose vectors a machine needs: its own clips and, where normals of other machines stand for
    anomalies, some of these, evenly spread.

    Args:
        table: of ``used``.
        machine: its name.
        kind: ``ensemble.pseudo_anomalies``.
    """
    own = (table["machine"] == machine).to_numpy()
    rows = np.flatnonzero(own)
    if pseudo_kind(table, machine, kind) == "machines":
        others = np.flatnonzero(train_normals(table) & ~own)
        spread = np.linspace(0, len(others) - 1, min(OTHERS, len(others)))
        rows = np.sort(np.concatenate([rows, others[np.unique(np.rint(spread).astype(int))]]))
    return rows


def pseudo_kind(table: pd.DataFrame, machine: str, kind: str) -> str:
    """What stands for a machine's anomalies: a machine of one section has no other sections."""
    normals = table[train_normals(table) & (table["machine"] == machine).to_numpy()]
    return "machines" if normals["section"].nunique() < 2 else kind


def vectors_file(folder: Path, name: str, machine: str) -> Path:
    """Where the vectors of a machine's clips lie."""
    return folder / "vectors" / name / f"{machine}.npz"


def save_vectors(path: Path, rows: np.ndarray, vectors: Vectors, logits: np.ndarray | None) -> None:
    """Write vectors; ``rows`` are those of the clips, ``vectors.clips`` the row of each segment."""
    arrays = {"rows": rows, "clips": vectors.clips, "X": vectors.X}
    with atomic(path) as temporary:
        save_arrays(temporary, arrays | ({} if logits is None else {"logits": logits}))


def read_vectors(folder: Path, name: str, machine: str) -> tuple[Vectors, np.ndarray | None]:
    """Vectors of a machine's clips, and the domain's logit of each segment where a network gives it."""
    arrays = load_arrays(vectors_file(folder, name, machine))
    return Vectors(arrays["X"], arrays["clips"]), arrays.get("logits")


def feature_sets(sets: Sequence[str]) -> list[str]:
    """Those that are computed: simple ones always, since they have a row in every table."""
    return list(dict.fromkeys((SIMPLE, *sets)))


def make_simple(
    folder: Path, source: Source, audio: AudioSettings, kind: str, sets: Sequence[str]
) -> None:
    """``vectors/<set>/<machine>.npz``: statistics of every mel band of every segment.

    Args:
        folder: with ``samples.csv``.
        source: where the clips lie.
        audio: the section.
        kind: ``ensemble.pseudo_anomalies``.
        sets: keys of ``FEATURE_SETS``.
    """
    table = used(read_clips(folder))
    waveforms = open_waveforms(decoded(table, source, audio)[0])
    for name in feature_sets(sets):
        features = SoundFeatures(name, audio)
        for machine in machines(table):
            rows = rows_of(table, machine, kind)
            parts = list(in_threads(lambda row, made=features: made(waveforms[row]), rows))
            clips = np.repeat(rows, [len(part) for part in parts])
            path = vectors_file(folder, name, machine)
            save_vectors(path, rows, Vectors(np.concatenate(parts), clips), None)


def vector_artefacts(folder: Path, name: str) -> list[str]:
    """What a stage of vectors leaves."""
    return [f"vectors/{name}/{machine}.npz" for machine in machines(used(read_clips(folder)))]
