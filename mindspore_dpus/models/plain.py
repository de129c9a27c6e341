"""Plain networks as MindSpore Cells: convolutions in a row, then three fully connected layers.

VGG (Simonyan and Zisserman 2015, Table 1) and AlexNet (Krizhevsky 2014, "One weird trick for
parallelizing convolutional neural networks"). Parameters carry the names that mindcv and torchvision
share (``features.0.weight``, ``classifier.6.weight`` ...). mindcv's VGG takes images of 224 pixels only,
and it has neither VGG with batch norms nor AlexNet.
"""

from mindspore import Tensor, nn
from mindspore.common.initializer import HeNormal, Normal

# Channels of the convolutions; M halves height and width.
VGG16 = (64, 64, "M", 128, 128, "M", *(256,) * 3, "M", *(512,) * 3, "M", *(512,) * 3, "M")
VGG19 = (64, 64, "M", 128, 128, "M", *(256,) * 4, "M", *(512,) * 4, "M", *(512,) * 4, "M")
HIDDEN = 4096


class Resize(nn.Cell):
    """Maps of any size -> maps of one size, each number a mean (adaptive average pooling).

    Args:
        size: height and width.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.pool = nn.AdaptiveAvgPool2d(size)

    def construct(self, x: Tensor) -> Tensor:
        # At the size that the network is made for, nothing is to do, and nothing to export.
        return x if x.shape[2:] == (self.size, self.size) else self.pool(x)


class PlainNet(nn.Cell):
    """Convolutions, then a classifier of three fully connected layers, of which the last is new.

    Args:
        features: convolutions, activations, pooling.
        size: height and width of the maps that the classifier is made for.
        classifier: fully connected layers, activations, dropout.

    Input (N, in_channels, H, W) float32, normalised; output logits (N, C) float32.
    """

    stem_name = "features.0"
    feature_layer = "features"

    def __init__(self, features: list[nn.Cell], size: int, classifier: list[nn.Cell]) -> None:
        super().__init__()
        self.features = nn.SequentialCell(*features)
        self.pool = Resize(size)
        self.flatten = nn.Flatten()
        self.classifier = nn.SequentialCell(*classifier)
        self.classifier_name = "classifier.6"

    def construct(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(self.features(x))))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        return [*self.features, self.pool, self.flatten, *self.classifier]


def _conv(in_channels: int, channels: int, kernel: int, stride: int, padding: int, bias: bool):
    return nn.Conv2d(
        in_channels,
        channels,
        kernel,
        stride,
        pad_mode="pad",
        padding=padding,
        has_bias=bias,
        weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
        bias_init="zeros",
    )


def _dense(inputs: int, outputs: int) -> nn.Dense:
    return nn.Dense(inputs, outputs, weight_init=Normal(0.01), bias_init="zeros")


def vgg(
    channels: tuple,
    num_classes: int,
    in_channels: int,
    batch_norm: bool,
    bias: bool,
    dropout: float = 0.5,
) -> PlainNet:
    """A VGG network.

    Args:
        channels: ``VGG16`` or ``VGG19``.
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images.
        batch_norm: a batch norm after every convolution.
        bias: whether convolutions have one: torchvision's do, mindcv's do not.
        dropout: probability, after each of the first two fully connected layers.
    """
    features: list[nn.Cell] = []
    for width in channels:
        if width == "M":
            features.append(nn.MaxPool2d(2, 2))
            continue
        features.append(_conv(in_channels, width, 3, 1, 1, bias))
        features += [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
        in_channels = width
    classifier = [_dense(in_channels * 7 * 7, HIDDEN), nn.ReLU(), nn.Dropout(p=dropout)]
    classifier += [_dense(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(p=dropout), _dense(HIDDEN, num_classes)]
    return PlainNet(features, 7, classifier)


def vgg16(num_classes: int = 1000, in_channels: int = 3) -> PlainNet:
    """VGG16 as mindcv publishes it: convolutions without bias."""
    return vgg(VGG16, num_classes, in_channels, batch_norm=False, bias=False)


def vgg19_bn(num_classes: int = 1000, in_channels: int = 3) -> PlainNet:
    """VGG19 with batch norms as torchvision publishes it: convolutions with bias."""
    return vgg(VGG19, num_classes, in_channels, batch_norm=True, bias=True)


def alexnet(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> PlainNet:
    """AlexNet as torchvision publishes it; for images of 63 pixels or more."""
    features: list[nn.Cell] = []
    for width, kernel, stride, padding, pooled in (
        (64, 11, 4, 2, True),
        (192, 5, 1, 2, True),
        (384, 3, 1, 1, False),
        (256, 3, 1, 1, False),
        (256, 3, 1, 1, True),
    ):
        features += [_conv(in_channels, width, kernel, stride, padding, bias=True), nn.ReLU()]
        features += [nn.MaxPool2d(3, 2)] if pooled else []
        in_channels = width
    classifier = [nn.Dropout(p=dropout), _dense(256 * 6 * 6, HIDDEN), nn.ReLU()]
    classifier += [nn.Dropout(p=dropout), _dense(HIDDEN, HIDDEN), nn.ReLU(), _dense(HIDDEN, num_classes)]
    return PlainNet(features, 6, classifier)
