"""Scores of different detectors and sections on one scale: each section's mean 0 and deviation 1."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mindspore_dpus.core.errors import UserError

BY = ("train", "test")


class Moments(NamedTuple):
    """Mean and standard deviation of a section's scores."""

    mean: float
    deviation: float


def section_moments(scores: np.ndarray, sections: np.ndarray) -> dict[str, Moments]:
    """Mean and deviation of each section's scores.

    Args:
        scores: (N,) of clips.
        sections: (N,) names; sections of different machines need different ones.

    Raises:
        UserError: the scores of a section are all equal, or there is only one.
    """
    scores, sections = np.asarray(scores, np.float64), np.asarray(sections)
    moments = {}
    for section in np.unique(sections):
        own = scores[sections == section]
        deviation = float(own.std())
        # A deviation that is nothing but rounding errors would blow scores up.
        if not deviation > 1e-12 * np.abs(own).max():
            raise UserError(
                f"section {section}: its {len(own)} scores do not differ, so they cannot be "
                "standardised; give scores of more clips, and of clips that the detector has not seen"
            )
        moments[str(section)] = Moments(float(own.mean()), deviation)
    return moments


def apply_moments(
    scores: np.ndarray, sections: np.ndarray, moments: Mapping[str, Moments]
) -> np.ndarray:
    """(N,) ``(score - mean) / deviation`` of each clip's section.

    Raises:
        UserError: a section has no moments.
    """
    names, place = np.unique(np.asarray(sections), return_inverse=True)
    unknown = [str(name) for name in names if str(name) not in moments]
    if unknown:
        raise UserError(f"section {unknown[0]}: training never saw it; there is no scale for its scores")
    pairs = np.array([moments[str(name)] for name in names]).reshape(-1, 2)
    return (np.asarray(scores, np.float64) - pairs[place, 0]) / pairs[place, 1]


def standardise(
    scores: np.ndarray,
    sections: np.ndarray,
    *,
    by: str,
    train_scores: np.ndarray | None = None,
    train_sections: np.ndarray | None = None,
) -> np.ndarray:
    """Standardise the scores of test clips, section by section.

    Args:
        scores: (N,) of test clips.
        sections: (N,) their sections.
        by: ``train``: with mean and deviation of normals, which must be scored by detectors that have
            not seen them (``held_out_scores``). ``test``: with those of the test clips themselves, which
            is what the authors' own code does. **That leaks**: a clip's score then depends on the other
            test clips and on how many of them are anomalous, and a single clip cannot be scored. It is
            there to repeat the paper, never for a product.
        train_scores: (M,) of normals, with ``train`` only.
        train_sections: (M,) their sections.

    Returns:
        (N,) float64.

    Raises:
        UserError: ``by`` is unknown, a section's scores do not differ, or training never saw one.
    """
    if by not in BY:
        raise UserError(f"standardise.by: {by!r}; it must be {' or '.join(BY)}")
    if (by == "train") != (train_scores is not None and train_sections is not None):
        raise ValueError("scores of training normals and their sections belong to by='train'")
    if by == "train":
        return apply_moments(scores, sections, section_moments(train_scores, train_sections))
    return apply_moments(scores, sections, section_moments(scores, sections))
