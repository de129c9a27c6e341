"""subsets -> members -> fused predictions -> metrics -> report."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus import __version__
from mindspore_dpus.config import Config
from mindspore_dpus.core.configuration import load_config
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder, file_hash, write_json, write_text
from mindspore_dpus.data.hashing import content_hashes
from mindspore_dpus.data.images.frames import split_frame
from mindspore_dpus.data.samples import find_samples, write_table
from mindspore_dpus.metrics.by_group import has_groups, write_group_table
from mindspore_dpus.metrics.fusion import fuse
from mindspore_dpus.metrics.fusion_curve import read_fusion_curve
from mindspore_dpus.metrics.predictions import compute_metrics, predictions_table
from mindspore_dpus.report import plots
from mindspore_dpus.report.page import write_report
from mindspore_dpus.sampling.strategies import BASELINE
from mindspore_dpus.systems.classification.prepare import (
    data_root,
    hash_memory,
    image_cache,
    load_images,
    read_samples,
    settings,
    weights_file,
)
from mindspore_dpus.systems.classification.subsets import read_subsets
from mindspore_dpus.training.lr_range import suggest_rate

EVALUATED = ("val", "test")


def check_model(run: RunFolder, config: Config) -> None:
    """Build the members' network and loss once before the long stages of a new or changed run.

    Raises:
        UserError: the backbone, the checkpoint, what is to be frozen, the loss, the device or the
            cluster cannot be used.
    """
    if "members" in run.stages() and _learns_as(run, config):
        return
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.losses import create_loss
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.freeze import phases
    from mindspore_dpus.training.members import check_cluster

    device = configure(config.device)
    if config.training.executor == "ray":
        check_cluster(config.training, device)
    weights = weights_file(config.model.pretrained, config.model.backbone, config)
    _, classes, _ = read_samples(run)
    model, channels = config.model, config.data.channels
    options = {"allow_fresh": model.allow_fresh, "random": False}
    net = create_model(model.backbone, len(classes), channels, weights, **options)
    phases(net, model)
    create_loss(config.loss, [1] * len(classes))


def _learns_as(run: RunFolder, config: Config) -> bool:
    """Whether the run's last start had the same model, loss and device."""
    path = run / "config.yaml"
    if not path.exists():
        return False
    last = load_config(path)
    return (last.model, last.loss, last.training, last.device, last.data.channels) == (
        *(config.model, config.loss, config.training, config.device),
        config.data.channels,
    )


def make_lr_range(run: RunFolder, config: Config, root: Path) -> float:
    """``lr_range.csv`` (rate, loss, smoothed) and ``lr_range.svg``: the learning-rate range test.

    Returns:
        The rate that it suggests.
    """
    weights, parts = _learning_parts(config)

    def make() -> None:
        from mindspore_dpus.core.device import configure
        from mindspore_dpus.training.members import Job, Recipe, try_rates

        _, classes, labels = read_samples(run)
        rows, val = _rows(run)
        name = min(rows)
        images, folder = image_cache(run, config, root), run / "members" / name
        job = Job(name, [config.seed, 0], images, labels, rows[name], val, folder)
        recipe = Recipe(config, len(classes), weights, run.key)
        curve = try_rates(job, recipe, configure(config.device))
        rate = suggest_rate(curve)
        write_table(curve, run / "lr_range.csv")
        write_text(run / "lr_range.svg", plots.learning_rate_range(curve, rate))

    run.stage("lr_range", parts, ["lr_range.csv", "lr_range.svg"], make, version=2)
    rate = suggest_rate(pd.read_csv(run / "lr_range.csv"))
    run.report(f"  learning rate {rate:.3g} (range test)")
    return rate


def _learning_parts(config: Config) -> tuple[Path | None, list]:
    """The pretrained checkpoint, and what the weights of a member depend on."""
    weights = weights_file(config.model.pretrained, config.model.backbone, config)
    parts = [settings(s) for s in (config.model, config.loss, config.training)]
    return weights, [parts, file_hash(weights) if weights else None, config.seed]


