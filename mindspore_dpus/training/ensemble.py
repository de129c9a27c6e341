"""Trained members as one: what they say of a sample."""

from pathlib import Path

import numpy as np
from mindspore import nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.weights import set_state
from mindspore_dpus.training.checkpoint import load_checkpoint
from mindspore_dpus.training.inference import predict
from mindspore_dpus.training.members import Network


def load_member(net: nn.Cell, folder: Path, key: str) -> None:
    """Fill a network with a member's best weights.

    Raises:
        UserError: the checkpoint is missing, damaged, or belongs to another run.
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
        network: how their network is built.
        members: their names.
        folder: members lie in ``folder/<member>``.
        key: what the members belong to.
        device: where they run.

    Attributes:
        nets: member -> network.

    Raises:
        UserError: a checkpoint is missing, damaged, or belongs to another run.
    """

    def __init__(
        self, network: Network, members: list[str], folder: Path, key: str, device: Device
    ) -> None:
        self.device = device
        self.nets = {}
        for name in members:
            net = network.build(device)
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
