"""The network of a classifier's members: backbone, start, frozen layers (``training.members.Network``)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import Phase, phases
from mindspore_dpus.models.rotate import rotate_kernels
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.models.weights import get_state


@dataclass(frozen=True)
class Classifier:
    """A backbone of the factory with a new classifier.

    Args:
        model: the section.
        num_classes: C.
        in_channels: channels of the images.
        weights: pretrained checkpoint, or None.
        image_size: height and width of the images.
    """

    model: ModelSettings
    num_classes: int
    in_channels: int
    weights: Path | None
    image_size: int | None = None

    @property
    def name(self) -> str:
        """The backbone's."""
        return self.model.backbone

    def build(self, device: Device) -> nn.Cell:
        """The network on its device, its parameters zero."""
        model = self.model
        return create_model(
            model.backbone,
            self.num_classes,
            self.in_channels,
            device=device,
            random=False,
            options=model.options,
            image_size=self.image_size,
        )

    def start(self, seed: int) -> dict[str, np.ndarray]:
        """Weights that a member starts from: the checkpoint's, and fresh ones where it has none."""
        net = create_model(
            self.model.backbone,
            self.num_classes,
            self.in_channels,
            self.weights,
            seed=seed,
            allow_fresh=self.model.allow_fresh,
            options=self.model.options,
            image_size=self.image_size,
        )
        state = get_state(net)
        return rotate_kernels(state) if self.weights is not None and self.model.rotate else state

    def phases(self, net: nn.Cell) -> list[Phase]:
        """Which layers are frozen when."""
        return phases(net, self.model)
