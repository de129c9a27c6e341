"""A region proposal network on a named layer of any backbone (Ren et al. 2015, Faster R-CNN)."""

import numpy as np
from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from mindspore_dpus.core.errors import UserError

# How far the chain of Cells may be from what the backbone computes, as a share of the largest value.
AGREEMENT = 1e-4


class RPN(nn.Cell):
    """Frame -> for every anchor, how much it looks like an object and how it has to move.

    A 3x3 convolution with ReLU on the backbone's map, then two 1x1 convolutions. Weights are drawn from
    a normal distribution of standard deviation 0.01, biases are 0, as in tensorpack and Detectron2.

    Args:
        backbone: a network of ``models.factory``, already with its weights. The parts of it that lie
            behind the layer are left out. Its parameters lose the backbone's names: keep and load them
            under the names that they have here.
        layer: name of one of its Cells, such as ``layer2``.
        n_anchors: A, anchors in one place.
        channels: of the 3x3 convolution; None: as many as the layer has (Detectron2:
            ``MODEL.RPN.CONV_DIMS`` = -1; tensorpack: ``RPN.HEAD_DIM``).

    Attributes:
        stride: pixels of the frame from one place of the maps to the next.

    Input (N, C, H, W) float32, normalised. Output: scores (N, A, h, w) float32, logits of the anchors'
    objectness, the same for all classes; deltas (N, 4 A, h, w) float32, t_x, t_y, t_w, t_h of the first
    anchor first (``data.boxes.arithmetic.decode``).

    Raises:
        UserError: the backbone has no such layer, does not reach it by Cells that follow one another, or
            makes no map there.
    """

    def __init__(
        self, backbone: nn.Cell, layer: str, n_anchors: int, channels: int | None = None
    ) -> None:
        super().__init__()
        if n_anchors < 1:
            raise ValueError(f"n_anchors is {n_anchors}; it must be at least 1")
        cells, in_channels, self.stride = cut_at(backbone, layer)
        self.trunk = nn.SequentialCell(cells)
        channels = in_channels if channels is None else channels
        self.conv = _conv(in_channels, channels, 3)
        self.relu = nn.ReLU()
        self.objectness = _conv(channels, n_anchors, 1)
        self.deltas = _conv(channels, 4 * n_anchors, 1)

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.relu(self.conv(self.trunk(x)))
        return self.objectness(x), self.deltas(x)


def _conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        pad_mode="pad",
        padding=kernel_size // 2,
        has_bias=True,
        weight_init=Normal(0.01),
        bias_init="zeros",
    )


def cut_at(backbone: nn.Cell, layer: str) -> tuple[list[nn.Cell], int, int]:
    """The Cells that lead to a layer, its channels and its stride.

    Our networks say in ``sequence`` which Cells they apply. Of others, the Cells are taken in the order
    of their definition. Either way the chain has to give what the layer gives inside of the network.

    Args:
        backbone: the network; three channels, or as many as its first convolution has.
        layer: name of one of its Cells.

    Raises:
        UserError: see ``RPN``.
    """
    named = dict(backbone.cells_and_names())
    if not layer or layer not in named:
        top = ", ".join(name for name in named if name and "." not in name)
        raise UserError(f"the backbone has no Cell {layer!r}; its Cells are: {top}")
    cells = _chain(backbone, layer, named)
    stem = next((c for c in named.values() if isinstance(c, nn.Conv2d)), None)
    if stem is None or cells is None:
        raise UserError(f"the backbone does not reach {layer} by Cells that follow one another")
    size = 64
    values = np.random.default_rng(0).standard_normal((1, stem.in_channels, size, size))
    image = Tensor(values.astype(np.float32))
    training = backbone.training
    backbone.set_train(False)
    expected = _inside(backbone, named[layer], image)
    found = image
    for cell in cells:
        found = cell(found)
    backbone.set_train(training)
    if expected is None or expected.ndim != 4:
        shape = None if expected is None else expected.shape
        raise UserError(f"a proposal network needs a map (N, C, h, w); {layer} gives {shape}")
    expected, found = expected.asnumpy(), found.asnumpy()
    if found.shape != expected.shape or not np.allclose(
        found, expected, rtol=0, atol=AGREEMENT * np.abs(expected).max()
    ):
        raise UserError(
            f"the backbone does not reach {layer} by Cells that follow one another: choose an earlier "
            "layer, or another backbone"
        )
    return cells, expected.shape[1], size // expected.shape[2]


def _chain(backbone: nn.Cell, layer: str, named: dict[str, nn.Cell]) -> list[nn.Cell] | None:
    if hasattr(backbone, "sequence"):
        names = {id(cell): name for name, cell in named.items()}
        cells, inside = [], False
        for cell in backbone.sequence():
            name = names.get(id(cell), "")
            if name == layer or name.startswith(f"{layer}."):
                inside = True
            elif inside:
                break
            cells.append(cell)
        return cells if inside else None
    cells: list[nn.Cell] = []
    here, path = backbone, layer.split(".")
    for part in path:
        for name, cell in here.name_cells().items():
            if name == part:
                here = cell
                break
            cells.append(cell)
    return [*cells, here]


def _inside(backbone: nn.Cell, cell: nn.Cell, image: Tensor) -> Tensor | None:
    """What a Cell gives while the whole network runs; None where it is not reached.

    Raises:
        UserError: the network fails before.
    """
    kept = []
    handle = cell.register_forward_hook(lambda cell, inputs, output: kept.append(output))
    try:
        backbone(image)
    except (ValueError, RuntimeError) as error:
        if not kept:  # else it is behind the Cell: a head for images of another size
            size = " x ".join(map(str, image.shape[2:]))
            raise UserError(f"the backbone cannot compute an image of {size} pixels: {error}") from None
    finally:
        handle.remove()
    return kept[0] if kept else None
