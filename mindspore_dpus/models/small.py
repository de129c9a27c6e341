"""What the networks for small images are made of: layers without pretrained weights, made for one size.

Weights start as in Keras (Glorot and Bengio 2010, uniform; biases 0), with which the traffic-sign paper
was made: it names no other start.
"""

from collections.abc import Sequence
from functools import partial

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import XavierUniform

from mindspore_dpus.core.errors import UserError

# Slope below 0 of the leaky ReLU: Keras's. The paper names none.
LEAK = 0.3


class Elu(nn.Cell):
    """x above 0, exp(x) - 1 below, of operators that MindSpore's ONNX exporter knows: not so ``nn.ELU``.

    Source: Clevert et al. 2016, Eq. 15 with alpha 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        return self.relu(x) + ops.exp(-self.relu(-x)) - 1


ACTIVATIONS = {
    "relu": nn.ReLU,
    "elu": Elu,
    "leaky_relu": partial(nn.LeakyReLU, LEAK),
    "tanh": nn.Tanh,
}


class SmallNet(nn.Cell):
    """Convolutions, then fully connected layers, of which the last is new for every task.

    Args:
        features: convolutions, activations, pooling; the first is a convolution.
        classifier: fully connected layers, activations, dropout; the last is fully connected.

    Input (N, in_channels, H, W) float32 of the size that it is made for, normalised; output logits
    (N, C) float32.
    """

    stem_name = "features.0"
    feature_layer = "features"

    def __init__(self, features: Sequence[nn.Cell], classifier: Sequence[nn.Cell]) -> None:
        super().__init__()
        self.features = nn.SequentialCell(*features)
        self.flatten = nn.Flatten()
        self.classifier = nn.SequentialCell(*classifier)
        self.classifier_name = f"classifier.{len(classifier) - 1}"

    def construct(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.features(x)))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        return [*self.features, self.flatten, *self.classifier]


def new_activation(name: str) -> nn.Cell:
    """A new Cell of an activation.

    Args:
        name: a key of ``ACTIVATIONS``.

    Raises:
        UserError: another name.
    """
    if name not in ACTIVATIONS:
        raise UserError(f"activation is {name!r}; it must be {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def new_dropout(share: float) -> nn.Dropout:
    """A new dropout; one of 0 is there as well, so that parameters have the same names with and without.

    Args:
        share: probability that a number is set to 0.

    Raises:
        UserError: not from 0 up to, but without, 1.
    """
    if not 0 <= share < 1:
        raise UserError(f"dropout is {share:g}; it must be 0 or more and below 1")
    return nn.Dropout(p=float(share))


def conv(inputs: int, outputs: int, kernel: int, padding: int, stride: int = 1, bias: bool = True):
    """A convolution; in front of a batch norm, ``bias`` is False."""
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride,
        pad_mode="pad",
        padding=padding,
        has_bias=bias,
        weight_init=XavierUniform(),
        bias_init="zeros",
    )


def conv_norm(inputs: int, outputs: int, kernel: int, padding: int, stride: int = 1) -> list[nn.Cell]:
    """A convolution, its batch norm and a ReLU."""
    return [
        conv(inputs, outputs, kernel, padding, stride, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def dense(inputs: int, outputs: int) -> nn.Dense:
    """A fully connected layer."""
    return nn.Dense(inputs, outputs, weight_init=XavierUniform(), bias_init="zeros")


def head(
    inputs: int, hidden: Sequence[int], num_classes: int, act: str, dropped: float
) -> list[nn.Cell]:
    """Fully connected layers, an activation and a dropout after each but the last.

    Args:
        inputs: numbers of an image.
        hidden: widths of all layers but the last.
        num_classes: width of the last.
        act: a key of ``ACTIVATIONS``.
        dropped: probability of every dropout.

    Raises:
        UserError: a width below 1, an unknown activation, an impossible probability.
    """
    cells: list[nn.Cell] = []
    for width in hidden:
        if width < 1:
            raise UserError(f"a layer of the network is {width} wide; it must be 1 or more")
        cells += [dense(inputs, width), new_activation(act), new_dropout(dropped)]
        inputs = width
    return [*cells, dense(inputs, num_classes)]


def map_side(features: Sequence[nn.Cell], image_size: int, network: str) -> int:
    """Height and width of the maps that layers make of square images.

    Args:
        features: convolutions (padded alike on all sides), pooling without padding, anything else.
        image_size: height and width of the images.
        network: its name, for the message.

    Raises:
        UserError: nothing is left of images so small.
    """
    side = image_size
    for cell in features:
        if isinstance(cell, nn.Conv2d):
            side = (side + 2 * cell.padding - cell.kernel_size[0]) // cell.stride[0] + 1
        elif isinstance(cell, nn.MaxPool2d | nn.AvgPool2d):
            side = (side - cell.kernel_size) // cell.stride + 1
        if side < 1:
            raise UserError(
                f"{network} cannot take images of {image_size} pixels: nothing is left of them after "
                "its poolings; set a larger image size"
            )
    return side
