"""Convolutions on CPU through oneDNN's blocked kernels, one at a time.

What ``in_one`` does not know as a whole, or must run layer by layer, still goes through them: a
convolution's maps are brought into blocks and back. That costs less than MindSpore's unrolled windows and
matrix products: forward and back of 32 to 32 channels at 32x32 pixels take a fifth of the time, of 192 to
384 channels at 8x8 pixels 0.6 of it. Grouped ones go in bundles (``bundles``).
"""

import logging
from dataclasses import replace
from functools import reduce
from types import SimpleNamespace

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.device import are_convolutions_slow
from mindspore_dpus.models.kernels.bundles import bundled, count_bundles, unbundled
from mindspore_dpus.models.kernels.chain import filled_weights, geometry
from mindspore_dpus.models.kernels.crew import cut, side_by_side
from mindspore_dpus.models.kernels.depthwise import DepthwiseConv2d
from mindspore_dpus.models.kernels.fastest import (
    back_data_of,
    back_weights_of,
    forward_of,
    unloaded,
)
from mindspore_dpus.models.kernels.kept import Plans
from mindspore_dpus.models.kernels.kernel import Kernel, are_float32
from mindspore_dpus.models.kernels.log import say_once
from mindspore_dpus.models.kernels.onednn.interface import OneDnnError
from mindspore_dpus.models.kernels.onednn.library import OneDnn, one_dnn
from mindspore_dpus.models.kernels.onednn.memory import aligned
from mindspore_dpus.models.kernels.onednn.primitives import Geometry, Reorder

# With fewer, most of a block would be zeros; still far better than a hundred times as long.
FEWEST_CHANNELS = 1 if are_convolutions_slow() else 8
# Shapes whose plans are kept.
KEPT_PLANS = 4


class _Layout:
    """Brings plain maps (n, C, H, W) into blocks and back; channels that fill up a block are zeros."""

    def __init__(self, dnn: OneDnn, shape: tuple[int, int, int, int], channels: int) -> None:
        n, filled, height, width = shape
        self._channels, self._shape = channels, shape
        self.blocked = n, filled // dnn.block, height, width, dnn.block
        plain, own = dnn.interface.layout(shape, 0), dnn.interface.layout(shape, dnn.block)
        self._into = Reorder(dnn.interface, plain.handle, own.handle, (plain, own))
        self._back = Reorder(dnn.interface, own.handle, plain.handle, (plain, own))

    def into_blocks(self, maps: np.ndarray) -> np.ndarray:
        """A new blocked array."""
        if self._channels < self._shape[1]:
            whole = np.zeros(self._shape, np.float32)
            whole[:, : self._channels] = maps
            maps = whole
        out = aligned(self.blocked)
        self._into(maps, out)
        return out

    def from_blocks(self, blocked: np.ndarray, out: np.ndarray) -> None:
        """Write plain maps."""
        if self._channels == self._shape[1]:
            self._back(blocked, out)
        else:
            whole = np.empty(self._shape, np.float32)
            self._back(blocked, whole)
            out[...] = whole[:, : self._channels]


class _Part:
    """A convolution of so many images, as one thread computes it."""

    def __init__(self, dnn: OneDnn, shape: Geometry, channels: tuple[int, int]) -> None:
        self.geometry = shape
        self.forward = forward_of(dnn, shape)
        self.back_data, self.back_weights = back_data_of(dnn, shape), back_weights_of(dnn, shape)
        self.source = _Layout(dnn, shape.source, channels[0])
        self.result = _Layout(dnn, shape.result, channels[1])


