"""The thresholds of the cascade, chosen on validation frames."""

import itertools
from collections.abc import Callable, Sequence

import pandas as pd

from mindspore_dpus.deploy.cascade import Detections, Scored, detect


def choose_thresholds(
    scored: Sequence[Scored],
    measure: Callable[[list[Detections]], float],
    *,
    background_thresholds: Sequence[float],
    sign_thresholds: Sequence[float],
    nms_thresholds: Sequence[float] = (0.3,),
    limit: int = 6,
    vote_threshold: float | None = None,
) -> pd.DataFrame:
    """Try thresholds on validation frames: Table 8.

    Args:
        scored: of every validation frame, with a ``foreground_floor`` of the lowest threshold.
        measure: detections of all of these frames -> what is to be as large as possible, such as mAP.
        background_thresholds, sign_thresholds, nms_thresholds: what is tried, every combination.
        limit, vote_threshold: of ``detect``.

    Returns:
        Columns background_threshold, sign_threshold, nms_threshold, value, detections (of all frames);
        the best first. Of equally good ones, the highest thresholds come first: they call less.

    Raises:
        ValueError: nothing to try, or the measure is NaN for all.
    """
    rows = []
    for background, sign, overlap in itertools.product(
        background_thresholds, sign_thresholds, nms_thresholds
    ):
        found = [
            detect(
                frame,
                background_threshold=background,
                sign_threshold=sign,
                nms_threshold=overlap,
                limit=limit,
                vote_threshold=vote_threshold,
            )
            for frame in scored
        ]
        rows.append((background, sign, overlap, measure(found), sum(len(f.boxes) for f in found)))
    columns = ["background_threshold", "sign_threshold", "nms_threshold", "value", "detections"]
    table = pd.DataFrame(rows, columns=columns)
    if table["value"].isna().all():
        raise ValueError("no thresholds can be chosen: nothing was tried, or the measure is NaN for all")
    order = ["value", "background_threshold", "sign_threshold", "nms_threshold"]
    table = table.sort_values(order, ascending=[False, False, False, True], kind="stable")
    return table.reset_index(drop=True)
