"""Convolutions and reorderings that several threads can execute, each with its own scratchpad."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mindspore_dpus.models.kernels.onednn.interface import (
    ARGUMENTS,
    DIRECT,
    WINOGRAD,
    Argument,
    Interface,
    OneDnnError,
    Owned,
)
from mindspore_dpus.models.kernels.onednn.memory import aligned, lasting

# Up to so many channels, and from so many pixels of height and width on, Winograd's algorithm is faster.
# (Single layers of ResNet18 on an AVX-512 machine: twice as fast at 64 and 128 channels, slower at 512.)
WINOGRAD_CHANNELS, WINOGRAD_PIXELS = 256, 14


@dataclass(frozen=True)
class Geometry:
    """A convolution's shape.

    Args:
        n: images.
        in_channels, out_channels: multiples of the block; ``in_channels`` may be anything where
            ``plain_source`` is set.
        height, width: of the source.
        kernel, stride, dilation: each (vertical, horizontal).
        padding: (top, bottom, left, right).
        groups: of channels that have nothing to do with each other.
        plain_source: the source is an ordinary (N, C, H, W) array: that of a network's first layer.
    """

    n: int
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    plain_source: bool = False

    @property
    def out_size(self) -> tuple[int, int]:
        """Height and width of the result."""
        sizes = []
        for axis, size in enumerate((self.height, self.width)):
            reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            before, after = self.padding[2 * axis : 2 * axis + 2]
            sizes.append((size + before + after - reach) // self.stride[axis] + 1)
        return sizes[0], sizes[1]

    @property
    def source(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return self.n, self.in_channels, self.height, self.width

    @property
    def result(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return self.n, self.out_channels, *self.out_size

    @property
    def weights(self) -> tuple[int, ...]:
        """(O, I, H, W), with a leading number of groups where there are several."""
        own = self.out_channels // self.groups, self.in_channels // self.groups, *self.kernel
        return own if self.groups == 1 else (self.groups, *own)

    @property
    def numbers(self) -> tuple[tuple[int, int], ...]:
        """Stride, dilation (0 for none), padding before and after."""
        top, bottom, left, right = self.padding
        gaps = self.dilation[0] - 1, self.dilation[1] - 1
        return self.stride, gaps, (top, left), (bottom, right)

    @property
    def suits_winograd(self) -> bool:
        """Whether Winograd's algorithm is expected to be faster."""
        return (
            self.kernel == (3, 3)
            and self.stride == self.dilation == (1, 1)
            and self.padding == (1, 1, 1, 1)
            and self.groups == 1
            and not self.plain_source
            and max(self.in_channels, self.out_channels) <= WINOGRAD_CHANNELS
            and min(self.height, self.width) >= WINOGRAD_PIXELS
        )


class Primitive:
    """Something of oneDNN's that can be executed, by several threads at once.

    Args:
        dnn: the library.
        descriptor: of what.
        layouts: name of each argument -> its layout (an address that the descriptor owns, or ``keep``).
        keep: what must live as long.
    """

    def __init__(
        self, dnn: Interface, descriptor: Owned, layouts: dict[str, int], keep: tuple = ()
    ) -> None:
        self._dnn, self._keep = dnn, keep
        self._primitive = dnn.primitive(descriptor)
        self._layouts = layouts
        self.implementation = dnn.implementation(descriptor)
        scratchpad = dnn.layout_of(descriptor, "scratchpad")
        self._scratch_size = dnn.size(scratchpad) if scratchpad else 0
        self._names = list(layouts)
        if self._scratch_size:
            self._layouts = layouts | {"scratchpad": scratchpad}
        self._own = threading.local()

    def size(self, name: str) -> int:
        """Numbers that an argument holds, padding included."""
        return self._dnn.size(self._layouts[name]) // 4

    def layout(self, name: str) -> int:
        """An argument's layout."""
        return self._layouts[name]

    def __call__(self, *arrays: np.ndarray) -> None:
        """Execute it in this thread.

        Args:
            arrays: float32, contiguous, in the order of the layouts; the last one is written.
        """
        own = self._own
        if not hasattr(own, "arguments"):
            own.memories = [self._dnn.memory(layout) for layout in self._layouts.values()]
            places = [
                Argument(ARGUMENTS[name], memory.handle)
                for name, memory in zip(self._layouts, own.memories, strict=True)
            ]
            own.arguments = (Argument * len(places))(*places)
        for memory, array in zip(own.memories, arrays, strict=False):
            self._dnn.point(memory, array.ctypes.data)
        if self._scratch_size:
            self._dnn.point(own.memories[-1], _scratchpad(self._scratch_size))
        self._dnn.execute(self._primitive, own.arguments)


