"""ResNet and MobileNetV2 in torch, under torchvision's parameter names.

torchvision has no build for every machine, and what is compared needs no more of it than this.
"""

from functools import partial

import torch
from torch import Tensor, nn

from mindspore_dpus.core.errors import UserError


def _conv_bn(i: int, o: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(o)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions from ``i`` to ``o`` channels and a shortcut (He et al. 2016)."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_bn(i, o, 3, stride)
        self.conv2, self.bn2 = _conv_bn(o, o, 3)
        changed = stride != 1 or i != o
        self.downsample = nn.Sequential(*_conv_bn(i, o, 1, stride)) if changed else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(out)) + shortcut)


class Bottleneck(nn.Module):
    """From ``i`` channels to ``o / 4`` (1x1), 3x3, and to ``o`` (1x1), and a shortcut (He et al. 2016);
    strides are those of the 3x3 convolution, as in torchvision."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_bn(i, o // 4, 1)
        self.conv2, self.bn2 = _conv_bn(o // 4, o // 4, 3, stride)
        self.conv3, self.bn3 = _conv_bn(o // 4, o, 1)
        changed = stride != 1 or i != o
        self.downsample = nn.Sequential(*_conv_bn(i, o, 1, stride)) if changed else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = torch.relu_(self.bn2(self.conv2(out)))
        return torch.relu_(self.bn3(self.conv3(out)) + shortcut)


class ResNet(nn.Module):
    """Blocks in each of four layers (He et al. 2016, Table 1).

    ``forward`` gives logits (N, num_classes), ``pooled`` the vectors before them, as wide as the last
    block.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        num_classes: int,
        in_channels: int,
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_bn(in_channels, 64, 7, 2)
        i = 64
        for k, (n, o) in enumerate(zip(blocks, widths, strict=True), 1):
            layer = [block(i, o, 1 if k == 1 else 2), *(block(o, o, 1) for _ in range(n - 1))]
            self.add_module(f"layer{k}", nn.Sequential(*layer))
            i = o
        self.fc = nn.Linear(i, num_classes)

    def pooled(self, x: Tensor) -> Tensor:
        """The vectors that the last layer sees."""
        x = torch.max_pool2d(torch.relu_(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pooled(x))


def _conv_bn_relu(i: int, o: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(*_conv_bn(i, o, kernel, stride, groups), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand ``t`` times, filter depthwise, project (Sandler et al. 2018)."""

    def __init__(self, i: int, o: int, stride: int, t: int) -> None:
        super().__init__()
        hidden = i * t
        expand = [] if t == 1 else [_conv_bn_relu(i, hidden, 1)]
        depthwise = _conv_bn_relu(hidden, hidden, 3, stride, hidden)
        self.conv = nn.Sequential(*expand, depthwise, *_conv_bn(hidden, o, 1))
        self.residual = stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, Table 2; without dropout, as ours."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        parts, i = [_conv_bn_relu(in_channels, 32, 3, 2)], 32
        rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
        for t, o, n, stride in (*rows, (6, 160, 3, 2), (6, 320, 1, 1)):
            for k in range(n):
                parts.append(InvertedResidual(i, o, stride if k == 0 else 1, t))
                i = o
        self.features = nn.Sequential(*parts, _conv_bn_relu(i, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(1280, num_classes))

    def pooled(self, x: Tensor) -> Tensor:
        """The vectors that the last layer sees."""
        return self.features(x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pooled(x))


NARROW, WIDE = (64, 128, 256, 512), (256, 512, 1024, 2048)
NETS = {
    "resnet18": partial(ResNet, BasicBlock, (2, 2, 2, 2), NARROW),
    "resnet34": partial(ResNet, BasicBlock, (3, 4, 6, 3), NARROW),
    "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3), WIDE),
    "mobilenet_v2": MobileNetV2,
}


def create_net(backbone: str, num_classes: int, in_channels: int) -> nn.Module:
    """A network in torch's fastest layout for convolutions on CPU, with random weights.

    Args:
        backbone: a name in ``NETS``.
        num_classes: width of the last layer.
        in_channels: channels of the input.

    Raises:
        UserError: there is no such network here.
    """
    if backbone not in NETS:
        raise UserError(f"no network {backbone!r} in torch to compare with: use {', '.join(NETS)}")
    return NETS[backbone](num_classes, in_channels).to(memory_format=torch.channels_last)
