"""A Transformer encoder over the frames of log-mels (Vaswani et al. 2017).

The layer norms stand before the sublayers, not behind them as in the paper's Figure 1: so it trains
without a warm-up (Xiong et al. 2020). The sizes are those that the authors of the machine-sound system
have published; their report gives none.
"""

from mindspore import Tensor, nn

from mindspore_dpus.models.attention import (
    FeedForward,
    FrameEmbedding,
    MeanFrame,
    SelfAttention,
    dense,
    layer_norm,
)


class TransformerBlock(nn.Cell):
    """Self-attention and a feed-forward layer, each behind a layer norm and beside a shortcut.

    Args:
        frames, width, n_heads, hidden, dropout: as in ``Transformer``.

    Input and output (N * frames, width) float32.

    Source: Xiong et al. 2020, Figure 1b.
    """

    def __init__(self, frames: int, width: int, n_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attention = SelfAttention(frames, width, n_heads, dropout)
        self.norm2 = layer_norm(width)
        self.feed_forward = FeedForward(width, hidden, nn.ReLU(), dropout)
        self.dropout = nn.Dropout(p=dropout)

    def construct(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.feed_forward(self.norm2(x)))


class Transformer(nn.Cell):
    """Log-mels -> an embedding: projection, sinusoidal positions, blocks, mean over the frames.

    Args:
        embedding_size: width of the output.
        mel_bands: height of the input.
        frames: width of the input.
        width: of a frame between the blocks; even, and a multiple of ``n_heads``.
        n_blocks: number of blocks.
        n_heads: of the self-attention.
        hidden: width inside the feed-forward layers.
        dropout: probability, in training: behind the positions, on attention weights, inside the
            feed-forward layers and on what the sublayers give (Vaswani et al. 2017, section 5.4).

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
        hidden: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.frames_in = FrameEmbedding(mel_bands, frames, width, dropout)
        blocks = [TransformerBlock(frames, width, n_heads, hidden, dropout) for _ in range(n_blocks)]
        self.blocks = nn.SequentialCell(blocks)
        self.norm = layer_norm(width)
        self.mean = MeanFrame(frames, width)
        self.embedding = dense(width, embedding_size)

    def construct(self, x: Tensor) -> Tensor:
        return self.embedding(self.mean(self.norm(self.blocks(self.frames_in(x)))))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        return [self.frames_in, *self.blocks, self.norm, self.mean, self.embedding]
