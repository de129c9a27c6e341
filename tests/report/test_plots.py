"""Figures are valid, repeatable SVG that says what it shows."""

import functools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.report import grid_plots, plots

LABELS = np.array([True, False, False, True, False, False])
SCORES = np.array([0.9, 0.4, 0.3, 0.35, 0.2, 0.1])
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [0.7, 0.5, 0.4],
        "train_accuracy": [0.5, 0.7, 0.9],
        "val_loss": [0.7, 0.6, 0.6],
        "val_auc": [0.5, 0.7, 0.8],
        "val_accuracy": [0.4, 0.6, 0.9],
    }
)
GRID = pd.DataFrame(
    {
        "method": ["a", "b & c", "a", "b & c"],
        "K": ["3", "3", "5", "5"],
        "auc_mean": [0.7, 0.8, 0.75, 0.85],
        "auc_sd": [0.1, float("nan"), 0.1, 0.1],
    }
)
BINS = [
    {"stated": 0.1, "observed": 0.0, "low": 0.0, "high": 0.3},
    {"stated": 0.6, "observed": 0.7, "low": 0.4, "high": 0.9},
]
POD = {
    "confidence": 0.95,
    "smallest": 2.0,
    "largest": 9.0,
    "sizes": [2.0, 5.0, 9.0],
    "pod": [0.2, 0.8, 0.97],
    "lower": [0.1, 0.7, 0.92],
    "a90": 6.5,
    "a90_limit": 8.25,
}
FUSION = pd.DataFrame({"members": [1, 2], "auc_mean": [0.7, 0.75], "auc_sd": [0.1, ""]})
SHARES = pd.Series([0.5, 0.3, 0.2], index=[0, 1, 2])
PLACES = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 1.0, 0.0, 1.0]})
FIGURES = {
    "curves": (
        lambda: plots.curves(
            LABELS, {"00": 1 - SCORES, "fused": SCORES, "baseline": SCORES**2}, "a & <b>"
        ),
        ["ROC", "recall of a & <b>", "member 00", "fused", "baseline"],
    ),
    "training_curves": (
        lambda: plots.training_curves({"00": HISTORY, "baseline": HISTORY[:1]}),
        ["epoch", "Validation AUC", "Accuracy (dashed: validation)", "member 00", "baseline"],
    ),
    "learning_rate_range": (
        lambda: plots.learning_rate_range(
            pd.DataFrame({"rate": [1e-4, 1e-3, 1e-2], "loss": [2, 1.2, 3], "smoothed": [2, 1.6, 2]}),
            1e-3,
        ),
        ["learning rate", "smoothed", "suggested: 0.001"],
    ),
    "reliability": (
        lambda: plots.reliability({"score": BINS, "probability": BINS}, "a & <b>"),
        [
            "Reliability on test: score",
            "Reliability on test: probability",
            "stated (score)",
            "observed share of a & <b>",
        ],
    ),
    "pod": (
        lambda: plots.pod(POD),
        ["flaw size", "lower limit, 95 %", "a90 = 6.5", "a90/95 = 8.25"],
    ),
    "pod_without_limit": (
        lambda: plots.pod(POD | {"a90_limit": None, "a90": 20.0}),
        ["POD", "probability of detection"],
    ),
    "fusion": (
        lambda: plots.fusion({"test": FUSION, "val": FUSION}),
        ["fused members", "AUC", "test", "val", "2"],
    ),
    "cluster_shares": (
        lambda: plots.cluster_shares(SHARES, pd.DataFrame([SHARES, SHARES], index=["00", "01"])),
        ["cluster", "each subset", "all images of the class", "2"],
    ),
    "cluster_shares_of_many": (
        lambda: plots.cluster_shares(
            pd.Series(np.full(200, 0.005)), pd.DataFrame(np.full((2, 200), 0.005))
        ),
        ["cluster", "each subset", "0", "10", "190"],
    ),
    "embedding": (
        lambda: plots.embedding(
            PLACES.assign(cluster=[3, 3, 7, 7]), np.array([True, False, True, False])
        ),
        ["cluster", "3", "7", "drawn"],
    ),
    "embedding_of_many_groups": (
        lambda: plots.embedding(pd.concat([PLACES] * 5).assign(cluster=range(20)), np.arange(20) < 2),
        ["cluster", "0.0", "17.5", "drawn"],
    ),
    "confusion": (
        lambda: plots.confusion(
            np.array([[17, 0, 3], [0, 0, 0], [1, 2, 99]]), ["<x>", "y & z", "cold shut"]
        ),
        ["<x>", "y & z", "cold shut", "17", "99", "predicted", "true"],
    ),
    "compared_curves": (
        lambda: grid_plots.compared_curves(
            {"a & <b>": HISTORY, "old": HISTORY.drop(columns="train_accuracy")}
        ),
        ["a & <b>", "old", "Loss (dashed: validation)", "Accuracy (dashed: validation)"],
    ),
    "many_curves": (
        lambda: grid_plots.compared_curves({f"run {i}": HISTORY for i in range(14)}),
        ["run 0", "run 13"],
    ),
    "confusions": (
        lambda: grid_plots.confusions(
            {f"run {i}": np.array([[10 + i, 2], [3, 4]]) for i in range(5)}, ["x", "y & z"]
        ),
        ["run 0", "run 4", "14", "y & z", "predicted"],
    ),
    "bars": (
        lambda: grid_plots.bars(GRID, ["method", "K"], "auc", "val"),
        ["b & c / 5", "0.85", "val AUC"],
    ),
    "grid_of_bars": (
        lambda: grid_plots.grid(GRID, ["method", "K"], split="val"),
        ["b & c / 5", "val AUC (mean and standard deviation over the seeds)"],
    ),
    "grid_of_lines": (
        lambda: grid_plots.grid(GRID, ["method", "K"], "K"),
        ["b & c", "K", "5", "test AUC (mean ± standard deviation)"],
    ),
    "grid_of_one_seed": (
        lambda: grid_plots.grid(GRID.assign(auc_sd=float("nan")), ["method", "K"], "K"),
        ["test AUC (one seed)"],
    ),
    "bars_of_one_seed": (
        lambda: grid_plots.grid(GRID.assign(auc_sd=float("nan")), ["method", "K"]),
        ["test AUC (one seed)"],
    ),
    "grid_of_one_line": (
        lambda: grid_plots.grid(GRID[GRID["method"] == "a"].drop(columns="method"), ["K"], "K"),
        ["K", "3", "5"],
    ),
}


