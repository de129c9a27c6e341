"""t members, each with its own training set, start and order of data; in turn or side by side."""

import dataclasses
import logging
import platform
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from mindspore import nn

from mindspore_dpus.core.cluster import Needs, connect, disconnect, on_cluster
from mindspore_dpus.core.device import Device, configure, give_back_memory
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import Work, prepare, side_by_side
from mindspore_dpus.models.freeze import Phase
from mindspore_dpus.training.lr_range import range_test
from mindspore_dpus.training.progress import Progress
from mindspore_dpus.training.schedules import member_epochs
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.task import Task
from mindspore_dpus.training.trainer import Trainer

PACKAGE = "mindspore_dpus"
# What a member's process needs besides this module.
NEEDED = ("mindspore_dpus.models.kernels.install", "mindspore_dpus.models.factory")
# What a member's process sends beside its epochs (dict) and its lines (str).
FIRST_STEP_DONE = None


class Network(Protocol):
    """How the network of a member is built; what pickle can carry.

    Attributes:
        name: what checkpoints call it.
    """

    name: str

    def build(self, device: Device) -> nn.Cell:
        """The network on its device, its parameters zero: they are replaced by a start or a checkpoint."""

    def start(self, seed: int) -> dict[str, np.ndarray]:
        """Weights that a member starts from."""

    def phases(self, net: nn.Cell) -> list[Phase]:
        """Which of its layers are frozen when."""


@dataclass
class Job:
    """One member to train: everything that another process or machine needs for it.

    Args:
        name: of the member.
        seed: the run's seed and the member's place.
        data: what the recipe's ``task`` makes a ``Task`` of; what pickle can carry.
        n_samples: of its training set.
        shared: a file or folder that every machine must see.
        folder: where its files go.
    """

    name: str
    seed: list[int]
    data: object
    n_samples: int
    shared: Path
    folder: Path


@dataclass
class Recipe:
    """What all members of an ensemble have in common; what pickle can carry.

    Args:
        network: how their network is built.
        task: a job's data -> its ``Task``.
        training: the section.
        device: the section.
        key: what the members belong to; written into their checkpoints.
    """

    network: Network
    task: Callable[[object], Task]
    training: TrainingSettings
    device: DeviceSettings
    key: str


def train_members(
    jobs: list[Job],
    recipe: Recipe,
    device: Device,
    announce: Callable[[list[Job], Recipe], None] = lambda jobs, recipe: None,
) -> None:
    """Train every member whose folder does not hold it already.

    Args:
        jobs: the members.
        recipe: what they have in common.
        device: where to.
        announce: tells the other devices, where several train a member together.

    Raises:
        UserError: a member diverged, its checkpoint is damaged, or its process has died; members trained
            before stay.
    """
    training = recipe.training
    epochs = {
        job.name: member_epochs(training.epochs, training.steps, training.batch_size, job.n_samples)
        for job in jobs
    }
    progress = Progress(epochs)
    try:
        if device.n_devices > 1:
            announce(jobs, recipe)
            train_in_turn(jobs, recipe, device, progress)
        elif min(device.processes, len(jobs)) > 1 or training.executor == "ray":
            train_side_by_side(jobs, recipe, device, progress)
        else:
            train_in_turn(jobs, recipe, device, progress)
    finally:
        progress.close()


def expect_members(n_members: int, training: TrainingSettings, device: Device) -> None:
    """Let what processes of members import be imported in the background, if they are going to be started.

    Args:
        n_members: how many will be trained.
        training, device: as in ``train_members``.
    """
    n_processes = min(device.processes, n_members)
    if n_processes > 1 and device.n_devices == 1 and training.executor == "local":
        prepare([__name__, *NEEDED], n_processes)


def train_in_turn(
    jobs: list[Job],
    recipe: Recipe,
    device: Device,
    on_epoch: Callable[[str, dict], None] = lambda name, row: None,
    on_first_step: Callable[[], None] = lambda: None,
) -> None:
    """Train members one after another in this process, with one network and one compiled step.

    Args:
        jobs: the members.
        recipe: what they have in common.
        device: where to.
        on_epoch: called with the member's name and the row of its history.
        on_first_step: as for ``Trainer.fit``.
    """
    net = recipe.network.build(device)
    plan = recipe.network.phases(net)
    stamp = {"key": recipe.key, "backbone": recipe.network.name}
    trainers = {}
    for job in jobs:
        start = partial(start_state, recipe.network, job.seed)
        task = recipe.task(job.data)
        # Losses may depend on the class counts. Members of one strategy share them, and so a trainer.
        if task.loss_key not in trainers:
            loss = task.create_loss()
            trainers[task.loss_key] = Trainer(net, loss, recipe.training, device, stamp, plan)
        trainer = trainers[task.loss_key]
        trainer.fit(task, start, job.folder, job.seed, partial(on_epoch, job.name), on_first_step)


