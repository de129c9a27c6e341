"""What a network is made of, for those who compute it as a whole: convolutions and batch norms.

Known are our ResNets, MobileNetV2 and EfficientNet up to the mean of their last maps. Everything is checked
by type: a network that somebody has changed is not known any more, and runs Cell by Cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import nn

from mindspore_dpus.models.efficientnet import DropPath, EfficientNet, MBConv, SqueezeExcite
from mindspore_dpus.models.kernels.onednn.primitives import Geometry
from mindspore_dpus.models.mobilenet_v2 import InvertedResidual, MobileNetV2
from mindspore_dpus.models.resnet import BasicBlock, Bottleneck, ResNet


@dataclass(frozen=True)
class Link:
    """A convolution, its batch norm, and what follows before the next convolution.

    Args:
        conv, norm: Cells of the network.
        source: number of the value that it reads. 0 is the network's input, k what link k - 1 gives.
        shortcut: number of the value that is added after the norm, or None.
        activation: ``relu``, ``relu6``, ``silu`` or None.
        pooled: whether the largest of every 3x3 window follows, 2 apart and padded by 1.
        excite: what weights the channels after the activation, or None.
        drop_path: what drops the norm's result for some images before the shortcut is added, or None.
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    source: int
    shortcut: int | None = None
    activation: str | None = None
    pooled: bool = False
    excite: SqueezeExcite | None = None
    drop_path: DropPath | None = None


class UnknownNetError(Exception):
    """A network that is not one of those that are known here."""


def links(net: nn.Cell) -> list[Link]:
    """The links of a network; the mean of the last one's maps is what its classifier reads.

    Raises:
        UnknownNetError: it is none of those of ours, or a part of it was replaced.
    """
    if type(net) is ResNet:
        found = _resnet(net)
    elif type(net) is MobileNetV2:
        found = _mobilenet(net.features)
    elif type(net) is EfficientNet:
        found = _efficientnet(net.features)
    else:
        raise UnknownNetError(type(net).__name__)
    for link in found:
        _check(link)
    return found


def links_up_to(net: nn.Cell, layer: str) -> int | None:
    """How many links give what a named Cell gives; None where it is not a block, or a row of blocks, of a
    known network."""
    if layer == net.feature_layer:
        return len(links(net))
    cell = dict(net.cells_and_names())[layer]
    last = cell
    while type(last) is nn.SequentialCell and len(last):
        last = last[-1]
    if type(last) not in (BasicBlock, Bottleneck, InvertedResidual, MBConv):
        return None
    inside = {id(part) for _, part in last.cells_and_names()}
    return max(i for i, link in enumerate(links(net), 1) if id(link.conv) in inside)


def _check(link: Link) -> None:
    conv, norm = link.conv, link.norm
    plain = (
        type(conv) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and not conv.has_bias
        and conv.data_format == norm.format == "NCHW"
        and conv.pad_mode in ("pad", "same")
        and conv.group in (1, conv.in_channels)
        and (conv.group == 1 or conv.in_channels == conv.out_channels)
        and norm.use_batch_statistics is None
        and all(p.dtype == ms.float32 for p in (conv.weight, norm.gamma, norm.moving_mean))
    )
    if not plain:
        raise UnknownNetError(f"{type(conv).__name__}, {type(norm).__name__}")


def _expect(cells: Sequence[nn.Cell | None], *types: type) -> None:
    for cell, expected in zip(cells, types, strict=True):
        if type(cell) is not expected:
            raise UnknownNetError(type(cell).__name__)


def _resnet(net: ResNet) -> list[Link]:
    _expect((net.relu, net.max_pool), nn.ReLU, nn.MaxPool2d)
    pool = net.max_pool
    # MindSpore keeps the padding of a pooling with that of a third axis.
    if (pool.kernel_size, pool.stride, pool.padding, pool.return_indices) != (3, 2, (0, 1, 1), False):
        raise UnknownNetError("its pooling")
    found = [Link(net.conv1, net.bn1, 0, activation="relu", pooled=True)]
    for block in (*net.layer1, *net.layer2, *net.layer3, *net.layer4):
        if type(block) not in (BasicBlock, Bottleneck):
            raise UnknownNetError(type(block).__name__)
        _expect((block.relu,), nn.ReLU)
        before = len(found)
        shortcut = before
        if block.down_sample is not None:
            _expect((block.down_sample,), nn.SequentialCell)
            conv, norm = block.down_sample
            found.append(Link(conv, norm, before))
            shortcut = len(found)
        found.append(Link(block.conv1, block.bn1, before, activation="relu"))
        if type(block) is Bottleneck:
            found.append(Link(block.conv2, block.bn2, len(found), activation="relu"))
            last = block.conv3, block.bn3
        else:
            last = block.conv2, block.bn2
        found.append(Link(*last, len(found), shortcut, "relu"))
    return found


