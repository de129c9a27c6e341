"""Experiment files, the runs they ask for, and what a grid leaves behind."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from mindspore_dpus.errors import UserError
from mindspore_dpus.experiments.grid import expand, load_experiment
from mindspore_dpus.experiments.runner import estimate_seconds, run_grid
from mindspore_dpus.experiments.tables import paired_difference, write_results

CONFIGS = Path(__file__).parents[2] / "configs"
COMMON = {
    "data.image_size": 32,
    "features.pretrained": None,
    "features.layer": "layer1",
    "features.n_components": 4,
    "sampling.n_clusters": 2,
    "sampling.n_subsets": 2,
    "model.pretrained": None,
    "model.backbone": "resnet18",
    "training.epochs": 1,
    "evaluation.n_bootstrap": 0,
    "device.target": "CPU",
}
AXES = {
    "method": {
        "Under-sample": {"sampling.strategy": "random_under", "sampling.n_subsets": 1},
        "Ours": {"sampling.strategy": "dpus"},
    }
}


def write(folder, **keys):
    (folder / "base.yaml").write_text("data: {channels: 1}\n")
    values = {
        "output": str(folder / "grid"),
        "config": "base.yaml",
        "seeds": [0, 1],
        "common": COMMON,
        "axes": AXES,
        "reference": {"method": "Ours"},
    }
    path = folder / "experiment.yaml"
    kept = {k: v for k, v in (values | keys).items() if v is not None}
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("name", "runs"), [("table2", 2 * 9 * 5), ("imbalance", 5 * 5 * 5), ("clusters", 4 * 5)]
)
def test_the_papers_experiments_expand(name, runs):
    cases = expand(load_experiment(CONFIGS / "experiments" / f"{name}.yaml"), ["--data.root=x"])
    assert len(cases) == len({case.name for case in cases}) == runs


def test_every_cell_gets_its_keys_and_its_seed(tmp_path):
    cases = expand(load_experiment(write(tmp_path)), ["--data.root=x", "--training.epochs=3"])
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
    assert cases[1].config.output == str(tmp_path / "grid" / "ours-seed0")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"axes": None}, "is not an experiment: missing 1 required"),
        ({"seed": 3}, "unexpected keyword argument 'seed'"),
        ({"axes": {"method": ["a"]}}, "axes must map"),
        ({"reference": {"method": "Theirs"}}, "reference names method: Theirs"),
        ({"x": "K"}, "x names the axis 'K'"),
    ],
)
def test_a_bad_experiment_is_named(tmp_path, keys, message):
    with pytest.raises(UserError, match=f"experiment.yaml.*{message}"):
        load_experiment(write(tmp_path, **keys))


def test_a_bad_key_of_a_cell_names_the_run(tmp_path):
    path = write(tmp_path, axes={"K": {"2": {"sampling.n_cluster": 2}}}, reference={})
    with pytest.raises(UserError, match="2-seed0: .*n_cluster"):
        expand(load_experiment(path), ["--data.root=x"])


@pytest.fixture(scope="module")
def finished(castings, tmp_path_factory):
    """A grid of four runs, of which the two of seed 1 were added later."""
    folder = tmp_path_factory.mktemp("experiment")
    experiment = load_experiment(write(folder))
    cases = expand(experiment, [f"--data.root={castings}"])
    lines = []
    run_grid(cases[:2], folder / "grid", lines.append)
    status = run_grid(cases, folder / "grid", lines.append)
    write_results(experiment, cases, folder / "grid")
    return folder / "grid", experiment, cases, status, lines


def test_an_interrupted_grid_goes_on(finished):
    output, _, cases, status, lines = finished
    assert status["status"].tolist() == ["done"] * 4
    assert lines[0].startswith("[1/2] Under-sample / seed 0: AUC ")
    assert lines[-1].startswith("[4/4] Ours / seed 1: AUC ")
    before = (output / "table.csv").read_bytes()
    stamps = [p.stat().st_mtime_ns for p in output.rglob("best.safetensors")]
    run_grid(cases, output, lines.append)
    write_results(finished[1], cases, output)
    assert (output / "table.csv").read_bytes() == before
    assert [p.stat().st_mtime_ns for p in output.rglob("best.safetensors")] == stamps


def test_images_and_features_are_shared(finished):
    cache = finished[0] / "cache"
    assert sorted(p.name.split("-")[0] for p in cache.iterdir()) == ["features", "features", "images"]


def test_the_tables_hold_mean_and_deviation_over_the_seeds(finished):
    output = finished[0]
    results, table = pd.read_csv(output / "results.csv"), pd.read_csv(output / "table.csv")
    assert len(results) == 4
    ours = results[results["method"] == "Ours"]["auc"]
    row = table[table["method"] == "Ours"].iloc[0]
    assert row["auc_mean"] == pytest.approx(ours.mean(), abs=1e-4)
    assert row["auc_sd"] == pytest.approx(ours.std(ddof=1), abs=1e-4)
    other = table[table["method"] == "Under-sample"].iloc[0]
    assert other["difference"] == pytest.approx(other["auc_mean"] - row["auc_mean"], abs=2e-4)
    assert other["difference_low"] <= other["difference"] <= other["difference_high"]
    markdown = (output / "table.md").read_text()
    assert markdown.splitlines()[0] == "| method | runs | precision | recall | auc | AUC difference |"
    assert "| Ours | 2 |" in markdown
    assert "| reference |" in markdown
    assert (output / "table.tex").read_text().count(r"\\") == 3
    assert "<svg" in (output / "figure.svg").read_text()


def test_a_failed_run_is_reported_and_the_rest_goes_on(castings, tmp_path):
    axes = {
        "rate": {
            "absurd": {"training.learning_rate": 1.0e38, "training.epochs": 2},
            "sane": {"training.learning_rate": 1.0e-3},
        }
    }
    common = COMMON | {"sampling.strategy": "random_under", "sampling.n_subsets": 1}
    path = write(tmp_path, axes=axes, reference={}, seeds=[0], common=common, x="rate")
    cases = expand(load_experiment(path), [f"--data.root={castings}"])
    status = run_grid(cases, tmp_path / "grid", lambda line: None)
    assert status["status"].tolist() == ["failed", "done"]
    assert "the loss is" in status["message"].iloc[0]
    table = write_results(load_experiment(path), cases, tmp_path / "grid")
    assert table["rate"].tolist() == ["sane"]


def test_time_is_estimated_from_what_is_done(finished, castings):
    _, experiment, cases, _, _ = finished
    assert estimate_seconds(cases, cases) == 0
    experiment.seeds = [0, 1, 2]
    more = expand(experiment, [f"--data.root={castings}"])
    assert estimate_seconds(more, more) > 0
    assert estimate_seconds(more[4:], more[4:]) is None


def test_paired_difference_of_equal_methods_is_nothing():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    scores = rng.random((40, 2))
    method = (labels, scores / scores.sum(1, keepdims=True))
    assert paired_difference([(method, method)] * 3, 50) == (0, 0, 0)


def test_paired_difference_of_a_better_method_is_its_gain():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    pairs, expected = [], []
    for _ in range(4):
        good = np.clip(0.5 + 0.3 * (labels - 0.5) + rng.normal(0, 0.1, 100), 0, 1)
        poor = rng.random(100)
        pairs.append([(labels, np.stack([1 - s, s], 1)) for s in (good, poor)])
        expected.append(roc_auc_score(labels, good) - roc_auc_score(labels, poor))
    mean, low, high = paired_difference(pairs, 200)
    assert mean == pytest.approx(np.mean(expected))
    assert 0 < low < mean < high
