"""How many epochs, and the learning rate of every step as a share of training.learning_rate. No
MindSpore here."""

import math

from mindspore_dpus.config import TrainingConfig

# One cycle (Smith and Topin 2018): a quarter of the steps upwards, then down to almost nothing.
RISE = 0.25
START = 1 / 25
END = 1e-5


def member_epochs(config: TrainingConfig, n_images: int) -> int:
    """How many epochs a member trains: ``epochs``, or those whose steps come nearest to ``steps``.

    Args:
        config: epochs, steps and batch size.
        n_images: of the member's set. The images that do not fill a last batch make no step.
    """
    if config.steps is None:
        return config.epochs
    steps_per_epoch = n_images // min(config.batch_size, n_images)
    return max(1, round(config.steps / steps_per_epoch))


def learning_rate_factor(schedule: str, epoch: int, step: int, epochs: int, steps: int) -> float:
    """What the configured rate is multiplied by.

    Args:
        schedule: ``constant``; ``cosine``, which falls from 1 towards 0, epoch by epoch; ``one_cycle``,
            which rises from 1/25 to 1 over the first quarter of all steps and falls to 1e-5 until the
            last, both along half a cosine.
        epoch: from 1 on.
        step: of this epoch, from 0 on.
        epochs: of the training.
        steps: of an epoch.

    Source: Loshchilov and Hutter 2017 (cosine, without restarts); Smith and Topin 2018 (one cycle; its
        cycle of the momentum is left out).
    """
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))
    if schedule == "one_cycle":
        total = epochs * steps
        top = RISE * total - 1
        place = (epoch - 1) * steps + step
        if place <= top:
            return _between(START, 1.0, place / top if top else 1.0)
        return _between(1.0, END, (place - top) / (total - 1 - top))
    return 1.0


def _between(first: float, last: float, share: float) -> float:
    """From ``first`` (share 0) to ``last`` (share 1) along half a cosine."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))
