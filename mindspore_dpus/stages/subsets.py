"""features -> clusters -> subsets: what each member will learn from."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.sample_table import class_names
from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.sampling.dpus import draw_size
from mindspore_dpus.sampling.settings import STRATEGIES, SamplingSettings
from mindspore_dpus.sampling.strategies import draw_subsets, drawn_classes
from mindspore_dpus.sampling.strategies.random_under import random_under
from mindspore_dpus.stages.features import read_features

logger = logging.getLogger(__name__)


def check_draws(table: pd.DataFrame, sampling: SamplingSettings, majority: str) -> None:
    """Refuse, before anything is computed, a proportion that draws nothing, and two classes of which
    ``majority`` is not the larger one.

    Args:
        table: ``label, split``.
        sampling: the section.
        majority: the class that is to be drawn from.

    Raises:
        UserError: says which class.
    """
    if not STRATEGIES[sampling.strategy].under_samples and not sampling.baseline:
        return
    train = table["label"][table["split"] == "train"]
    counts = train.value_counts().to_dict()
    drawn = drawn_classes(train.to_numpy(dtype=str))
    if len(counts) == 2 and drawn != [majority]:
        found = " and ".join(f"{n} of {label!r}" for label, n in counts.items())
        raise UserError(
            f"data.majority is {majority!r}, but train has {found}: the larger class is drawn from; set "
            f"data.majority to {drawn[0]}, or train on all samples with sampling.strategy none"
        )
    for label in drawn:
        try:
            draw_size(counts, label, sampling.proportion)
        except ValueError as error:
            raise UserError(f"sampling: {error}") from None


def make_subsets(folder: Path, sampling: SamplingSettings, seed: int) -> None:
    """``subsets.csv`` (member, path) and, where samples are clustered, ``clusters.csv`` (path, label,
    cluster).

    Args:
        folder: with ``samples.csv`` and, where the strategy needs them, ``features.npz``.
        sampling: the section.
        seed: of clusters and draws.
    """
    table = read_table(folder / "samples.csv")
    train = table[table["split"] == "train"]
    paths = train["path"].to_numpy()
    y = train["label"].map(class_names(table).index).to_numpy()
    needs_features = STRATEGIES[sampling.strategy].needs_features
    features = read_features(folder, paths) if needs_features else None
    drawn = draw_subsets(y, features, sampling, seed)
    if drawn.clusters is not None:
        clusters = pd.DataFrame(
            {"path": paths, "label": train["label"].to_numpy(), "cluster": drawn.clusters}
        )
        clusters = clusters[clusters["cluster"] >= 0]
        if sampling.n_clusters == "auto":
            for label, n in clusters.groupby("label")["cluster"].nunique().items():
                logger.info("  %s: %d cluster%s", label, n, "s" if n > 1 else "")
        write_table(clusters, folder / "clusters.csv")
    named = {f"{i:02d}": subset for i, subset in enumerate(drawn.subsets)}
    if sampling.baseline:
        # One draw more: the first t with the run's seed are the members' of random_under, and those
        # with another seed are another run's.
        named[BASELINE] = random_under(y, sampling.n_subsets + 1, sampling.proportion, seed)[-1]
    rows = pd.concat(
        pd.DataFrame({"member": name, "path": paths[subset]}) for name, subset in named.items()
    )
    write_table(rows, folder / "subsets.csv")


def read_subsets(folder: Path) -> dict[str, np.ndarray]:
    """Member -> paths of its balanced set."""
    table = read_table(folder / "subsets.csv")
    return {name: part["path"].to_numpy() for name, part in table.groupby("member")}
