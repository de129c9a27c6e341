"""From proposals to named signs: place filter, background network, sign network, suppression."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import as_boxes, iou, nms
from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.deploy.stopwatch import Stopwatch

# Steps that ``score_boxes`` and ``detect`` take the time of.
SCORING = ("place_filter", "background_network", "refinement_network", "sign_network")
CHOOSING = ("suppression", "vote")


@dataclass(frozen=True)
class Scored:
    """Boxes of one frame with what the networks say of them, before any threshold.

    Args:
        boxes: (N, 4) that the place filter has left; those that the sign network was asked about are
            refined, where there is a refinement network.
        foreground: (N,) probability that a box shows a sign, from the background network.
        signs: (N, C) probabilities of the classes, from the sign network; NaN where it was not asked.
    """

    boxes: np.ndarray
    foreground: np.ndarray
    signs: np.ndarray


@dataclass(frozen=True)
class Detections:
    """Signs found in one frame, the best first.

    Args:
        boxes: (D, 4) float64.
        classes: (D,) int64.
        scores: (D,) float64, probability of that class.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def score_boxes(
    boxes: np.ndarray,
    width: int,
    height: int,
    place_filter: PlaceFilter | None,
    foreground: Callable[[np.ndarray], np.ndarray],
    signs: Callable[[np.ndarray], np.ndarray],
    n_classes: int,
    foreground_floor: float,
    refine: Callable[[np.ndarray], np.ndarray] | None = None,
    watch: Stopwatch | None = None,
) -> Scored:
    """Ask the networks about a frame's proposals.

    Args:
        boxes: (P, 4) proposals.
        width, height: of the frame, in pixels.
        place_filter: None: all proposals are looked at.
        foreground: boxes (N, 4) -> (N,) probability of a sign, by the background network.
        signs: boxes (M, 4) -> (M, C) probabilities of the classes, by the sign network.
        n_classes: C.
        foreground_floor: the sign network sees no box below it. At the threshold itself for predictions;
            lower where thresholds are still to be chosen.
        refine: boxes (M, 4) -> (M, 4), moved to where the sign is, before the sign network sees them;
            None: boxes stay as they are (the paper).
        watch: takes the time of the steps ``SCORING``; a network's holds the cutting of its regions.

    Raises:
        ValueError: a network gives another number of rows or classes, or a NaN.
    """
    boxes, watch = as_boxes(boxes), watch or Stopwatch()
    if place_filter is not None:
        with watch.of("place_filter"):
            boxes = boxes[place_filter.keep(boxes, width, height)]
    first = np.zeros(0)
    if len(boxes):
        with watch.of("background_network"):
            first = _checked("background", foreground(boxes), (len(boxes),))
    asked = first >= foreground_floor
    second = np.full((len(boxes), n_classes), np.nan)
    if asked.any():
        if refine is not None:
            boxes = boxes.copy()
            with watch.of("refinement_network"):
                boxes[asked] = _checked("refinement", refine(boxes[asked]), (int(asked.sum()), 4))
        with watch.of("sign_network"):
            second[asked] = _checked("sign", signs(boxes[asked]), (int(asked.sum()), n_classes))
    return Scored(boxes, first, second)


def _checked(network: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != shape:
        raise ValueError(f"the {network} network gives {values.shape} where {shape} is asked for")
    if np.isnan(values).any():
        raise ValueError(f"the {network} network gives NaN")
    return values


def detect(
    scored: Scored,
    *,
    background_threshold: float,
    sign_threshold: float,
    nms_threshold: float = 0.3,
    limit: int = 6,
    vote_threshold: float | None = None,
    watch: Stopwatch | None = None,
) -> Detections:
    """What passes both thresholds, without doubles, the best sign score first.

    Suppression does not look at classes: two signs do not stand in one place.

    Args:
        scored: of ``score_boxes``.
        background_threshold: least probability of a sign (the paper's BG CNN SCORE).
        sign_threshold: least probability of the best class (TS CNN SCORE).
        nms_threshold: intersection over union above which the lower sign score goes (0.3); it holds for
            what is returned, also where the vote has moved boxes together.
        limit: detections of a frame (6).
        vote_threshold: a box that is kept becomes the mean of all that have passed and overlap it by as
            much, weighted by the product of both probabilities: the sign network knows what a box
            shows, not how well it fits. None: boxes stay as they are (the paper).
        watch: takes the time of the steps ``CHOOSING``.

    Raises:
        ValueError: the sign network has not been asked about a box that passes the first threshold.

    Source: sections 4.2.4 and 4.3 of the paper; the vote is that of Gidaris and Komodakis 2015, section
    5.
    """
    rows = np.flatnonzero(scored.foreground >= background_threshold)
    signs = scored.signs[rows]
    if np.isnan(signs).any():
        raise ValueError(
            f"the sign network was not asked about all boxes from {background_threshold:g} on: score "
            "them again with a lower foreground_floor"
        )
    if len(rows) == 0:
        return Detections(np.empty((0, 4)), np.empty(0, dtype=np.int64), np.empty(0))
    scores, classes = signs.max(axis=1), signs.argmax(axis=1)
    passed = scores >= sign_threshold
    boxes, scores, classes = scored.boxes[rows][passed], scores[passed], classes[passed]
    watch = watch or Stopwatch()
    with watch.of("suppression"):
        kept = nms(boxes, scores, nms_threshold, limit=None if vote_threshold is not None else limit)
    found, scores_found, classes_found = boxes[kept], scores[kept], classes[kept]
    if vote_threshold is not None and len(kept):
        # Two probabilities of 0 would leave nothing to divide by.
        weights = np.maximum(scores * scored.foreground[rows][passed], np.finfo(np.float64).tiny)
        with watch.of("vote"):
            found = vote(found, boxes, weights, vote_threshold)
        # Two boxes that were kept may have gone to the same sign.
        with watch.of("suppression"):
            apart = nms(found, scores_found, nms_threshold, limit=limit)
        found, scores_found, classes_found = found[apart], scores_found[apart], classes_found[apart]
    return Detections(found, classes_found, scores_found)


def vote(kept: np.ndarray, boxes: np.ndarray, weights: np.ndarray, threshold: float) -> np.ndarray:
    """Move boxes to the weighted mean of those around them.

    Args:
        kept: (D, 4), some of ``boxes``.
        boxes: (N, 4).
        weights: (N,) above 0.
        threshold: intersection over union from which a box counts.

    Returns:
        (D, 4).
    """
    shares = np.where(iou(kept, boxes) >= threshold, weights, 0.0)
    return shares @ boxes / shares.sum(axis=1, keepdims=True)
