"""ResNets as MindSpore Cells (He et al. 2016, Table 1), and ResNeXt50 (Xie et al. 2017, Table 1).

Parameters carry mindcv's names (``layer1.0.conv1.weight``, ``layer2.0.down_sample.0.weight``,
``classifier.weight`` ...), so that its published checkpoints load as they are.
"""

from collections.abc import Callable
from functools import partial

from mindspore import Tensor, nn
from mindspore.common.initializer import Uniform

from mindspore_dpus.models.layers import GlobalMean, conv


class BasicBlock(nn.Cell):
    """Two 3x3 convolutions and a shortcut: the residual block of the paper's Figure 3a.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: stride of the first convolution; 2 halves height and width.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.down_sample = None
        if stride != 1 or in_channels != channels:
            self.down_sample = nn.SequentialCell(
                conv(in_channels, channels, 1, stride), nn.BatchNorm2d(channels)
            )

    def construct(self, x: Tensor) -> Tensor:
        shortcut = x if self.down_sample is None else self.down_sample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        # No in-place add: MindSpore's ONNX exporter has no kernel for it.
        return self.relu(out + shortcut)


class Bottleneck(nn.Cell):
    """Reduce (1x1), filter (3x3), expand (1x1), and a shortcut. The stride is that of the 3x3.

    Args:
        in_channels: channels of the input.
        channels: a quarter of the channels of the output.
        stride: 2 halves height and width.
        groups: paths of the 3x3 (the cardinality of ResNeXt).
        group_width: channels of a path, as a share of 64 where ``channels`` is 64.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, groups: int = 1, group_width: int = 64
    ) -> None:
        super().__init__()
        width, out_channels = channels * group_width // 64 * groups, channels * self.expansion
        self.conv1 = conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.down_sample = None
        if stride != 1 or in_channels != out_channels:
            self.down_sample = nn.SequentialCell(
                conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)
            )

    def construct(self, x: Tensor) -> Tensor:
        shortcut = x if self.down_sample is None else self.down_sample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


class ResNet(nn.Cell):
    """A residual network with a new fully connected layer (paper, section 2.3).

    Args:
        blocks: number of blocks in each of the four layers: (2, 2, 2, 2) is ResNet18, (3, 4, 6, 3) is
            ResNet34.
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images (see ``models.weights.adapt_stem``).
        block: (in_channels, channels, stride) -> ``BasicBlock`` or ``Bottleneck``.
        expansion: channels of a block's output, as a multiple of ``channels``.

    Input (N, in_channels, H, W) float32, normalised; output logits (N, C) float32.

    The stem's pooling has one pixel of padding on each side, as in He et al. and torchvision. mindcv
    pads below and to the right only: with its checkpoints, the maps behind lie half a pixel off.
    """

    classifier_name = "classifier"
    stem_name = "conv1"
    feature_layer = "layer4"

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        num_classes: int = 1000,
        in_channels: int = 3,
        block: Callable[..., nn.Cell] = BasicBlock,
        expansion: int = BasicBlock.expansion,
    ) -> None:
        super().__init__()
        self.in_one = None  # Or a faster way up to the classifier (models.kernels.in_one).
        self.conv1 = conv(in_channels, 64, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.max_pool = nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="pad", padding=1)
        self.layer1 = _layer(block, 64, 64, expansion, blocks[0], stride=1)
        self.layer2 = _layer(block, 64 * expansion, 128, expansion, blocks[1], stride=2)
        self.layer3 = _layer(block, 128 * expansion, 256, expansion, blocks[2], stride=2)
        self.layer4 = _layer(block, 256 * expansion, 512, expansion, blocks[3], stride=2)
        width = 512 * expansion
        bound = width**-0.5
        self.classifier = nn.Dense(
            width, num_classes, weight_init=Uniform(bound), bias_init=Uniform(bound)
        )

    def construct(self, x: Tensor) -> Tensor:
        if self.in_one is not None:
            pooled = self.in_one(x)
            if pooled is not None:
                return self.classifier(pooled)
        x = self.max_pool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.classifier(x.mean((2, 3)))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        blocks = [*self.layer1, *self.layer2, *self.layer3, *self.layer4]
        return [self.conv1, self.bn1, self.relu, self.max_pool, *blocks, GlobalMean(), self.classifier]


def _layer(
    block: Callable[..., nn.Cell],
    in_channels: int,
    channels: int,
    expansion: int,
    blocks: int,
    stride: int,
) -> nn.SequentialCell:
    cells = [block(in_channels, channels, stride)]
    cells += [block(channels * expansion, channels) for _ in range(blocks - 1)]
    return nn.SequentialCell(*cells)


def resnet18(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNet with 18 layers."""
    return ResNet((2, 2, 2, 2), num_classes, in_channels)


def resnet34(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNet with 34 layers."""
    return ResNet((3, 4, 6, 3), num_classes, in_channels)


def _deep(
    blocks: tuple[int, int, int, int],
    num_classes: int,
    in_channels: int,
    groups: int = 1,
    width: int = 64,
) -> ResNet:
    block = partial(Bottleneck, groups=groups, group_width=width)
    return ResNet(blocks, num_classes, in_channels, block, Bottleneck.expansion)


def resnet50(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNet with 50 layers."""
    return _deep((3, 4, 6, 3), num_classes, in_channels)


def resnet101(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNet with 101 layers."""
    return _deep((3, 4, 23, 3), num_classes, in_channels)


def resnet152(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNet with 152 layers."""
    return _deep((3, 8, 36, 3), num_classes, in_channels)


def resnext50_32x4d(num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """ResNeXt with 50 layers, 32 paths of 4 channels."""
    return _deep((3, 4, 6, 3), num_classes, in_channels, groups=32, width=4)
