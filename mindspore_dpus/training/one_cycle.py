"""The one-cycle policy: the learning rate up and down, the momentum down and up. No MindSpore here."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class OneCycle:
    """Learning rate and momentum of every step, both along half a cosine.

    The rate rises from ``top / div_factor`` to ``top`` over the first ``rise`` of the steps, then falls
    to ``top / div_factor / final_div_factor``; the momentum goes the other way, and stays up at the end.

    Args:
        top: highest learning rate.
        steps: of the whole training, 2 or more.
        rise: share of them; above 0 and below 1.
        div_factor: ``top`` by the first rate.
        final_div_factor: the first rate by the last one.
        base_momentum: lowest momentum, where the rate is highest.
        max_momentum: highest momentum.

    Raises:
        ValueError: ``steps`` or ``rise`` is out of its range.

    Source: Smith and Topin 2018, section 3; cosines, places of the turns and default values as in
        torch's OneCycleLR, which the paper on machine sound uses.
    """

    top: float
    steps: int
    rise: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    base_momentum: float = 0.85
    max_momentum: float = 0.95

    def __post_init__(self) -> None:
        if self.steps < 2 or not 0 < self.rise < 1:
            raise ValueError(
                f"one cycle of {self.steps} steps, rising for {self.rise} of them: it takes 2 steps or "
                "more, and a share between 0 and 1"
            )

    def learning_rate(self, step: int) -> float:
        """Of a step, from 0 on."""
        first = self.top / self.div_factor
        return self._along(step, first, self.top, first / self.final_div_factor)

    def momentum(self, step: int) -> float:
        """Of a step, from 0 on: beta1 of Adam and its kin."""
        return self._along(step, self.max_momentum, self.base_momentum, self.max_momentum)

    def _along(self, step: int, first: float, turn: float, last: float) -> float:
        if not 0 <= step < self.steps:
            raise ValueError(f"step {step} of {self.steps}")
        place = self.rise * self.steps - 1
        # With few steps the turn lies before the first one, which then is past it.
        if step <= place:
            return _cosine(first, turn, step / place if place else 1.0)
        return _cosine(turn, last, (step - place) / (self.steps - 1 - place))


def _cosine(first: float, last: float, share: float) -> float:
    """From ``first`` (share 0) to ``last`` (share 1) along half a cosine."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))
