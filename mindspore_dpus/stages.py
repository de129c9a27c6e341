"""The stages of a run: each reads files of the run folder, does one thing, writes the next file."""

import dataclasses
import json
import math
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus import __version__
from mindspore_dpus.cli import dump_config, plain
from mindspore_dpus.config import Config
from mindspore_dpus.data import samples as sample_table
from mindspore_dpus.data.cache import build_cache, cache_path, open_cache
from mindspore_dpus.data.images import ImageSpec
from mindspore_dpus.data.splits import assign_splits
from mindspore_dpus.evaluation.metrics import (
    bootstrap_metrics,
    confusion_matrix,
    predicted_classes,
)
from mindspore_dpus.features.whiten import whiten
from mindspore_dpus.fusion import fuse
from mindspore_dpus.models.pretrained import file_hash, find_weights
from mindspore_dpus.run import RunFolder, atomic, digest, write_json, write_text
from mindspore_dpus.sampling import strategies

PACKAGES = (
    "mindspore",
    "mindcv",
    "numpy",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "opencv-python",
    "pandas",
    "safetensors",
)
# Where the data lies does not change what is learnt from it: a moved folder re-runs nothing.
PLACES = ("root", "manifest", "cache_dir", "weights_dirs")


def settings(section: object) -> dict:
    """A configuration section without the keys that name places."""
    return {key: value for key, value in plain(section).items() if key not in PLACES}


def write_provenance(run: RunFolder, config: Config) -> None:
    """``config.yaml`` and ``environment.json``: what makes this run."""
    write_text(run / "config.yaml", dump_config(config))
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    environment = {
        "mindspore_dpus": __version__,
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "command": sys.argv,
        "seed": config.seed,
    }
    write_json(run / "environment.json", environment)


def find_root(run: RunFolder, config: Config) -> Path:
    """The data root; simulated radiographs are made first where the configuration wants them."""
    if not config.data.simulate.enabled:
        return Path(config.data.root)
    from mindspore_dpus.data.simulate import simulate

    run.stage(
        "simulate",
        [settings(config.data.simulate), config.seed],
        ["data/manifest.csv"],
        lambda: simulate(config.data.simulate, run / "data", config.seed),
    )
    return run / "data"


def make_samples(run: RunFolder, config: Config, root: Path) -> None:
    """``samples.csv``: path, label, split, group."""
    data = dataclasses.replace(config.data, root=str(root))
    found = sample_table.find_samples(data)
    run.fingerprint = sample_table.fingerprint(found, root)

    def make() -> None:
        table = assign_splits(found, config.split, config.seed)
        sample_table.write_table(table, run / "samples.csv")

    run.stage(
        "samples",
        [settings(config.data), settings(config.split), config.seed, run.fingerprint],
        ["samples.csv"],
        make,
    )


def read_samples(run: RunFolder) -> tuple[pd.DataFrame, list[str], np.ndarray]:
    """The sample table, the class names, and each sample's class index."""
    table = sample_table.read_table(run / "samples.csv")
    classes = sample_table.class_names(table)
    return table, classes, table["label"].map(classes.index).to_numpy()


def load_images(run: RunFolder, config: Config, root: Path) -> np.ndarray:
    """Every image of ``samples.csv``, decoded and resized: (N, H, W, C), memory-mapped."""
    table = sample_table.read_table(run / "samples.csv")
    spec = ImageSpec.from_config(config.data)
    path = cache_path(cache_dir(run, config), sample_table.fingerprint(table, root), spec)
    build_cache(table, root, spec, path, run / "unreadable.csv")
    return open_cache(path)


def cache_dir(run: RunFolder, config: Config) -> Path:
    """Folder of decoded images and features, shared by runs."""
    return Path(config.data.cache_dir or run.path.parent / "cache")


def weights_file(pretrained: str | None, backbone: str, config: Config) -> Path | None:
    """The checkpoint that ``pretrained`` names, or None for random weights."""
    if pretrained is None:
        return None
    return find_weights(pretrained, backbone, config.model.weights_dirs)


def _hash(path: Path | None) -> str | None:
    return file_hash(path) if path else None


def make_features(run: RunFolder, config: Config, root: Path) -> None:
    """``features.npz``: of the training images whose class is drawn (two classes: the normals).

    Arrays: ``path``; ``label``; ``features`` (M, D) as the backbone gives them; ``whitened``
    (M, n_components), computed class by class.
    """
    weights = weights_file(config.features.pretrained, config.features.backbone, config)
    parts = [settings(config.features), _hash(weights), config.seed]

    def make() -> None:
        shared = cache_dir(run, config) / f"features-{run.key}.npz"
        if not shared.exists():
            _compute_features(run, config, root, weights, shared)
        with atomic(run / "features.npz") as temporary:
            shutil.copyfile(shared, temporary)

    run.stage("features", parts, ["features.npz"], make)


