"""The thresholds of the cascade."""

import numpy as np
import pytest

from mindspore_dpus.deploy.cascade import detect
from mindspore_dpus.systems.traffic_signs.cascade_thresholds import choose_thresholds
from tests.deploy.test_cascade import random_scores


def test_thresholds_are_those_with_the_largest_measure():
    frames = [random_scores(30, seed) for seed in range(5)]

    def measure(found):
        # Largest where 12 are found.
        return -abs(sum(len(one.boxes) for one in found) - 12)

    grid = {
        "background_thresholds": (0.2, 0.5, 0.8),
        "sign_thresholds": (0.5, 0.9, 0.99),
        "nms_thresholds": (0.3, 0.7),
    }
    table = choose_thresholds(frames, measure, **grid)
    assert len(table) == 18
    best = table.iloc[0]
    for line in table.to_dict("records"):
        found = [
            detect(
                frame,
                background_threshold=line["background_threshold"],
                sign_threshold=line["sign_threshold"],
                nms_threshold=line["nms_threshold"],
            )
            for frame in frames
        ]
        assert line["value"] == measure(found) <= best["value"]
        assert line["detections"] == sum(len(one.boxes) for one in found)
    assert table["value"].nunique() > 3


def test_of_equally_good_thresholds_the_highest_come_first():
    table = choose_thresholds(
        [random_scores(5, 0)],
        lambda found: 1.0,
        background_thresholds=(0.1, 0.9, 0.5),
        sign_thresholds=(0.2, 0.8),
        nms_thresholds=(0.5, 0.3),
    )
    assert table.iloc[0, :3].tolist() == [0.9, 0.8, 0.3]


def test_nothing_to_choose_from_is_an_error():
    with pytest.raises(ValueError, match="nothing was tried"):
        choose_thresholds([], lambda found: 1.0, background_thresholds=(), sign_thresholds=(0.5,))
    with pytest.raises(ValueError, match="NaN for all"):
        choose_thresholds([], lambda found: np.nan, background_thresholds=(0.5,), sign_thresholds=(0.5,))