def _mobilenet(features: nn.SequentialCell) -> list[Link]:
    cells = list(features)
    _expect((*cells[:3], *cells[-3:]), *2 * (nn.Conv2d, nn.BatchNorm2d, nn.ReLU6))
    found = [Link(*cells[:2], 0, activation="relu6")]
    for block in cells[3:-3]:
        _expect((block,), InvertedResidual)
        inner = list(block.layers)
        before = len(found)
        while len(inner) > 2:
            _expect(inner[:3], nn.Conv2d, nn.BatchNorm2d, nn.ReLU6)
            found.append(Link(*inner[:2], len(found), activation="relu6"))
            inner = inner[3:]
        shortcut = before if block.use_shortcut else None
        found.append(Link(*inner, len(found), shortcut))
    found.append(Link(*cells[-3:-1], len(found), activation="relu6"))
    return found


def _efficientnet(features: nn.SequentialCell) -> list[Link]:
    cells = list(features)
    _expect((*cells[:3], *cells[-3:]), *2 * (nn.Conv2d, nn.BatchNorm2d, nn.SiLU))
    found = [Link(*cells[:2], 0, activation="silu")]
    blocks = [block for stage in cells[3:-3] for block in stage]
    for block in blocks:
        _expect((block, block.drop_path), MBConv, DropPath)
        before, inner = len(found), list(block.block)
        if len(inner) == 9:
            _expect(inner[:3], nn.Conv2d, nn.BatchNorm2d, nn.SiLU)
            found.append(Link(*inner[:2], before, activation="silu"))
            inner = inner[3:]
        _expect(inner, nn.Conv2d, nn.BatchNorm2d, nn.SiLU, SqueezeExcite, nn.Conv2d, nn.BatchNorm2d)
        _check_excite(inner[3])
        found.append(Link(*inner[:2], len(found), activation="silu", excite=inner[3]))
        shortcut = before if block.use_shortcut else None
        drop_path = block.drop_path if block.use_shortcut and block.drop_path.p else None
        found.append(Link(*inner[4:], len(found), shortcut, drop_path=drop_path))
    found.append(Link(*cells[-3:-1], len(found), activation="silu"))
    return found


def _check_excite(cell: SqueezeExcite) -> None:
    parts = cell.conv_reduce, cell.act, cell.conv_expand, cell.gate
    _expect(parts, nn.Conv2d, nn.SiLU, nn.Conv2d, nn.Sigmoid)
    for conv in (cell.conv_reduce, cell.conv_expand):
        if conv.kernel_size != (1, 1) or not conv.has_bias or conv.weight.dtype != ms.float32:
            raise UnknownNetError("its squeeze and excite")


def geometry(
    conv: nn.Conv2d, n: int, height: int, width: int, block: int, *, plain_source: bool
) -> Geometry:
    """The shape of a convolution on blocked arrays, channels filled up to whole blocks.

    Args:
        conv: the Cell.
        n: images.
        height, width: of its input.
        block: channels that lie together.
        plain_source: whether it reads an ordinary array, of as many channels as the Cell says.
    """
    padding = (conv.padding,) * 4 if isinstance(conv.padding, int) else tuple(conv.padding)
    if conv.pad_mode == "same":
        padding = _same(height, conv, 0) + _same(width, conv, 1)
    channels = filled(conv.in_channels, block)
    return Geometry(
        n,
        conv.in_channels if plain_source else channels,
        filled(conv.out_channels, block),
        height,
        width,
        conv.kernel_size,
        conv.stride,
        padding,
        conv.dilation,
        1 if conv.group == 1 else channels,
        plain_source,
    )


def _same(size: int, conv: nn.Conv2d, axis: int) -> tuple[int, int]:
    """Padding before and after with which the result has ``size / stride`` pixels, rounded up."""
    stride, reach = conv.stride[axis], conv.dilation[axis] * (conv.kernel_size[axis] - 1) + 1
    padding = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return padding // 2, padding - padding // 2


def filled(channels: int, block: int) -> int:
    """So many channels, in whole blocks."""
    return -(-channels // block) * block


def filled_weights(weights: np.ndarray, shape: Geometry) -> np.ndarray:
    """Weights (O, I, H, W) as oneDNN takes them, with zeros for the channels that fill up a block."""
    wanted = shape.weights
    if len(wanted) == 5 and weights.ndim == 4:
        weights = weights[:, :, None]
    if weights.shape == wanted:
        return np.ascontiguousarray(weights, np.float32)
    out = np.zeros(wanted, np.float32)
    out[tuple(slice(size) for size in weights.shape)] = weights
    return out


class Hooks:
    """Whether somebody wants to see, or to change, what goes through a Cell before the classifier.

    Args:
        net: whose Cells stay the same ones; that of the whole network, and what follows the mean, run in
            any case.
    """

    def __init__(self, net: nn.Cell) -> None:
        after = (net.dropout, net.mlp_head) if type(net) is EfficientNet else (net.classifier,)
        own = {id(net), *(id(cell) for part in after for _, cell in part.cells_and_names())}
        self._cells = [cell for _, cell in net.cells_and_names() if id(cell) not in own]

    def __bool__(self) -> bool:
        return any(
            cell._forward_hook
            or cell._forward_pre_hook
            or cell._backward_hook
            or cell._backward_pre_hook
            for cell in self._cells
        )