def _compute_features(
    run: RunFolder, config: Config, root: Path, weights: Path | None, target: Path
) -> None:
    from mindspore_dpus.device import configure
    from mindspore_dpus.features.extract import extract, feature_layer, needed_parameters
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.weights import load_weights

    table, _, _ = read_samples(run)
    images = load_images(run, config, root)
    rows = drawn_rows(table)
    device = configure(config.device)
    net = create_model(config.features.backbone, 1000, config.data.channels, config.seed)
    layer = feature_layer(net, config.features.layer)
    if weights is not None:
        load_weights(net, weights, needed=needed_parameters(net, layer))
        run.report(f"  {weights}, layer {layer}")
    else:
        run.report(f"  random weights, layer {layer}")
    features = extract(net, layer, images, rows, config.features.batch_size, device)
    labels = table["label"].to_numpy()[rows]
    n_components = config.features.n_components
    if n_components is None:
        whitened = features
    else:
        parts = {c: whiten(features[labels == c], n_components, config.seed) for c in set(labels)}
        # A small class has fewer components than a large one: the rest of its columns stay 0.
        whitened = np.zeros((len(rows), max(part.shape[1] for part in parts.values())))
        for name, part in parts.items():
            whitened[labels == name, : part.shape[1]] = part
    with atomic(target) as temporary:
        np.savez(
            temporary,
            path=table["path"].to_numpy(dtype=str)[rows],
            label=labels.astype(str),
            features=features,
            whitened=whitened,
        )


def drawn_rows(table: pd.DataFrame) -> np.ndarray:
    """Rows of the training images of every class but the smallest."""
    train = table["split"] == "train"
    smallest = table["label"][train].value_counts().idxmin()
    return np.flatnonzero(train & (table["label"] != smallest))


def make_subsets(run: RunFolder, config: Config) -> None:
    """``subsets.csv`` (member, path) and, for dpus, ``groups.csv`` (path, label, group)."""
    sampling = config.sampling
    with_groups = sampling.strategy == "dpus"

    def make() -> None:
        table, _, labels = read_samples(run)
        train = np.flatnonzero(table["split"] == "train")
        paths = table["path"].to_numpy()
        y = labels[train]
        if with_groups:
            features = _features_of(run, paths[train])
            subsets, groups = strategies.dpus(
                features,
                y,
                sampling.n_clusters,
                sampling.n_subsets,
                sampling.proportion,
                sampling.draw,
                config.seed,
            )
            grouped = groups >= 0
            group_table = pd.DataFrame(
                {
                    "path": paths[train][grouped],
                    "label": table["label"].to_numpy()[train][grouped],
                    "group": groups[grouped],
                }
            )
            sample_table.write_table(group_table, run / "groups.csv")
        elif sampling.strategy == "random_under":
            subsets = strategies.random_under(
                y, sampling.n_subsets, sampling.proportion, config.seed
            )
        elif sampling.strategy == "random_over":
            subsets = strategies.random_over(y, sampling.n_subsets, config.seed)
        else:
            subsets = strategies.none(y, sampling.n_subsets)
        named = {f"{i:02d}": subset for i, subset in enumerate(subsets)}
        if sampling.baseline:
            # Its own seed: the first of t draws with the run's seed may be a member's.
            named[strategies.BASELINE] = strategies.random_under(
                y, 1, sampling.proportion, config.seed + 1
            )[0]
        rows = pd.concat(
            pd.DataFrame({"member": name, "path": paths[train][subset]})
            for name, subset in named.items()
        )
        sample_table.write_table(rows, run / "subsets.csv")

    artefacts = ["subsets.csv"] + (["groups.csv"] if with_groups else [])
    run.stage("subsets", [settings(sampling), config.seed], artefacts, make)


def _features_of(run: RunFolder, paths: np.ndarray) -> np.ndarray:
    """Whitened features of the training images; rows of classes that stay whole are zero."""
    with np.load(run / "features.npz") as file:
        order = {path: i for i, path in enumerate(file["path"])}
        whitened = file["whitened"]
    features = np.zeros((len(paths), whitened.shape[1]))
    for row, path in enumerate(paths):
        if path in order:
            features[row] = whitened[order[path]]
    return features


def read_subsets(run: RunFolder) -> dict[str, np.ndarray]:
    """Member -> paths of its balanced set."""
    table = sample_table.read_table(run / "subsets.csv")
    return {name: part["path"].to_numpy() for name, part in table.groupby("member")}


def make_members(run: RunFolder, config: Config, root: Path) -> None:
    """``members/<member>/``: best and last checkpoint, history."""
    weights = weights_file(config.model.pretrained, config.model.backbone, config)
    parts = [settings(s) for s in (config.model, config.loss, config.training)]
    subsets = read_subsets(run)

    def make() -> None:
        from mindspore_dpus.device import configure
        from mindspore_dpus.training.ensemble import train_ensemble

        table, classes, labels = read_samples(run)
        row_of = {path: i for i, path in enumerate(table["path"])}
        for folder in (run / "members").glob("*"):
            if folder.name not in subsets:
                shutil.rmtree(folder)
        train_ensemble(
            config,
            load_images(run, config, root),
            labels,
            len(classes),
            {name: np.array([row_of[p] for p in paths]) for name, paths in subsets.items()},
            np.flatnonzero(table["split"] == "val"),
            run / "members",
            weights,
            run.key,
            configure(config.device),
            run.report,
        )

    artefacts = [f"members/{name}/best.safetensors" for name in subsets]
    run.stage("members", [parts, _hash(weights), config.seed], artefacts, make)


