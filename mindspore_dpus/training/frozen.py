"""A network whose first layers are frozen: their outputs once, and what comes after them."""

import math

import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.data.loader import BatchSource, batches
from mindspore_dpus.models.freeze import set_train

BATCH = 64


class Tail(nn.Cell):
    """The Cells of a network from a certain one on; its weights are the network's own.

    Args:
        cells: they are applied one after the other.
    """

    def __init__(self, cells: list[nn.Cell]) -> None:
        # With prefixes, the weights would be renamed.
        super().__init__(auto_prefix=False)
        self.cells_in_order = nn.CellList(cells, auto_prefix=False)

    def construct(self, x: Tensor) -> Tensor:
        for cell in self.cells_in_order:
            x = cell(x)
        return x


def frozen_outputs(
    net: nn.Cell, n_cells: int, images: np.ndarray, rows: np.ndarray, limit: int
) -> np.ndarray | None:
    """What the first Cells of a network make of images.

    Args:
        net: with a method ``sequence``.
        n_cells: how many Cells.
        images: (N, H, W, C) array of all cached images.
        rows: (M,) which of them.
        limit: bytes.

    Returns:
        (M, ...) float32; or None where that would take more than ``limit``.
    """
    set_train(net, False)
    cells = net.sequence()[:n_cells]
    outputs, done = None, 0
    for x, _ in batches(BatchSource(images, rows, np.zeros(len(rows)), BATCH)):
        for cell in cells:
            x = cell(x)
        values = x.asnumpy()
        if outputs is None:
            shape = (len(rows), *values.shape[1:])
            if 4 * math.prod(shape) > limit:
                return None
            outputs = np.empty(shape, np.float32)
        outputs[done : done + len(values)] = values
        done += len(values)
    return outputs
