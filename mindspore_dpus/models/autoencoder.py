"""The autoencoder of the official baseline of DCASE 2022 Challenge Task 2 (Dohi et al. 2022)."""

from mindspore import Tensor, nn
from mindspore.common.initializer import XavierUniform

# 5 frames of 128 log-mels (windows of 1024 samples at 16 kHz, hop 512), one behind the other.
INPUTS = 5 * 128
HIDDEN = (128, 128, 128, 128, 8, 128, 128, 128, 128)
# Those of Keras, in which the baseline is written.
EPSILON = 1e-3
MOMENTUM = 0.99


class RowNorm(nn.Cell):
    """Batch norm of (N, width). An exported ``nn.BatchNorm1d`` knows one batch size only.

    Args:
        width: of a row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.norm = nn.BatchNorm2d(width, eps=EPSILON, momentum=MOMENTUM)

    def construct(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(-1, self.width, 1, 1)).reshape(-1, self.width)


class DenseAutoencoder(nn.Cell):
    """Fully connected layers with a batch norm and ReLU behind each but the last.

    It is trained on a machine's normals, all sections and domains together, to make the mean squared
    error between output and input small. The anomaly score of a clip is that error's mean over all
    numbers of all its inputs, which begin at every frame (``reconstruction_errors`` gives it by input).

    Args:
        inputs: width of input and output.
        hidden: widths of the hidden layers.

    Input and output (N, inputs) float32: log-mels in decibels, as they are.

    Source: Dohi et al. 2022 (arXiv:2206.05876), section on baselines: 640-128x4-8-128x4-640; epsilon and
        momentum of the batch norms are the defaults of Keras.
    """

    def __init__(self, inputs: int = INPUTS, hidden: tuple[int, ...] = HIDDEN) -> None:
        super().__init__()
        cells: list[nn.Cell] = []
        width = inputs
        for following in hidden:
            cells += [_dense(width, following), RowNorm(following), nn.ReLU()]
            width = following
        self.layers = nn.SequentialCell(*cells, _dense(width, inputs))

    def construct(self, x: Tensor) -> Tensor:
        return self.layers(x)


def reconstruction_errors(outputs: Tensor, inputs: Tensor) -> Tensor:
    """The mean squared error of every input; their mean is the loss, and a clip's anomaly score.

    Args:
        outputs, inputs: (N, inputs) float32.

    Returns:
        (N,) float32.
    """
    difference = outputs - inputs
    return (difference * difference).mean(1)


def _dense(inputs: int, outputs: int) -> nn.Dense:
    return nn.Dense(inputs, outputs, weight_init=XavierUniform(), bias_init="zeros")
