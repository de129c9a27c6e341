"""The report's section on detections: numbers, classes, and the frames with the most errors."""

import base64
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from mindspore_dpus.report.box_pictures import draw_boxes
from mindspore_dpus.report.page import Section

TRUE, FOUND = (0, 158, 115), (213, 94, 0)
WIDTH = 900
AP = ("ap", "ap_50", "ap_70")


def picture(
    frame: np.ndarray, true: tuple[np.ndarray, Sequence[str]], found: tuple, scores: Sequence[float]
) -> str:
    """A frame with true boxes in green and detections in red, as a data address.

    Args:
        frame: (H, W, 3) uint8 RGB.
        true, found: boxes (N, 4) and their labels.
        scores: of the detections.
    """
    drawn = draw_boxes(frame, true[0], list(true[1]), None, [TRUE] * len(true[1]))
    drawn = draw_boxes(drawn, found[0], list(found[1]), list(scores), [FOUND] * len(found[1]))
    height, width = drawn.shape[:2]
    if width > WIDTH:
        size = WIDTH, round(height * WIDTH / width)
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def section(
    metrics: dict,
    classes: pd.DataFrame,
    thresholds: pd.DataFrame,
    place: dict | None,
    errors: pd.DataFrame,
    pictures: Sequence[str],
    figures: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
) -> Section:
    """Metrics of val and test, classes of test, Table 8, what the place filter removes, pictures.

    Args:
        metrics: of ``metrics.json``.
        classes: of ``per_class_test.csv``.
        thresholds: of ``thresholds.csv``.
        place: ``place_filter.json``; None: there is no filter.
        errors: path, signs, found, missed, false_calls of the frames that are shown first.
        pictures: of the first of them.
        figures: SVG, shown before the frames.
        tables: title -> rows, shown as they are.
    """
    shown = list(zip(errors.itertuples(index=False), pictures, strict=False))
    return Section(
        "detections.html.j2",
        {
            "metrics": {split: metrics[split] for split in ("test", "val")},
            "time": metrics["time"],
            # A class without true boxes has no number, and its column is text for that.
            "classes": classes[classes["truths"] > 0]
            .astype(dict.fromkeys(AP, float))
            .to_dict("records"),
            "thresholds": thresholds.head(10).to_dict("records"),
            "removed": place and place["removed"],
            "limits": place and place["filter"],
            "tables": {title: (list(rows), rows.values.tolist()) for title, rows in tables.items()},
            "shown": shown,
            "figures": figures,
            "wrong": int(((errors["missed"] + errors["false_calls"]) > 0).sum()),
            "total": len(errors),
        },
    )
