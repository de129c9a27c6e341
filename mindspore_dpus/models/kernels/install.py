"""Our own kernels, put into a network."""

from mindspore import nn

from mindspore_dpus.models.kernels.batch_norm import use_fast_batch_norm
from mindspore_dpus.models.kernels.dense_convolution import use_dense_convolutions
from mindspore_dpus.models.kernels.depthwise import use_fast_depthwise
from mindspore_dpus.models.kernels.frame_convolution import use_fast_frames
from mindspore_dpus.models.kernels.hidden_layers import use_hidden_layers
from mindspore_dpus.models.kernels.in_one import use_whole_network
from mindspore_dpus.models.kernels.rows import use_fast_rows

LOOPS = (
    use_fast_depthwise,
    use_fast_batch_norm,
    use_hidden_layers,
    use_fast_rows,
    use_fast_frames,
)
# What ``device.fast_kernels`` may be -> what is put in, in this order.
KERNELS = {"none": (), "loops": LOOPS, "onednn": (*LOOPS, use_dense_convolutions, use_whole_network)}


def use_fast_kernels(net: nn.Cell, kernels: str) -> int:
    """Replace the primitives of depthwise 3x3 convolutions and of batch norms in a network, what
    MobileNetV2's blocks train with, what works on rows and frames, ordinary
    convolutions, and the whole of what ``in_one`` knows.

    Cells and parameters stay as they are. MindSpore can neither export nor compile (``ms.export``,
    ``ms.jit``) a network with such a primitive in it: build one with ``fast_kernels="none"`` and load its
    weights.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.
        kernels: a name in ``KERNELS``.

    Returns:
        How many were replaced.
    """
    return sum(use(net) for use in KERNELS[kernels])
