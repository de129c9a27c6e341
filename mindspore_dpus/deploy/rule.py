"""By which rule a scorer calls an image: its own, or one that the command line names."""

import hashlib

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.deploy.scoring import Scorer


def go_by(scorer: Scorer, decision: Decision | None, tiles: Tiles | None) -> None:
    """Let a scorer go by another decision than its own, or cut frames otherwise.

    Args:
        scorer: is changed.
        decision: with its threshold, and the tiles that it was made on; None: the scorer's own.
        tiles: None: those of the decision.

    Raises:
        UserError: more than two classes, or a decision about another one.
    """
    if decision is None and tiles is None:
        return
    if scorer.positive is None:
        raise UserError(
            f"tiles and thresholds are for two classes; there are {len(scorer.classes)} "
            f"({', '.join(scorer.classes)})"
        )
    positive = scorer.classes[scorer.positive]
    if decision is not None:
        if None not in (decision.members, scorer.members) and decision.members != scorer.members:
            raise UserError(
                "the decision was made for the members of another run: choose one on this run with "
                "the command evaluate --decide"
            )
        if decision.positive != positive:
            raise UserError(
                f"the decision is about {decision.positive!r}, the networks about {positive!r}"
            )
        scorer.decision, scorer.threshold, scorer.tiles = decision, decision.threshold, decision.tiles
    scorer.tiles = tiles or scorer.tiles


def rule_lines(scorer: Scorer) -> list[str]:
    """A line where the threshold was chosen on other scores than those that it now meets, else none."""
    own = None if scorer.decision is None else scorer.decision.tiles
    if scorer.tiles == own:
        return []
    return [
        f"note: the threshold {scorer.threshold:.4g} was chosen on {own or 'whole images'}, and what is "
        f"scored now is {scorer.tiles or 'whole images'}: choose one on labelled frames with "
        "the command evaluate --decide"
    ]


def rule_mark(scorer: Scorer) -> str:
    """Changes with everything that changes a row: model, threshold, decision, tiles."""
    makes = (scorer.identity, scorer.threshold, scorer.decision, scorer.tiles)
    return hashlib.sha256(repr(makes).encode()).hexdigest()[:8]
