"""From the section ``training`` to an optimiser."""

from collections.abc import Sequence

from mindspore import Parameter, nn

from mindspore_dpus.core.choices import load
from mindspore_dpus.training.moments import Adam
from mindspore_dpus.training.settings import OPTIMIZERS, TrainingSettings


def create_optimizer(net: nn.Cell, training: TrainingSettings) -> nn.Optimizer:
    """The optimiser that the section names, over a network's trainable parameters."""
    return load(OPTIMIZERS[training.optimizer].create)(
        net.trainable_params(),
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        **training.optimizer_options,
    )


def adam(parameters: Sequence[Parameter], learning_rate: float, weight_decay: float) -> nn.Optimizer:
    """Kingma and Ba 2015: MindSpore's."""
    return nn.Adam(parameters, learning_rate=learning_rate, weight_decay=weight_decay)


def adamw(parameters: Sequence[Parameter], **options) -> nn.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    return Adam(parameters, decoupled=True, **options)
