"""Focal loss: easy samples count less."""

from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops


class Focal(nn.Cell):
    """Mean over the batch of ``-alpha_y (1 - p_y)^gamma log p_y``, p the softmax of the logits.

    Args:
        num_classes: C.
        gamma: focusing parameter; 0 is cross-entropy weighted by alpha.
        alpha: C class weights; None: all 1.

    Source: Lin et al. 2017, Eq. 5, with softmax in place of the sigmoid (equal for two classes).
    """

    def __init__(
        self, num_classes: int, gamma: float = 2.0, alpha: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.gamma = gamma
        self.alpha = Tensor(np.ones(num_classes) if alpha is None else np.asarray(alpha), ms.float32)
        self.on, self.off = Tensor(1.0, ms.float32), Tensor(0.0, ms.float32)

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        onehot = ops.one_hot(labels, self.num_classes, self.on, self.off)
        log_p = (onehot * ops.log_softmax(logits, axis=1)).sum(axis=1)
        # 1 - p from the other classes' probabilities: exact where p is close to 1, and with a floor
        # that keeps the power's gradient finite at 0.
        miss = ((1.0 - onehot) * ops.softmax(logits, axis=1)).sum(axis=1)
        miss = ops.clamp(miss, 1e-12, 1.0)
        return -(self.alpha[labels] * miss**self.gamma * log_p).mean()


def create(
    counts: Sequence[int], gamma: float = 2.0, class_weights: Sequence[float] | None = None
) -> Focal:
    """The loss for these classes."""
    return Focal(len(counts), gamma, class_weights)
