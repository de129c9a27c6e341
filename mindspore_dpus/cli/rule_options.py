"""Options of the commands that go by a decision, or cut images into tiles."""

import argparse
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.tiles import POOLS, Tiles
from mindspore_dpus.decision.decision import Decision


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
