"""A network up to its classifier in evaluation: batch norms folded, blocked from end to end.

ReLUs and shortcuts are part of the convolutions, and nothing goes back to MindSpore's layout in between.
"""

from collections.abc import Sequence

import numpy as np

from mindspore_dpus.models.kernels.blocked import as_vectors, average_maps, pool
from mindspore_dpus.models.kernels.chain import Link, UnknownNetError, filled_weights, geometry
from mindspore_dpus.models.kernels.crew import n_parts, side_by_side
from mindspore_dpus.models.kernels.gate_loops import scale_and_silu
from mindspore_dpus.models.kernels.gates import Gate, GateWeights, gate_parameters
from mindspore_dpus.models.kernels.onednn.library import OneDnn
from mindspore_dpus.models.kernels.onednn.memory import lasting
from mindspore_dpus.models.kernels.onednn.primitives import Forward

# Images that go through the network together in a thread: more of them read weights less often, and
# their maps no longer stay in the cache.
LARGEST_CHUNK = 8


def chunk_size(n: int) -> int:
    """How many images of a batch go through the network together."""
    return min(LARGEST_CHUNK, -(-n // n_parts()))


class FoldedPlan:
    """The mean of the last maps of a network, for images of one size.

    Args:
        dnn: the library.
        chain: the network (``chain.links``).
        chunk: images that are computed together.
        shape: (C, H, W) of an image.

    Raises:
        OneDnnError: there is no fast kernel for one of the convolutions.
        UnknownNetError: a shortcut goes over what is still needed.
    """

    def __init__(
        self, dnn: OneDnn, chain: Sequence[Link], chunk: int, shape: tuple[int, int, int]
    ) -> None:
        self.chain, self.chunk, self._block = chain, chunk, dnn.block
        self._steps: list[Forward] = []
        self._pooled: dict[int, tuple[int, ...]] = {}
        sizes = [shape[1:]]
        last_use = _last_uses(chain)
        for i, link in enumerate(chain):
            if link.shortcut is not None and last_use[link.shortcut] != i:
                raise UnknownNetError("a shortcut is read again")
            here = geometry(
                link.conv, chunk, *sizes[link.source], dnn.block, plain_source=link.source == 0
            )
            add = link.shortcut is not None
            # SiLU is a loop of ours.
            activation = None if link.activation == "silu" else link.activation
            self._steps.append(
                Forward(dnn.interface, dnn.block, here, bias=True, add=add, activation=activation)
            )
            height, width = here.out_size
            if link.pooled:
                height, width = -(-height // 2), -(-width // 2)
                self._pooled[i] = (chunk, here.out_channels // dnn.block, height, width, dnn.block)
            sizes.append((height, width))
        self._slots, self._slot_sizes = self._assign_slots(last_use)
        self._gates: dict[int, GateWeights] = {}
        self._free: list[_Buffers] = []
        self._input = (chunk, *shape)
        self.is_loaded = False

    def _shape(self, i: int) -> tuple[int, ...]:
        """Of the array that link ``i``'s convolution writes."""
        n, channels, height, width = self._steps[i].geometry.result
        return n, channels // self._block, height, width, self._block

    def _assign_slots(self, last_use: list[int]) -> tuple[list[int], list[int]]:
        """Which piece of memory each result has: one that nobody reads any more, the shortcut's own
        where there is one."""
        slots, sizes, free = [-1], [], []
        for i, link in enumerate(self.chain):
            size = int(np.prod(self._pooled.get(i, self._shape(i))))
            if link.shortcut is not None:
                slot = slots[link.shortcut]
            elif free:
                slot = free.pop()
            else:
                slot = len(sizes)
                sizes.append(0)
            sizes[slot] = max(sizes[slot], size)
            slots.append(slot)
            read = {link.source} - {0, link.shortcut}
            free += [slots[value] for value in read if last_use[value] == i]
        return slots, sizes

    def load(self) -> None:
        """Fold the network's parameters as they are now."""
        side_by_side(self._load_link, range(len(self.chain)))
        self.is_loaded = True

    def unload(self) -> None:
        """Give the memory of weights and maps back, until ``load``."""
        self.is_loaded = False
        self._free.clear()
        for step in self._steps:
            step.unload()

    def _load_link(self, i: int) -> None:
        link, step = self.chain[i], self._steps[i]
        norm = link.norm
        gamma, beta, mean, variance = (
            p.asnumpy().astype(np.float64)
            for p in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        scale = gamma / np.sqrt(variance + norm.eps)
        bias = np.zeros(step.geometry.out_channels, np.float32)
        bias[: len(scale)] = beta - scale * mean
        weights = link.conv.weight.asnumpy() * scale.astype(np.float32)[:, None, None, None]
        step.load(filled_weights(weights, step.geometry), bias)
        if link.excite:
            own = [p.asnumpy() for p in gate_parameters(link.excite)]
            self._gates[i] = GateWeights(*own, step.geometry.out_channels)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The mean of the last maps.

        Args:
            images: (N, C, H, W) float32, any N.

        Returns:
            (N, channels) float32.
        """
        out = np.empty((len(images), self.chain[-1].conv.out_channels), np.float32)
        starts = range(0, len(images), self.chunk)
        side_by_side(lambda start: self._compute(images, out, start), starts)
        return out

    def _compute(self, images: np.ndarray, out: np.ndarray, start: int) -> None:
        buffers = self._free.pop() if self._free else _Buffers(self)
        stop = start + self.chunk
        if stop <= len(images):
            buffers.values[0] = np.ascontiguousarray(images[start:stop])
        else:
            # The rest of the chunk is computed, too, from whatever was there.
            buffers.values[0] = buffers.images
            buffers.images[: len(images) - start] = images[start:]
        values = buffers.values
        for i, (link, step) in enumerate(zip(self.chain, self._steps, strict=True)):
            if link.pooled:
                step(values[link.source], buffers.before_pool)
                pool(buffers.before_pool, *buffers.neutral[i], values[i + 1], buffers.where)
            else:
                step(values[link.source], values[i + 1])
            if link.activation == "silu":
                vectors = as_vectors(values[i + 1])
                scale_and_silu(vectors, *buffers.neutral[i], vectors)
                if link.excite:
                    buffers.gates[i].weigh(vectors, self._gates[i])
        average_maps(as_vectors(values[-1]), buffers.means)
        flat = buffers.means.reshape(self.chunk, -1)
        out[start:stop] = flat[: len(images) - start, : out.shape[1]]
        self._free.append(buffers)


class _Buffers:
    """The memory of one thread."""

    def __init__(self, plan: FoldedPlan) -> None:
        self.images = np.zeros(plan._input, np.float32)
        slots = [lasting((size,)) for size in plan._slot_sizes]
        self.values = [self.images]
        for i, slot in enumerate(plan._slots[1:]):
            shape = plan._pooled.get(i, plan._shape(i))
            self.values.append(slots[slot][: int(np.prod(shape))].reshape(shape))
        self.gates: dict[int, Gate] = {}
        # A scale of 1 and a shift of 0, for loops that scale and shift.
        self.neutral: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for i, link in enumerate(plan.chain):
            n, channels, _, _, block = plan._shape(i)
            if link.pooled:
                self.before_pool = lasting(plan._shape(i))
                self.where = np.empty(plan._pooled[i], np.uint8)
            if link.excite:
                narrow = link.excite.conv_reduce.out_channels
                self.gates[i] = Gate(n, (channels, block), narrow, training=False)
            if link.pooled or link.activation == "silu":
                shape = channels, block
                self.neutral[i] = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        last = self.values[-1].shape
        self.means = np.empty((last[0], last[1], last[4]), np.float32)


def _last_uses(chain: Sequence[Link]) -> list[int]:
    """Index of the last link that reads each value; the last value is read after all."""
    found = [-1] * (len(chain) + 1)
    for i, link in enumerate(chain):
        found[link.source] = i
        if link.shortcut is not None:
            found[link.shortcut] = i
    found[-1] = len(chain)
    return found
