"""The losses that a configuration can name, and what other rooms must know of each. No MindSpore here."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mindspore_dpus.core.choices import check_options
from mindspore_dpus.core.settings import Rule, above, at_least, below, key

HERE = "mindspore_dpus.losses"


@dataclass(frozen=True)
class LossRow:
    """A row of ``LOSSES``.

    Args:
        create: ``module:function`` from the class counts of a training set, and the options, to a Cell.
        options: the options that it has -> which numbers are allowed.
        gives_probabilities: whether the softmax of what it trains estimates probabilities.
        spoiled_by: options with which it does so no more, unless they are 0.
        balances_classes: whether all classes weigh alike in it, so that outputs carry equal priors.
        splits: whether the loss of a batch is the mean over equal parts of it, as devices that train
            together compute it.
    """

    create: str
    options: dict[str, Rule] = field(default_factory=dict)
    gives_probabilities: bool = True
    spoiled_by: tuple[str, ...] = ()
    balances_classes: bool = False
    splits: bool = True


LOSSES = {
    "cross_entropy": LossRow(
        f"{HERE}.cross_entropy:create",
        {"label_smoothing": below(1)},
        spoiled_by=("label_smoothing",),
    ),
    "weighted_cross_entropy": LossRow(
        f"{HERE}.weighted_cross_entropy:create",
        {"label_smoothing": below(1), "class_weights": above(0)},
        spoiled_by=("label_smoothing",),
        balances_classes=True,
        splits=False,
    ),
    "focal": LossRow(
        f"{HERE}.focal:create",
        {"gamma": at_least(0), "class_weights": above(0)},
        gives_probabilities=False,
    ),
    "seesaw": LossRow(
        f"{HERE}.seesaw:create",
        {"p": at_least(0), "q": at_least(0)},
        gives_probabilities=False,
        splits=False,
    ),
}


@dataclass(frozen=True)
class LossSettings:
    """What each member minimises."""

    name: Literal[tuple(LOSSES)] = "cross_entropy"
    """cross_entropy: the loss of the paper's method; the others are its cost-sensitive rivals."""
    options: dict[str, Any] = key(factory=dict)
    """Options of the loss. cross_entropy: label_smoothing, the share of every target that is spread over
    all classes; weighted_cross_entropy: label_smoothing, and class_weights, one for each class in
    alphabetical order (default: inverse class frequencies of the member's training set); focal: gamma,
    how much easy samples are played down (2.0), and class_weights (default: none); seesaw: p and q, the
    exponents of the mitigation (0.8) and of the compensation factor (2.0)."""


def check_loss(loss: LossSettings) -> None:
    """Refuse options that the loss does not have, and values out of range.

    Raises:
        UserError: names the option.
    """
    check_options("loss.options", loss.name, loss.options, LOSSES[loss.name].options)


def spoils_probabilities(loss: LossSettings) -> str | None:
    """What keeps the outputs of a network from being probabilities: a key of ``loss``; None: nothing."""
    row = LOSSES[loss.name]
    if not row.gives_probabilities:
        return f"loss.name {loss.name}"
    return next((f"loss.options.{name}" for name in row.spoiled_by if loss.options.get(name)), None)
