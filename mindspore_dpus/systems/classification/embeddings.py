"""Images -> the vectors that detectors of normals see: of the frozen backbone, or of the trained members."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.data.source import Source
from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.stages.features import features_of
from mindspore_dpus.stages.member_stages import load_ensemble
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.systems.classification.scorer import training_of

# (table of all samples, rows of the normals that are learnt from, parts) -> the vectors of the normals
# (N, D), and of the rows of every part (M, D); float64.
Parts = dict[str, np.ndarray]
Extractor = Callable[[pd.DataFrame, np.ndarray, Parts], tuple[np.ndarray, Parts]]


def frozen(source: Source, config: Configuration, weights: Callable[[], Path | None]) -> Extractor:
    """What the clusters see: the backbone of the section ``features``, never trained on these images.

    Args:
        source: where samples lie and how they are read.
        config: of the run.
        weights: looks for the backbone's checkpoint; None: random weights.
    """

    def extract(table: pd.DataFrame, normals: np.ndarray, parts: Parts) -> tuple[np.ndarray, Parts]:
        file = weights()

        def vectors(rows: np.ndarray) -> np.ndarray:
            found = features_of(source, table, rows, config.features, file, config.device, config.seed)
            return np.asarray(found, np.float64)

        return vectors(normals), {name: vectors(rows) for name, rows in parts.items()}

    return extract


def of_members(run: RunFolder, source: Source, config: Configuration) -> Extractor:
    """What the trained members see: their last Cell before the classifier, averaged over space.

    The members' vectors stand side by side (``side_by_side``), and one detector sees them all: of the same
    size and on as many components as with the frozen backbone, so that the rows differ in the vectors
    alone. A detector for each member would need its scores standardised before they are averaged, by
    folds that refit every one of them. The baseline, which has no part in the ensemble, has none here.

    Args:
        run: with the trained members.
        source, config: as of ``frozen``.
    """

    def extract(table: pd.DataFrame, normals: np.ndarray, parts: Parts) -> tuple[np.ndarray, Parts]:
        from mindspore_dpus.features import extract as features

        key = run.finished("members")["key"]
        ensemble = load_ensemble(run.path, source, training_of(config), key)
        images, batch_size = source.open(table), config.features.batch_size
        rows = {"": normals} | parts
        found: dict[str, list[np.ndarray]] = {name: [] for name in rows}
        for member, net in ensemble.nets.items():
            if member == BASELINE:
                continue
            layer = features.feature_layer(net, None)
            for name, own in rows.items():
                vectors = features.extract(net, layer, images, own, batch_size, ensemble.device)
                found[name].append(vectors.astype(np.float64))
        joined = dict(zip(rows, side_by_side(found.pop(""), *found.values()), strict=True))
        return joined.pop(""), joined

    return extract


def side_by_side(normals: list[np.ndarray], *others: list[np.ndarray]) -> list[np.ndarray]:
    """Vectors of several networks as one, each network's in units of its normals' total deviation.

    A network's scale means nothing; without this, that of the largest numbers would be most of the whole.

    Args:
        normals: of each network (N, D).
        others: more lists of the same networks, (M, D) each.

    Returns:
        (N, sum of all D) of the normals, then of the others (M, sum of all D).
    """
    # A network that tells no normals apart stays as it is: no principal component comes of it.
    scales = [np.sqrt(vectors.var(axis=0).sum()) or 1.0 for vectors in normals]
    return [
        np.concatenate([vectors / s for vectors, s in zip(part, scales, strict=True)], axis=1)
        for part in (normals, *others)
    ]