_thread = threading.local()


def _scratchpad(size: int) -> int:
    """The address of this thread's scratchpad, as large as the largest that was asked for."""
    if getattr(_thread, "size", 0) < size:
        _thread.array, _thread.size = aligned((size,), np.uint8), size
        _thread.address = _thread.array.ctypes.data
    return _thread.address


class Reorder(Primitive):
    """A copy from one layout to another: ``reorder(source, result)``."""

    def __init__(self, dnn: Interface, source: int, result: int, keep: tuple = ()) -> None:
        descriptor = dnn.describe_reorder(source, result, dnn.attributes(False, None))
        super().__init__(dnn, descriptor, {"source": source, "result": result}, keep)


def _checked(dnn: Interface, descriptor: Owned, layouts: dict[str, int], keep: tuple = ()) -> Primitive:
    """Raises: OneDnnError: oneDNN has only one of its slow kernels for it."""
    made = Primitive(dnn, descriptor, layouts, keep)
    if "jit" not in made.implementation or "gemm" in made.implementation:
        raise OneDnnError(f"oneDNN has only {made.implementation} here")
    return made


class _WithWeights:
    """A primitive that reads weights, which are brought into its layout once."""

    def __init__(self, dnn: Interface, geometry: Geometry, primitive: Primitive) -> None:
        self.geometry, self.primitive = geometry, primitive
        plain = dnn.layout(geometry.weights, 0)
        self._load = Reorder(dnn, plain.handle, primitive.layout("weights"), (plain, primitive))
        self.weights = np.empty(0, np.float32)

    def load(self, weights: np.ndarray) -> None:
        """Take over weights.

        Args:
            weights: (O, I, H, W) float32, contiguous; a depthwise convolution's (C, 1, 1, H, W).
        """
        if not self.weights.size:
            self.weights = lasting((self.primitive.size("weights"),))
        self._load(weights, self.weights)

    def unload(self) -> None:
        """Give the weights' memory back, until they are loaded again."""
        self.weights = np.empty(0, np.float32)


class Forward(_WithWeights):
    """A convolution of blocked arrays. A blocked array is (N, C / block, H, W, block).

    Args:
        dnn: the library.
        block: 8 or 16 channels.
        geometry: what shape.
        training: whether gradients will be asked for. oneDNN's Winograd algorithm is for evaluation only:
            with it, gradients of a ResNet are twice as far from float64's as torch's are
            (``kernels.winograd`` has another).
        bias: whether a bias is added.
        add: whether it adds to what is in the result already.
        activation: ``relu``, ``relu6`` or None: what it ends with.

    Raises:
        OneDnnError: oneDNN has no kernel for it, or only a slow one.
    """

    def __init__(
        self,
        dnn: Interface,
        block: int,
        geometry: Geometry,
        training: bool = False,
        bias: bool = False,
        add: bool = False,
        activation: str | None = None,
    ) -> None:
        shift = dnn.layout((geometry.out_channels,), 0) if bias else None
        source, weights, result = _layouts(dnn, block, geometry)
        layouts = source, weights, shift, result
        attributes = dnn.attributes(add, activation)

        def describe(algorithm: int) -> Owned:
            return dnn.describe_forward(training, algorithm, layouts, geometry.numbers, attributes)

        descriptor = describe(DIRECT) if training else _described(describe, geometry)
        layouts = {name: dnn.layout_of(descriptor, name) for name in ("source", "weights")}
        if shift is not None:
            layouts["bias"] = shift.handle
        layouts["result"] = dnn.layout_of(descriptor, "result")
        super().__init__(dnn, geometry, _checked(dnn, descriptor, layouts, (shift,)))
        self._bias = aligned((geometry.out_channels,)) if bias else None

    def load(self, weights: np.ndarray, bias: np.ndarray | None = None) -> None:
        """Take over weights, and a bias (O,) float32."""
        super().load(weights)
        if self._bias is not None:
            self._bias[...] = bias

    def __call__(self, source: np.ndarray, result: np.ndarray) -> None:
        """Convolve."""
        if self._bias is None:
            self.primitive(source, self.weights, result)
        else:
            self.primitive(source, self.weights, self._bias, result)


