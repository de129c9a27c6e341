"""The learning-rate range test: from which rate does the loss fall fastest? No MindSpore here.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; smoothing and
the steepest descent follow Howard and Gugger 2020, "fastai: A Layered API for Deep Learning".
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.training.settings import LrRangeSettings

# The smoothed loss looks back over so large a share of the steps.
WINDOW = 0.5
# A smoothed loss of so many times its smallest value is not coming back.
DIVERGED = 4.0
# The first losses are smoothed over too few steps to tell a direction.
SKIPPED = 0.2
# A slope is that of a line through so large a share of the steps: between two of them, it is noise.
SLOPE = 0.1


def range_test(step: Callable[[float], float], config: LrRangeSettings) -> pd.DataFrame:
    """Let the learning rate grow exponentially, step by step, until the loss explodes.

    Args:
        step: learning rate -> loss of the batch before the step that it makes.
        config: smallest and largest rate, and how many steps lie between them.

    Returns:
        Columns ``rate``, ``loss``, ``smoothed``: a row a step.
    """
    rates = np.geomspace(config.low, config.high, config.steps)
    memory = 1 - 1 / (WINDOW * config.steps)
    losses: list[float] = []
    for rate in rates:
        losses.append(step(float(rate)))
        smoothed = smooth(losses, memory)
        if not np.isfinite(losses[-1]) or smoothed[-1] > DIVERGED * smoothed.min():
            break
    table = pd.DataFrame({"rate": rates[: len(losses)], "loss": losses, "smoothed": smoothed})
    return table[np.isfinite(table["loss"])]


def smooth(losses: Sequence[float], memory: float) -> np.ndarray:
    """Exponential moving average, freed of its start at 0.

    Args:
        losses: (n,).
        memory: how much of an average is the one before it.

    Returns:
        (n,) float64.
    """
    average, smoothed = 0.0, []
    for i, loss in enumerate(losses, start=1):
        average = memory * average + (1 - memory) * loss
        smoothed.append(average / (1 - memory**i))
    return np.array(smoothed)


def suggest_rate(table: pd.DataFrame) -> float:
    """The rate around which the smoothed loss falls fastest over the logarithm of the rate.

    Args:
        table: as ``range_test`` makes it.

    Raises:
        UserError: it never falls, or it falls fastest at the end of the range.
    """
    smoothed = table["smoothed"].to_numpy()
    first = int(SKIPPED * len(table))
    last = first + int(smoothed[first:].argmin()) if len(table) else 0
    if last - first < 2:
        raise UserError(
            "the learning-rate range test saw no falling loss: widen training.lr_range.low and high, or "
            "give training.learning_rate as a number"
        )
    rates = table["rate"].to_numpy()[first : last + 1]
    steepest = int(
        _slopes(np.log(rates), smoothed[first : last + 1], int(SLOPE * len(table) / 2)).argmin()
    )
    if first + steepest == len(table) - 1:
        raise UserError(
            "the learning-rate range test ended while the loss fell faster than ever: raise "
            "training.lr_range.high, or give training.learning_rate as a number"
        )
    return float(rates[steepest])


def _slopes(x: np.ndarray, y: np.ndarray, reach: int) -> np.ndarray:
    """(n,) slopes of the lines fitted to each point and its neighbours, at least one on either side."""
    reach = max(reach, 1)
    parts = [slice(max(i - reach, 0), i + reach + 1) for i in range(len(x))]
    return np.array([np.polyfit(x[part], y[part], 1)[0] for part in parts])
