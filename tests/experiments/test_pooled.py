"""Differences over all values of an axis."""

import dataclasses
import shutil

import pandas as pd
import pytest

from mindspore_dpus.experiments.pooled import write_pooled
from mindspore_dpus.experiments.result_tables import write_results

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


def test_where_images_have_groups_the_tables_say_what_is_so_within_them(shares, tmp_path):
    experiment, cases = shares
    grouped = []
    for case in cases:
        config = dataclasses.replace(case.config, output=str(tmp_path / f"{case.name}-{case.seed}"))
        shutil.copytree(case.folder, config.output, dirs_exist_ok=True)
        path = tmp_path / f"{case.name}-{case.seed}" / "samples.csv"
        samples = pd.read_csv(path, keep_default_na=False)
        samples["group"] = [f"part {i % 2}" for i in range(len(samples))]
        samples.to_csv(path, index=False)
        grouped.append(dataclasses.replace(case, config=config))
    write_results(experiment, grouped, tmp_path / "grid")
    ending = "| test AUC difference | interval over groups | difference within groups |"
    for name in ("table.md", "pooled.md"):
        lines = (tmp_path / "grid" / name).read_text().splitlines()
        assert lines[0].endswith(ending), name
        assert lines[2].count("], images only |") == 2 - 2 * (name == "pooled.md"), name
    (row,) = pd.read_csv(tmp_path / "grid" / "pooled.csv").to_dict("records")
    areas = pd.read_csv(tmp_path / "grid" / "groups.csv").groupby("method")["within groups"].mean()
    expected = areas["Under-sample"] - areas["Ours"]
    assert row["within_difference"] == pytest.approx(expected, abs=2e-4)
    lines = (tmp_path / "grid" / "pooled_groups.md").read_text().splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [["| Under-sample", "2"], ["| Ours", "2"]]


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
