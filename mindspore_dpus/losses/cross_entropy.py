"""Cross-entropy, optionally with smoothed labels."""

import mindspore as ms
from mindspore import Tensor, nn, ops


class CrossEntropy(nn.Cell):
    """Mean over the batch of ``-sum_c t_c log softmax(logits)_c``.

    Args:
        num_classes: C.
        label_smoothing: s; the target is ``(1 - s) onehot + s / C`` (Szegedy et al. 2016, section 7).
    """

    def __init__(self, num_classes: int, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.on = Tensor(1.0 - label_smoothing + label_smoothing / num_classes, ms.float32)
        self.off = Tensor(label_smoothing / num_classes, ms.float32)
        self.num_classes = num_classes

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        targets = ops.one_hot(labels, self.num_classes, self.on, self.off)
        return -(targets * ops.log_softmax(logits, axis=1)).sum(axis=1).mean()
