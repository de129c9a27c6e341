"""The losses, one file each; every one is a Cell from (logits (N, C), labels (N,) int32) to a scalar."""

from collections.abc import Sequence

from mindspore_dpus.core.choices import check_options, load, unknown
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.losses.settings import LOSSES

__all__ = ["LOSSES", "create_loss"]


def create_loss(name: str, counts: Sequence[int], **options):
    """A loss by its name.

    Args:
        name: a row of ``LOSSES``.
        counts: (C,) training samples of each class.
        options: see the row.

    Returns:
        A Cell from logits (N, C) float32 and labels (N,) int32 to a scalar.

    Raises:
        UserError: an unknown name or option, a value out of range, or class weights of another number
            than the classes.

    Example:
        >>> from mindspore_dpus.losses import create_loss
        >>> loss = create_loss("focal", [90, 10], gamma=1.0)
        >>> loss.gamma
        1.0
    """
    if name not in LOSSES:
        raise unknown("loss.name", name, LOSSES)
    check_options("loss.options", name, options, LOSSES[name].options)
    weights = options.get("class_weights")
    if weights is not None and len(weights) != len(counts):
        raise UserError(
            f"loss.options.class_weights has {len(weights)} numbers for {len(counts)} classes"
        )
    return load(LOSSES[name].create)(counts, **options)
