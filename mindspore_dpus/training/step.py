"""One optimisation step."""

from collections.abc import Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_dpus.core.device import Device

# Keeps small gradients above float16's smallest number.
LOSS_SCALE = 1024.0


def create_step(
    net: nn.Cell, loss: nn.Cell, optimizer: nn.Optimizer, device: Device
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Tie a network, its loss and an optimiser into one step.

    Args:
        net: images -> logits.
        loss: (logits, labels) -> scalar.
        optimizer: over the network's trainable parameters.
        device: whether the step is compiled to one graph, and in which precision it computes.

    Returns:
        A function (images, labels) -> loss and logits before the step, which it also applies, and the
        Euclidean norm of all gradients together. Of several devices that train together, each has its
        own loss and logits, and all apply the mean of their gradients.
    """
    mixed = device.amp_level != "O0"
    if mixed:
        net = ms.amp.auto_mixed_precision(net, device.amp_level)
    scale = LOSS_SCALE if mixed else 1.0

    def forward(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = net(images).astype(ms.float32)
        return loss(logits, labels) * scale, logits

    together = device.n_devices > 1
    mean_gradients = None
    if together:
        mean_gradients = nn.DistributedGradReducer(optimizer.parameters, True, device.n_devices)
    loss_and_gradients = ms.value_and_grad(forward, None, optimizer.parameters, has_aux=True)

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (value, logits), gradients = loss_and_gradients(images, labels)
        if mixed:
            gradients = ops.HyperMap()(_unscale, gradients)
        if together:
            gradients = mean_gradients(gradients)
        norm = ops.sqrt(ops.addn(ops.HyperMap()(_squared, gradients)))
        optimizer(gradients)
        return value / scale, logits, norm

    return ms.jit(step) if device.jit else step


def _unscale(gradient: Tensor) -> Tensor:
    return gradient.astype(ms.float32) / LOSS_SCALE


def _squared(gradient: Tensor) -> Tensor:
    # ops.L2Loss is one operation, but adds one by one on CPU: 15 % off for VGG16's dense layer.
    return ops.square(gradient).sum()
