"""What every network goes through between its constructor and its first batch."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.device import Device


def zero_parameters(net: nn.Cell) -> None:
    """Set all parameters to zero: weights that were never drawn, and that a checkpoint replaces."""
    for parameter in net.get_parameters():
        parameter.set_data(Tensor(np.zeros(parameter.shape, ms.dtype_to_nptype(parameter.dtype))))
        # Else whoever copies it (an optimiser, for its moments) would draw its random weights first.
        parameter.init_mode = None


def use_kernels_of(device: Device, net: nn.Cell) -> None:
    """Replace what our own kernels do faster, where the device asks for them."""
    if device.fast_kernels != "none":
        # Imported late: numba takes a second, and other devices do not need it.
        from mindspore_dpus.models.kernels.install import use_fast_kernels

        use_fast_kernels(net, device.fast_kernels)
