"""ResNet18 as MindSpore Cells (He et al. 2016, Table 1, 18-layer column).

Parameters carry torchvision's names (``layer1.0.conv1.weight`` ...), except that batch norms
say ``gamma, beta, moving_mean, moving_variance`` as everywhere in MindSpore.
"""

from mindspore import Tensor, nn
from mindspore.common.initializer import Uniform

from mindspore_dpus.models.layers import conv


class BasicBlock(nn.Cell):
    """Two 3x3 convolutions and a shortcut: the residual block of the paper's Figure 3a.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: stride of the first convolution; 2 halves height and width.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.SequentialCell(
                conv(in_channels, channels, 1, stride), nn.BatchNorm2d(channels)
            )

    def construct(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        # No in-place add: MindSpore's ONNX exporter has no kernel for it.
        return self.relu(out + shortcut)


class ResNet18(nn.Cell):
    """ResNet18 with a new fully connected layer (paper, section 2.3).

    Args:
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images (see ``models.weights.adapt_stem``).

    Input (N, in_channels, H, W) float32, normalised; output logits (N, C) float32.
    """

    classifier_name = "fc"
    stem_name = "conv1"

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, 64, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="pad", padding=1)
        self.layer1 = nn.SequentialCell(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.SequentialCell(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.SequentialCell(BasicBlock(128, 256, 2), BasicBlock(256, 256))
        self.layer4 = nn.SequentialCell(BasicBlock(256, 512, 2), BasicBlock(512, 512))
        bound = 512**-0.5
        self.fc = nn.Dense(512, num_classes, weight_init=Uniform(bound), bias_init=Uniform(bound))

    def trunk(self) -> list[tuple[str, nn.Cell]]:
        """The named Cells between image and global pooling, in the order in which data flows."""
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        return [(name, getattr(self, name)) for name in names]

    def construct(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))
