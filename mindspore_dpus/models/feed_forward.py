"""Feed-forward networks on the pixels themselves (traffic-sign paper, section 2)."""

from collections.abc import Sequence

from mindspore import Tensor, nn

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.small import head


class FeedForward(nn.Cell):
    """Fully connected layers on all pixels of an image.

    Args:
        num_classes: C, width of the last layer, which comes after ``layers``.
        in_channels: 3 for colour, 1 for grey images.
        image_size: height and width of the images.
        layers: widths of the hidden layers; the default is that of the paper's section 2.5.1 (section
            2.5.2 has 1024, 768, 512 for CIFAR-100).
        activation: after each hidden layer: ``relu``, ``elu``, ``leaky_relu`` or ``tanh``.
        dropout: probability that a number is dropped after each hidden layer in training.

    Input (N, in_channels, image_size, image_size) float32, normalised; output logits (N, C) float32.

    Raises:
        UserError: no hidden layer, or a value that is none.
    """

    stem_name = "features.0"
    feature_layer = "features"
    classifier_name = "classifier"

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 32,
        layers: Sequence[int] = (300, 150),
        activation: str = "relu",
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if not layers:
            raise UserError("layers is empty; name the width of one hidden layer or more")
        *hidden, last = head(in_channels * image_size**2, layers, num_classes, activation, dropout)
        self.flatten = nn.Flatten()
        self.features = nn.SequentialCell(*hidden)
        self.classifier = last

    def construct(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(self.flatten(x)))

    def sequence(self) -> list[nn.Cell]:
        """The Cells that ``construct`` applies one after the other."""
        return [self.flatten, *self.features, self.classifier]
