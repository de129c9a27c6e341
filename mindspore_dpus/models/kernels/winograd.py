"""3x3 convolutions by Winograd's algorithm on blocked arrays, forward and back, for training.

Tiles of 2x2 results cost 16 products instead of 36 (Lavin and Gray 2016, section 4.1), and these are 16
convolutions of 1x1, which oneDNN does as one with 16 groups. The transforms only add and halve, so the
result is nearly as exact as that of a direct convolution. (oneDNN's own Winograd convolutions have tiles
of 4x4: faster, but gradients of a ResNet are then 1.5 times as far from float64's as torch's are.)
"""

import threading

import numpy as np

from mindspore_dpus.models.kernels.onednn.library import OneDnn
from mindspore_dpus.models.kernels.onednn.memory import aligned
from mindspore_dpus.models.kernels.onednn.primitives import (
    BackwardWeights,
    Forward,
    Geometry,
)
from mindspore_dpus.models.kernels.winograd_loops import (
    from_tiles,
    gradients_to_tiles,
    to_tiles,
    weights_from_tiles,
    weights_to_tiles,
)

NUMBERS = 16  # Of a tile.
# So many numbers of a group of tiles stay in the second cache, or near it.
GROUP = 400_000
# Fewer tiles in a part of a batch do not repay the transforms of the weights. (ResNet18's layers of 256
# channels at 14x14 pixels, 8 images, have 392 tiles and take 0.6 of the time; those of 512 channels at 7x7
# have 128: no gain for the maps, and 0.8 of the time for the gradient of the weights.)
FEWEST, FEWEST_FOR_WEIGHTS = 200, 100
_own = threading.local()


def _memory(name: str, size: int) -> np.ndarray:
    """This thread's memory of that name; what a call leaves in it, the next one does not need."""
    array = getattr(_own, name, None)
    if array is None or array.size < size:
        array = aligned((size,))
        setattr(_own, name, array)
    return array[:size]


class _Tiles:
    """How the tiles of a convolution are grouped."""

    def __init__(self, block: int, geometry: Geometry) -> None:
        self.geometry, self._block = geometry, block
        self._across = (geometry.width + 1) // 2
        total = geometry.n * ((geometry.height + 1) // 2)
        widest = max(geometry.in_channels, geometry.out_channels)
        rows = max(1, min(total, GROUP // (NUMBERS * widest * self._across)))
        # Groups of equal size, as far as there are.
        groups = -(-total // rows)
        self._rows = -(-total // groups)
        self._firsts = range(0, total, self._rows)

    def product(self, turned: bool = False) -> Geometry:
        """Of the 16 products."""
        channels = self.geometry.in_channels, self.geometry.out_channels
        source, result = channels[::-1] if turned else channels
        tiles = self._rows * self._across
        return Geometry(1, NUMBERS * source, NUMBERS * result, 1, tiles, (1, 1), groups=NUMBERS)

    def group(self, name: str, channels: int) -> np.ndarray:
        """This thread's memory for a group of tiles."""
        shape = NUMBERS, channels // self._block, self._rows, self._across * self._block
        return _memory(name, int(np.prod(shape))).reshape(shape)


class WinogradForward(_Tiles):
    """The same as ``Forward`` in training, for a geometry that ``suits_winograd``."""

    turned = False

    def __init__(self, dnn: OneDnn, geometry: Geometry) -> None:
        super().__init__(dnn.block, geometry)
        product = self.product(self.turned)
        self._product = Forward(dnn.interface, dnn.block, product, training=True)

    def load(self, weights: np.ndarray) -> None:
        """Take over weights (O, I, 3, 3) float32."""
        if self.turned:
            weights = weights[:, :, ::-1, ::-1].swapaxes(0, 1)
        places = weights.transpose(2, 3, 0, 1)
        tiles = _memory("weights", NUMBERS * weights.shape[0] * weights.shape[1]).reshape(NUMBERS, -1)
        weights_to_tiles(np.ascontiguousarray(places).reshape(9, -1), tiles)
        self._product.load(tiles.reshape(self._product.geometry.weights))

    def __call__(self, source: np.ndarray, result: np.ndarray) -> None:
        """Convolve."""
        before = self.group("source", source.shape[1] * self._block)
        after = self.group("result", result.shape[1] * self._block)
        for first in self._firsts:
            to_tiles(source, first, before)
            self._product(before, after)
            from_tiles(after, first, result)


class WinogradBackwardData(WinogradForward):
    """The same as ``BackwardData``: a convolution of the result's gradient with weights that are turned by
    half a circle, inputs and outputs exchanged."""

    turned = True


class WinogradBackwardWeights(_Tiles):
    """The same as ``BackwardWeights``."""

    def __init__(self, dnn: OneDnn, geometry: Geometry) -> None:
        super().__init__(dnn.block, geometry)
        product = self.product()
        self._product = BackwardWeights(dnn.interface, dnn.block, product)
        self._shape = product.weights
        self.size = self._product.size

    def __call__(self, source: np.ndarray, result_gradient: np.ndarray, gradient: np.ndarray) -> None:
        """Write the gradient of the weights, (size,) float32."""
        before = self.group("source", self.geometry.in_channels)
        after = self.group("result", self.geometry.out_channels)
        for first in self._firsts:
            to_tiles(source, first, before)
            gradients_to_tiles(result_gradient, first, after)
            if first == 0:
                self._product(before, after, gradient)
            else:
                own = _memory("weights", self.size)
                self._product(before, after, own)
                np.add(gradient, own, out=gradient)

    def unload(self, gradient: np.ndarray, weights_gradient: np.ndarray) -> None:
        """Bring a gradient into the plain order of the weights."""
        tiles = _memory("weights", self.size).reshape(self._shape)
        self._product.unload(gradient, tiles)
        places = np.empty((9, weights_gradient.size // 9), np.float32)
        weights_from_tiles(tiles.reshape(NUMBERS, -1), places)
        weights_gradient[...] = places.T.reshape(weights_gradient.shape)


def suits_winograd(geometry: Geometry, fewest: int = FEWEST) -> bool:
    """Whether a convolution is one of those that this is faster for.

    Args:
        geometry: its shape.
        fewest: how many tiles it must have.
    """
    tiles = geometry.n * ((geometry.height + 1) // 2) * ((geometry.width + 1) // 2)
    return (
        tiles >= fewest
        and geometry.kernel == (3, 3)
        and geometry.stride == geometry.dilation == (1, 1)
        and geometry.padding == (1, 1, 1, 1)
        and geometry.groups == 1
        and not geometry.plain_source
    )
