"""The loss of a proposal network."""

from mindspore import Tensor, nn, ops


class RPNLoss(nn.Cell):
    """Sigmoid cross-entropy of the sampled anchors, and smooth L1 of the positives among them.

    Both are divided by the number of sampled anchors in the batch, as in tensorpack and Detectron2
    (``MODEL.RPN.BATCH_SIZE_PER_IMAGE`` times the images).

    Args:
        box_weight: factor of the second (Detectron2: ``MODEL.RPN.BBOX_REG_LOSS_WEIGHT``).
        beta: where smooth L1 turns from a parabola to a line; 1/9 is Faster R-CNN's and tensorpack's.
            0 is L1 (Detectron2: ``MODEL.RPN.SMOOTH_L1_BETA``).

    Raises:
        ValueError: beta or the weight is below 0.

    Source: Ren et al. 2015 (Faster R-CNN), Eq. 1; Girshick 2015 (Fast R-CNN), Eq. 3.
    """

    def __init__(self, box_weight: float = 1.0, beta: float = 1.0 / 9.0) -> None:
        super().__init__()
        if beta < 0 or box_weight < 0:
            raise ValueError(f"beta {beta:g} and box_weight {box_weight:g} must not be below 0")
        self.box_weight = box_weight
        self.beta = beta

    def construct(
        self, scores: Tensor, deltas: Tensor, labels: Tensor, sampled: Tensor, targets: Tensor
    ) -> Tensor:
        """Loss of a batch.

        Args:
            scores: (N, A, H, W) logits of "this anchor is a sign".
            deltas: (N, 4 A, H, W) coded boxes, t_x, t_y, t_w, t_h of the first anchor first.
            labels: (N, A, H, W) float32, 1 for positive anchors, else 0.
            sampled: (N, A, H, W) float32, 1 where an anchor counts, else 0.
            targets: (N, 4 A, H, W) coded true boxes of the positives.

        Returns:
            () float32.
        """
        number = ops.clamp(sampled.sum(), 1.0, None)
        # log(1 + exp(s)) - y s, in a form that no logit overflows.
        entropy = ops.relu(scores) - scores * labels + ops.log(1.0 + ops.exp(-ops.abs(scores)))
        n, a, h, w = scores.shape
        difference = ops.abs(deltas - targets).reshape(n, a, 4, h, w)
        if self.beta > 0:
            near = ops.clamp(difference, None, self.beta)
            # d^2 / 2 beta below beta, d - beta / 2 above: with near = min(d, beta), both are this.
            difference = near * near * (0.5 / self.beta) + (difference - near)
        positive = (labels * sampled).reshape(n, a, 1, h, w)
        boxes = (difference * positive).sum()
        return ((entropy * sampled).sum() + self.box_weight * boxes) / number
