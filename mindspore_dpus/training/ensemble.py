"""t members, one after the other: each with its own balanced set, start and order of data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mindspore import nn

from mindspore_dpus.config import Config
from mindspore_dpus.device import Device
from mindspore_dpus.errors import UserError
from mindspore_dpus.losses import create_loss
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.weights import get_state, load_weights, set_state
from mindspore_dpus.training.checkpoint import load_checkpoint
from mindspore_dpus.training.trainer import MemberData, Trainer, predict


def member_seeds(seed: int, members: list[str]) -> dict[str, list[int]]:
    """A seed sequence for each member: the run's seed and the member's place."""
    return {name: [seed, i] for i, name in enumerate(members)}


def start_state(
    config: Config, num_classes: int, seed: list[int], weights: Path | None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Weights that a member starts from: the checkpoint's, and fresh ones where it has none.

    Returns:
        All parameters, name -> array; and the names of the fresh ones.
    """
    number = int(np.random.default_rng(seed).integers(2**31))
    net = create_model(config.model.backbone, num_classes, config.data.channels, number)
    if weights is None:
        return get_state(net), [p.name for p in net.get_parameters()]
    report = load_weights(net, weights, config.model.partial)
    return get_state(net), report.fresh


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
    net = create_model(config.model.backbone, num_classes, config.data.channels)
    stamp = {"key": key, "backbone": config.model.backbone}
    trainers = {}
    for name, seed in member_seeds(config.seed, list(subsets)).items():
        start, fresh = start_state(config, num_classes, seed, weights)
        if weights is not None and name == next(iter(subsets)):
            report(f"  {weights}: {len(start) - len(fresh)} parameters; fresh: {', '.join(fresh)}")
        data = MemberData(images, labels, subsets[name], val)
        # Losses may depend on the class counts. Members of one strategy share them, and so a trainer.
        counts = tuple(np.bincount(labels[subsets[name]], minlength=num_classes).tolist())
        if counts not in trainers:
            loss = create_loss(config.loss, counts)
            trainers[counts] = Trainer(net, loss, config.training, device, stamp)
        trainers[counts].fit(data, start, folder / name, seed, report)


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
