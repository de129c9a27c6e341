"""Which epoch of a member is kept, and when it is not worth to go on."""


def best_epoch(history: list[dict], select_by: str) -> int:
    """Number of the epoch to keep; among equals the first.

    Args:
        history: a row an epoch: ``epoch``, ``val_loss``, ``val_auc``, ``val_accuracy``.
        select_by: ``auc``, ``accuracy``, ``loss`` or ``last``.
    """
    if select_by == "last":
        return history[-1]["epoch"]
    if select_by == "loss":
        return min(history, key=lambda row: row["val_loss"])["epoch"]
    return max(history, key=lambda row: row[f"val_{select_by}"])["epoch"]


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
