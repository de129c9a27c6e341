"""Squeeze and excite on blocked arrays: every channel weighted by what all of them have in the mean.

It works on single images, so a part of a batch needs no other (``kernels.trunk``).
"""

import numpy as np
from mindspore import Parameter

from mindspore_dpus.models.efficientnet import SqueezeExcite
from mindspore_dpus.models.kernels.blocked import average_maps
from mindspore_dpus.models.kernels.gate_loops import excite, excite_gradients, gate_maps, gate_products


def gate_parameters(cell: SqueezeExcite) -> list[Parameter]:
    """Those of its two convolutions, in the order of ``GateWeights``."""
    reduce, expand = cell.conv_reduce, cell.conv_expand
    return [reduce.weight, reduce.bias, expand.weight, expand.bias]


class GateWeights:
    """The parameters of a ``SqueezeExcite`` as the loops take them.

    Args:
        reduce: (S, C, 1, 1) float32.
        reduce_bias: (S,).
        expand: (C, S, 1, 1).
        expand_bias: (C,).
        filled: channels in whole blocks; those that fill up have zeros.
    """

    def __init__(
        self,
        reduce: np.ndarray,
        reduce_bias: np.ndarray,
        expand: np.ndarray,
        expand_bias: np.ndarray,
        filled: int,
    ) -> None:
        self.narrow, self.channels = reduce.shape[:2]
        self.reduce, self.expand = (np.zeros((self.narrow, filled), np.float32) for _ in range(2))
        self.reduce[:, : self.channels] = reduce[:, :, 0, 0]
        self.expand[:, : self.channels] = expand[:, :, 0, 0].T
        self.reduce_bias = np.ascontiguousarray(reduce_bias)
        self.expand_bias = np.zeros(filled, np.float32)
        self.expand_bias[: self.channels] = expand_bias

    def gradients(self, found: np.ndarray) -> list[np.ndarray]:
        """Those of the parameters, from what ``excite_gradients`` writes."""
        of_reduce, of_expand = found[:, :-1, : self.channels]
        return [
            np.ascontiguousarray(of_reduce[:, :, None, None]),
            found[0, -1, : self.narrow].copy(),
            np.ascontiguousarray(of_expand.T[:, :, None, None]),
            found[1, -1, : self.channels].copy(),
        ]


class Gate:
    """The memory of a part of a batch at one ``SqueezeExcite``, or at a SiLU without one.

    Args:
        n: images.
        shape: (C / block, block) of the maps.
        narrow: S; 0 where nothing is weighted.
        training: whether gradients will be asked for.
    """

    def __init__(self, n: int, shape: tuple[int, int], narrow: int, training: bool) -> None:
        self.narrow = narrow
        self.gate = np.ones((n, *shape), np.float32)
        self.extra = np.zeros_like(self.gate)
        if narrow:
            self._mean, self._products = np.empty_like(self.gate), np.empty_like(self.gate)
            self._hidden = np.empty((n, narrow), np.float32)
        if narrow and training:
            self.found = np.empty((2, narrow + 1, shape[0] * shape[1]), np.float32)

    def weigh(self, x: np.ndarray, weights: GateWeights) -> None:
        """Multiply every map by its number, in place: (N, C / block, M, K)."""
        average_maps(x, self._mean)
        told = weights.reduce, weights.reduce_bias, weights.expand, weights.expand_bias
        excite(_rows(self._mean), *told, self._hidden, _rows(self.gate))
        gate_maps(x, self.gate)

    def back(
        self,
        gradient: np.ndarray,
        x: np.ndarray,
        scale: np.ndarray,
        shift: np.ndarray,
        weights: GateWeights,
    ) -> None:
        """Find ``extra``, what comes through the means, and the gradients of the weights.

        Args:
            gradient: of what ``weigh`` left, (N, C / block, M, K).
            x, scale, shift: as in ``scale_and_silu``, from which that came.
            weights: as ``weigh`` got them.
        """
        gate_products(gradient, x, scale, shift, self._products)
        told = _rows(self._mean), weights.reduce, weights.expand, self._hidden, _rows(self.gate)
        excite_gradients(_rows(self._products), *told, _rows(self.extra), self.found)
        self.extra /= np.float32(x.shape[2] * (x.shape[3] // self.gate.shape[2]))


def _rows(numbers: np.ndarray) -> np.ndarray:
    return numbers.reshape(len(numbers), -1)
