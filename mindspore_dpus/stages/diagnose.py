"""How well subsets stand for their class: those of a run, and those that other K would give."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import write_text
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.report import plots
from mindspore_dpus.sampling.cluster_range import cluster_range
from mindspore_dpus.sampling.diagnostics import diagnose, embed
from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.stages.features import read_features
from mindspore_dpus.stages.subsets import read_subsets


def make_diagnostics(folder: Path, seed: int) -> None:
    """``diagnostics.csv``: how far each subset is from its class; ``embedding.csv``: a picture of it.

    Columns: those of ``sampling.diagnostics.diagnose`` and ``label``; ``path, label, x, y``.
    """
    subsets = read_subsets(folder)
    subsets.pop(BASELINE, None)
    samples = read_table(folder / "samples.csv").set_index("path")
    tables, embeddings = [], []
    for label, clusters in read_table(folder / "clusters.csv").groupby("label"):
        paths = clusters["path"].to_numpy()
        features = read_features(folder, paths)
        truth = samples["subpopulation"][paths].to_numpy() if "subpopulation" in samples else None
        index = pd.Index(paths)
        drawn = {name: np.flatnonzero(index.isin(chosen)) for name, chosen in subsets.items()}
        table = diagnose(features, clusters["cluster"].to_numpy(int), drawn, truth, random_state=seed)
        tables.append(table.assign(label=label))
        rows, places = embed(features, seed)
        embeddings.append(
            pd.DataFrame({"path": paths[rows], "label": label, "x": places[:, 0], "y": places[:, 1]})
        )
    write_table(pd.concat(tables).round(6), folder / "diagnostics.csv")
    write_table(pd.concat(embeddings).round(3), folder / "embedding.csv")


def make_cluster_range(folder: Path, sampling: SamplingSettings, seed: int) -> None:
    """``cluster_range.csv`` and ``.svg``: what draws would preserve with each K of
    ``sampling.cluster_range``.

    The columns are those of ``sampling.cluster_range.cluster_range``; what samples come from is the
    sub-population, where the data name it, else the group (one casting, one patient).
    """
    table = read_table(folder / "samples.csv")
    train = table[table["split"] == "train"]
    found = cluster_range(
        read_features(folder, train["path"].to_numpy()),
        train["label"].to_numpy(dtype=str),
        sampling.cluster_range,
        sampling.proportion,
        _origin(train),
        random_state=seed,
    )
    write_table(found.round(6), folder / "cluster_range.csv")
    write_text(folder / "cluster_range.svg", plots.cluster_range(found))


def _origin(table: pd.DataFrame) -> np.ndarray | None:
    """What each sample comes from; one without a group stands alone. None where it is not known."""
    for name in ("subpopulation", "group"):
        if name in table and table[name].notna().any():
            return table[name].astype(object).where(table[name].notna(), table["path"]).to_numpy(str)
    return None
