"""Differences over all values of an axis."""

import dataclasses

import pandas as pd
import pytest

from mindspore_dpus.experiments.pooled import write_pooled
from mindspore_dpus.experiments.tables import write_results

FILES = ["pooled.csv", "pooled.md", "pooled.tex"]


@pytest.fixture
def shares(finished):
    """The finished grid with its seeds as values of an axis, and one seed: the experiment, its runs."""
    axes = {"share": {"1": {}, "1/2": {}}, **finished.experiment.axes}
    experiment = dataclasses.replace(finished.experiment, axes=axes, x="share")
    names = list(axes["share"])
    return experiment, [
        dataclasses.replace(case, cell={"share": names[case.seed], **case.cell}, seed=0)
        for case in finished.cases
    ]


def test_pooled_over_an_axis_is_what_is_pooled_over_seeds(finished, shares, tmp_path):
    experiment, cases = shares
    write_results(experiment, cases, tmp_path)
    (row,) = pd.read_csv(tmp_path / "pooled.csv").to_dict("records")
    seeds = pd.read_csv(finished.output / "table.csv").set_index("method").loc["Under-sample"]
    assert (row["method"], row["split"], row["pairs"]) == ("Under-sample", "test", 2)
    for name in ("difference", "difference_low", "difference_high"):
        assert row[name] == seeds[name], name
    lines = (tmp_path / "pooled.md").read_text().splitlines()
    assert lines[0] == "| method | pairs | test AUC difference |"
    assert lines[2].startswith("| Under-sample | 2 | ")
    assert len(lines) == 3


def test_runs_without_a_partner_are_left_out(shares, tmp_path):
    experiment, cases = shares
    (row,) = write_pooled(experiment, cases[:3], tmp_path).to_dict("records")
    assert row["pairs"] == 1
    assert (tmp_path / "pooled.md").read_text().endswith(", images only |\n")
    # No pair at all leaves no older table.
    assert write_pooled(experiment, cases[:1], tmp_path).empty
    assert not any((tmp_path / name).exists() for name in FILES)


@pytest.mark.parametrize("keys", [{"x": None}, {"reference": {}}, {"x": "method"}])
def test_a_grid_without_an_axis_beside_the_reference_has_no_such_table(shares, tmp_path, keys):
    experiment, cases = shares
    (tmp_path / "pooled.md").write_text("of another experiment")
    assert write_pooled(dataclasses.replace(experiment, **keys), cases, tmp_path).empty
    assert not any((tmp_path / name).exists() for name in FILES)
