"""Figures of detections: what they show, read back from the figure's own coordinates."""

import re

import numpy as np

from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.metrics.average_precision import Curve
from mindspore_dpus.report.detection_plots import place_map, precision_recall_curves

FILTER = PlaceFilter(0.2, 0.8, ((0.5, 0.5), (0.3, 1.0), (0.7, 1.0)), 0, 1, 0, 1, 0, 9)


def test_the_map_shows_the_band_and_the_triangle():
    heat = np.zeros((4, 8))
    heat[1, 2] = 3
    whole = place_map(heat, FILTER)
    assert whole.count("stroke: #ffffff") == 2
    assert whole.count("stroke: #ff0000") == 1
    bare = place_map(heat, None)
    assert "stroke: #ff0000" not in bare
    assert "True boxes of training frames" in bare


def test_curves_of_all_and_of_each_class():
    curve = Curve(np.array([0.5, 1.0]), np.array([1.0, 0.5]), np.array([0.9, 0.1]), np.ones(101))
    drawn = precision_recall_curves({"any class, at 0.5": curve}, [curve, curve])
    assert "any class, at 0.5" in drawn
    assert len(re.findall(r"stroke: #bfbfbf", drawn)) == 2
