"""An experiment's section ``search``: the candidates as an axis of the grid, and which of them go on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.experiments.search import (
    grid_candidates,
    halving_rounds,
    random_candidates,
    survivors,
)

Strategy = Literal["grid", "random", "halving"]
CANDIDATE, EPOCHS = "candidate", "epochs"


@dataclass
class Search:
    """Settings that are not written down one by one.

    Args:
        strategy: grid: every combination of the space; random: so many candidates, drawn from it;
            halving: these too, but only the best of a round are trained again, for longer.
        space: key of the configuration -> a list of values, or a range ``{low, high, log}``.
        by: the measure on validation that says which is best (of halving: goes on).
        largest: whether large values of it are good.
        candidates: how many are drawn (random, halving).
        seed: of the draw.
        max_epochs, min_epochs, factor: of ``search.halving_rounds`` (halving).
        epochs_key: the key that sets the epochs (halving).
    """

    strategy: Strategy
    space: dict
    by: str
    largest: bool = True
    candidates: int | None = None
    seed: int = 0
    max_epochs: int | None = None
    min_epochs: int | None = None
    factor: int = 3
    epochs_key: str = "training.epochs"

    def __post_init__(self) -> None:
        known = get_args(Strategy)
        if self.strategy not in known:
            raise UserError(f"strategy is {self.strategy!r}; it must be {', '.join(known)}")
        halves = self.strategy == "halving"
        for name, fits, needed in (
            ("candidates", self.strategy != "grid", self.strategy != "grid"),
            ("max_epochs", halves, halves),
            ("min_epochs", halves, False),
        ):
            given = getattr(self, name) is not None
            if given and not fits:
                raise UserError(f"{name} has no effect with strategy {self.strategy}; leave it out")
            if needed and not given:
                raise UserError(f"strategy {self.strategy} needs {name}")

    def rounds(self) -> list:
        """The rounds of halving; none of other strategies."""
        if self.strategy != "halving":
            return []
        return halving_rounds(self.candidates, self.max_epochs, self.min_epochs, self.factor)

    def axes(self) -> dict[str, dict[str, dict]]:
        """The candidates, and the epochs of halving, as axes of a grid."""
        if self.strategy == "grid":
            drawn = grid_candidates(self.space)
        else:
            drawn = random_candidates(self.space, self.candidates, self.seed)
        axes = {CANDIDATE: {_name(settings): settings for settings in drawn}}
        if rounds := self.rounds():
            if self.epochs_key in self.space:
                raise UserError(f"{self.epochs_key} is given by the rounds; take it out of the space")
            axes[EPOCHS] = {str(r.epochs): {self.epochs_key: r.epochs} for r in rounds}
        return axes


def _name(settings: dict) -> str:
    parts = [f"{key.rpartition('.')[2]} {_short(value)}" for key, value in settings.items()]
    return ", ".join(parts)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def parts(search: Search | None, cases: Sequence, score: Callable[[object], float]) -> Iterator[list]:
    """The runs of a grid in the order in which they can be made.

    Args:
        search: the experiment's; None, or without rounds: all at once.
        cases: those that are wanted (``grid.Case``).
        score: a finished run -> its measure on validation; nan for a run that failed.

    Yields:
        The runs of a round; the next is asked for when they have ended. The best candidates go on for
        each combination of the other axes apart, by the mean over the seeds.

    Raises:
        UserError: fewer candidates have a score than should go on.
    """
    rounds = search.rounds() if search else []
    if not rounds:
        yield list(cases)
        return
    alive = {(_others(case), case.cell[CANDIDATE]) for case in cases}
    for i, now in enumerate(rounds):
        running = [
            case
            for case in cases
            if case.cell[EPOCHS] == str(now.epochs) and (_others(case), case.cell[CANDIDATE]) in alive
        ]
        yield running
        if i + 1 < len(rounds):
            alive = _go_on(running, rounds[i + 1].candidates, score, search.largest)


def _others(case) -> tuple:
    return tuple(value for axis, value in case.cell.items() if axis not in (CANDIDATE, EPOCHS))


def _go_on(running: Sequence, keep: int, score: Callable, largest: bool) -> set[tuple]:
    scores: dict[tuple, dict[str, list[float]]] = {}
    for case in running:
        by_candidate = scores.setdefault(_others(case), {})
        by_candidate.setdefault(case.cell[CANDIDATE], []).append(score(case))
    alive = set()
    for others, by_candidate in scores.items():
        names = list(by_candidate)
        means = [float(np.mean(values)) for values in by_candidate.values()]
        best = survivors(means, min(keep, len(names)), largest)
        alive |= {(others, names[place]) for place in best}
    return alive


def ranking(search: Search, done: Sequence, score: Callable[[object], float]) -> pd.DataFrame:
    """Every finished run of a search, the longest trained first, among these the best first.

    Returns:
        ``rank``, the other axes, the settings of the candidate, ``epochs`` (of halving), ``seed``,
        ``val_<by>``, ``folder``.
    """
    settings = search.axes()[CANDIDATE]
    rows = [
        {axis: value for axis, value in case.cell.items() if axis != CANDIDATE}
        | settings[case.cell[CANDIDATE]]
        | {"seed": case.seed, f"val_{search.by}": score(case), "folder": str(Path(case.folder))}
        for case in done
    ]
    order = sorted(
        rows,
        key=lambda row: (
            -int(row.get(EPOCHS, 0)),
            row[f"val_{search.by}"] * (-1 if search.largest else 1),
        ),
    )
    table = pd.DataFrame(order)
    table.insert(0, "rank", range(1, len(table) + 1))
    return table
