"""The gradient of a depthwise 3x3 convolution's weights on blocked arrays.

For it oneDNN 2.2 has only its reference loops; for the rest of a depthwise convolution it has fast ones.
"""

import numpy as np

from mindspore_dpus.models.kernels.blocked import depthwise_weights_gradient
from mindspore_dpus.models.kernels.onednn.interface import OneDnnError
from mindspore_dpus.models.kernels.onednn.primitives import Geometry


class DepthwiseBackwardWeights:
    """The same for a convolution's ``Geometry``, with the methods of oneDNN's ``BackwardWeights``.

    Raises:
        OneDnnError: it is no 3x3 convolution padded by 1, 1 or 2 apart.
    """

    def __init__(self, block: int, geometry: Geometry) -> None:
        shape = geometry.kernel, geometry.padding, geometry.dilation
        if shape != ((3, 3), (1, 1, 1, 1), (1, 1)) or geometry.stride not in ((1, 1), (2, 2)):
            raise OneDnnError("no fast gradient of a depthwise convolution of this shape")
        self._stride = geometry.stride[0]
        self._shape = 9, geometry.in_channels // block, block
        self.size = 9 * geometry.in_channels

    def __call__(self, source: np.ndarray, result_gradient: np.ndarray, gradient: np.ndarray) -> None:
        """Write the gradient of the weights, (size,) float32."""
        out = gradient.reshape(self._shape)
        depthwise_weights_gradient(source, result_gradient, self._stride, out)

    def unload(self, gradient: np.ndarray, weights_gradient: np.ndarray) -> None:
        """Bring a gradient into the plain order of the weights, (C, 1, 1, 3, 3)."""
        weights_gradient[...] = gradient.reshape(9, -1).T.reshape(weights_gradient.shape)
