"""Runs one setting apart; exponents of made-up tables; the tool, as small as it comes."""

import numpy as np
import pandas as pd
import pytest
from benchmarking import growth
from benchmarking.growth import (
    AXES,
    COLUMNS,
    Sizes,
    configuration,
    exponents,
    measure_growth,
    plot,
)

from tests.tools.test_tools import assert_one_line, tool


def made_up():
    """Features take 1, 2, 4 s for 100, 200, 400 images; subsets always 3 s; samples next to nothing."""
    rows = []
    for i, n in enumerate((100, 200, 400)):
        rows += [
            ("images", n, "samples", 0.01, 100, 0),
            ("images", n, "features", 2.0**i, 200 + i, 0),
            ("images", n, "subsets", 3.0, 200 + i, 50),
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_exponent_is_the_slope_of_logarithms():
    expected = [("images", "features", 1.0, 4.0, 1.0), ("images", "subsets", 3.0, 3.0, 0.0)]
    found = exponents(made_up().sort_values(["stage", "value"], ascending=[True, False]))
    assert list(found.itertuples(index=False, name=None)) == expected


def test_one_value_has_no_exponent():
    assert exponents(made_up().query("value == 100")).empty


def test_the_figure_shows_each_axis_and_long_stage():
    svg = plot(made_up())
    assert ("features" in svg, "samples" in svg, AXES["images"] in svg) == (True, False, True)
    assert svg == plot(made_up())


@pytest.mark.parametrize("field", list(AXES))
def test_an_axis_changes_its_own_size(field):
    config = configuration(Sizes(**{field: 17}), "CPU")
    found = {
        "images": config.simulate.train[0],
        "clusters": config.sampling.n_clusters,
        "subsets": config.sampling.n_subsets,
        "pixels": config.images.size,
    }
    assert found == vars(Sizes()) | {field: 17}
    assert config.simulate.size == config.images.size


def test_equal_runs_are_made_once(monkeypatch):
    made = []

    def train(sizes, target):
        made.append(sizes)
        return {"samples": {"seconds": 1.0, "peak_memory_mb": 2, "child_peak_memory_mb": 0}}

    monkeypatch.setattr(growth, "_train_apart", train)
    lines = []
    table = measure_growth({"clusters": [2, 5], "subsets": [3, 4]}, Sizes(), "CPU", lines.append)
    assert made == [Sizes(clusters=2), Sizes(), Sizes(subsets=4)]
    assert lines[0] == "1/3: images 1000, clusters 2, subsets 3, pixels 64"
    assert table[["axis", "value"]].to_numpy().tolist() == [
        ["clusters", 2],
        ["clusters", 5],
        ["subsets", 3],
        ["subsets", 4],
    ]


def test_the_tool_leaves_table_and_figure(monkeypatch, tmp_path):
    monkeypatch.setattr(Sizes.__init__, "__defaults__", (40, 2, 1, 32))
    folder = tmp_path / "new"
    result = tool("growth", "--output", folder, "--axes", "clusters=2", "--device.target", "CPU")
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(folder / "growth.csv")
    assert table["stage"].tolist()[:3] == ["simulate", "samples", "audit"]
    assert {"features", "subsets", "members", "metrics"} <= set(table["stage"])
    assert (np.diff(table["memory_mb"]) >= 0).all()
    assert table["member_memory_mb"].iloc[-1] > 200
    assert (folder / "growth.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--axes", "speed=1"], ["--axes", "'speed'", "images"]),
        (["--axes", "images=1,x"], ["--axes", "whole numbers"]),
        (["--axes", "images=0"], ["--axes", "whole numbers"]),
        (["--output", __file__], ["--output", "is a file"]),
    ],
)
def test_bad_input_is_one_line(options, fragments, tmp_path):
    assert_one_line(tool("growth", "--output", tmp_path, *options), *fragments)
