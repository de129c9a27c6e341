"""What a network up to its classifier needs in training, for batches of one shape: kernels, and memory."""

from collections.abc import Sequence

import numpy as np

from mindspore_dpus.models.kernels.blocked import as_vectors
from mindspore_dpus.models.kernels.chain import Link, geometry
from mindspore_dpus.models.kernels.crew import cut
from mindspore_dpus.models.kernels.fastest import (
    WeightsGradient,
    back_data_of,
    back_weights_of,
    forward_of,
)
from mindspore_dpus.models.kernels.gates import Gate
from mindspore_dpus.models.kernels.layout import lay_out
from mindspore_dpus.models.kernels.onednn.interface import OneDnnError
from mindspore_dpus.models.kernels.onednn.library import OneDnn
from mindspore_dpus.models.kernels.onednn.primitives import BackwardData, Forward, Geometry
from mindspore_dpus.models.kernels.workspace import Workspace, Workspaces


class TrunkPlan:
    """Forward and back for batches of one shape.

    Args:
        dnn: the library.
        chain: the network (``chain.links``).
        shape: (N, C, H, W) of a batch.
        workspaces: the memory to compute in; plans of the same network may share it.

    Raises:
        OneDnnError: there is no fast kernel for one of the convolutions or gradients.
        UnknownNetError: the chain is tangled.
    """

    def __init__(
        self,
        dnn: OneDnn,
        chain: Sequence[Link],
        shape: tuple[int, int, int, int],
        workspaces: Workspaces,
    ) -> None:
        self.chain, self.block, self.workspaces = chain, dnn.block, workspaces
        self.slices = cut(shape[0])
        self.has_blocked_source = False
        self.forward: list[dict[int, Forward]] = []
        self.back_data: list[dict[int, BackwardData]] = []
        self.back_weights: list[dict[int, WeightsGradient]] = []
        self.inner_shapes: list[tuple[int, ...]] = []
        self.value_shapes: list[tuple[int, ...]] = [shape[1:]]
        pixels = [shape[2:]]
        self.narrow = {
            i: link.excite.conv_reduce.out_channels if link.excite else 0
            for i, link in enumerate(chain)
            if link.activation == "silu"
        }
        for link in chain:
            try:
                some = self._add_kernels(dnn, link, pixels[link.source], link.source == 0)
            except OneDnnError:
                if link.source:
                    raise
                # With AVX2, there is no fast gradient of the weights for 1, 2 or 4 plain channels.
                self.has_blocked_source = True
                some = self._add_kernels(dnn, link, pixels[link.source], False)
            channels, (height, width) = some.out_channels // dnn.block, some.out_size
            self.inner_shapes.append((channels, height, width, dnn.block))
            if link.pooled:
                height, width = -(-height // 2), -(-width // 2)
            self.value_shapes.append((channels, height, width, dnn.block))
            pixels.append((height, width))
        self.counts = [shape[0] * s[1] * s[2] for s in self.inner_shapes]
        inner_sizes, value_sizes = (
            [int(np.prod(s)) for s in shapes] for shapes in (self.inner_shapes, self.value_shapes)
        )
        self.layout = lay_out(chain, inner_sizes, value_sizes)
        self.largest_bank = max(max(b.size for b in own.values()) for own in self.back_weights)

    def _add_kernels(self, dnn: OneDnn, link: Link, pixels: tuple[int, int], plain: bool) -> Geometry:
        """Those of a link, for parts of every size; the shape of one of them.

        Args:
            dnn: the library.
            link: the next one.
            pixels: height and width of its source.
            plain: whether that is in no blocks.
        """
        own = {
            n: geometry(link.conv, n, *pixels, dnn.block, plain_source=plain)
            for n in {part.stop - part.start for part in self.slices}
        }
        forward = {n: forward_of(dnn, g) for n, g in own.items()}
        back_weights = {n: back_weights_of(dnn, g) for n, g in own.items()}
        self.back_data.append({n: back_data_of(dnn, g) for n, g in own.items()} if link.source else {})
        self.forward.append(forward)
        self.back_weights.append(back_weights)
        return next(iter(own.values()))


class Part:
    """A part of a batch on its way: the arrays that it fills, in one piece of memory.

    Args:
        plan: of the batch.
        n: images of the part.
        workspace: where its memory is from.
    """

    def __init__(self, plan: TrunkPlan, n: int, workspace: Workspace) -> None:
        block = plan.block
        self.n = n
        layout = plan.layout
        self._numbers = workspace.numbers(n * layout.size)
        self.inner = [
            self._at(start, shape) for start, shape in zip(layout.inner, plan.inner_shapes, strict=True)
        ]
        self._gradients = layout.gradients
        values = plan.value_shapes[1:]
        own = [self._at(start, shape) for start, shape in zip(layout.values, values, strict=True)]
        self.values: list[np.ndarray | None] = [None, *own]
        self.where = None
        for link, shape in zip(plan.chain, values, strict=True):
            if link.pooled:
                self.where = np.empty((n, *shape), np.uint8)
        self.sums = [(np.empty((s[0], block)), np.empty((s[0], block))) for s in plan.inner_shapes]
        # Links that end with SiLU -> their gates; those that drop images -> by what these are multiplied.
        self.gates = {
            i: Gate(n, (plan.inner_shapes[i][0], block), narrow, training=True)
            for i, narrow in plan.narrow.items()
        }
        self.factors: dict[int, np.ndarray] = {}
        last = plan.value_shapes[-1]
        self.means = np.empty((n, last[0], block), np.float32)
        self.inner_vectors = [as_vectors(array) for array in self.inner]
        self.value_vectors = [None, *(as_vectors(array) for array in self.values[1:])]

    def _at(self, start: int, shape: tuple[int, ...]) -> np.ndarray:
        """An array (n, *shape) at a place of the layout."""
        begin = self.n * start
        return self._numbers[begin : begin + self.n * int(np.prod(shape))].reshape(self.n, *shape)

    def gradient(self, name: int, like: np.ndarray) -> np.ndarray:
        """A gradient in the shape of an array."""
        return self._at(self._gradients[name], like.shape[1:])