def _rows(run: RunFolder) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Member -> rows of its balanced set in the sample table; and those of the validation split."""
    table, _, _ = read_samples(run)
    row_of = {path: i for i, path in enumerate(table["path"])}
    subsets = read_subsets(run)
    rows = {name: np.array([row_of[p] for p in paths]) for name, paths in subsets.items()}
    return rows, np.flatnonzero(table["split"] == "val")


def make_members(run: RunFolder, config: Config, root: Path) -> None:
    """``members/<member>/``: best and last checkpoint, history."""
    if config.training.learning_rate == "auto":
        training = dataclasses.replace(config.training, learning_rate=make_lr_range(run, config, root))
        config = dataclasses.replace(config, training=training)
    weights, parts = _learning_parts(config)
    subsets = read_subsets(run)

    def make() -> None:
        from mindspore_dpus.core.device import configure
        from mindspore_dpus.training.members import Recipe, train_ensemble

        _, classes, labels = read_samples(run)
        rows, val = _rows(run)
        for folder in (run / "members").glob("*"):
            if folder.name not in subsets:
                shutil.rmtree(folder)
        train_ensemble(
            Recipe(config, len(classes), weights, run.key),
            image_cache(run, config, root),
            labels,
            rows,
            val,
            run / "members",
            configure(config.device),
            run.report,
        )

    artefacts = [f"members/{name}/best.safetensors" for name in subsets]
    run.stage("members", parts, artefacts, make)


def labelled_images(
    run: RunFolder, config: Config, root: str | None, manifest: str | None, split: str
) -> tuple[pd.DataFrame, Path]:
    """The sample table and root that an evaluation is about.

    Args:
        run: a finished run.
        config: its configuration.
        root: other labelled images; None: the run's own.
        manifest: their CSV, where they have one.
        split: ``train``, ``val``, ``test``, ``all`` or ``auto``.

    Raises:
        UserError: classes that the run never saw, or no image of that split.
    """
    own, classes, _ = read_samples(run)
    if root is None and manifest is not None:
        raise UserError("--data.manifest needs --data.root: the folder that its paths start from")
    if root is None:
        table, root = own, data_root(run, config)
    else:
        data = dataclasses.replace(config.data, root=root, manifest=manifest)
        table, root = find_samples(data, check=False), Path(root)
        # The run's own data in another place: what it trained on is not to be tested on.
        known = table["path"].map(own.set_index("path")["split"]).fillna("")
        known[_other_images(run, config, table["path"][known != ""], root)] = ""
        table["split"] = table["split"].where(table["split"] != "", known)
    unknown = sorted(set(table["label"]) - set(classes))
    if unknown:
        raise UserError(
            f"{root} has the class {unknown[0]!r}, which the run never saw; "
            f"it knows {', '.join(classes)}"
        )
    if split == "auto":
        split = "test" if (table["split"] == "test").any() else "all"
    if split != "all":
        table = table[table["split"] == split]
    if table.empty:
        raise UserError(f"--split {split}: {root} has no image of it")
    return table.reset_index(drop=True), root


def _other_images(run: RunFolder, config: Config, paths: pd.Series, root: Path) -> pd.Index:
    """Index of images that only have the name of one of the run's; none where the run's own are gone."""
    own = data_root(run, config)
    if paths.empty or not own.is_dir() or own.resolve() == root.resolve():
        return paths.index[:0]
    memory = hash_memory(run, config)
    present = paths[[split_frame(own / path)[0].is_file() for path in paths]]
    theirs, ours = (np.array(content_hashes(present, place, memory)) for place in (root, own))
    return present.index[theirs != ours]


def load_ensemble(run: RunFolder, config: Config):
    """The trained members of a finished run, on the configured device, as one ``Ensemble``.

    Raises:
        UserError: the run's members are not finished, or a checkpoint is not theirs.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.training.ensemble import Ensemble

    key = run.finished("members")["key"]
    _, classes, _ = read_samples(run)
    device = configure(config.device)
    return Ensemble(config, len(classes), list(read_subsets(run)), run / "members", key, device)


def with_fused(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the fused output (Eq. 3) before the models' own; the baseline has no part in it."""
    members = [output for name, output in outputs.items() if name != BASELINE]
    return {"fused": fuse(np.stack(members))} | outputs


def make_predictions(run: RunFolder, config: Config, root: Path) -> None:
    """``predictions_val.csv``, ``predictions_test.csv``: every model's softmax output, and the class
    that ``evaluation.threshold`` makes of the fused one."""

    def make() -> None:
        table, classes, _ = read_samples(run)
        images = load_images(run, config, root)
        ensemble = load_ensemble(run, config)
        for split in EVALUATED:
            rows = np.flatnonzero(table["split"] == split)
            outputs = with_fused(ensemble.predict(images, rows))
            predictions = predictions_table(
                table.iloc[rows][["path", "label"]], classes, config, outputs
            )
            write_table(predictions, run / f"predictions_{split}.csv")

    artefacts = [f"predictions_{split}.csv" for split in EVALUATED]
    run.stage("predictions", [config.evaluation.threshold], artefacts, make)


def make_metrics(run: RunFolder, config: Config) -> None:
    """``metrics.json``: every metric of the fused ensemble and of each model, on val and test;
    ``fusion_val.csv``, ``fusion_test.csv``; and, where the data name groups, ``by_group_val.csv``,
    ``by_group_test.csv``."""

    table, classes, _ = read_samples(run)

    def make() -> None:
        for split in EVALUATED:
            predictions = run / f"predictions_{split}.csv"
            write_group_table(table, predictions, classes, run / f"by_group_{split}.csv")
            write_table(read_fusion_curve(predictions, classes).round(4), run / f"fusion_{split}.csv")
        metrics = {
            split: compute_metrics(run / f"predictions_{split}.csv", classes, config)
            for split in EVALUATED
        }
        write_json(run / "metrics.json", metrics)

    parts = [settings(config.evaluation), config.seed]
    grouped = [split for split in EVALUATED if has_groups(table[table["split"] == split])]
    artefacts = ["metrics.json", *(f"fusion_{split}.csv" for split in EVALUATED)]
    artefacts += [f"by_group_{split}.csv" for split in grouped]
    run.stage("metrics", parts, artefacts, make, version=3)


def make_report(run: RunFolder, root: Path) -> None:
    """``report.html``."""
    audit = run / "audit.csv"
    parts = [__version__, file_hash(audit) if audit.exists() else None]
    run.stage("report", parts, ["report.html"], lambda: write_report(run.path, root))
