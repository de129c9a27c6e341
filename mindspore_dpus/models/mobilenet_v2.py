"""MobileNetV2 as MindSpore Cells (Sandler et al. 2018, Table 2).

Parameters carry mindcv's names (``features.3.layers.0.weight``, ``classifier.1.weight`` ...), so that
its published checkpoints load as they are.
"""

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.layers import GlobalMean, conv
from mindspore_dpus.models.small import new_dropout

# Sandler et al. 2018, Table 2: expansion factor, output channels, repeats, stride of the first.
INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, group: int = 1
) -> list[nn.Cell]:
    """A convolution and its batch norm."""
    return [conv(in_channels, out_channels, kernel_size, stride, group), nn.BatchNorm2d(out_channels)]


class InvertedResidual(nn.Cell):
    """Expand (1x1), filter depth-wise (3x3), project (1x1): the paper's Figure 3b.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: stride of the depth-wise convolution.
        expand_ratio: the hidden layer has ``in_channels * expand_ratio`` channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        hidden = in_channels * expand_ratio
        cells = []
        if expand_ratio != 1:
            cells += [*conv_bn(in_channels, hidden, 1), nn.ReLU6()]
        cells += [*conv_bn(hidden, hidden, 3, stride, group=hidden), nn.ReLU6()]
        cells += conv_bn(hidden, out_channels, 1)
        self.layers = nn.SequentialCell(*cells)
        self.in_training = None  # Or a faster way through the layers (models.kernels.hidden_layers).
        self.use_shortcut = stride == 1 and in_channels == out_channels

    def construct(self, x: Tensor) -> Tensor:
        if self.training and self.in_training is not None:
            out = self.in_training(self.layers, x)
        else:
            out = self.layers(x)
        return x + out if self.use_shortcut else out


class MobileNetV2(nn.Cell):
    """MobileNetV2 with a new fully connected layer (paper, section 2.3).

    Args:
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images (see ``models.weights.adapt_stem``).
        width: multiplier of all channels (Sandler et al. 2018, section 6.1), rounded to multiples of 8.
        dropout: probability that a pooled feature is dropped in training. The paper puts the new layer
            straight on the pooled features.

    Input (N, in_channels, H, W) float32, normalised; output logits (N, C) float32.

    Raises:
        UserError: a width that is not above 0, an impossible probability.
    """

    classifier_name = "classifier.1"
    stem_name = "features.0"
    feature_layer = "features"

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width <= 0:
            raise UserError(f"width is {width:g}; it must be above 0")
        self.in_one = None  # Or a faster way up to the classifier (models.kernels.in_one).
        channels = round_channels(32 * width)
        last_channels = round_channels(1280 * max(1.0, width))
        cells = [*conv_bn(in_channels, channels, 3, stride=2), nn.ReLU6()]
        for expand_ratio, base_channels, repeats, first_stride in INVERTED_RESIDUALS:
            out_channels = round_channels(base_channels * width)
            for i in range(repeats):
                stride = first_stride if i == 0 else 1
                cells.append(InvertedResidual(channels, out_channels, stride, expand_ratio))
                channels = out_channels
        cells += [*conv_bn(channels, last_channels, 1), nn.ReLU6()]
        self.features = nn.SequentialCell(*cells)
        self.classifier = nn.SequentialCell(
            new_dropout(dropout),
            nn.Dense(last_channels, num_classes, weight_init=Normal(0.01), bias_init="zeros"),
        )

    def construct(self, x: Tensor) -> Tensor:
        if self.in_one is not None:
            pooled = self.in_one(x)
            if pooled is not None:
                return self.classifier(pooled)
        return self.classifier(self.features(x).mean((2, 3)))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        return [*self.features, GlobalMean(), *self.classifier]


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, but not below 90 % of the number (as in the authors' code)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
