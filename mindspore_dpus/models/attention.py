"""What Transformer and Conformer share: frames with positions, self-attention, feed-forward layers.

Between these Cells, a batch of N sequences of T frames is one matrix of N * T rows: MindSpore is at its
best there, and reshaping to ``(-1, T, ...)`` leaves N open in an exported graph.
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import XavierUniform


def dense(inputs: int, outputs: int, has_bias: bool = True) -> nn.Dense:
    """A fully connected layer, Xavier-initialised, its bias zero."""
    return nn.Dense(inputs, outputs, has_bias=has_bias, weight_init=XavierUniform(), bias_init="zeros")


def layer_norm(width: int) -> nn.LayerNorm:
    """A layer norm over the last axis (Ba et al. 2016)."""
    return nn.LayerNorm((width,), epsilon=1e-5)


def sinusoids(length: int, width: int) -> np.ndarray:
    """Positions as sines and cosines, whose wavelengths go from 2 pi to 10000 * 2 pi.

    Args:
        length: number of positions.
        width: numbers of each; even.

    Returns:
        (length, width) float32; sines at even, cosines at odd places.

    Source: Vaswani et al. 2017, section 3.5.
    """
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    table = np.empty((length, width))
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)
    return table.astype(np.float32)


class Swap(nn.Cell):
    """(N, A, B, ...) -> (N, B, A, ...), of three or four axes."""

    def __init__(self) -> None:
        super().__init__()
        self.fast = None  # Or a faster way (models.kernels.frame_convolution).

    def construct(self, x: Tensor) -> Tensor:
        if self.fast is not None and self.fast.suits(x):
            return self.fast(x)
        return x.transpose(0, 2, 1) if x.ndim == 3 else x.transpose(0, 2, 1, 3)


class FrameEmbedding(nn.Cell):
    """The columns of log-mels -> frames of a width, each with its position.

    Args:
        mel_bands: height of the input.
        frames: T, width of the input.
        width: of a frame afterwards.
        dropout: probability that a number is dropped in training.

    Input (N, 1, mel_bands, T) float32; output (N * T, width) float32.
    """

    def __init__(self, mel_bands: int, frames: int, width: int, dropout: float) -> None:
        super().__init__()
        self.mel_bands = mel_bands
        self.frames = frames
        self.width = width
        self.swap = Swap()
        self.projection = dense(mel_bands, width)
        self.positions = Tensor(sinusoids(frames, width)[None])
        self.dropout = nn.Dropout(p=dropout)

    def construct(self, x: Tensor) -> Tensor:
        columns = self.swap(x.reshape(-1, self.mel_bands, self.frames))
        rows = self.projection(columns.reshape(-1, self.mel_bands))
        rows = rows.reshape(-1, self.frames, self.width) + self.positions
        return self.dropout(rows.reshape(-1, self.width))


class SelfAttention(nn.Cell):
    """Every frame looks at all frames of its sequence, in several ways at once.

    Args:
        frames: T.
        width: of a frame.
        n_heads: number of ways; they share the width.
        dropout: probability that a frame is not looked at, in training.

    Input and output (N * T, width) float32.

    Source: Vaswani et al. 2017, section 3.2.
    """

    def __init__(self, frames: int, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        if width % n_heads:
            raise ValueError(f"width {width} is not a multiple of {n_heads} heads")
        self.frames = frames
        self.width = width
        self.n_heads = n_heads
        self.head_width = width // n_heads
        self.scale = self.head_width**-0.5
        self.query, self.key, self.value = (dense(width, width) for _ in range(3))
        self.products = ops.BatchMatMul(transpose_b=True)
        self.mixture = ops.BatchMatMul()
        self.softmax = nn.Softmax(axis=-1)
        self.dropout = nn.Dropout(p=dropout)
        self.output = dense(width, width)
        self.swap = Swap()

    def heads(self, rows: Tensor) -> Tensor:
        """(N * T, width) -> (N, heads, T, width / heads)."""
        return self.swap(rows.reshape(-1, self.frames, self.n_heads, self.head_width))

    def construct(self, x: Tensor) -> Tensor:
        query, key = self.heads(self.query(x) * self.scale), self.heads(self.key(x))
        weights = self.dropout(self.softmax(self.products(query, key)))
        seen = self.mixture(weights, self.heads(self.value(x)))
        return self.output(self.swap(seen).reshape(-1, self.width))


class FeedForward(nn.Cell):
    """Two fully connected layers, on every frame alone.

    Args:
        width: of a frame.
        hidden: width between the two.
        activation: between the two.
        dropout: probability that a hidden number is dropped in training.

    Input and output (N * T, width) float32.

    Source: Vaswani et al. 2017, Eq. 2.
    """

    def __init__(self, width: int, hidden: int, activation: nn.Cell, dropout: float) -> None:
        super().__init__()
        self.dense1 = dense(width, hidden)
        self.activation = activation
        self.dropout = nn.Dropout(p=dropout)
        self.dense2 = dense(hidden, width)

    def construct(self, x: Tensor) -> Tensor:
        return self.dense2(self.dropout(self.activation(self.dense1(x))))


class MeanFrame(nn.Cell):
    """(N * T, width) -> (N, width): the mean over every sequence.

    Args:
        frames: T.
        width: of a frame.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.shape = (-1, frames, width)

    def construct(self, x: Tensor) -> Tensor:
        return x.reshape(self.shape).mean(1)
