"""t members, one after the other: each with its own balanced set, start and order of data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import nn

from mindspore_dpus.config import Config
from mindspore_dpus.device import Device
from mindspore_dpus.errors import UserError
from mindspore_dpus.losses import create_loss
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.weights import get_state, set_state
from mindspore_dpus.training.checkpoint import load_checkpoint
from mindspore_dpus.training.trainer import MemberData, Trainer, predict


@dataclass
class Job:
    """One member to train: all that another process or machine would need to be told.

    Args:
        name: of the member.
        seed: the run's seed and the member's place.
        data: images, and rows of its balanced set and of validation.
        folder: where its files go.
    """

    name: str
    seed: list[int]
    data: MemberData
    folder: Path


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
    config: Config,
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    subsets: dict[str, np.ndarray],
    val: np.ndarray,
    folder: Path,
    weights: Path | None,
    key: str,
    device: Device,
    report: Callable[[str], None] = print,
) -> None:
    """Train every member whose folder does not hold it already.

    Args:
        config: the run's configuration.
        images: (N, H, W, C) array of all cached images.
        labels: (N,) class index of each.
        num_classes: C.
        subsets: member -> rows of its balanced set.
        val: rows of the validation split.
        folder: members go to ``folder/<member>``.
        weights: pretrained checkpoint, or None.
        key: what the members belong to; written into their checkpoints.
        device: where to.
        report: called with a line for every member and epoch.

    Raises:
        UserError: a member's loss is not a number; members trained before stay.
    """
    jobs = [
        Job(name, [config.seed, i], MemberData(images, labels, rows, val), folder / name)
        for i, (name, rows) in enumerate(subsets.items())
    ]
    run_jobs(jobs, config, num_classes, weights, key, device, report)


def run_jobs(
    jobs: list[Job],
    config: Config,
    num_classes: int,
    weights: Path | None,
    key: str,
    device: Device,
    report: Callable[[str], None],
) -> None:
    """Train the members one after another on one device: what a cluster would do in its own way."""
    net = create_model(
        config.model.backbone, num_classes, config.data.channels, freeze=config.model.freeze
    )
    stamp = {"key": key, "backbone": config.model.backbone}
    trainers = {}
    for job in jobs:
        start = start_state(config, num_classes, job.seed, weights)
        # Losses may depend on the class counts. Members of one strategy share them, and so a trainer.
        own = job.data.labels[job.data.train]
        counts = tuple(np.bincount(own, minlength=num_classes).tolist())
        if counts not in trainers:
            loss = create_loss(config.loss, counts)
            trainers[counts] = Trainer(net, loss, config.training, device, stamp)
        trainers[counts].fit(job.data, start, job.folder, job.seed, report)


def load_member(net: nn.Cell, folder: Path, key: str) -> None:
    """Fill a network with a member's best weights.

    Raises:
        UserError: the checkpoint is missing, torn, or belongs to another run.
    """
    path = folder / "best.safetensors"
    state, stamp = load_checkpoint(path)
    if stamp.get("key") != key:
        raise UserError(
            f"{path} belongs to another configuration or data set than this run; delete the folder "
            f"{folder} and start the training again"
        )
    set_state(net, state)


class Ensemble:
    """The trained members of a run, ready to predict.

    Args:
        config: the run's configuration.
        num_classes: C.
        members: their names.
        folder: members lie in ``folder/<member>``.
        key: what the members belong to.
        device: where they run.

    Raises:
        UserError: a checkpoint is missing, torn, or belongs to another run.
    """

    def __init__(
        self,
        config: Config,
        num_classes: int,
        members: list[str],
        folder: Path,
        key: str,
        device: Device,
    ) -> None:
        self.device = device
        self.nets = {}
        for name in members:
            net = create_model(config.model.backbone, num_classes, config.data.channels)
            load_member(net, folder / name, key)
            self.nets[name] = net

    def predict(self, images: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Softmax outputs of every member.

        Args:
            images: (N, H, W, C) prepared images, uint8 or uint16.
            rows: (M,) which of them.

        Returns:
            member -> (M, C) float32.
        """
        return {name: predict(net, images, rows) for name, net in self.nets.items()}