class _Plan:
    """Forward and back for batches of one shape.

    Args:
        dnn: the library.
        conv: what ``chain.geometry`` reads of an ``nn.Conv2d``.
        bundles: of groups.
        shape: (N, C, H, W) of a batch.

    Raises:
        OneDnnError: there is no fast kernel.
    """

    def __init__(
        self, dnn: OneDnn, conv: SimpleNamespace, bundles: int, shape: tuple[int, int, int, int]
    ) -> None:
        self.slices = cut(shape[0])
        self._parts = {}
        for n in {part.stop - part.start for part in self.slices}:
            own = geometry(conv, n, *shape[2:], dnn.block, plain_source=False)
            own = own if own.groups > 1 else replace(own, groups=bundles)
            self._parts[n] = _Part(dnn, own, (conv.in_channels, conv.out_channels))
        self._shape = shape
        self._result = shape[0], conv.out_channels, *own.out_size

    def _of(self, place: slice) -> _Part:
        return self._parts[place.stop - place.start]

    def forward(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The result, (N, O, H', W') float32."""
        out = np.empty(self._result, np.float32)
        for part in self._parts.values():
            part.forward.load(filled_weights(weights, part.geometry))

        def compute(place: slice) -> None:
            part = self._of(place)
            blocked = aligned(part.result.blocked)
            part.forward(part.source.into_blocks(x[place]), blocked)
            part.result.from_blocks(blocked, out[place])

        side_by_side(compute, self.slices)
        return out

    def backward(
        self, x: np.ndarray, weights: np.ndarray, gradient: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients like ``x`` and ``weights``."""
        of_x = np.empty(self._shape, np.float32)
        for part in self._parts.values():
            part.back_data.load(filled_weights(weights, part.geometry))
        banks = [aligned((self._of(place).back_weights.size,)) for place in self.slices]

        def compute(i: int) -> None:
            place = self.slices[i]
            part = self._of(place)
            laid = part.result.into_blocks(gradient[place])
            blocked = aligned(part.source.blocked)
            part.back_data(laid, blocked)
            part.source.from_blocks(blocked, of_x[place])
            part.back_weights(part.source.into_blocks(x[place]), laid, banks[i])

        side_by_side(compute, range(len(self.slices)))
        # Parts of two sizes may have their gradients in different orders.
        parts = map(self._of, self.slices)
        total = reduce(
            np.add,
            (
                unloaded(part.back_weights, bank, part.geometry.weights)
                for part, bank in zip(parts, banks, strict=True)
            ),
        )
        if total.ndim > weights.ndim:  # a depthwise one's (C, 1, 1, H, W)
            total = total[:, 0]
        return of_x, np.ascontiguousarray(total[tuple(slice(size) for size in weights.shape)])


class DenseConvolution(Kernel):
    """The primitive that stands inside an ``nn.Conv2d``: PyNative mode on CPU only.

    Args:
        conv: that Cell.
        dnn: the library.
    """

    def __init__(self, conv: nn.Conv2d, dnn: OneDnn) -> None:
        super().__init__(conv.conv2d)
        names = "in_channels", "out_channels", "kernel_size", "stride", "padding", "pad_mode", "dilation"
        # A depthwise convolution has kernels of its own; of others, bundles are the groups.
        self._groups = 1 if _is_depthwise(conv) else conv.group
        self._bundles = count_bundles(self._groups, conv.in_channels, conv.out_channels, dnn.block)
        given = {name: getattr(conv, name) for name in names}
        self._conv = SimpleNamespace(group=conv.group // self._groups, **given)
        self._kind = (
            f"a convolution (kernel {conv.kernel_size}, stride {conv.stride}, dilation {conv.dilation}, "
            f"groups {conv.group})"
        )
        self._dnn = dnn
        self._plans: Plans[_Plan | None] = Plans(KEPT_PLANS)
        self._weights = conv.weight.shape

    def _plan(self, shape: tuple[int, ...]) -> _Plan | None:
        """None where oneDNN has no fast kernel."""

        def create() -> "_Plan | None":
            try:
                return _Plan(self._dnn, self._conv, self._bundles, shape)
            except OneDnnError as error:
                # Then they take a hundred times as long.
                level = logging.WARNING if are_convolutions_slow() else logging.INFO
                say_once(level, f"{self._kind} is MindSpore's own: {error}")
                return None

        return self._plans.recall(shape, create)

    def suits(self, x: Tensor, weight: Tensor) -> bool:
        return (
            x.ndim == 4
            and are_float32(x, weight)
            and x.shape[1] == self._conv.in_channels
            and weight.shape == self._weights
            and self._plan(x.shape) is not None
        )

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        plan = self._plan(x.shape)
        weights = bundled(weight.asnumpy(), self._groups, self._bundles)
        return Tensor.from_numpy(plan.forward(np.ascontiguousarray(x.asnumpy()), weights))

    def backward(
        self, x: Tensor, weight: Tensor, out: Tensor, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        plan = self._plan(x.shape)
        weights = bundled(weight.asnumpy(), self._groups, self._bundles)
        source, of_result = (np.ascontiguousarray(tensor.asnumpy()) for tensor in (x, gradient))
        of_x, of_weight = plan.backward(source, np.ascontiguousarray(weights), of_result)
        return Tensor.from_numpy(of_x), Tensor.from_numpy(
            unbundled(of_weight, self._groups, self._bundles)
        )


def use_dense_convolutions(net: nn.Cell) -> int:
    """Replace the primitive of every convolution of a network, ours or mindcv's, but for those of a few
    channels and those that have loops of their own.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.

    Returns:
        How many were replaced; 0 where oneDNN cannot be used.
    """
    cells = [cell for _, cell in net.cells_and_names() if _fits(cell)]
    dnn = one_dnn() if cells else None
    if dnn is None:
        return 0
    for cell in cells:
        cell.conv2d = DenseConvolution(cell, dnn)
    return len(cells)


def _is_depthwise(cell: nn.Conv2d) -> bool:
    """Whether ``chain.geometry`` and the loops for depthwise convolutions know it as one."""
    rows, columns = cell.kernel_size
    return (
        cell.group == cell.in_channels == cell.out_channels > 1
        and rows == columns
        and cell.stride in ((1, 1), (2, 2))
        and cell.dilation == (1, 1)
    )


def _fits(cell: nn.Cell) -> bool:
    return (
        isinstance(cell, nn.Conv2d)
        and not isinstance(cell.conv2d, DepthwiseConv2d)
        and min(cell.in_channels, cell.out_channels) >= FEWEST_CHANNELS
        and cell.data_format == "NCHW"
        and cell.pad_mode in ("pad", "same", "valid")
        and cell.weight.dtype == ms.float32
    )
