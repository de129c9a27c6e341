"""The configuration's section on the decision, and which of its keys go with which rule."""

from dataclasses import dataclass
from typing import Literal

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import INNER_SHARE, above, between, key

# Rule -> the keys that it goes by. Others have no effect with it.
RULES = {
    "recall": ("recall",),
    "assured_recall": ("recall",),
    "f1": (),
    "cost": ("cost_miss", "cost_false_call"),
    "fixed": ("threshold",),
}


@dataclass(frozen=True)
class DecisionSettings:
    """The score from which a sample counts as positive, and what a score means (two classes)."""

    rule: Literal[tuple(RULES)] = "recall"
    """recall: the fewest false calls at decision.recall on validation; assured_recall: the same where
    even the lower limit of the recall, at evaluation.confidence, reaches decision.recall; f1: the best
    F1; cost: the lowest expected cost; fixed: decision.threshold."""
    recall: float = key(0.95, INNER_SHARE)
    """Share of the defects that must be found (rules recall, assured_recall)."""
    cost_miss: float | None = key(None, above(0))
    """What a missed defect costs, in any unit (rule cost)."""
    cost_false_call: float | None = key(None, above(0))
    """What a false call costs, in the same unit (rule cost)."""
    threshold: float | None = key(None, between(0, 1))
    """Score from which a sample is positive (rule fixed)."""
    calibration: Literal["none", "temperature", "isotonic"] = "none"
    """How scores become probabilities, fitted on validation. none: scores as they are; temperature: how
    sure they are is scaled; isotonic: any rising function, for some 200 samples or more."""
    defect_rate: float | None = key(None, INNER_SHARE)
    """Share of defects on the production line, if you know it: probabilities, precision, F1 and costs
    are then computed for that share. Default: the share in the data."""
    size_columns: tuple[str, ...] | None = None
    """Columns of the manifest with a flaw's size, for the probability of detection; of several, such as
    [box_w,box_h], the largest counts. Default: flaw_size where the manifest has it."""


def check_rule(decision: DecisionSettings) -> None:
    """Refuse a rule that lacks what it goes by, and keys that it does not look at.

    Raises:
        UserError: names the key.
    """
    usual = DecisionSettings()
    for name in dict.fromkeys(name for names in RULES.values() for name in names):
        value = getattr(decision, name)
        if name in RULES[decision.rule]:
            if value is None:
                raise UserError(f"configuration: decision.rule {decision.rule} needs decision.{name}")
        elif value != getattr(usual, name):
            rules = " or ".join(rule for rule, names in RULES.items() if name in names)
            raise UserError(
                f"configuration: decision.{name} has no effect with decision.rule {decision.rule}; "
                f"leave it out, or set decision.rule to {rules}"
            )
    if decision.size_columns == ():
        raise UserError("configuration: decision.size_columns is []; it must name at least one, or null")
