"""t members, each with its own balanced set, start and order of data; in turn or side by side."""

import dataclasses
import platform
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from mindspore import nn

from mindspore_dpus.config import Config, TrainingConfig
from mindspore_dpus.core.cluster import Needs, connect, disconnect, on_cluster
from mindspore_dpus.core.device import Device, configure
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import Task, side_by_side
from mindspore_dpus.data.shards import open_shards
from mindspore_dpus.losses import create_loss
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import Phase, phases
from mindspore_dpus.models.weights import get_state
from mindspore_dpus.training.lr_range import range_test
from mindspore_dpus.training.parallel import call
from mindspore_dpus.training.progress import Progress
from mindspore_dpus.training.schedules import member_epochs
from mindspore_dpus.training.trainer import MemberData, Trainer


@dataclass
class Job:
    """One member to train: all that another process or machine would need to be told.

    Args:
        name: of the member.
        seed: the run's seed and the member's place.
        images: the image cache (``data.cache``).
        labels: (N,) class index of each image.
        train: (M,) rows of the member's balanced set.
        val: (V,) rows of the validation split.
        folder: where its files go.
    """

    name: str
    seed: list[int]
    images: Path
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray
    folder: Path


@dataclass
class Recipe:
    """What all members of a run have in common.

    Args:
        config: the run's configuration.
        num_classes: C.
        weights: pretrained checkpoint, or None.
        key: what the members belong to; written into their checkpoints.
    """

    config: Config
    num_classes: int
    weights: Path | None
    key: str


def start_state(
    config: Config, num_classes: int, seed: list[int], weights: Path | None
) -> dict[str, np.ndarray]:
    """Weights that a member starts from: the checkpoint's, and fresh ones where it has none."""
    number = int(np.random.default_rng(seed).integers(2**31))
    net = create_model(
        config.model.backbone,
        num_classes,
        config.data.channels,
        weights,
        seed=number,
        allow_fresh=config.model.allow_fresh,
    )
    return get_state(net)


def train_ensemble(
    recipe: Recipe,
    images: Path,
    labels: np.ndarray,
    subsets: dict[str, np.ndarray],
    val: np.ndarray,
    folder: Path,
    device: Device,
    report: Callable[[str], None] = print,
) -> None:
    """Train every member whose folder does not hold it already.

    Args:
        recipe: what the members have in common.
        images: the image cache.
        labels: (N,) class index of each image.
        subsets: member -> rows of its balanced set.
        val: rows of the validation split.
        folder: members go to ``folder/<member>``.
        device: where to.
        report: called with a line for every member and epoch.

    Raises:
        UserError: a member diverged, its checkpoint is torn, or its process has died; members trained
            before stay.
    """
    jobs = [
        # Absolute: other processes need not be in this one's folder.
        Job(
            name, [recipe.config.seed, i], images.absolute(), labels, rows, val, folder.absolute() / name
        )
        for i, (name, rows) in enumerate(subsets.items())
    ]
    training = recipe.config.training
    progress = Progress({job.name: member_epochs(training, len(job.train)) for job in jobs}, report)
    try:
        if device.n_devices > 1:
            call(folder.parent, _as_json(jobs, recipe))
            run_in_turn(jobs, recipe, device, progress)
        elif min(device.processes, len(jobs)) > 1 or recipe.config.training.executor == "ray":
            run_side_by_side(jobs, recipe, device, progress)
        else:
            run_in_turn(jobs, recipe, device, progress)
    finally:
        progress.close()


def run_in_turn(
    jobs: list[Job], recipe: Recipe, device: Device, report: Callable[[str, dict | str], None]
) -> None:
    """Train members one after another in this process, with one network and one compiled step.

    Args:
        jobs: the members.
        recipe: what they have in common.
        device: where to.
        report: called with the member's name and, after every epoch, the row of its history; or a line.
    """
    config, num_classes = recipe.config, recipe.num_classes
    net, plan = _network(recipe, device)
    stamp = {"key": recipe.key, "backbone": config.model.backbone}
    trainers = {}
    for job in jobs:
        start = start_state(config, num_classes, job.seed, recipe.weights)
        # Losses may depend on the class counts. Members of one strategy share them, and so a trainer.
        counts = _counts(job, num_classes)
        if counts not in trainers:
            loss = create_loss(config.loss, counts)
            trainers[counts] = Trainer(net, loss, config.training, device, stamp, plan)
        data = MemberData(open_shards(job.images), job.labels, job.train, job.val)
        trainers[counts].fit(data, start, job.folder, job.seed, partial(report, job.name))


