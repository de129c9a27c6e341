"""Batch norms folded into the convolutions before them: fewer operations for prediction."""

from collections import Counter
from collections.abc import Callable
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

    net: nn.Cell
    name: str
    conv: nn.Conv2d
    norm: nn.BatchNorm2d

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
        replace_cell(self.net, self.name, nn.Identity())

    def undo(self) -> None:
        """As it was."""
        weight, self.conv.has_bias, bias = self.before
        # A Parameter must go before None comes, else the Cell counts None among its parameters.
        del self.conv.bias
        self.conv.bias = bias
        assign(self.conv.weight, weight)
        replace_cell(self.net, self.name, self.norm)


def replace_cell(net: nn.Cell, name: str, cell: nn.Cell) -> None:
    """Put another Cell in the place of the one of that full name."""
    parent_name, _, key = name.rpartition(".")
    parent = dict(net.cells_and_names())[parent_name]
    if isinstance(parent, nn.SequentialCell | nn.CellList):
        parent[list(parent._cells).index(key)] = cell
    else:
        setattr(parent, key, cell)


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


def _fold_if(pair: _Pair, agrees: Callable[[], bool]) -> bool:
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
        cell.register_forward_hook(lambda cell, x, y, name=name: outputs.append((name, y)))
        for name, cell in convs.items()
    ] + [
        cell.register_forward_hook(lambda cell, x, y, name=name: inputs.append((name, x[0])))
        for name, cell in norms.items()
    ]
    try:
        net(images)
    finally:
        for handle in handles:
            handle.remove()
    # A cell that runs twice belongs to no one pair.
    runs = Counter(name for name, _ in [*outputs, *inputs])
    return [
        _Pair(net, norm, convs[conv], norms[norm])
        for norm, x in inputs
        for conv, y in outputs
        if x is y and runs[norm] == runs[conv] == 1
    ]
