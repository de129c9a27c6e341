"""A machine's test clips in the plane, and clips that are none of its own around the origin (Figure 2)."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.data.audio.clips import OUTLIER
from mindspore_dpus.data.audio.front_end import FrontEnd, network_input
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL
from mindspore_dpus.data.audio.waveforms import open_waveforms
from mindspore_dpus.data.source import Source
from mindspore_dpus.features.simple_sound import FEATURE_SETS, SoundFeatures
from mindspore_dpus.report.page import Section
from mindspore_dpus.report.sections import sound
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.run_data import TEST, read_clips
from mindspore_dpus.systems.machine_sound.spectrograms import decoded
from mindspore_dpus.systems.machine_sound.vectors import read_vectors, used

# Clips of other machines, and outliers, that are shown at most.
SHOWN = 40


def map_of(path: Path, source: Source, config: Configuration) -> Section | None:
    """The first machine's test clips, in the vectors of the last network; None where no vectors can be shown.

    Args:
        path: the run folder.
        source: where the clips lie.
        config: of the run.
    """
    kinds = (*config.simple.sets, *config.extractors.networks)
    shown = [k for k in kinds if k not in FEATURE_SETS or FEATURE_SETS[k].statistics]
    if not shown:
        return None
    table, name = used(read_clips(path)), shown[-1]
    machine = sorted(p.stem for p in (path / "vectors" / name).glob("*.npz"))[0]
    own = (table["machine"] == machine) & (table["split"] == TEST)
    rows = np.flatnonzero(own & table["label"].isin((NORMAL, ANOMALY)))
    if len(rows) < 3:
        return None
    vectors, _ = read_vectors(path, name, machine)
    means = [vectors.X[vectors.clips == row].mean(axis=0, dtype=np.float64) for row in rows]
    others = pseudo_anomalous(table, machine)
    means += _other_means(path, source, config, table, name, machine, np.concatenate([*others.values()]))
    # The norm of an embedding is what tells the machine from others (Eq. 2); of statistics, it means nothing.
    has_origin = name not in FEATURE_SETS
    places = plane(np.stack(means), centred=not has_origin)
    points = pd.DataFrame(places, columns=["x", "y"])
    points["section"] = [*table["section"].iloc[rows], *([""] * (len(points) - len(rows)))]
    points["kind"] = [
        *table["label"].iloc[rows],
        *(kind for kind, found in others.items() for _ in found),
    ]
    return sound.map_section(name, machine, points, has_origin)


def pseudo_anomalous(table: pd.DataFrame, machine: str) -> dict[str, np.ndarray]:
    """Clips that are none of a machine's own, evenly spread.

    Args:
        table: of ``vectors.used``.
        machine: its name.

    Returns:
        Kind -> rows: normal test clips of other machines, which trained nothing; outliers.
    """
    name, label = table["machine"], table["label"]
    machines = ~name.isin((machine, OUTLIER)) & (table["split"] == TEST) & (label == NORMAL)
    found = {}
    for kind, chosen in ((sound.OTHER_MACHINE, machines), (sound.OUTLIER, name == OUTLIER)):
        rows = np.flatnonzero(chosen)
        spread = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows)))
        found[kind] = rows[np.unique(np.rint(spread).astype(int))]
    return found


def plane(vectors: np.ndarray, *, centred: bool) -> np.ndarray:
    """Two principal components of vectors.

    Args:
        vectors: (N, D).
        centred: whether the mean is taken away; without, the origin stays where it is, (0, 0).

    Returns:
        (N, 2), the largest number of each component positive.
    """
    shifted = vectors - vectors.mean(axis=0) if centred else vectors
    _, _, directions = np.linalg.svd(shifted, full_matrices=False)
    places = np.zeros((len(vectors), 2))
    found = shifted @ directions[:2].T
    places[:, : found.shape[1]] = found * np.where(found.max(axis=0) < -found.min(axis=0), -1, 1)
    return places


def _other_means(
    path: Path,
    source: Source,
    config: Configuration,
    table: pd.DataFrame,
    name: str,
    machine: str,
    rows: np.ndarray,
) -> list[np.ndarray]:
    """Mean vectors of clips as this machine's extractor sees them."""
    # Here: it imports this package's other modules, which the report stands beside.
    from mindspore_dpus.systems.machine_sound.evaluation import RunEmbedder

    waveforms = open_waveforms(decoded(table, source, config.audio)[0])
    if name in FEATURE_SETS:
        features = SoundFeatures(name, config.audio)
        return [features(waveforms[row]).mean(axis=0, dtype=np.float64) for row in rows]
    front, embedder = FrontEnd(config.audio), RunEmbedder(RunFolder.open(path), config)
    return [
        embedder.embed(name, machine, network_input(front(waveforms[row]))).mean(
            axis=0, dtype=np.float64
        )
        for row in rows
    ]
