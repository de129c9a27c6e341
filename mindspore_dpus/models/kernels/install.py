"""Our own loops (``models.loops``), put into a network."""

from mindspore import nn

from mindspore_dpus.models.kernels.batch_norm import use_fast_batch_norm
from mindspore_dpus.models.kernels.depthwise import use_fast_depthwise
from mindspore_dpus.models.kernels.hidden_layers import use_hidden_layers
from mindspore_dpus.models.kernels.rows import use_fast_rows


def use_fast_kernels(net: nn.Cell) -> int:
    """Replace the primitives of depthwise 3x3 convolutions and of batch norms in a network, and what
    MobileNetV2's blocks train with.

    Cells, parameters and exported graphs stay as they are.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.

    Returns:
        How many were replaced.
    """
    number = use_fast_depthwise(net) + use_fast_batch_norm(net) + use_hidden_layers(net)
    return number + use_fast_rows(net)