def start_state(network: Network, seed: list[int]) -> dict[str, np.ndarray]:
    """Weights that the member of this seed starts from."""
    return network.start(int(np.random.default_rng(seed).integers(2**31)))


def try_rates(job: Job, recipe: Recipe, device: Device) -> pd.DataFrame:
    """The learning-rate range test on one member; nothing of it is kept but its curve.

    Args:
        job: the member; its folder stays untouched.
        recipe: as for training.
        device: where to.

    Returns:
        See ``lr_range.range_test``.
    """
    # On one device, whose part is then the whole batch.
    device = dataclasses.replace(device, rank=0, n_devices=1)
    net = recipe.network.build(device)
    task = recipe.task(job.data)
    # Any number does: the test gives every step a rate of its own.
    training = dataclasses.replace(recipe.training, learning_rate=recipe.training.lr_range.low)
    plan = recipe.network.phases(net)
    trainer = Trainer(net, task.create_loss(), training, device, {}, plan)
    start = partial(start_state, recipe.network, job.seed)
    return range_test(trainer.stepper(task, start, job.seed), recipe.training.lr_range)


def train_side_by_side(
    jobs: list[Job], recipe: Recipe, device: Device, on_epoch: Callable[[str, dict], None]
) -> None:
    """Train members in processes of their own, each on its share of the cores, here or on a cluster.

    One core for each of two members gives more images a second than two cores for one: the small layers
    of these networks leave a second core waiting.

    Args:
        jobs, recipe, on_epoch: as for ``train_in_turn``.
        device: of every member; how many run here at a time.

    Raises:
        UserError: a member failed. The others are stopped; all go on from their last epoch next time.
    """
    training = recipe.training
    # All on one kind of device, whatever another machine would find.
    recipe = dataclasses.replace(recipe, device=dataclasses.replace(recipe.device, target=device.target))
    works = [Work(f"member {job.name}", _train_apart, (job, recipe), NEEDED) for job in jobs]
    give_back_memory()
    logger = logging.getLogger(__name__)

    def on_message(i: int, message: dict | str | None) -> None:
        if isinstance(message, str):
            logger.info(message)
        elif message is not None:
            on_epoch(jobs[i].name, message)

    if training.executor == "ray":
        ended = on_cluster(works, training.ray_address, _needs(training, device), on_message)
    else:
        ended = side_by_side(
            works,
            min(device.processes, len(jobs)),
            on_message,
            may_grow=lambda message: message is FIRST_STEP_DONE,
        )
    with closing(ended):
        for _, error in ended:
            if error is not None:
                raise error


def _needs(training: TrainingSettings, device: Device) -> Needs:
    return Needs(training.ray_cpus, device.target, training.ray_retries)


def check_cluster(training: TrainingSettings, device: Device) -> None:
    """Join the cluster once, and leave it.

    Raises:
        UserError: it cannot be reached, or no machine of it has what a member needs.
    """
    connect(training.ray_address, _needs(training, device))
    disconnect()


class _Sent(logging.Handler):
    """Lines of this process for the one that has started it."""

    def __init__(self, send: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.send = send

    def emit(self, record: logging.LogRecord) -> None:
        self.send(record.getMessage())


def _train_apart(job: Job, recipe: Recipe, send: Callable[[dict | str | None], None]) -> None:
    if not job.shared.exists():
        raise UserError(
            f"{platform.node()} does not see {job.shared}: with training.executor ray, all machines "
            "must share the folders of output and data.cache_dir under the same names"
        )
    handler, logger = _Sent(send), logging.getLogger(PACKAGE)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        device = configure(recipe.device)
        counted = partial(send, FIRST_STEP_DONE)
        train_in_turn([job], recipe, device, lambda name, row: send(row), counted)
    finally:
        logger.removeHandler(handler)
