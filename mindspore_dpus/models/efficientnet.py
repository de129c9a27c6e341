"""EfficientNet-B0 as MindSpore Cells (Tan and Le 2019, Table 1).

Parameters carry mindcv's names (``features.4.0.block.0.weight``, ``mlp_head.weight`` ...), so that its
published checkpoint loads as it is, and equal weights give equal outputs. mindcv's own Cell cannot be
exported to ONNX: it adds in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Normal, Uniform

from mindspore_dpus.models.layers import GlobalMean


@dataclass(frozen=True)
class Stage:
    """A row of the paper's Table 1.

    Args:
        expand_ratio: the hidden layers have so many times the input's channels.
        kernel_size: of the depthwise convolutions.
        stride: of the first block.
        channels: of the output.
        repeats: number of blocks.
    """

    expand_ratio: int
    kernel_size: int
    stride: int
    channels: int
    repeats: int


STEM_CHANNELS = 32
B0 = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
# The last convolution has so many times the channels of the last stage.
LAST = 4


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    group: int = 1,
    has_bias: bool = False,
) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1, and at stride 2 gives half of it, rounded up.

    At stride 2, what is padded depends on the size (even ones get more behind), as in the authors' code
    and in mindcv; torchvision's weights are trained with equal padding on both sides.
    """
    # At stride 1 both rules are one; the explicit one is what our loops know (models.kernels.depthwise).
    padding = {"pad_mode": "same"} if stride > 1 else {"pad_mode": "pad", "padding": kernel_size // 2}
    fan_out = out_channels * kernel_size**2 // group
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        group=group,
        has_bias=has_bias,
        weight_init=Normal((2 / fan_out) ** 0.5),
        bias_init="zeros",
        **padding,
    )


class SqueezeExcite(nn.Cell):
    """Weight every channel by what all of them have in the mean (Hu et al. 2018).

    Args:
        channels: of input and output.
        hidden: width between the two 1x1 convolutions.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv_reduce = convolution(channels, hidden, 1, has_bias=True)
        self.act = nn.SiLU()
        self.conv_expand = convolution(hidden, channels, 1, has_bias=True)
        self.gate = nn.Sigmoid()

    def construct(self, x: Tensor) -> Tensor:
        weights = x.mean((2, 3), keep_dims=True)
        return x * self.gate(self.conv_expand(self.act(self.conv_reduce(weights))))


class DropPath(nn.Cell):
    """Drop a whole sample's branch in training; those that stay grow by 1 / (1 - p).

    Args:
        p: probability that a sample's branch is dropped.

    Source: Huang et al. 2016, "Deep networks with stochastic depth".
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.dropout = nn.Dropout(p=p)

    def construct(self, x: Tensor) -> Tensor:
        if self.p == 0.0 or not self.training:
            return x
        return x * self.dropout(ops.ones((x.shape[0], 1, 1, 1), x.dtype))


class MBConv(nn.Cell):
    """Expand (1x1), filter (depthwise), weight the channels, project (1x1), and add the input where it
    has the same shape.

    Args:
        in_channels: channels of the input.
        stage: what it belongs to.
        stride: of the depthwise convolution.
        drop_path: probability that a sample takes the shortcut only.

    Source: Tan and Le 2019, section 4.
    """

    def __init__(self, in_channels: int, stage: Stage, stride: int, drop_path: float) -> None:
        super().__init__()
        hidden, channels = in_channels * stage.expand_ratio, stage.channels
        cells = []
        if hidden != in_channels:
            cells += [convolution(in_channels, hidden, 1), nn.BatchNorm2d(hidden), nn.SiLU()]
        cells += [
            convolution(hidden, hidden, stage.kernel_size, stride, group=hidden),
            nn.BatchNorm2d(hidden),
            nn.SiLU(),
            # A quarter of the block's input, not of the hidden layer.
            SqueezeExcite(hidden, max(1, in_channels // 4)),
            convolution(hidden, channels, 1),
            nn.BatchNorm2d(channels),
        ]
        self.block = nn.SequentialCell(cells)
        self.use_shortcut = stride == 1 and in_channels == channels
        self.drop_path = DropPath(drop_path)

    def construct(self, x: Tensor) -> Tensor:
        out = self.block(x)
        return self.drop_path(out) + x if self.use_shortcut else out


class EfficientNet(nn.Cell):
    """EfficientNet-B0 with a new fully connected layer.

    Args:
        embedding_size: width of the last layer: of an embedding, or the number of classes.
        in_channels: 1 for log-mels and grey images, 3 for colour.
        dropout: probability that a pooled feature is dropped in training.
        drop_path: probability that a sample takes the shortcut only; it grows evenly from 0 in the first
            block to what a block behind the last would have.
        stem_channels: of the first convolution.
        stages: rows of the paper's Table 1.

    Input (N, in_channels, H, W) float32; output (N, embedding_size) float32.

    Source: Tan and Le 2019, Table 1; dropout and drop-path of 0.2 are its section 5.2's.
    """

    classifier_name = "mlp_head"
    stem_name = "features.0"
    feature_layer = "features"

    def __init__(
        self,
        embedding_size: int = 128,
        in_channels: int = 1,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        stem_channels: int = STEM_CHANNELS,
        stages: Sequence[Stage] = B0,
    ) -> None:
        super().__init__()
        self.in_one = None  # Or a faster way up to the mean (models.kernels.in_one).
        self.embedding_size = embedding_size
        cells = [
            convolution(in_channels, stem_channels, 3, stride=2),
            nn.BatchNorm2d(stem_channels),
            nn.SiLU(),
        ]
        n_blocks = sum(stage.repeats for stage in stages)
        channels, place = stem_channels, 0
        for stage in stages:
            blocks = []
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                blocks.append(MBConv(channels, stage, stride, drop_path * place / n_blocks))
                channels, place = stage.channels, place + 1
            cells.append(nn.SequentialCell(blocks))
        last = LAST * channels
        cells += [convolution(channels, last, 1), nn.BatchNorm2d(last), nn.SiLU()]
        self.features = nn.SequentialCell(cells)
        self.pool = GlobalMean()
        self.dropout = nn.Dropout(p=dropout)
        self.mlp_head = nn.Dense(
            last, embedding_size, weight_init=Uniform(embedding_size**-0.5), bias_init="zeros"
        )

    def construct(self, x: Tensor) -> Tensor:
        if self.in_one is not None:
            pooled = self.in_one(x)
            if pooled is not None:
                return self.mlp_head(self.dropout(pooled))
        return self.mlp_head(self.dropout(self.pool(self.features(x))))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        return [*self.features, self.pool, self.dropout, self.mlp_head]
