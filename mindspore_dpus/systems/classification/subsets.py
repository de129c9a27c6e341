"""samples -> features -> groups -> subsets: what each member will learn from."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.config import Config
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder, atomic, digest, file_hash
from mindspore_dpus.data.arrays import load_arrays, save_arrays
from mindspore_dpus.data.images.preparing import ImageSpec
from mindspore_dpus.data.samples import read_table, write_table
from mindspore_dpus.data.shards import fill_shards, is_filled, open_shards
from mindspore_dpus.features.whiten import EXACT_UP_TO, whiten
from mindspore_dpus.sampling import strategies
from mindspore_dpus.sampling.dpus import draw_size
from mindspore_dpus.systems.classification.prepare import (
    cache_dir,
    data_fingerprint,
    load_images,
    read_samples,
    settings,
    weights_file,
)

# Images whose features are one file: what a killed process extracts again.
ROWS_PER_PART = 2**14


def make_features(run: RunFolder, config: Config, root: Path) -> None:
    """``features.npz``: of the training images whose class is drawn (two classes: the normals).

    Arrays: ``path``; ``label``; ``features`` (M, D) as the backbone gives them; ``whitened``
    (M, n_components), computed class by class; float32 where a class is above ``EXACT_UP_TO``.
    """
    weights = weights_file(config.features.pretrained, config.features.backbone, config)
    parts = [settings(config.features), file_hash(weights) if weights else None, config.seed]

    def make() -> None:
        table, _, _ = read_samples(run)
        rows = drawn_rows(table)
        paths, labels = (table[name].to_numpy(dtype=str)[rows] for name in ("path", "label"))
        identity = [
            data_fingerprint(run, config, root, table["path"].iloc[rows]),
            asdict(ImageSpec.from_config(config.data)),
            config.features.backbone,
            config.features.layer,
            file_hash(weights) if weights else config.seed,
        ]
        shared = cache_dir(run, config) / f"features-{digest(identity)}"
        if not is_filled(shared):
            _extract(run, config, root, weights, rows, shared)
        features = open_shards(shared)
        whitened = _whiten_classes(features, labels, config.features.n_components, config.seed)
        with atomic(run / "features.npz") as temporary:
            arrays = {"path": paths, "label": labels, "features": features, "whitened": whitened}
            save_arrays(temporary, arrays)

    run.stage("features", parts, ["features.npz"], make, version=2 if is_large(run) else 1)


def is_large(run: RunFolder) -> bool:
    """Whether PCA and k-means of some class read it in blocks, which they did not in version 1."""
    table = read_table(run / "samples.csv")
    return bool(table["label"][table["split"] == "train"].value_counts().max() > EXACT_UP_TO)


def _extract(
    run: RunFolder, config: Config, root: Path, weights: Path | None, rows: np.ndarray, folder: Path
) -> None:
    """Fill a folder with the features of these images."""
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.features.extract import extract, feature_layer, needed_parameters
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.weights import load_weights

    device = configure(config.device)
    net = create_model(config.features.backbone, 1000, config.data.channels, seed=config.seed)
    layer = feature_layer(net, config.features.layer)
    if weights is not None:
        load_weights(net, weights, needed=needed_parameters(net, layer))
    run.report(f"  {weights or 'random weights'}, layer {layer}")
    images = load_images(run, config, root)

    def features(part: np.ndarray) -> np.ndarray:
        return extract(net, layer, images, rows[part], config.features.batch_size, device)

    fill_shards(folder, len(rows), ROWS_PER_PART, features)


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


def drawn_rows(table: pd.DataFrame) -> np.ndarray:
    """Rows of the training images whose class ``make_subsets`` draws."""
    train = table["split"] == "train"
    # Class indices, which make_subsets goes by, are in the order of the names: ties end alike.
    drawn = strategies.drawn_classes(table["label"][train].to_numpy(dtype=str))
    return np.flatnonzero(train & table["label"].isin(drawn))


def check_draws(run: RunFolder, config: Config) -> None:
    """Refuse, before anything is computed, a proportion that draws nothing, and two classes of which
    ``data.majority`` is not the larger one.

    Raises:
        UserError: says which class.
    """
    sampling = config.sampling
    if sampling.strategy in ("none", "random_over") and not sampling.baseline:
        return
    table, _, _ = read_samples(run)
    train = table["label"][table["split"] == "train"]
    counts = train.value_counts().to_dict()
    drawn = strategies.drawn_classes(train.to_numpy(dtype=str))
    majority = config.data.majority
    if len(counts) == 2 and drawn != [majority]:
        found = " and ".join(f"{n} of {label!r}" for label, n in counts.items())
        raise UserError(
            f"data.majority is {majority!r}, but train has {found}: the larger class is drawn from; set "
            f"--data.majority {drawn[0]}, or train on all images with --sampling.strategy none"
        )
    for label in drawn:
        try:
            draw_size(counts, label, sampling.proportion)
        except ValueError as error:
            raise UserError(f"sampling: {error}") from None


def make_subsets(run: RunFolder, config: Config) -> None:
    """``subsets.csv`` (member, path) and, for dpus, ``groups.csv`` (path, label, group)."""
    sampling = config.sampling
    with_groups = sampling.strategy == "dpus"
    large = with_groups and is_large(run)

    def make() -> None:
        table, _, labels = read_samples(run)
        train = np.flatnonzero(table["split"] == "train")
        paths = table["path"].to_numpy()
        y = labels[train]
        if with_groups:
            features = features_of(run, paths[train], large)
            subsets, groups = strategies.dpus(
                features,
                y,
                sampling.n_clusters,
                sampling.n_subsets,
                sampling.proportion,
                sampling.draw,
                config.seed,
                EXACT_UP_TO,
            )
            grouped = groups >= 0
            group_table = pd.DataFrame(
                {
                    "path": paths[train][grouped],
                    "label": table["label"].to_numpy()[train][grouped],
                    "group": groups[grouped],
                }
            )
            if sampling.n_clusters == "auto":
                for label, n_groups in group_table.groupby("label")["group"].nunique().items():
                    run.report(f"  {label}: {n_groups} group{'s' if n_groups > 1 else ''}")
            write_table(group_table, run / "groups.csv")
        elif sampling.strategy == "random_under":
            subsets = strategies.random_under(y, sampling.n_subsets, sampling.proportion, config.seed)
        elif sampling.strategy == "random_over":
            subsets = strategies.random_over(y, sampling.n_subsets, config.seed)
        else:
            subsets = strategies.none(y, sampling.n_subsets)
        named = {f"{i:02d}": subset for i, subset in enumerate(subsets)}
        if sampling.baseline:
            # One draw more: the first t with the run's seed are the members' of random_under, and those
            # with another seed are another run's.
            named[strategies.BASELINE] = strategies.random_under(
                y, sampling.n_subsets + 1, sampling.proportion, config.seed
            )[-1]
        rows = pd.concat(
            pd.DataFrame({"member": name, "path": paths[train][subset]})
            for name, subset in named.items()
        )
        write_table(rows, run / "subsets.csv")

    artefacts = ["subsets.csv"] + (["groups.csv"] if with_groups else [])
    # Versions 1 and 2 (of large classes) rounded the groups' shares the same way in all draws, and 3 and
    # 4 did so in all cycles of covering draws. Until 10, the baseline was a draw of the next seed.
    version = (5 if sampling.draw == "covering" else 3) + large if with_groups else 1
    version += 10 * sampling.baseline
    run.stage("subsets", [settings(sampling), config.seed], artefacts, make, version)


def features_of(run: RunFolder, paths: np.ndarray, large: bool) -> np.ndarray:
    """Whitened features of the training images, float32 where they are many; rows of classes that stay
    whole are zero."""
    arrays = load_arrays(run / "features.npz", ("path", "whitened"))
    places = pd.Index(arrays["path"].astype(object)).get_indexer(paths)
    whitened = arrays["whitened"]
    features = np.zeros((len(paths), whitened.shape[1]), np.float32 if large else np.float64)
    known = np.flatnonzero(places >= 0)
    features[known] = whitened[places[known]]
    return features


def read_subsets(run: RunFolder) -> dict[str, np.ndarray]:
    """Member -> paths of its balanced set."""
    table = read_table(run / "subsets.csv")
    return {name: part["path"].to_numpy() for name, part in table.groupby("member")}


def forget_groups(run: RunFolder) -> None:
    """Remove features, groups and diagnostics of another strategy."""
    run.forget("features", ["features.npz"])
    run.forget("diagnostics", ["groups.csv", "diagnostics.csv", "embedding.csv"])
