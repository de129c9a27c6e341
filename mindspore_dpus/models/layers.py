"""What our networks are made of."""

from mindspore import Tensor, nn
from mindspore.common.initializer import HeNormal


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, group: int = 1
) -> nn.Conv2d:
    """A convolution without bias, padded to keep the size at stride 1, He-initialised (fan out)."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        pad_mode="pad",
        padding=kernel_size // 2,
        group=group,
        has_bias=False,
        weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
    )


class GlobalMean(nn.Cell):
    """(N, C, H, W) -> (N, C): the mean of every map."""

    def construct(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))
