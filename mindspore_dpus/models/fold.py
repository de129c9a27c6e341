"""Batch norms folded into the convolutions before them: fewer operations for prediction."""

from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn

from mindspore_dpus.models.weights import assign

# Of the largest logit: what another order of float32 sums may change, and no wrong pair stays below.
TOLERANCE = 1e-4


@dataclass
class _Pair:
    """A convolution and the batch norm that is fed with its output."""

    name: str
    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    parent: nn.Cell
    key: str

    def fold(self) -> None:
        """``gamma (w x - mean) / sqrt(variance + eps) + beta`` as one convolution with a bias."""
        self.before = (self.conv.weight.asnumpy().copy(), self.conv.has_bias, self.conv.bias)
        weight, has_bias, bias = self.before
        gamma, beta, mean, variance = (
            p.asnumpy().astype(np.float64)
            for p in (
                self.norm.gamma,
                self.norm.beta,
                self.norm.moving_mean,
                self.norm.moving_variance,
            )
        )
        scale = gamma / np.sqrt(variance + self.norm.eps)
        shift = beta + scale * ((bias.asnumpy() if has_bias else 0.0) - mean)
        assign(self.conv.weight, (weight * scale[:, None, None, None]).astype(np.float32))
        self.conv.bias = Parameter(shift.astype(np.float32), name=f"{self.conv.weight.name[:-6]}bias")
        self.conv.has_bias = True
        self._put(nn.Identity())

    def undo(self) -> None:
        """As it was."""
        weight, self.conv.has_bias, self.conv.bias = self.before
        assign(self.conv.weight, weight)
        self._put(self.norm)

    def _put(self, cell: nn.Cell) -> None:
        if isinstance(self.parent, nn.SequentialCell | nn.CellList):
            self.parent[list(self.parent._cells).index(self.key)] = cell
        else:
            setattr(self.parent, self.key, cell)


def fold_batch_norms(net: nn.Cell, shape: tuple[int, int, int]) -> list[str]:
    """Fold every batch norm that can be into the convolution before it, in place.

    In evaluation a batch norm is a fixed scale and shift of every channel, and a convolution can do
    both: exact but for rounding. Which norm follows which convolution is seen by running the network
    once. That nothing else reads the convolution's output (as the shortcut of a pre-activation block
    does) is seen from the logits, which must stay: a pair that changes them is left as it was.

    Args:
        net: any network, its weights in place, in float32 and PyNative mode. It can be trained no more,
            and takes no checkpoint of the unfolded network.
        shape: (C, H, W) of an image.

    Returns:
        Names of the batch norms that are gone.
    """
    net.set_train(False)
    images = Tensor(np.random.default_rng(0).standard_normal((2, *shape)), ms.float32)
    pairs = _find_pairs(net, images)
    expected = net(images).asnumpy()

    def agrees() -> bool:
        return bool(np.abs(net(images).asnumpy() - expected).max() <= TOLERANCE * np.abs(expected).max())

    for pair in pairs:
        pair.fold()
    if not agrees():
        for pair in pairs:
            pair.undo()
        pairs = [pair for pair in pairs if _fold_if(pair, agrees)]
    net.set_train(False)
    return [pair.name for pair in pairs]


def _fold_if(pair: _Pair, agrees) -> bool:
    pair.fold()
    if agrees():
        return True
    pair.undo()
    return False


def _find_pairs(net: nn.Cell, images: Tensor) -> list[_Pair]:
    """Run the network; a pair is a norm whose input is the very tensor that a convolution returned."""
    cells = dict(net.cells_and_names())
    convs = {n: c for n, c in cells.items() if type(c) is nn.Conv2d and c.data_format == "NCHW"}
    norms = {n: c for n, c in cells.items() if type(c) is nn.BatchNorm2d and not c.use_batch_statistics}
    outputs, inputs = [], []
    handles = [
        c.register_forward_hook(lambda cell, x, y, name=n: outputs.append((name, y)))
        for n, c in convs.items()
    ] + [
        c.register_forward_hook(lambda cell, x, y, name=n: inputs.append((name, x[0])))
        for n, c in norms.items()
    ]
    try:
        net(images)
    finally:
        for handle in handles:
            handle.remove()
    # A cell that runs twice belongs to no one pair.
    once_out = {n: y for n, y in outputs if sum(n == other for other, _ in outputs) == 1}
    once_in = {n: x for n, x in inputs if sum(n == other for other, _ in inputs) == 1}
    pairs = []
    for norm, x in once_in.items():
        for conv, y in once_out.items():
            if x is y:
                parent, _, key = norm.rpartition(".")
                pairs.append(_Pair(norm, convs[conv], norms[norm], cells[parent], key))
    return pairs
