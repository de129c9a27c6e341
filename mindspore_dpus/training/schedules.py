"""How many epochs, and the learning rate of every step as a share of training.learning_rate. No
MindSpore here."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from mindspore_dpus.training.one_cycle import OneCycle

# One cycle (Smith and Topin 2018): a quarter of the steps upwards, then down to almost nothing.
RISE = 0.25
START = 1 / 25
END = 1e-5


def member_epochs(epochs: int, steps: int | None, batch_size: int, n_samples: int) -> int:
    """How many epochs a member trains: ``epochs``, or those whose steps come nearest to ``steps``.

    Args:
        epochs, steps, batch_size: of the section ``training``.
        n_samples: of the member's set. Those that do not fill a last batch make no step.
    """
    if steps is None:
        return epochs
    steps_per_epoch = n_samples // min(batch_size, n_samples)
    return max(1, round(steps / steps_per_epoch))


def constant(epoch: int, step: int, epochs: int, steps: int) -> float:
    """1 throughout."""
    return 1.0


def cosine(epoch: int, step: int, epochs: int, steps: int) -> float:
    """Falls from 1 towards 0 along half a cosine, epoch by epoch.

    Source: Loshchilov and Hutter 2017, without restarts.
    """
    return 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))


def one_cycle(epoch: int, step: int, epochs: int, steps: int) -> float:
    """Rises from 1/25 to 1 over the first quarter of all steps and falls to 1e-5 until the last, both
    along half a cosine.

    Source: Smith and Topin 2018; its cycle of the momentum is left out.
    """
    total = epochs * steps
    top = RISE * total - 1
    place = (epoch - 1) * steps + step
    if place <= top:
        return _between(START, 1.0, place / top if top else 1.0)
    return _between(1.0, END, (place - top) / (total - 1 - top))


def one_cycle_of_torch(epoch: int, step: int, epochs: int, steps: int) -> float:
    """The learning rate of ``OneCycle`` with its default values.

    Source: Smith and Topin 2018, as in torch's OneCycleLR.
    """
    return OneCycle(1.0, max(2, epochs * steps)).learning_rate((epoch - 1) * steps + step)


def momentum_of_torch(epoch: int, step: int, epochs: int, steps: int) -> float:
    """The momentum of ``OneCycle`` with its default values: high where the rate is low."""
    return OneCycle(1.0, max(2, epochs * steps)).momentum((epoch - 1) * steps + step)


def _between(first: float, last: float, share: float) -> float:
    """From ``first`` (share 0) to ``last`` (share 1) along half a cosine."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class ScheduleRow:
    """A row of ``SCHEDULES``.

    Args:
        factor: (epoch from 1 on, step of it from 0 on, epochs, steps of an epoch) -> what the configured
            learning rate is multiplied by.
        each_step: whether it changes within an epoch.
        momentum: the same arguments -> the momentum of the optimiser (``training.moments``); None: its own
            throughout.
    """

    factor: Callable[[int, int, int, int], float]
    each_step: bool = False
    momentum: Callable[[int, int, int, int], float] | None = None


SCHEDULES = {
    "constant": ScheduleRow(constant),
    "cosine": ScheduleRow(cosine),
    "one_cycle": ScheduleRow(one_cycle, each_step=True),
    "one_cycle_momentum": ScheduleRow(one_cycle_of_torch, each_step=True, momentum=momentum_of_torch),
}