def make_predictions(run: RunFolder, config: Config, root: Path) -> None:
    """``predictions_val.csv``, ``predictions_test.csv``: every model's softmax output."""

    def make() -> None:
        table, classes, _ = read_samples(run)
        images = load_images(run, config, root)
        for split in ("val", "test"):
            rows = np.flatnonzero(table["split"] == split)
            outputs = predict_members(run, config, images, rows)
            path = run / f"predictions_{split}.csv"
            write_predictions(path, table.iloc[rows], classes, config, outputs)

    artefacts = ["predictions_val.csv", "predictions_test.csv"]
    run.stage("predictions", [], artefacts, make)


def predict_members(
    run: RunFolder, config: Config, images: np.ndarray, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Softmax outputs (M, C) of ``fused`` and of every model of a finished run."""
    from mindspore_dpus.device import configure
    from mindspore_dpus.training.ensemble import predict_ensemble

    configure(config.device)
    members = list(read_subsets(run))
    key = run.stages()["members"]["key"]
    _, classes, _ = read_samples(run)
    outputs = predict_ensemble(
        config, images, rows, len(classes), members, run / "members", key
    )
    fused = fuse(np.stack([p for name, p in outputs.items() if name != strategies.BASELINE]))
    return {"fused": fused} | outputs


def positive_index(classes: list[str], config: Config) -> int | None:
    """Index of the positive class where there are two classes."""
    return classes.index(config.data.positive) if len(classes) == 2 else None


def predictions_table(
    paths: pd.DataFrame, classes: list[str], config: Config, outputs: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Columns of ``paths``, then ``predicted``, ``score`` (two classes), and ``<model>:<class>``."""
    positive = positive_index(classes, config)
    fused = outputs["fused"]
    columns = {"predicted": [classes[i] for i in predicted_classes(fused, positive, config.evaluation.threshold)]}
    if positive is not None:
        columns["score"] = fused[:, positive]
    for name, output in outputs.items():
        columns |= {f"{name}:{c}": output[:, i] for i, c in enumerate(classes)}
    return pd.concat([paths.reset_index(drop=True), pd.DataFrame(columns)], axis=1)


def write_predictions(
    path: Path, table: pd.DataFrame, classes: list[str], config: Config, outputs: dict
) -> None:
    """Write ``path, label, predicted, score, <model>:<class> ...``."""
    predictions = predictions_table(table[["path", "label"]], classes, config, outputs)
    sample_table.write_table(predictions, path)


def read_predictions(path: Path, classes: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Class indices (N,), and softmax outputs (N, C) of every model."""
    table = sample_table.read_table(path)
    names = dict.fromkeys(c.rpartition(":")[0] for c in table.columns if ":" in c)
    outputs = {n: table[[f"{n}:{c}" for c in classes]].to_numpy() for n in names}
    return table["label"].map(classes.index).to_numpy(), outputs


def make_metrics(run: RunFolder, config: Config) -> None:
    """``metrics.json``: every metric of the fused ensemble and of each model, on val and test."""

    def make() -> None:
        _, classes, _ = read_samples(run)
        files = {split: run / f"predictions_{split}.csv" for split in ("val", "test")}
        write_json(run / "metrics.json", compute_metrics(files, classes, config))

    run.stage("metrics", [settings(config.evaluation), config.seed], ["metrics.json"], make)


def compute_metrics(files: dict[str, Path], classes: list[str], config: Config) -> dict:
    """Metrics of prediction files, as JSON values; undefined ones are null."""
    positive = positive_index(classes, config)
    evaluation = config.evaluation
    result = {}
    for split, path in files.items():
        labels, outputs = read_predictions(path, classes)
        models = {
            name: bootstrap_metrics(
                labels,
                probabilities,
                positive,
                evaluation.threshold,
                evaluation.n_bootstrap,
                evaluation.confidence,
                config.seed,
            )
            for name, probabilities in outputs.items()
        }
        predicted = predicted_classes(outputs["fused"], positive, evaluation.threshold)
        result[split] = {
            "classes": classes,
            "counts": np.bincount(labels, minlength=len(classes)).tolist(),
            "confusion_matrix": confusion_matrix(labels, predicted, len(classes)).tolist(),
            "models": models,
        }
    return _without_nan(result)


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def make_report(run: RunFolder, root: Path) -> None:
    """``report.html``."""
    from mindspore_dpus.evaluation.report import write_report

    run.stage("report", [__version__], ["report.html"], lambda: write_report(run.path, root))
