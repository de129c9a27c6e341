"""Which of our ways is the fastest for a convolution in training: oneDNN's own, Winograd's algorithm, or the
loops for depthwise ones. It depends on the shape alone, so equal runs take equal ways."""

import numpy as np

from mindspore_dpus.models.kernels.blocked_depthwise import DepthwiseBackwardWeights
from mindspore_dpus.models.kernels.onednn.library import OneDnn
from mindspore_dpus.models.kernels.onednn.primitives import (
    BackwardData,
    BackwardWeights,
    Forward,
    Geometry,
)
from mindspore_dpus.models.kernels.winograd import (
    FEWEST_FOR_WEIGHTS,
    WinogradBackwardData,
    WinogradBackwardWeights,
    WinogradForward,
    suits_winograd,
)

WeightsGradient = BackwardWeights | WinogradBackwardWeights | DepthwiseBackwardWeights


def forward_of(dnn: OneDnn, shape: Geometry) -> Forward | WinogradForward:
    """The fastest way to convolve."""
    if suits_winograd(shape):
        return WinogradForward(dnn, shape)
    return Forward(dnn.interface, dnn.block, shape, training=True)


def back_data_of(dnn: OneDnn, shape: Geometry) -> BackwardData | WinogradBackwardData:
    """The fastest way to the gradient of a convolution's source."""
    if suits_winograd(shape):
        return WinogradBackwardData(dnn, shape)
    return BackwardData(dnn.interface, dnn.block, shape)


def back_weights_of(dnn: OneDnn, shape: Geometry) -> WeightsGradient:
    """The fastest way to the gradient of a convolution's weights."""
    if shape.groups == shape.in_channels > 1:
        return DepthwiseBackwardWeights(dnn.block, shape)
    if suits_winograd(shape, FEWEST_FOR_WEIGHTS):
        return WinogradBackwardWeights(dnn, shape)
    return BackwardWeights(dnn.interface, dnn.block, shape)


def unloaded(kernel: WeightsGradient, own: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A gradient of weights in their plain order.

    Args:
        kernel: what wrote it.
        own: as it was written; what it holds more is not read.
        shape: of the weights (``Geometry.weights``).
    """
    plain = np.empty(shape, np.float32)
    kernel.unload(own[: kernel.size], plain)
    return plain
