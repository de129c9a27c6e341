"""The losses, one file each; every one is a Cell from (logits (N, C), labels (N,) int32) to a scalar."""

from collections.abc import Sequence

from mindspore import nn

from mindspore_dpus.config import LossConfig
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.losses.cross_entropy import CrossEntropy, inverse_frequency_weights
from mindspore_dpus.losses.focal import Focal
from mindspore_dpus.losses.seesaw import Seesaw


def create_loss(config: LossConfig, counts: Sequence[int]) -> nn.Cell:
    """The loss that the configuration names.

    Args:
        config: name and parameters.
        counts: (C,) training samples of each class: what weights follow unless they are given.

    Raises:
        UserError: the number of weights given is not that of the classes.
    """
    n = len(counts)
    weights = config.class_weights
    if weights is not None and len(weights) != n:
        raise UserError(f"loss.class_weights has {len(weights)} numbers for {n} classes")
    if config.name == "weighted_cross_entropy":
        weights = inverse_frequency_weights(counts) if weights is None else weights
        return CrossEntropy(n, config.label_smoothing, weights)
    if config.name == "focal":
        return Focal(n, config.focal_gamma, weights)
    if config.name == "seesaw":
        return Seesaw(n, config.seesaw_p, config.seesaw_q)
    return CrossEntropy(n, config.label_smoothing)
