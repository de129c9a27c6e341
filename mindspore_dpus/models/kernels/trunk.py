"""A network up to its classifier in training: forward and back as a whole, on blocked arrays.

A batch is cut into parts (``crew``); each has its own memory and goes from convolution to convolution in
one thread. They meet where a batch norm needs all of them, forward and back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mindspore_dpus.models.kernels import blocked
from mindspore_dpus.models.kernels.chain import filled, filled_weights
from mindspore_dpus.models.kernels.crew import side_by_side
from mindspore_dpus.models.kernels.fastest import unloaded
from mindspore_dpus.models.kernels.gate_loops import (
    combine_dropped,
    drop_gradients,
    scale_and_silu,
    scale_drop_and_add,
    silu_gradients,
)
from mindspore_dpus.models.kernels.gates import GateWeights
from mindspore_dpus.models.kernels.onednn.library import to_blocks
from mindspore_dpus.models.kernels.trunk_plan import Part, TrunkPlan

INFINITE = np.float32(np.inf)
# Between these, an activation passes on what it gets; SiLU's own loops have done what it does.
OPEN = {
    None: (-INFINITE, INFINITE),
    "silu": (-INFINITE, INFINITE),
    "relu": (np.float32(0), INFINITE),
    "relu6": (np.float32(0), np.float32(6)),
}


@dataclass
class _Statistics:
    """Of a batch norm: numbers per channel, (C / block, block) float32."""

    mean: np.ndarray
    inverse: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    variance: np.ndarray


class Pass:
    """One way through a plan, forward and, if wanted, back. Several can be under way.

    Args:
        plan: for the shape of the batch.
    """

    def __init__(self, plan: TrunkPlan) -> None:
        self.plan = plan
        self._own = plan.workspaces.take(len(plan.slices))
        self._parts = [
            Part(plan, s.stop - s.start, own) for s, own in zip(plan.slices, self._own, strict=False)
        ]
        self.statistics: list[_Statistics] = []

    def forward(
        self,
        images: np.ndarray,
        weights: list[np.ndarray],
        norms: list[tuple[np.ndarray, np.ndarray]],
        gates: Sequence[Sequence[np.ndarray]] = (),
        factors: Sequence[np.ndarray] = (),
    ) -> np.ndarray:
        """The mean of the last maps, (N, channels) float32.

        Args:
            images: (N, C, H, W) float32.
            weights: (O, I, H, W) of every link.
            norms: (C,) scale and shift of every link.
            gates: parameters (``gates.GateWeights``) of every link that weights its channels.
            factors: (N,) float32 of every link that drops its result for some images.
        """
        plan, parts = self.plan, self._parts
        gated = [i for i, link in enumerate(plan.chain) if link.excite]
        self._gates = {
            i: GateWeights(*own, plan.inner_shapes[i][0] * plan.block)
            for i, own in zip(gated, gates, strict=True)
        }
        dropping = [i for i, link in enumerate(plan.chain) if link.drop_path]
        for part, place in zip(parts, plan.slices, strict=True):
            part.factors = {i: own[place] for i, own in zip(dropping, factors, strict=True)}
        images = np.ascontiguousarray(images, np.float32)
        if plan.has_blocked_source:
            images = to_blocks(images, plan.block)
        for part, place in zip(parts, plan.slices, strict=True):
            part.values[0] = images[place]
        # The largest first, so that no thread has one left at the end.
        order = sorted(range(len(weights)), key=lambda i: -weights[i].size)
        side_by_side(lambda i: self._load(i, weights[i]), order)
        for i in range(len(plan.chain)):
            side_by_side(lambda part, i=i: self._convolve(part, i), parts)
            self.statistics.append(self._merge(i, *norms[i]))
        side_by_side(self._average, parts)
        out = np.concatenate([part.means.reshape(part.n, -1) for part in parts])
        return np.ascontiguousarray(out[:, : plan.chain[-1].conv.out_channels])

    def _load(self, i: int, weights: np.ndarray) -> None:
        plan = self.plan
        for n, forward in plan.forward[i].items():
            arranged = filled_weights(weights, forward.geometry)
            forward.load(arranged)
            if plan.back_data[i]:
                plan.back_data[i][n].load(arranged)

    def _convolve(self, part: Part, i: int) -> None:
        """Finish the link before, and go on to the next batch norm."""
        if i:
            self._finish(part, i - 1)
        plan = self.plan
        plan.forward[i][part.n](part.values[plan.chain[i].source], part.inner[i])
        blocked.moments(part.inner_vectors[i], *part.sums[i])

    def _finish(self, part: Part, i: int) -> None:
        link, numbers = self.plan.chain[i], self.statistics[i]
        scale, shift = numbers.scale, numbers.shift
        if link.pooled:
            blocked.pool(part.inner[i], scale, shift, part.values[i + 1], part.where)
            return
        x, out, bounds = part.inner_vectors[i], part.value_vectors[i + 1], OPEN[link.activation]
        if link.activation == "silu":
            scale_and_silu(x, scale, shift, out)
            if link.excite:
                part.gates[i].weigh(out, self._gates[i])
        elif link.drop_path:
            other = part.value_vectors[link.shortcut]
            scale_drop_and_add(x, scale, shift, part.factors[i], other, out)
        elif link.shortcut is None:
            blocked.scale_and_cut(x, scale, shift, *bounds, out)
        else:
            other = part.value_vectors[link.shortcut]
            blocked.scale_add_and_cut(x, scale, shift, other, *bounds, out)

    def _average(self, part: Part) -> None:
        self._finish(part, len(self.plan.chain) - 1)
        blocked.average_maps(part.value_vectors[-1], part.means)

    def _merge(self, i: int, gamma: np.ndarray, beta: np.ndarray) -> _Statistics:
        """Mean and variance of the batch from those of its parts. Chan et al. 1983, Eq. 2.1."""
        plan, norm = self.plan, self.plan.chain[i].norm
        count = plan.counts[i]
        pixels = int(np.prod(plan.inner_shapes[i][1:3]))
        shares = [part.n * pixels for part in self._parts]
        sums = [part.sums[i] for part in self._parts]
        mean = sum(share * own for share, (own, _) in zip(shares, sums, strict=True)) / count
        squares = sum(
            rest + share * (own - mean) ** 2 for share, (own, rest) in zip(shares, sums, strict=True)
        )
        # Squares that overflow would make the scale zero, and a diverging network look tame.
        variance = np.where(np.isfinite(squares), squares / count, np.nan)
        inverse = 1 / np.sqrt(variance + norm.eps)
        gamma, beta = (_per_channel(values, mean.shape) for values in (gamma, beta))
        scale = gamma * inverse
        found = mean, inverse, scale, beta - mean * scale, squares / max(count - 1, 1)
        return _Statistics(*(values.astype(np.float32) for values in found))

    def move_statistics(self) -> None:
        """Let the moving statistics of all batch norms follow the batch."""
        for link, numbers in zip(self.plan.chain, self.statistics, strict=True):
            norm = link.norm
            momentum, channels = np.float32(norm.momentum), norm.num_features
            for moving, batch in (
                (norm.moving_mean, numbers.mean),
                (norm.moving_variance, numbers.variance),
            ):
                values = moving.asnumpy()
                values += momentum * (batch.ravel()[:channels] - values)

    def backward(self, gradient: np.ndarray) -> tuple[list[np.ndarray], ...]:
        """Gradients of all weights, scales and shifts, and of all gates' parameters in a row; afterwards,
        the memory is the next batch's.

        Args:
            gradient: of what ``forward`` returned, (N, channels) float32.
        """
        plan, parts = self.plan, self._parts
        n, channels = gradient.shape
        laid = np.zeros((n, filled(channels, plan.block)), np.float32)
        laid[:, :channels] = gradient
        for part, place in zip(parts, plan.slices, strict=True):
            part.means[...] = laid[place].reshape(part.means.shape)
        number = len(plan.chain)
        self._banks = plan.workspaces.banks(len(parts), plan.largest_bank)
        self._weights: list[np.ndarray | None] = [None] * number
        gammas, betas = [None] * number, [None] * number
        lines: dict[int, tuple] = {}
        for i in reversed(range(number)):
            work = [(self._to_norm, part, i, lines) for part in parts]
            if i + 2 < number:
                work.append((self._add_up, i + 2))
            side_by_side(_call, work)
            lines = {i: self._line(i)}
            gammas[i], betas[i] = lines[i][3:]
        work = [(self._to_source, part, 0, *lines[0][:3]) for part in parts]
        if number > 1:
            work.append((self._add_up, 1))
        side_by_side(_call, work)
        self._add_up(0)
        of_gates = []
        for i, gate in self._gates.items():
            of_gates += gate.gradients(sum(part.gates[i].found for part in parts))
        plan.workspaces.give_back(self._own)
        self._own, self._parts = [], []
        return self._weights, gammas, betas, of_gates

    def _to_norm(self, part: Part, i: int, lines: dict[int, tuple]) -> None:
        """Finish the link behind, and go on to the sums that this link's batch norm needs."""
        plan = self.plan
        if i + 1 in lines:
            self._to_source(part, i + 1, *lines[i + 1][:3])
        else:
            last = part.value_vectors[-1]
            blocked.spread_average(part.means, part.gradient(plan.layout.last, last))
        link, step, numbers = plan.chain[i], plan.layout.steps[i], self.statistics[i]
        x, sums = part.inner_vectors[i], part.sums[i]
        two = step.other is not None
        other = step.other if two else step.one
        if step.kind == "pool":
            value = part.values[i + 1]
            came = part.gradient(step.one, value), part.gradient(other, value)
            inner = part.gradient(step.inner, part.inner[i])
            blocked.pool_gradient(*came, two, part.where, part.inner[i], numbers.mean, inner, *sums)
            return
        one = part.gradient(step.one, x)
        bounds = OPEN[link.activation]
        if link.activation == "silu":
            gate, told = part.gates[i], (one, x, numbers.scale, numbers.shift)
            if link.excite:
                gate.back(*told, self._gates[i])
            silu_gradients(*told, gate.gate, gate.extra, numbers.mean, *sums)
        elif link.drop_path:
            came = one, part.gradient(other, x), two, part.factors[i]
            drop_gradients(*came, x, numbers.mean, *sums)
        elif step.kind == "join":
            came = one, part.gradient(other, x), two, part.value_vectors[i + 1]
            blocked.join_gradients(*came, *bounds, x, numbers.mean, *sums)
        else:
            bounds = OPEN[None] if step.kind == "plain" else bounds
            told = numbers.scale, numbers.shift, *bounds, numbers.mean
            blocked.gradient_sums(one, x, *told, *sums)

    def _line(self, i: int) -> tuple[np.ndarray, ...]:
        """The gradient of a batch norm's input is ``scale`` times that of its output and a line in its
        input: scale, slope, offset; and the gradients of gamma and beta. Ioffe and Szegedy 2015,
        section 3."""
        numbers, count = self.statistics[i], self.plan.counts[i]
        total = sum(part.sums[i][0] for part in self._parts)
        products = sum(part.sums[i][1] for part in self._parts)
        mean, inverse, scale = (
            values.astype(np.float64) for values in (numbers.mean, numbers.inverse, numbers.scale)
        )
        slope = -scale * products * inverse * inverse / count
        offset = -scale * total / count - slope * mean
        channels = self.plan.chain[i].norm.num_features
        found = (products * inverse).ravel()[:channels], total.ravel()[:channels]
        return (
            numbers.scale,
            *(values.astype(np.float32) for values in (slope, offset, *found)),
        )

    def _to_source(
        self, part: Part, i: int, scale: np.ndarray, slope: np.ndarray, offset: np.ndarray
    ) -> None:
        """From a batch norm to the convolution's source, and to its weights."""
        plan = self.plan
        link, step, numbers = plan.chain[i], plan.layout.steps[i], self.statistics[i]
        x = part.inner_vectors[i]
        inner = part.gradient(step.inner, x)
        if link.drop_path:
            came = part.gradient(step.one, x), part.factors[i]
            combine_dropped(*came, x, scale, slope, offset, inner)
        elif step.kind in ("plain", "join") and step.inner != step.one:
            blocked.combine(part.gradient(step.one, x), x, scale, slope, offset, inner)
        else:
            bounds = OPEN[link.activation] if step.kind == "inner" else OPEN[None]
            blocked.gradient_through(inner, x, numbers.scale, numbers.shift, *bounds, slope, offset)
        gradient, source = inner.reshape(part.inner[i].shape), part.values[link.source]
        back_weights = plan.back_weights[i][part.n]
        bank = self._banks[i % 2][self._parts.index(part)]
        back_weights(source, gradient, bank[: back_weights.size])
        if step.source is not None:
            plan.back_data[i][part.n](gradient, part.gradient(step.source, source))

    def _add_up(self, i: int) -> None:
        """The gradient of a link's weights from those of the parts."""
        plan, link = self.plan, self.plan.chain[i]
        kernels = plan.back_weights[i]
        shape = plan.forward[i][self._parts[0].n].geometry
        bank = self._banks[i % 2]
        plain = np.empty(shape.weights, np.float32)
        if len(kernels) == 1:
            (kernel,) = kernels.values()
            blocked.add_up(bank, kernel.size)
            kernel.unload(bank[0, : kernel.size], plain)
        else:
            # Parts of two sizes, whose gradients may lie in different orders.
            plain = sum(
                unloaded(kernels[part.n], bank[k], shape.weights) for k, part in enumerate(self._parts)
            )
        wanted = link.conv.weight.shape
        if len(shape.weights) == 5:
            plain = plain[:, :, 0]
        self._weights[i] = np.ascontiguousarray(plain[tuple(slice(size) for size in wanted)])


def _call(work: tuple) -> None:
    function, *arguments = work
    function(*arguments)


def _per_channel(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(C,) -> (C / block, block), zeros for the channels that fill up a block."""
    out = np.zeros(shape)
    out.ravel()[: len(values)] = values
    return out
