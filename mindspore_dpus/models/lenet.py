"""LeNet-5 as it is written today."""

from mindspore import nn

from mindspore_dpus.models.small import SmallNet, conv, head, map_side, new_activation


class LeNet5(SmallNet):
    """LeNet-5 with average pooling: 2 convolutions, 2 + 1 fully connected layers.

    Of LeCun et al. 1998 (section II.B, Figure 2) it has the widths, the 5 x 5 kernels, the averages and,
    by default, the tanh. As everybody writes it today, a pooling is a plain mean (theirs has two weights
    for each map, and a squashing function behind it), the second convolution sees all maps of the first
    (theirs a chosen part, Table I), and the last layer gives logits (theirs distances to drawn letters).

    Args:
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images.
        image_size: height and width of the images, 16 or more; the original has 32.
        activation: behind each layer but the last: ``tanh``, ``relu``, ``elu`` or ``leaky_relu``.

    Source: traffic-sign paper, section 3.1.1 and Table 3: 2 convolutions, 2 + 1 layers, average pooling,
    no batch norm, no dropout. Its Figure 5 is not in the text, and which activation it has is not said.
    """

    def __init__(
        self, num_classes: int, in_channels: int = 3, image_size: int = 32, activation: str = "tanh"
    ) -> None:
        features = [
            conv(in_channels, 6, 5, padding=0),
            new_activation(activation),
            nn.AvgPool2d(2, 2),
            conv(6, 16, 5, padding=0),
            new_activation(activation),
            nn.AvgPool2d(2, 2),
        ]
        inputs = 16 * map_side(features, image_size, "LeNet-5") ** 2
        super().__init__(features, head(inputs, (120, 84), num_classes, activation, 0.0))
