"""One optimisation step."""

from collections.abc import Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_dpus.core.device import Device

# Keeps small gradients above float16's smallest number.
LOSS_SCALE = 1024.0


def create_step(net: nn.Cell, loss: nn.Cell, optimizer: nn.Optimizer, device: Device) -> Callable:
    """Tie a network, its loss and an optimiser into one step.

    Args:
        net: inputs -> outputs, one or several.
        loss: (*outputs, *targets) -> scalar.
        optimizer: over the network's trainable parameters.
        device: whether the step is compiled to one graph, and in which precision it computes.

    Returns:
        A function (inputs, *targets) -> loss and outputs before the step, which it also applies, and the
        Euclidean norm of all gradients together. Of several devices that train together, each has its
        own loss and outputs, and all apply the mean of their gradients.
    """
    mixed = device.amp_level != "O0"
    if mixed:
        net = ms.amp.auto_mixed_precision(net, device.amp_level)
    scale = LOSS_SCALE if mixed else 1.0

    def forward(inputs: Tensor, *targets: Tensor):
        # Nobody asks for the gradient of the inputs: the first layer need not compute it.
        outputs = net(ops.stop_gradient(inputs))
        if isinstance(outputs, tuple):
            outputs = tuple([output.astype(ms.float32) for output in outputs])
            return loss(*outputs, *targets) * scale, outputs
        outputs = outputs.astype(ms.float32)
        return loss(outputs, *targets) * scale, outputs

    together = device.n_devices > 1
    mean_gradients = None
    if together:
        mean_gradients = nn.DistributedGradReducer(optimizer.parameters, True, device.n_devices)
    norm_of = _euclidean_norm
    if device.fast_kernels != "none":
        # Imported late: numba takes a second, and other devices do not need it.
        from mindspore_dpus.models.kernels.norm import euclidean_norm as norm_of
    loss_and_gradients = ms.value_and_grad(forward, None, optimizer.parameters, has_aux=True)

    def step(inputs: Tensor, *targets: Tensor):
        (value, outputs), gradients = loss_and_gradients(inputs, *targets)
        if mixed:
            gradients = ops.HyperMap()(_unscale, gradients)
        if together:
            gradients = mean_gradients(gradients)
        norm = norm_of(gradients)
        optimizer(gradients)
        return value / scale, outputs, norm

    return ms.jit(step) if device.jit else step


def _unscale(gradient: Tensor) -> Tensor:
    return gradient.astype(ms.float32) / LOSS_SCALE


def _euclidean_norm(gradients: tuple[Tensor, ...]) -> Tensor:
    return ops.sqrt(ops.addn(ops.HyperMap()(_squared, gradients)))


def _squared(gradient: Tensor) -> Tensor:
    # ops.L2Loss is one operation, but adds one by one on CPU: 15 % off for VGG16's dense layer.
    return ops.square(gradient).sum()
