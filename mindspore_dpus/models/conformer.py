"""A Conformer encoder over the frames of log-mels (Gulati et al. 2020).

Positions are absolute sinusoids, added once in front of the blocks; the paper's attention has relative
ones. The frames are not subsampled. The sizes are those that the authors of the machine-sound system
have published (absolute positions too); their report gives none.
"""

from mindspore import Tensor, nn
from mindspore.common.initializer import Uniform

from mindspore_dpus.models.attention import (
    FeedForward,
    FrameEmbedding,
    MeanFrame,
    SelfAttention,
    Swap,
    dense,
    layer_norm,
)


class FrameConvolution(nn.Conv2d):
    """A depthwise convolution over the frames of every sequence, which stay as many.

    Args:
        frames: T.
        width: of a frame.
        kernel_size: frames that are seen, odd.

    Input (N * T, width), output (N, width, 1, T), both float32.
    """

    def __init__(self, frames: int, width: int, kernel_size: int) -> None:
        start = Uniform(kernel_size**-0.5)
        size = (1, kernel_size)
        super().__init__(width, width, size, pad_mode="valid", group=width, weight_init=start)
        self.fast = None  # Or a faster way (models.kernels.frame_convolution).
        self.frames = frames
        self.width = width
        self.swap = Swap()
        # Built-in padding is written wrongly by MindSpore's ONNX exporter.
        self.pad = nn.Pad(((0, 0), (0, 0), (0, 0), (kernel_size // 2, kernel_size // 2)))

    def construct(self, x: Tensor) -> Tensor:
        if self.fast is not None and self.fast.suits(x, self.weight):
            return self.fast(x, self.weight)
        maps = self.swap(x.reshape(-1, self.frames, self.width))
        return super().construct(self.pad(maps.reshape(-1, self.width, 1, self.frames)))


class ConvolutionModule(nn.Cell):
    """Mix neighbouring frames, every channel for itself, between two layers that mix channels.

    Args:
        frames: T.
        width: of a frame.
        kernel_size: frames that are seen, odd.
        dropout: probability that a number is dropped in training.

    Input and output (N * T, width) float32.

    Source: Gulati et al. 2020, Figure 2.
    """

    def __init__(self, frames: int, width: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {kernel_size} is even: frames would be out of place")
        self.frames = frames
        self.width = width
        self.norm = layer_norm(width)
        # The paper's first pointwise convolution and its gated linear unit, as two layers.
        self.pointwise1 = dense(width, width)
        self.gate = dense(width, width)
        self.sigmoid = nn.Sigmoid()
        self.depthwise = FrameConvolution(frames, width, kernel_size)
        self.batch_norm = nn.BatchNorm2d(width)
        self.activation = nn.SiLU()
        self.swap = Swap()
        self.pointwise2 = dense(width, width)
        self.dropout = nn.Dropout(p=dropout)

    def construct(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        x = self.pointwise1(x) * self.sigmoid(self.gate(x))
        maps = self.activation(self.batch_norm(self.depthwise(x)))
        rows = self.swap(maps.reshape(-1, self.width, self.frames)).reshape(-1, self.width)
        return self.dropout(self.pointwise2(rows))


class ConformerBlock(nn.Cell):
    """Half a feed-forward layer, self-attention, convolution, the other half, a layer norm.

    Args:
        frames, width, n_heads, hidden, kernel_size, dropout: as in ``Conformer``.

    Input and output (N * frames, width) float32.

    Source: Gulati et al. 2020, Eq. 1.
    """

    def __init__(
        self, frames: int, width: int, n_heads: int, hidden: int, kernel_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm1 = layer_norm(width)
        self.feed_forward1 = FeedForward(width, hidden, nn.SiLU(), dropout)
        self.norm2 = layer_norm(width)
        self.attention = SelfAttention(frames, width, n_heads, dropout)
        self.convolution = ConvolutionModule(frames, width, kernel_size, dropout)
        self.norm3 = layer_norm(width)
        self.feed_forward2 = FeedForward(width, hidden, nn.SiLU(), dropout)
        self.norm4 = layer_norm(width)
        self.dropout = nn.Dropout(p=dropout)

    def construct(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.dropout(self.feed_forward1(self.norm1(x)))
        x = x + self.dropout(self.attention(self.norm2(x)))
        x = x + self.convolution(x)
        x = x + 0.5 * self.dropout(self.feed_forward2(self.norm3(x)))
        return self.norm4(x)


class Conformer(nn.Cell):
    """Log-mels -> an embedding: projection, sinusoidal positions, blocks, mean over the frames.

    Args:
        embedding_size: width of the output.
        mel_bands: height of the input.
        frames: width of the input.
        width: of a frame between the blocks; even, and a multiple of ``n_heads``.
        n_blocks: number of blocks.
        n_heads: of the self-attention.
        hidden: width inside the feed-forward layers.
        kernel_size: of the depthwise convolutions over the frames, odd.
        dropout: probability, in training, behind every module and inside feed-forward and attention.

    Input (N, 1, mel_bands, frames) float32; output (N, embedding_size) float32.
    """

    classifier_name = "embedding"

    def __init__(
        self,
        embedding_size: int = 128,
        mel_bands: int = 224,
        frames: int = 126,
        width: int = 224,
        n_blocks: int = 4,
        n_heads: int = 4,
        hidden: int = 64,
        kernel_size: int = 31,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.frames_in = FrameEmbedding(mel_bands, frames, width, dropout)
        blocks = [
            ConformerBlock(frames, width, n_heads, hidden, kernel_size, dropout) for _ in range(n_blocks)
        ]
        self.blocks = nn.SequentialCell(blocks)
        self.mean = MeanFrame(frames, width)
        self.embedding = dense(width, embedding_size)

    def construct(self, x: Tensor) -> Tensor:
        return self.embedding(self.mean(self.blocks(self.frames_in(x))))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        return [self.frames_in, *self.blocks, self.mean, self.embedding]
