"""Convolution kernels turned by 180 degrees: for weights that see the world upside down.

A convolution with stride 1 and equal padding on all sides commutes with the turn: turned kernels on a
turned image give the turned map. With stride 2, kernel 3 and padding 1, the places that a kernel looks
at are 0, 2, 4 ... of n. If n is odd, the turn maps them on themselves. If n is even, it maps them on 1,
3, 5 ...: the same network, looking at the other half of the places.

So a network with turned kernels says of an image exactly (but for the order of float sums) what the
network says of the turned image, if the input of every layer of stride 2 has odd sides: for MobileNetV2,
which has five of them, at 32 k + 1 pixels (33, 65, 225). At 32 k pixels (64, 224) it is exact against a
network whose layers of stride 2 pad as TensorFlow does (``pad_mode="same"``: of even sides, the far ones
only), and elsewhere an approximation. That is why weights trained with such padding are at times stored
turned: then padding on all sides gives their exact outputs, for images upside down.
"""

from collections.abc import Mapping

import numpy as np


def rotate_kernels(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn every convolution kernel by 180 degrees; all else stays. Twice is not at all.

    Args:
        state: name -> array, as a checkpoint has them. Kernels are the arrays (O, I / groups, h, w).

    Returns:
        The same names; kernels as contiguous copies, the other arrays themselves.
    """
    return {
        name: np.ascontiguousarray(value[:, :, ::-1, ::-1]) if value.ndim == 4 else value
        for name, value in state.items()
    }
