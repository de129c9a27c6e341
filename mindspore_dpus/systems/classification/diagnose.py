"""How well subsets stand for their class: those of a run, and those that other K would give."""

import numpy as np
import pandas as pd

from mindspore_dpus.config import Config
from mindspore_dpus.core.run_folder import RunFolder, write_text
from mindspore_dpus.data.samples import read_table, write_table
from mindspore_dpus.features.whiten import EXACT_UP_TO
from mindspore_dpus.report import plots
from mindspore_dpus.sampling import strategies
from mindspore_dpus.sampling.cluster_range import cluster_range
from mindspore_dpus.sampling.diagnostics import MAX_SUBSET, diagnose, embed
from mindspore_dpus.systems.classification.prepare import read_samples
from mindspore_dpus.systems.classification.subsets import features_of, is_large, read_subsets


def make_diagnostics(run: RunFolder, config: Config) -> None:
    """``diagnostics.csv``: how far each subset is from its class; ``embedding.csv``: a picture of it.

    Columns: those of ``sampling.diagnostics.diagnose`` and ``label``; ``path, label, x, y``.
    """
    sizes = read_table(run / "subsets.csv").merge(read_table(run / "groups.csv"), on="path")
    largest = sizes.groupby(["member", "label"]).size().max()

    def make() -> None:
        subsets = read_subsets(run)
        subsets.pop(strategies.BASELINE, None)
        samples = read_table(run / "samples.csv").set_index("path")
        large = is_large(run)
        tables, embeddings = [], []
        for label, groups in read_table(run / "groups.csv").groupby("label"):
            paths = groups["path"].to_numpy()
            features = features_of(run, paths, large)
            truth = samples["subpopulation"][paths].to_numpy() if "subpopulation" in samples else None
            index = pd.Index(paths)
            drawn = {name: np.flatnonzero(index.isin(chosen)) for name, chosen in subsets.items()}
            table = diagnose(
                features, groups["group"].to_numpy(int), drawn, truth, random_state=config.seed
            )
            tables.append(table.assign(label=label))
            rows, places = embed(features, config.seed)
            embeddings.append(
                pd.DataFrame({"path": paths[rows], "label": label, "x": places[:, 0], "y": places[:, 1]})
            )
        write_table(pd.concat(tables).round(6), run / "diagnostics.csv")
        write_table(pd.concat(embeddings).round(3), run / "embedding.csv")

    # Version 2 represents subsets above MAX_SUBSET by a sample.
    version = 2 if largest > MAX_SUBSET else 1
    run.stage("diagnostics", [config.seed], ["diagnostics.csv", "embedding.csv"], make, version)


def make_cluster_range(run: RunFolder, config: Config) -> None:
    """``cluster_range.csv`` and ``.svg``: what draws would preserve with each K of
    ``sampling.cluster_range``.

    The columns are those of ``sampling.cluster_range.cluster_range``; what images come from is the
    sub-population, where the data name it, else the group (one casting, one patient).
    """
    sampling = config.sampling

    def make() -> None:
        table = read_samples(run)[0]
        train = np.flatnonzero(table["split"] == "train")
        large = is_large(run)
        found = cluster_range(
            features_of(run, table["path"].to_numpy()[train], large),
            table["label"].to_numpy(dtype=str)[train],
            sampling.cluster_range,
            sampling.proportion,
            _origin(table.iloc[train]),
            random_state=config.seed,
            exact_up_to=EXACT_UP_TO,
        )
        write_table(found.round(6), run / "cluster_range.csv")
        write_text(run / "cluster_range.svg", plots.cluster_range(found))

    parts = [sampling.cluster_range, sampling.proportion, config.seed]
    artefacts = ["cluster_range.csv", "cluster_range.svg"]
    # Version 1 was of the draws of subsets' versions 1 and 2.
    run.stage("cluster_range", parts, artefacts, make, version=2, aside=True)


def _origin(table: pd.DataFrame) -> np.ndarray | None:
    """What each image comes from; an image without a group stands alone. None where it is not known."""
    for name in ("subpopulation", "group"):
        if name in table and table[name].notna().any():
            return table[name].astype(object).where(table[name].notna(), table["path"]).to_numpy(str)
    return None