def _gradient_of(dnn: Interface, block: int, geometry: Geometry) -> tuple:
    """Layouts, attributes and the forward convolution, from which both gradients are described."""
    layouts, plain = _layouts(dnn, block, geometry), dnn.attributes(False, None)
    source, weights, result = layouts
    forward = dnn.describe_forward(
        True, DIRECT, (source, weights, None, result), geometry.numbers, plain
    )
    return layouts, plain, forward


class BackwardData(_WithWeights):
    """The gradient of a convolution's source. Arguments and errors as those of ``Forward``."""

    def __init__(self, dnn: Interface, block: int, geometry: Geometry) -> None:
        layouts, plain, forward = _gradient_of(dnn, block, geometry)
        descriptor = dnn.describe_backward_data(layouts, geometry.numbers, plain, forward)
        names = "result_gradient", "weights", "source_gradient"
        told = {name: dnn.layout_of(descriptor, name) for name in names}
        super().__init__(dnn, geometry, _checked(dnn, descriptor, told))

    def __call__(self, result_gradient: np.ndarray, source_gradient: np.ndarray) -> None:
        """Write the gradient of the source."""
        self.primitive(result_gradient, self.weights, source_gradient)


class BackwardWeights:
    """The gradient of a convolution's weights. Arguments and errors as those of ``Forward``.

    Attributes:
        size: numbers in a gradient as ``__call__`` writes it, in an order of oneDNN's own.
    """

    def __init__(self, dnn: Interface, block: int, geometry: Geometry) -> None:
        layouts, plain, forward = _gradient_of(dnn, block, geometry)
        descriptor = dnn.describe_backward_weights(layouts, geometry.numbers, plain, forward)
        names = "source", "result_gradient", "weights_gradient"
        told = {name: dnn.layout_of(descriptor, name) for name in names}
        self.primitive = _checked(dnn, descriptor, told)
        self.size = self.primitive.size("weights_gradient")
        ordinary = dnn.layout(geometry.weights, 0)
        own = self.primitive.layout("weights_gradient")
        self._unload = Reorder(dnn, own, ordinary.handle, (ordinary, self.primitive))

    def __call__(self, source: np.ndarray, result_gradient: np.ndarray, gradient: np.ndarray) -> None:
        """Write the gradient of the weights, (size,) float32."""
        self.primitive(source, result_gradient, gradient)

    def unload(self, gradient: np.ndarray, weights_gradient: np.ndarray) -> None:
        """Bring a gradient into the plain order of the weights."""
        self._unload(gradient, weights_gradient)


def _layouts(dnn: Interface, block: int, geometry: Geometry) -> tuple[Owned, Owned, Owned]:
    return (
        dnn.layout(geometry.source, 0 if geometry.plain_source else block),
        dnn.layout(geometry.weights, None),
        dnn.layout(geometry.result, block),
    )


def _described(describe: Callable[[int], Owned], geometry: Geometry) -> Owned:
    if geometry.suits_winograd:
        try:
            return describe(WINOGRAD)
        except OneDnnError:
            pass  # This version, or this processor, has none.
    return describe(DIRECT)
