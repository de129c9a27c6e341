"""How long a grid will take, by the images that its finished runs trained on."""

from collections.abc import Callable

import pandas as pd

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.experiments import finished
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.sampling.settings import STRATEGIES
from mindspore_dpus.systems import load_system
from mindspore_dpus.training.settings import TrainingSettings


def estimate_seconds(todo: list[Case], done: list[Case], jobs: int = 1) -> float | None:
    """How long the runs to do will take.

    Args:
        todo: runs ahead.
        done: finished runs.
        jobs: how many run side by side.

    Returns:
        Seconds, or None while no run is finished and the system cannot tell before.
    """
    if not todo:
        return 0.0
    system = load_system(todo[0].config.system)
    if not system.MEASURES.has_predictions:
        return _by_runs(todo, done, jobs, getattr(system, "planned_seconds", None))
    if not done:
        return None
    speeds = _seconds_per_image(done)
    table = read_table(done[0].folder / "samples.csv")
    counts = table["label"][table["split"] == "train"].value_counts().astype(float)
    counts[counts.idxmin()] /= done[0].config.split.minority_fraction
    ahead = [_planned_work(case, counts) * speeds.get(_network(case), speeds[None]) for case in todo]
    # One run cannot be shared out.
    return max(sum(ahead) / jobs, max(ahead, default=0.0))


def _by_runs(
    todo: list[Case],
    done: list[Case],
    jobs: int,
    planned: Callable[[object], float] | None,
) -> float | None:
    """As long as finished runs took; before there is one, by the system's own plan of each."""
    if done:
        ahead = [sum(map(finished.seconds, done)) / len(done)] * len(todo)
    elif planned is not None:
        ahead = [planned(case.config) for case in todo]
    else:
        return None
    return max(sum(ahead) / jobs, max(ahead))


def _seconds_per_image(done: list[Case]) -> dict[tuple | None, float]:
    """Of each network, and (None) of all together."""
    totals: dict[tuple | None, list[float]] = {}
    for case in done:
        members = read_table(case.folder / "subsets.csv")["member"]
        work = _images_seen(case.config.training, len(members), members.nunique())
        for key in (_network(case), None):
            total = totals.setdefault(key, [0.0, 0.0])
            total[0] += finished.seconds(case)
            total[1] += work
    return {key: seconds / work for key, (seconds, work) in totals.items()}


def _network(case: Case) -> tuple:
    """What the time that an image takes depends on most."""
    return case.config.model.backbone, case.config.images.size


def duration(seconds: float) -> str:
    """For people: minutes, or hours from one and a half on."""
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"


def _planned_work(case: Case, counts: pd.Series) -> float:
    """Images that all steps of a run that has not begun will show.

    Args:
        case: the run.
        counts: training images of each class, before the smallest is thinned.
    """
    sampling = case.config.sampling
    smallest = counts.min() * case.config.split.minority_fraction
    others = counts.sum() - counts.min()
    automatic = sampling.proportion == "auto"
    drawn = 1.1 * smallest * (len(counts) - 1) if automatic else sampling.proportion * others
    row = STRATEGIES[sampling.strategy]
    if row.under_samples:
        member = smallest + drawn
    else:
        member = len(counts) * counts.max() if row.reshuffles else smallest + others
    images = member * sampling.n_subsets + (smallest + drawn) * sampling.baseline
    return _images_seen(case.config.training, images, sampling.n_subsets + sampling.baseline)


def _images_seen(training: TrainingSettings, images: float, members: int) -> float:
    """Images that all steps show: ``images`` of all members in every epoch, or a batch in every step."""
    if training.steps is None:
        return images * training.epochs
    return members * training.steps * training.batch_size
