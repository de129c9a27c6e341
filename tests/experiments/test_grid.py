"""Experiment files and the runs that they ask for."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.experiments.grid import choose, expand
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.systems import parse_config
from tests.experiments.grids import AXES, REPOSITORY, write_experiment

SHIPPED = {
    "clusters": 7,
    "features": 7,
    "imbalance": 9 * 5,
    "learning_rate": 4 * 5,
    "one_class": 4,
    "proportion": 4,
    "subsets": 4,
    "table2": 2 * 9,
    "training": 5 * 10,
}


def test_every_shipped_experiment_is_tested():
    assert {path.stem for path in (REPOSITORY / "configs" / "experiments").iterdir()} == set(SHIPPED)


@functools.cache
def expanded(path):
    """An experiment that is shipped, and all its runs."""
    experiment = load_experiment(path)
    base = yaml.safe_load(Path(experiment.config).read_text())
    simulated = base.get("simulate", {}).get("enabled", False)
    return experiment, expand(experiment, [] if simulated else ["--data.root=x"])


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_experiments_expand(name):
    path = REPOSITORY / "configs" / "experiments" / f"{name}.yaml"
    experiment, cases = expanded(path)
    assert experiment.seeds == [0, 1, 2, 3, 4]
    assert experiment.split == ("val" if name in ("features", "learning_rate", "training") else "test")
    assert f"--config configs/experiments/{name}.yaml" in path.read_text()
    assert [case.config.seed for case in cases] == np.repeat(experiment.seeds, SHIPPED[name]).tolist()
    assert all(case.folder.parent == Path("runs", name) for case in cases)


OTHERS = {
    "waste/freeze_depth": 2 * 14,
    "waste/learning_rate": 2 * 6,
    "waste/compare": 5,
    "waste/imbalance": 6,
    "chest_xray/compare": 8,
    "chest_xray/fine_tuning": 3,
    "chest_xray/covid": 3,
}


def test_every_experiment_of_the_other_systems_is_tested():
    folders = [REPOSITORY / "configs" / name for name in ("waste", "chest_xray")]
    files = {f"{path.parent.name}/{path.stem}" for folder in folders for path in folder.iterdir()}
    assert files - {"waste/base", "chest_xray/base"} == set(OTHERS)


@pytest.mark.parametrize("name", OTHERS)
def test_the_experiments_of_the_other_systems_expand(name):
    path = REPOSITORY / "configs" / f"{name}.yaml"
    experiment, cases = expanded(path)
    assert f"--config configs/{name}.yaml" in path.read_text()
    assert len(cases) == OTHERS[name] * len(experiment.seeds)
    assert all(case.folder.parent == Path("runs", name.replace("/", "_")) for case in cases)


def test_every_cell_gets_its_keys_and_its_seed(tmp_path):
    experiment = load_experiment(write_experiment(tmp_path))
    cases = expand(experiment, ["--data.root=x", "--training.epochs=3"])
    assert [case.name for case in cases] == [
        "under_sample-seed0",
        "ours-seed0",
        "under_sample-seed1",
        "ours-seed1",
    ]
    assert [case.config.sampling.n_subsets for case in cases] == [1, 2, 1, 2]
    assert [case.config.seed for case in cases] == [0, 0, 1, 1]
    assert {case.config.training.epochs for case in cases} == {3}
    assert cases[1].title == "Ours / seed 0"
    assert cases[1].folder == tmp_path / "grid" / "ours-seed0"
    # A second seed is not parsed again: nothing else differs.
    keys = experiment.common | AXES["method"]["Ours"]
    keys |= {"data.root": "x", "training.epochs": 3, "seed": 1, "output": cases[3].folder}
    args = [f"--{key}={'null' if value is None else value}" for key, value in keys.items()]
    assert cases[3].config == parse_config([f"--config={experiment.config}", *args])


def test_every_seed_is_checked(tmp_path):
    experiment = load_experiment(write_experiment(tmp_path, seeds=[0, -1]))
    with pytest.raises(UserError, match="under_sample-seed-1: .*seed is -1"):
        expand(experiment, ["--data.root=x"])


def test_numbers_and_empty_values_are_values_too(tmp_path):
    axes = {"K": {2: {"sampling.n_clusters": 2}, 0.5: None}}
    experiment = load_experiment(write_experiment(tmp_path, axes=axes, reference={"K": 2}, seeds=[0]))
    assert [case.cell for case in expand(experiment, ["--data.root=x"])] == [{"K": "2"}, {"K": "0.5"}]
    assert experiment.reference == {"K": "2"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"axes": None}, "axes must map each axis to its values, and each value to its keys"),
        ({"seed": 3}, "unexpected keyword argument 'seed'"),
        ({"axes": {"method": ["a"]}}, "axes must map each axis to its values; method has none"),
        ({"axes": {}}, "axes must map"),
        ({"axes": {"method": {"a": 3}}}, "axes: method: a is 3; it must map keys"),
        ({"axes": {"split": {"a": {}}}, "reference": {}}, "axes: .* column split already"),
        *(
            ({"axes": {name: {"a": {}}}, "reference": {}}, f"axes: .* column {name} already")
            for name in ("class", "difference", "auc", "precision:crack", "auc_mean", "2 fused")
        ),
        ({"metrics": ["auc", "recall", "auc"]}, "metrics is .*; name each once"),
        ({"common": ["a"]}, "common is .'a'.; it must map keys"),
        ({"common": {"output": "there"}}, "common sets output, which each run gets from the output"),
        ({"axes": {"m": {"a": {"seed": 3}}}}, "axes: m sets seed, which each run gets from the seeds"),
        (
            {"common": {"training.augment": {}}},
            "common: training.augment is empty, which changes nothing: name the keys",
        ),
        ({"config": 3}, "config is 3; it must be text"),
        ({"seeds": 3}, "seeds is 3; it must be a list of whole numbers"),
        ({"seeds": []}, "seeds is ..; it must be"),
        ({"metrics": ["auc", "speed"]}, "metrics is .*'speed'.*; it must be a list of auc, precision"),
        ({"reference": {"method": "Theirs"}}, "reference names method: Theirs"),
        ({"x": "K"}, "x names the axis 'K'"),
        ({"x": ["method"]}, "x names the axis .'method'."),
        (
            {"axes": AXES | {"t": {5: {"sampling": {"n_subsets": 5}}}}},
            "the axes method and t both set sampling.strategy; one would undo the other",
        ),
        ({"split": "train"}, "split is 'train'; it must be test or val"),
    ],
)
def test_a_bad_experiment_is_named(tmp_path, keys, message):
    with pytest.raises(UserError, match=f"experiment.yaml.*{message}"):
        load_experiment(write_experiment(tmp_path, **keys))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an experiment: it holds no keys"),
        (b"- a", "is not an experiment: it holds no keys"),
        (b"a: [", "is not YAML"),
        (b"\xff", "is not YAML"),
    ],
)
def test_a_file_without_keys_is_no_experiment(tmp_path, content, message):
    path = tmp_path / "e.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"e.yaml {message}"):
        load_experiment(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="e.yaml cannot be read: No such file"):
        load_experiment(tmp_path / "e.yaml")


def test_a_bad_key_of_a_cell_names_the_run(tmp_path):
    axes = {"K": {"2": {"sampling.n_cluster": 2}}}
    with pytest.raises(UserError, match="2-seed0: .*n_cluster"):
        expand(load_experiment(write_experiment(tmp_path, axes=axes, reference={})), ["--data.root=x"])


@pytest.mark.parametrize(
    ("keys", "options", "message"),
    [
        ({"seeds": [0, 0]}, [], "under_sample-seed0: two runs would share this folder"),
        ({"axes": AXES | {"n": {"A b": {}, "a_B": {}}}}, [], "under_sample-a_b-seed0: two runs"),
        ({}, ["--seed", "3"], "seed would give all runs one seed; name the seeds of the grid instead"),
        ({}, ["--sampling.strategy=none"], "--sampling.strategy would undo the axis method"),
        ({}, ["--sampling={n_clusters: 3}"], "--sampling would undo the axis method"),
        (
            {"axes": {"method": {"Ours": {"sampling": {"strategy": "dpus"}}}}},
            ["--sampling.strategy", "none"],
            "--sampling.strategy would undo the axis method",
        ),
    ],
)
def test_runs_that_nothing_would_tell_apart_are_refused(tmp_path, keys, options, message):
    experiment = load_experiment(write_experiment(tmp_path, **keys))
    with pytest.raises(UserError, match=message):
        expand(experiment, ["--data.root=x", *options])


TWO_AXES = {
    "method": {"a, b": {"sampling.n_subsets": 2}, "c": None, "d": None},
    "K": {2: {"sampling.n_clusters": 2}, 3: {"sampling.n_clusters": 3}},
}


def test_a_part_of_a_grid_has_the_folders_of_the_whole(tmp_path):
    path = write_experiment(tmp_path, axes=TWO_AXES, reference={"method": "c"}, seeds=[0])
    experiment = load_experiment(path)
    whole = expand(experiment, ["--data.root=x"])
    part = choose(experiment, whole, ["method=c", "K=3", "method=a, b"])
    assert [case.cell for case in part] == [{"method": "a, b", "K": "3"}, {"method": "c", "K": "3"}]
    assert [whole.index(case) for case in part] == [1, 3]
    assert choose(experiment, whole, []) == whole


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["method=x"], "only method=x: the grid has no such value; it has method=a, b; method=c;"),
        (["methods=c"], "only methods=c: the grid has no such value"),
        (["K"], "only K: the grid has no such value"),
    ],
)
def test_a_part_that_is_none_is_refused(tmp_path, choices, message):
    experiment = load_experiment(write_experiment(tmp_path, axes=TWO_AXES, reference={}))
    with pytest.raises(UserError, match=message):
        choose(experiment, [], choices)


def test_the_methods_of_table_2_are_the_papers_and_two_more():
    _, cases = expanded(REPOSITORY / "configs" / "experiments" / "table2.yaml")
    found = {
        case.cell["method"]: (c.sampling.strategy, c.loss.name, c.sampling.n_subsets, c.sampling.draw)
        for case in cases
        for c in [case.config]
    }
    assert found == {
        "CE loss": ("none", "cross_entropy", 1, "independent"),
        "WCE loss": ("none", "weighted_cross_entropy", 1, "independent"),
        "Focal loss": ("none", "focal", 1, "independent"),
        "Seesaw loss": ("none", "seesaw", 1, "independent"),
        "Over-sample": ("random_over", "cross_entropy", 1, "independent"),
        "Under-sample": ("random_under", "cross_entropy", 1, "independent"),
        "Under-sample x t, fused": ("random_under", "cross_entropy", 5, "independent"),
        "Ours": ("dpus", "cross_entropy", 5, "independent"),
        "Ours, covering draws": ("dpus", "cross_entropy", 5, "covering"),
    }
    assert {case.config.model.backbone for case in cases} == {"resnet18", "mobilenet_v2"}
    # Figure 5 has the same methods.
    names = load_experiment(REPOSITORY / "configs/experiments/imbalance.yaml").axes["method"]
    assert set(names) == set(found)


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted((REPOSITORY / "configs").rglob("*.yaml"))
        if re.search(r"^(axes|search):", path.read_text(), re.MULTILINE)
    ],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_every_experiment_that_is_shipped_can_be_run(path):
    _, cases = expanded(path)
    assert len({case.name for case in cases}) == len(cases)
