"""Cross-entropy: plain, with class weights, with smoothed labels."""

from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops


class CrossEntropy(nn.Cell):
    """``-sum_c w_c t_c log softmax(logits)_c``: its sum over the batch by that of the labels' weights.

    So says the convention (torch, MindSpore), and so weights count within a batch only: one that holds a
    single class has the loss without weights. With 27 defects among 2430 normals that is five batches of
    16 in six.

    Args:
        num_classes: C.
        label_smoothing: s; the target is ``(1 - s) onehot + s / C`` (Szegedy et al. 2016, section 7).
        class_weights: C weights w. None: all 1.
    """

    def __init__(
        self,
        num_classes: int,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.on = Tensor(1.0 - label_smoothing + label_smoothing / num_classes, ms.float32)
        self.off = Tensor(label_smoothing / num_classes, ms.float32)
        weights = np.ones(num_classes) if class_weights is None else np.asarray(class_weights)
        self.class_weights = Tensor(weights, ms.float32)

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        targets = ops.one_hot(labels, self.num_classes, self.on, self.off)
        losses = -(targets * self.class_weights * ops.log_softmax(logits, axis=1)).sum(axis=1)
        return losses.sum() / self.class_weights[labels].sum()


def create(counts: Sequence[int], label_smoothing: float = 0.0) -> CrossEntropy:
    """The plain loss for these classes."""
    return CrossEntropy(len(counts), label_smoothing)
