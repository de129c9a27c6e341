"""One optimisation step."""

from collections.abc import Callable

import mindspore as ms
from mindspore import Tensor, nn

from mindspore_dpus.config import TrainingConfig


def create_optimizer(net: nn.Cell, config: TrainingConfig) -> nn.Optimizer:
    """Adam as in the paper (section 3.2)."""
    return nn.Adam(
        net.trainable_params(), learning_rate=config.learning_rate, weight_decay=config.weight_decay
    )


def create_step(
    net: nn.Cell, loss: nn.Cell, optimizer: nn.Optimizer, jit: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """Tie a network, its loss and an optimiser into one step.

    Args:
        net: images -> logits.
        loss: (logits, labels) -> scalar.
        optimizer: over the network's trainable parameters.
        jit: compile the step to one graph.

    Returns:
        A function (images, labels) -> loss before the step, which it also applies.
    """

    def forward(images: Tensor, labels: Tensor) -> Tensor:
        return loss(net(images), labels)

    loss_and_gradients = ms.value_and_grad(forward, None, optimizer.parameters)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        value, gradients = loss_and_gradients(images, labels)
        optimizer(gradients)
        return value

    return ms.jit(step) if jit else step
