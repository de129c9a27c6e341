"""The network of a proposal training: backbone, start, frozen layers (``training.members.Network``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from mindspore import nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import Phase, layers
from mindspore_dpus.models.rotate import rotate_kernels
from mindspore_dpus.models.rpn import RPN
from mindspore_dpus.models.starting import use_kernels_of
from mindspore_dpus.models.weights import get_state, set_state


@dataclass(frozen=True)
class ProposalNetwork:
    """An ``RPN`` on a backbone of the factory.

    Args:
        backbone: its name.
        layer: on whose map anchors stand.
        n_anchors: in one place.
        channels: of the 3x3 convolution; None: as the map.
        options: of the backbone.
        weights: its checkpoint, or None.
        rotate: turn the checkpoint's kernels by 180 degrees.
        allow_fresh: patterns of parameters that the checkpoint may lack.
        freeze: patterns of parameters that are not trained.
    """

    backbone: str
    layer: str
    n_anchors: int
    channels: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    weights: Path | None = None
    rotate: bool = False
    allow_fresh: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The backbone's."""
        return self.backbone

    def build(self, device: Device) -> RPN:
        """The network on its device; its parameters are replaced by a start or a checkpoint."""
        net = self._net(0, None)
        use_kernels_of(device, net)
        return net

    def start(self, seed: int) -> dict[str, np.ndarray]:
        """Weights that the training starts from."""
        return get_state(self._net(seed, self.weights))

    def _net(self, seed: int, weights: Path | None) -> RPN:
        backbone = create_model(
            self.backbone, 2, 3, weights, seed, self.allow_fresh, options=self.options
        )
        if weights is not None and self.rotate:
            set_state(backbone, rotate_kernels(get_state(backbone)))
        net = RPN(backbone, self.layer, self.n_anchors, self.channels)
        net.init_parameters_data()
        return net

    def phases(self, net: nn.Cell) -> list[Phase]:
        """One, with what ``freeze`` names.

        Raises:
            UserError: a pattern fits nothing.
        """
        names = layers(net)
        for pattern in self.freeze:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise UserError(
                    f"proposals.freeze: no parameter of the proposal network fits {pattern!r}; they are "
                    f"{', '.join(names[:3])} ..."
                )
        frozen = {name for name in names if any(fnmatchcase(name, p) for p in self.freeze)}
        return [Phase(1, frozenset(frozen))]
