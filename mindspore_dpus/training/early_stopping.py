"""Which epoch of a member is kept, and when it is not worth to go on."""

import math

from mindspore_dpus.core.errors import UserError

# Measures of which less is better; of all others, more is.
LOWEST = {"loss"}


def best_epoch(history: list[dict], select_by: str) -> int:
    """Number of the epoch to keep; among equals the first.

    Args:
        history: a row an epoch: ``epoch``, and ``val_<measure>`` for each measure.
        select_by: a measure, or ``last``.

    Raises:
        UserError: validation has no value of this measure.
    """
    if select_by == "last":
        return history[-1]["epoch"]
    if any(math.isnan(row[f"val_{select_by}"]) for row in history):
        raise UserError(
            f"training.select_by is {select_by}, of which validation has no value: too few samples, or of "
            "one kind only; name another measure, or last"
        )
    best = min if select_by in LOWEST else max
    return best(history, key=lambda row: row[f"val_{select_by}"])["epoch"]


def is_stale(history: list[dict], select_by: str, patience: int | None, first_epoch: int) -> bool:
    """Whether ``patience`` epochs have passed since the best one, all with the same layers frozen.

    Args:
        history, select_by: as for ``best_epoch``.
        patience: None: never.
        first_epoch: of the last phase.
    """
    if patience is None or not history:
        return False
    since = max(best_epoch(history, select_by), first_epoch - 1)
    return history[-1]["epoch"] - since >= patience
