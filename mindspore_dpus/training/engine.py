"""What turns batches into steps."""

import numpy as np
from mindspore import nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.models.weights import assign
from mindspore_dpus.training.optimizers import create_optimizer
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.step import create_step


class Engine:
    """An optimiser and its step, for one phase of a training.

    Args:
        net: what the batches go through: a network, or the part of it after its frozen start.
        loss: (outputs, targets) -> scalar.
        training: names the optimiser and its settings.
        device: execution mode.

    Attributes:
        step: (inputs, *targets) -> loss, outputs, norm of the gradients (``create_step``).
        state: the optimiser's own parameters.
    """

    def __init__(self, net: nn.Cell, loss: nn.Cell, training: TrainingSettings, device: Device) -> None:
        self.net = net
        self.optimizer = create_optimizer(net, training)
        self.step = create_step(net, loss, self.optimizer, device)
        own = {p.name for p in net.get_parameters()}
        self.state = [p for p in self.optimizer.get_parameters() if p.name not in own]
        # Most are zeros, as large as the network once or twice: those are made when they are needed.
        values = [p.asnumpy() for p in self.state]
        self._fresh = [value.copy() if value.any() else None for value in values]

    def reset(self) -> None:
        """Forget every step."""
        for parameter, value in zip(self.state, self._fresh, strict=True):
            assign(parameter, np.zeros_like(parameter.asnumpy()) if value is None else value)