def _as_json(jobs: list[Job], recipe: Recipe) -> dict:
    """What the other devices cannot know from their configuration."""
    return {
        "jobs": [
            vars(job)
            | {key: getattr(job, key).tolist() for key in ("labels", "train", "val")}
            | {key: str(getattr(job, key)) for key in ("images", "folder")}
            for job in jobs
        ],
        "num_classes": recipe.num_classes,
        "weights": recipe.weights and str(recipe.weights.absolute()),
        "key": recipe.key,
        # That of the range test, perhaps.
        "learning_rate": recipe.config.training.learning_rate,
    }


def follow(config: Config, work: dict, device: Device) -> None:
    """Train members with the device that leads (``parallel.together``).

    Args:
        config: of the run.
        work: as ``_as_json`` gives it.
        device: this one.
    """
    training = dataclasses.replace(config.training, learning_rate=work["learning_rate"])
    config = dataclasses.replace(config, training=training)
    weights = work["weights"] and Path(work["weights"])
    jobs = [
        Job(
            **job
            | {key: np.array(job[key]) for key in ("labels", "train", "val")}
            | {key: Path(job[key]) for key in ("images", "folder")}
        )
        for job in work["jobs"]
    ]
    recipe = Recipe(config, work["num_classes"], weights, work["key"])
    run_in_turn(jobs, recipe, device, lambda name, told: None)


def _network(recipe: Recipe, device: Device) -> tuple[nn.Cell, list[Phase]]:
    """A network, and which of its layers are frozen when."""
    model, channels = recipe.config.model, recipe.config.data.channels
    net = create_model(model.backbone, recipe.num_classes, channels, device=device, random=False)
    return net, phases(net, model)


def _counts(job: Job, num_classes: int) -> tuple[int, ...]:
    """Training images of each class."""
    return tuple(np.bincount(job.labels[job.train], minlength=num_classes).tolist())


def try_rates(job: Job, recipe: Recipe, device: Device) -> pd.DataFrame:
    """The learning-rate range test on one member; nothing of it is kept but its curve.

    Args:
        job: the member; its folder stays untouched.
        recipe: as for training.
        device: where to.

    Returns:
        See ``lr_range.range_test``.
    """
    config, num_classes = recipe.config, recipe.num_classes
    # On one device, whose part is then the whole batch.
    device = dataclasses.replace(device, rank=0, n_devices=1)
    net, plan = _network(recipe, device)
    loss = create_loss(config.loss, _counts(job, num_classes))
    # Any number does: the test gives every step a rate of its own.
    training = dataclasses.replace(config.training, learning_rate=config.training.lr_range.low)
    trainer = Trainer(net, loss, training, device, {}, plan)
    start = start_state(config, num_classes, job.seed, recipe.weights)
    data = MemberData(open_shards(job.images), job.labels, job.train, job.val)
    return range_test(trainer.stepper(data, start, job.seed), config.training.lr_range)


def run_side_by_side(
    jobs: list[Job], recipe: Recipe, device: Device, report: Callable[[str, dict | str], None]
) -> None:
    """Train members in processes of their own, each on its share of the cores, here or on a cluster.

    One core for each of two members gives more images a second than two cores for one: the small layers
    of these networks leave a second core waiting.

    Args:
        jobs, recipe, report: as for ``run_in_turn``.
        device: of every member; how many run here at a time.

    Raises:
        UserError: a member failed. The others are stopped; all go on from their last epoch next time.
    """
    training, weights = recipe.config.training, recipe.weights
    # All on one kind of device, whatever another machine would find.
    chosen = dataclasses.replace(recipe.config.device, target=device.target)
    recipe = dataclasses.replace(
        recipe,
        config=dataclasses.replace(recipe.config, device=chosen),
        weights=weights and weights.absolute(),
    )
    tasks = [Task(f"member {job.name}", _train_apart, (job, recipe)) for job in jobs]

    def on_message(i: int, told: dict | str) -> None:
        report(jobs[i].name, told)

    if training.executor == "ray":
        ended = on_cluster(tasks, training.ray_address, _needs(training, device), on_message)
    else:
        ended = side_by_side(tasks, min(device.processes, len(jobs)), on_message)
    with closing(ended):
        for _, error in ended:
            if error is not None:
                raise error


def _needs(training: TrainingConfig, device: Device) -> Needs:
    return Needs(training.ray_cpus, device.target, training.ray_retries)


def check_cluster(training: TrainingConfig, device: Device) -> None:
    """Join the cluster once, and leave it.

    Raises:
        UserError: it cannot be reached, or no machine of it has what a member needs.
    """
    connect(training.ray_address, _needs(training, device))
    disconnect()


def _train_apart(job: Job, recipe: Recipe, send: Callable[[dict | str], None]) -> None:
    if not job.images.exists():
        raise UserError(
            f"{platform.node()} does not see {job.images}: with training.executor ray, all machines "
            "must share the folders of --output and --data.cache_dir under the same names"
        )
    device = configure(recipe.config.device)
    run_in_turn([job], recipe, device, lambda name, told: send(told))
