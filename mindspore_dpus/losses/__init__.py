"""The losses, one file each; every one is a Cell from (logits (N, C), labels (N,) int32) to a scalar."""

from mindspore import nn

from mindspore_dpus.config import LossConfig
from mindspore_dpus.losses.cross_entropy import CrossEntropy


def create_loss(config: LossConfig, num_classes: int) -> nn.Cell:
    """The loss that the configuration names."""
    return {"cross_entropy": lambda: CrossEntropy(num_classes, config.label_smoothing)}[config.name]()
