"""Seesaw loss: re-balances the gradients of large and small classes as training goes."""

from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops


class Seesaw(nn.Cell):
    """Cross-entropy in which class j's share of the denominator is scaled for a sample of class i.

    ``-log(e^z_i / (e^z_i + sum_{j != i} S_ij e^z_j))``, ``S_ij = M_ij C_ij``: the mitigation factor
    ``M_ij = min(1, N_j / N_i)^p`` spares small classes, the compensation factor
    ``C_ij = max(1, s_j / s_i)^q`` punishes a false winner (s the softmax, without gradient).

    Args:
        num_classes: C.
        p: exponent of the mitigation factor.
        q: exponent of the compensation factor.

    State:
        ``counts``: (C,) samples of each class seen so far, the present batch included. A class that has
        not been seen counts as 1.

    Source: Wang et al. 2021, Eq. 5 to 8. The counts follow the batches, and so the imbalance, by whose
    ratio the castings paper (section 4.2) adjusts the factors.
    """

    def __init__(self, num_classes: int, p: float = 0.8, q: float = 2.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.p = p
        self.q = q
        self.counts = Parameter(
            Tensor(np.zeros(num_classes), ms.float32), name="counts", requires_grad=False
        )
        self.on, self.off = Tensor(1.0, ms.float32), Tensor(0.0, ms.float32)

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        onehot = ops.one_hot(labels, self.num_classes, self.on, self.off)
        seen = ops.stop_gradient(ops.assign_add(self.counts, onehot.sum(axis=0)))
        log_n = ops.log(ops.clamp(seen, 1.0, 3.4e38))
        log_s = ops.stop_gradient(ops.log_softmax(logits, axis=1))
        own_n = (onehot * log_n).sum(axis=1, keepdims=True)
        own_s = (onehot * log_s).sum(axis=1, keepdims=True)
        mitigation = self.p * ops.minimum(log_n - own_n, self.off)
        compensation = self.q * ops.maximum(log_s - own_s, self.off)
        # Both vanish for the sample's own class.
        scaled = ops.log_softmax(logits + mitigation + compensation, axis=1)
        return -(onehot * scaled).sum(axis=1).mean()


def create(counts: Sequence[int], p: float = 0.8, q: float = 2.0) -> Seesaw:
    """The loss for these classes."""
    return Seesaw(len(counts), p, q)