@functools.cache
def svg_of(name):
    """Several tests look at the same figure; to draw one takes longer than all of them."""
    return FIGURES[name][0]()


def texts(svg):
    """Text elements in reading order of the file."""
    return [
        "".join(element.itertext()).strip()
        for element in ET.fromstring(svg).iter()
        if element.tag.endswith("}text")
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_valid_svg_with_its_words(name):
    svg, words = svg_of(name), FIGURES[name][1]
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.attrib["viewBox"].split()) == 4
    assert [word for word in words if word not in texts(svg)] == []


@pytest.mark.parametrize("name", FIGURES)
def test_equal_figures_are_equal_text(name):
    assert FIGURES[name][0]() == svg_of(name)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_needs_nothing_from_outside(name):
    links = re.findall(r'href="([^"]*)"', svg_of(name))
    assert all(link.startswith(("#", "data:")) for link in links)


def test_the_confusion_matrix_has_a_row_for_each_true_class():
    svg = plots.confusion(np.array([[11, 12], [13, 14]]), ["a", "b"])
    place = {
        element.text: (float(element.attrib["x"]), float(element.attrib["y"]))
        for element in ET.fromstring(svg).iter()
        if element.tag.endswith("}text") and element.text in ("11", "12", "13", "14")
    }
    assert place["11"][0] == place["13"][0] < place["12"][0] == place["14"][0]
    assert place["11"][1] == place["12"][1] < place["13"][1] == place["14"][1]


def test_a_limit_that_is_none_or_beyond_the_flaws_is_not_drawn():
    for fit in (POD | {"a90_limit": None}, POD | {"a90_limit": 9.5}):
        assert not any("a90/95" in text for text in texts(plots.pod(fit)))


def test_changed_data_is_a_changed_figure():
    first, second = (plots.curves(LABELS, {"fused": scores}, "x") for scores in (SCORES, SCORES[::-1]))
    assert first != second


def test_every_one_of_many_runs_has_a_colour_of_its_own():
    svg = grid_plots.compared_curves({f"run {i}": HISTORY for i in range(14)})
    # Black: axes; the rest of the greys: the grid.
    colours = set(re.findall(r"stroke: (#[0-9a-f]{6})", svg)) - {"#000000", "#b0b0b0"}
    assert len(colours) == 14


def test_values_stand_in_the_grids_order_whatever_is_missing():
    table = GRID.iloc[::-1]
    order = [str(k) for k in dict.fromkeys(GRID["K"])]
    shown = [t for t in texts(grid_plots.grid(table, ["method", "K"], "K", order=["1", *order]))]
    assert [t for t in shown if t in ("1", *order)] == order


def test_the_map_colours_images_by_group_and_rings_the_drawn():
    drawn = np.array([True, False, True, False])
    svg = plots.embedding(PLACES.assign(cluster=[3, 3, 3, 7]), drawn)
    marks = re.findall(r'<use xlink:href="[^"]*" x="([0-9.]+)" y="[^"]*" style="([^"]*)"', svg)
    x = {"#1f77b4": [], "#ff7f0e": [], "none": []}
    for place, style in marks:
        x[re.search(r"fill: ([^;]*)", style)[1]].append(float(place))
    # The last mark of each group is the legend's.
    assert (len(x["#1f77b4"]), len(x["#ff7f0e"])) == (3 + 1, 1 + 1)
    assert x["none"][:2] == [x["#1f77b4"][0], x["#1f77b4"][2]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["embedding_of_many_groups", "cluster_shares_of_many"])
def test_many_groups_fit_on_a_page(name):
    width, height = map(float, ET.fromstring(FIGURES[name][0]()).attrib["viewBox"].split()[2:])
    assert width < 1100
    assert height < 400
