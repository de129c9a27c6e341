"""AlexNet for images of 32 to 64 pixels."""

from mindspore import nn

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.small import SmallNet, conv_norm, head, map_side

# Channels, kernel, padding, pooled afterwards: of Krizhevsky 2014, but for the first kernel.
LAYERS = (
    (64, 5, 2, True),
    (192, 5, 2, True),
    (384, 3, 1, False),
    (256, 3, 1, False),
    (256, 3, 1, True),
)


class SmallAlexNet(SmallNet):
    """AlexNet with batch norms and without its coarse beginning, ReLU throughout.

    AlexNet looks at 224 pixels through 11 x 11 kernels, 4 pixels apart. Of an image of 32 pixels, that
    would leave nothing. Here the first kernels are 5 x 5: 1 pixel apart in images up to 48 pixels, 2
    in larger ones. The poolings (3 x 3, 2 apart) and the widths of the convolutions are AlexNet's.

    Args:
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images.
        image_size: height and width of the images, 15 or more.
        convolutions: 5 (the paper's text, and AlexNet), or 4 (its Table 3): without the fifth, the
            fourth is pooled.
        hidden: width of each of the two hidden fully connected layers. AlexNet's 4096 are for 1000
            classes.
        dropout: probability, after each of them. AlexNet has 0.5; the paper's Table 3 says 0.

    Source: traffic-sign paper, section 3.1.3 and Table 3: max pooling, batch norm, no dropout, 2 + 1
    fully connected layers. Its Figure 8 is not in the text: channels, kernels and strides are ours. The
    text counts five convolutions, the table four.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 32,
        convolutions: int = 5,
        hidden: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        if convolutions not in (4, 5):
            raise UserError(f"convolutions is {convolutions}; it must be 4 or 5")
        features: list[nn.Cell] = []
        stride = 1 if image_size <= 48 else 2
        for i, (channels, kernel, padding, pooled) in enumerate(LAYERS[:convolutions]):
            features += conv_norm(in_channels, channels, kernel, padding, stride)
            if pooled or i == convolutions - 1:
                features.append(nn.MaxPool2d(3, 2))
            in_channels, stride = channels, 1
        inputs = in_channels * map_side(features, image_size, "AlexNet for small images") ** 2
        super().__init__(features, head(inputs, (hidden, hidden), num_classes, "relu", dropout))
