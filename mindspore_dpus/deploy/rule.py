"""By which rule a scorer calls an image: its own, or one that the command line names."""

import argparse
import hashlib
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.tiles import POOLS, Tiles
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.deploy.scoring import Scorer


def add_decision_option(parser: argparse.ArgumentParser) -> None:
    """``--decision``."""
    parser.add_argument(
        "--decision",
        type=Path,
        metavar="FILE",
        help="decision.json of an evaluation; default: the run's own",
    )


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """``--decision`` and ``--tile_...``."""
    add_decision_option(parser)
    parser.add_argument(
        "--tile_size",
        type=int,
        metavar="PIXELS",
        help="cut each image into tiles of so many pixels and pool their scores; default: as the "
        "decision was made, else each image as a whole",
    )
    parser.add_argument(
        "--tile_overlap", type=float, help=f"share of a tile covered twice; default: {Tiles.overlap}"
    )
    parser.add_argument("--tile_pool", choices=POOLS, help=f"default: {Tiles.pool}")
    parser.add_argument("--tile_top_k", type=int, help=f"tiles averaged; default: {Tiles.top_k}")


def read_tiles(args: argparse.Namespace) -> Tiles | None:
    """The tiles that the command line asks for.

    Raises:
        UserError: a value out of range, or one that has no effect.
    """
    given = {n: getattr(args, f"tile_{n}") for n in ("size", "overlap", "pool", "top_k")}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    if "size" not in given:
        raise UserError(f"--tile_{min(given)} has no effect without --tile_size")
    if "top_k" in given and given.get("pool") != "top_k":
        raise UserError("--tile_top_k has no effect without --tile_pool top_k")
    try:
        return Tiles(**given)
    except ValueError as error:
        raise UserError(str(error)) from None


def read_rule(args: argparse.Namespace) -> tuple[Decision | None, Tiles | None]:
    """The decision and the tiles that the command line names.

    Raises:
        UserError: see ``read_tiles`` and ``Decision.load``.
    """
    return read_decision(args), read_tiles(args)


def read_decision(args: argparse.Namespace) -> Decision | None:
    """The decision that the command line names.

    Raises:
        UserError: see ``Decision.load``.
    """
    if args.decision is None:
        return None
    try:
        return Decision.load(args.decision)
    except UserError as error:
        what = str(error).partition(";")[0].partition(": is this")[0]
        raise UserError(
            f"--decision: {what}; give the decision.json of a run, or of an evaluation with --decide"
        ) from None


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
                "tools/evaluate.py --decide"
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
        "tools/evaluate.py --decide"
    ]


def rule_mark(scorer: Scorer) -> str:
    """Changes with everything that changes a row: model, threshold, decision, tiles."""
    makes = (scorer.identity, scorer.threshold, scorer.decision, scorer.tiles)
    return hashlib.sha256(repr(makes).encode()).hexdigest()[:8]
