"""A training that has left the range of numbers: found, named, and, where wanted, tried again slower."""

import math
from collections.abc import Sequence

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.training.settings import TrainingSettings


class Diverged(Exception):
    """An epoch that led to no number, or to gradients above ``training.gradient_limit``.

    Args:
        what: happened, and where: ``the loss is nan in epoch 2, step 3``.
        at_once: in its first step, which no learning rate has a part in: the epoch before was no good.
        unmoved: before any weight has moved, so that a lower rate ends the same way.
    """

    def __init__(self, what: str, at_once: bool = False, unmoved: bool = False) -> None:
        super().__init__(what)
        self.at_once = at_once
        self.unmoved = unmoved


def check_steps(epoch: int, losses: np.ndarray, norms: np.ndarray, limit: float | None) -> None:
    """Find the first step of an epoch that diverged.

    Args:
        epoch: its number.
        losses, norms: (steps,) loss before each step, and Euclidean norm of all its gradients.
        limit: of the norms; None: any number will do.

    Raises:
        Diverged: names the step.
    """
    too_large = norms > (math.inf if limit is None else limit)
    bad = np.flatnonzero(~np.isfinite(losses) | ~np.isfinite(norms) | too_large)
    if not len(bad):
        return
    step = bad[0]
    if not np.isfinite(losses[step]):
        what = f"the loss is {losses[step]}"
    else:
        what = f"the norm of the gradients is {norms[step]:.4g}"
        if np.isfinite(norms[step]):
            what += f", above training.gradient_limit {limit:g},"
    at_once = step == 0
    raise Diverged(f"{what} in epoch {epoch}, step {step + 1}", at_once, at_once and epoch == 1)


def check_outputs(epoch: int, outputs: np.ndarray) -> None:
    """Refuse outputs on validation that are no numbers.

    Raises:
        Diverged: names the epoch.
    """
    if not np.isfinite(outputs).all():
        raise Diverged(f"the outputs are not numbers after epoch {epoch}")


def halve_or_stop(
    error: Diverged, training: TrainingSettings, halvings: Sequence[str], member: str, kept: str
) -> list[str]:
    """Decide what becomes of a member that has diverged.

    Args:
        error: how it has.
        training: ``on_divergence``, ``max_halvings`` and the learning rate.
        halvings: how it had before, once for each halving of its learning rate.
        member: its name.
        kept: what is left of it.

    Returns:
        The halvings, this one included.

    Raises:
        UserError: it stops: as ``training`` says, or as no rate would help.
    """
    if error.unmoved:
        raise UserError(
            f"member {member}: {error}, before any weight has moved, so no learning rate would help: "
            "look at its images and the weights that it starts from, or raise training.gradient_limit"
        )
    if training.on_divergence == "halve" and len(halvings) < training.max_halvings:
        return [*halvings, str(error)]
    rate, advice = f"now {training.learning_rate:g}", ", or set training.on_divergence halve"
    if training.on_divergence == "halve":
        rate, advice = f"{rate}, halved {len(halvings)} times", ""
    raise UserError(f"member {member}: {error}; {kept}. Lower training.learning_rate ({rate}){advice}")
