"""The network that the traffic-sign paper made for CIFAR-100 (section 3.2, Figure 10)."""

from mindspore import nn

from mindspore_dpus.models.small import SmallNet, conv, head, map_side, new_activation, new_dropout

# Channels and padding of the two convolutions before each pooling.
BLOCKS = (((128, 1), (128, 1)), ((256, 1), (256, 0)), ((512, 1), (512, 1)))
HIDDEN = (1024, 1024)


class CifarCnn(SmallNet):
    """Three times two 3 x 3 convolutions and a max pooling, then three fully connected layers; eLU.

    Sizes, for images of 32 pixels: 128 @ 32, 32, pooled 15; 256 @ 15, 13, pooled 6; 512 @ 6, 6, pooled
    2; then 2048 numbers, 1024, 1024, C. They are the paper's, and they leave no choice: 32 becomes 15 by
    pooling 3 x 3, 2 apart (2 x 2 would give 16), as do 13 -> 6 and 6 -> 2 (2 x 2 would give 3); and 15
    becomes 13 by a convolution without padding, the only one.

    Where the paper contradicts itself: it writes the second pooling as 512 @ 6 x 6, but pooling makes no
    new channels, and 256 come in; Table 4 counts 2 fully connected layers, the text 3 (with the last);
    the text has a learning rate of 0.01 and 50.08 %, Table 4 a rate of 0.001 and 50.85 % at the same
    loss of 1.885. Another reading, 2 x 2 pooling and no padding in every second convolution (30, 15, 13,
    6, 4, 2), has the paper's pooled sizes, but not its 32 and 6 before them.

    Args:
        num_classes: C, width of the last layer.
        in_channels: 3 for colour, 1 for grey images.
        image_size: height and width of the images, 19 or more; the paper's are 32.
        activation: after each layer but the last.
        dropout_maps: probability, after each pooling.
        dropout_dense: probability, after each hidden fully connected layer.

    Source: traffic-sign paper, section 3.2. Table 4 has "Variable(0.1/0.5)" for the dropout and does not
    say where; we take the small one for maps and the large one for the fully connected layers.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 32,
        activation: str = "elu",
        dropout_maps: float = 0.1,
        dropout_dense: float = 0.5,
    ) -> None:
        features: list[nn.Cell] = []
        for block in BLOCKS:
            for channels, padding in block:
                features += [conv(in_channels, channels, 3, padding), new_activation(activation)]
                in_channels = channels
            features += [nn.MaxPool2d(3, 2), new_dropout(dropout_maps)]
        inputs = in_channels * map_side(features, image_size, "the CIFAR network") ** 2
        super().__init__(features, head(inputs, HIDDEN, num_classes, activation, dropout_dense))
