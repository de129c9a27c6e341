"""samples -> features: vectors of the training samples whose class is drawn."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.files import atomic, digest, file_hash
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.arrays import load_arrays, save_arrays
from mindspore_dpus.data.shards import Shards, fill_shards, is_filled, open_shards
from mindspore_dpus.data.source import Source
from mindspore_dpus.features.settings import FeatureSettings
from mindspore_dpus.features.whitening import EXACT_UP_TO, whiten
from mindspore_dpus.sampling.strategies import drawn_classes

logger = logging.getLogger(__name__)

# Samples whose features are one file: what a killed process extracts again.
ROWS_PER_PART = 2**14


def make_features(
    folder: Path,
    source: Source,
    features: FeatureSettings,
    weights: Path | None,
    device: DeviceSettings,
    seed: int,
) -> None:
    """``features.npz``: of the training samples whose class is drawn (two classes: the normals).

    Arrays: ``path``; ``label``; ``features`` (M, D) as the backbone gives them; ``whitened``
    (M, n_components), computed class by class; float32 where a class is above ``EXACT_UP_TO``.

    Args:
        folder: with ``samples.csv``.
        source: where samples lie and how they are read.
        features: the section.
        weights: the backbone's checkpoint; None: random weights.
        device: the section.
        seed: of PCA, and of random weights.
    """
    table = read_table(folder / "samples.csv")
    rows = drawn_rows(table)
    paths, labels = (table[name].to_numpy(dtype=str)[rows] for name in ("path", "label"))
    vectors = features_of(source, table, rows, features, weights, device, seed)
    whitened = _whiten_classes(vectors, labels, features.n_components, seed)
    with atomic(folder / "features.npz") as temporary:
        arrays = {"path": paths, "label": labels, "features": vectors, "whitened": whitened}
        save_arrays(temporary, arrays)


def features_of(
    source: Source,
    table: pd.DataFrame,
    rows: np.ndarray,
    features: FeatureSettings,
    weights: Path | None,
    device: DeviceSettings,
    seed: int,
) -> Shards:
    """Features of some samples as the backbone gives them, (M, D) float32; extracted once, for all runs that
    share the cache.

    Args:
        source: where samples lie and how they are read.
        table: of all samples.
        rows: (M,) which of them.
        features, weights, device, seed: as for ``make_features``.
    """
    identity = [
        *source.identity(table["path"].iloc[rows]),
        features.backbone,
        features.layer,
        file_hash(weights) if weights else seed,
    ]
    shared = source.cache / f"features-{digest(identity)}"
    if not is_filled(shared):
        from mindspore_dpus.core.device import give_back_memory

        _extract(source, table, rows, features, weights, device, seed, shared)
        # Now: what later stages keep would lie scattered over what the network has left.
        give_back_memory()
    return open_shards(shared)


def drawn_rows(table: pd.DataFrame) -> np.ndarray:
    """Rows of the training samples whose class a strategy that under-samples draws from."""
    train = table["split"] == "train"
    # Class indices, by which subsets are drawn, are in the order of the names: ties end alike.
    drawn = drawn_classes(table["label"][train].to_numpy(dtype=str))
    return np.flatnonzero(train & table["label"].isin(drawn))


def read_features(folder: Path, paths: np.ndarray) -> np.ndarray:
    """Whitened features of training samples, float32 where a class is large; rows of classes that stay
    whole are zero.

    Args:
        folder: with ``features.npz``.
        paths: (N,) of the samples.

    Returns:
        (N, D).
    """
    arrays = load_arrays(folder / "features.npz", ("path", "label", "whitened"))
    places = pd.Index(arrays["path"].astype(object)).get_indexer(paths)
    whitened = arrays["whitened"]
    large = np.unique(arrays["label"], return_counts=True)[1].max() > EXACT_UP_TO
    features = np.zeros((len(paths), whitened.shape[1]), np.float32 if large else np.float64)
    known = np.flatnonzero(places >= 0)
    features[known] = whitened[places[known]]
    return features


def _extract(
    source: Source,
    table: pd.DataFrame,
    rows: np.ndarray,
    features: FeatureSettings,
    weights: Path | None,
    device: DeviceSettings,
    seed: int,
    folder: Path,
) -> None:
    """Fill a folder with the features of these samples."""
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.features.extract import extract, feature_layer, needed_parameters
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.weights import load_weights

    chosen = configure(device)
    net = create_model(features.backbone, 1000, source.reader.shape[-1], seed=seed, device=chosen)
    layer = feature_layer(net, features.layer)
    if weights is not None:
        load_weights(net, weights, needed=needed_parameters(net, layer))
    logger.info("  %s, layer %s", weights or "random weights", layer)
    images = source.open(table)

    def part(numbers: np.ndarray) -> np.ndarray:
        return extract(net, layer, images, rows[numbers], features.batch_size, chosen)

    fill_shards(folder, len(rows), ROWS_PER_PART, part)


def _whiten_classes(
    features: np.ndarray, labels: np.ndarray, n_components: int | None, random_state: int
) -> np.ndarray:
    """``whiten`` each class by itself: (N, n_components), or the features as they are for None."""
    if n_components is None:
        return features
    rows = {name: np.flatnonzero(labels == name) for name in np.unique(labels)}
    parts = {
        name: whiten(features, n_components, random_state, rows[name], EXACT_UP_TO) for name in rows
    }
    # A small class has fewer components than a large one: the rest of its columns stay 0.
    width = max(part.shape[1] for part in parts.values())
    whitened = np.zeros((len(features), width), min(part.dtype for part in parts.values()))
    for name, part in parts.items():
        whitened[rows[name], : part.shape[1]] = part
    return whitened
