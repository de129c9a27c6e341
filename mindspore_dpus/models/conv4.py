"""The network of four convolutions in Table 3 of the traffic-sign paper."""

from mindspore import nn

from mindspore_dpus.models.small import SmallNet, conv_norm, head, map_side

# M halves height and width.
CHANNELS = (32, 32, "M", 64, 64, "M")


class Conv4(SmallNet):
    """Four 3 x 3 convolutions with batch norms, 2 + 1 fully connected layers with dropout, ReLU.

    Args:
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images.
        image_size: height and width of the images, 4 or more.
        hidden: width of each of the two hidden fully connected layers.
        dropout: probability, after each of them.

    Source: traffic-sign paper, Table 3, model_1: 4 convolutions, 2 + 1 layers, max pooling, batch norm,
    dropout 0.5. It gives no widths, kernels or places of the poolings: those are ours.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 32,
        hidden: int = 256,
        dropout: float = 0.5,
    ) -> None:
        features: list[nn.Cell] = []
        for width in CHANNELS:
            if width == "M":
                features.append(nn.MaxPool2d(2, 2))
                continue
            features += conv_norm(in_channels, width, 3, padding=1)
            in_channels = width
        inputs = in_channels * map_side(features, image_size, "conv4") ** 2
        super().__init__(features, head(inputs, (hidden, hidden), num_classes, "relu", dropout))
