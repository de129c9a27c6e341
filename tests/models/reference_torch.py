"""ResNet18/34 and MobileNetV2 in torch under torchvision's names: the independent reference.

torchvision has no build for every machine; these follow its module names, so that a state dict made
here is one of torchvision's.
"""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        changed = s != 1 or i != o
        shortcut = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))
        self.downsample = shortcut if changed else None

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks, num_classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        i = 64
        for k, (n, o) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
            layer = [Block(i, o, 1 if k == 1 else 2), *(Block(o, o, 1) for _ in range(n - 1))]
            setattr(self, f"layer{k}", nn.Sequential(*layer))
            i = o
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def cbr(i, o, k, s=1, groups=1):
    conv = nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(o), nn.ReLU6())


class Inverted(nn.Module):
    def __init__(self, i, o, s, t):
        super().__init__()
        h = i * t
        parts = [] if t == 1 else [cbr(i, h, 1)]
        parts += [cbr(h, h, 3, s, h), nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o)]
        self.conv, self.residual = nn.Sequential(*parts), s == 1 and i == o

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        parts, i = [cbr(3, 32, 3, 2)], 32
        rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
        for t, o, n, s in (*rows, (6, 160, 3, 2), (6, 320, 1, 1)):
            for k in range(n):
                parts.append(Inverted(i, o, s if k == 0 else 1, t))
                i = o
        self.features = nn.Sequential(*parts, cbr(i, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def create(backbone, num_classes):
    """A reference network whose batch norms are no identities."""
    torch.manual_seed(0)
    net = {
        "resnet18": lambda: ResNet((2, 2, 2, 2), num_classes),
        "resnet34": lambda: ResNet((3, 4, 6, 3), num_classes),
        "mobilenet_v2": lambda: MobileNetV2(num_classes),
    }[backbone]()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()
