"""The configurations that repeat the paper say what it says."""

from pathlib import Path

import numpy as np
import pytest

from mindspore_dpus import systems
from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.detectors.knn import KNN
from mindspore_dpus.detectors.systems import Model
from mindspore_dpus.experiments.grid import expand
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.systems.machine_sound import evaluation
from mindspore_dpus.systems.machine_sound.detect_stage import fitting_of
from mindspore_dpus.systems.machine_sound.paper_tables import PAPER, repeats_earlier, row_of
from tests.systems.machine_sound.conftest import tiny

CONFIGS = Path(__file__).parents[3] / "configs" / "machine_sound"


def test_the_papers_ensembles_are_of_its_own_systems(tmp_path):
    config = systems.parse_config([f"--config={CONFIGS / 'paper.yaml'}", f"--data.root={tmp_path}"])
    assert config.simple.sets == ()
    assert (config.ensemble.size, config.ensemble.each_vectors) == (20, False)
    assert config.detectors.names == ("knn", "gmm", "lof")
    assert config.detectors.sizes == (1, 2, 4, 16, 32)
    assert config.detectors.knn_distance == "kth"
    assert config.extractors.mixing == 0.2
    assert not repeats_earlier(config)


def test_the_grids_tables_have_the_papers_numbers(tmp_path):
    experiment = load_experiment(CONFIGS / "experiments" / "tables.yaml")
    for name in ("table1", "table2", "table3"):
        table = experiment.tables[name]
        repeated = set()
        for metric, number in table.printed.items():
            title = row_of(metric.partition(":")[2], "per_machine")
            assert number == PAPER[name][title][-1], metric
            repeated.add(title)
        assert set(PAPER[name]) - repeated == {"Kuroyanagi et al. [5]"}
    earlier = experiment.tables["earlier"].printed.values()
    assert list(earlier) == [PAPER[f"table{i}"]["Kuroyanagi et al. [5]"][-1] for i in (1, 2, 3)]
    assert experiment.tables["table4"].printed == {
        "domain_auc": PAPER["table4"]["domain classifier"][-1]
    }
    cases = expand(experiment, [f"--data.root={tmp_path}"])
    assert len(cases) == 4 * 3 * 4
    of_earlier = [case for case in cases if repeats_earlier(case.config)]
    assert {case.cell["loss"] for case in of_earlier} == {"Kuroyanagi et al. [5]"}
    assert len(of_earlier) == 3 * 4


def test_which_row_of_the_papers_is_repeated():
    both = {"common": "Domain generalization", "per_machine": "Domain generalization per machine"}
    for scope, title in both.items():
        assert row_of("generalised, ensemble (test data leak in)", scope) == title
        assert row_of("generalised, ensemble, common", scope) == both["common"]
        assert (
            row_of("generalised, ensemble, per machine (test data leak in)", scope)
            == (both["per_machine"])
        )
        assert row_of("generalised, best one", scope) is None
        assert row_of("generalised, best one (test data leak in)", scope, True) == (
            "Kuroyanagi et al. [5]"
        )
        assert row_of("generalised, ensemble", scope, True) is None
        assert row_of("MobileNetV2 baseline", scope, True) == "Official MobileNetV2"
    assert row_of("simple features", "common") is None


def test_the_distance_of_knn_is_that_of_the_configuration(tmp_path):
    X = np.random.default_rng(0).normal(size=(9, 2))
    for distance in ("kth", "mean"):
        config = tiny(tmp_path / "run", detectors__knn_distance=distance)
        fitted = fitting_of(config).fit(Model("simple", "knn", 4, "source"), X, np.zeros(9, bool))
        assert np.array_equal(fitted.score(X), KNN(4, distance=distance).fit(X).score(X))
    default = fitting_of(tiny(tmp_path / "run"))
    assert default.options == {"knn": {"distance": "kth"}}


def test_networks_alone_without_a_domain_head(finished, tmp_path):
    """As in the paper, no simple features take part; domains are told apart by a classifier of embeddings."""
    keys = {"simple__sets": "[]", "extractors__batches": "plain", "ensemble__each_vectors": False}
    keys |= {"simulate__enabled": False, "data__root": finished / "data", "training__epochs": 1}
    keys |= {"ensemble__product": "specialised", "evaluation__n_bootstrap": 0}
    keys |= {"ensemble__size": 50, "decision__rule": "quantile", "evaluation__paper": True}
    run = systems.train(tiny(tmp_path / "run", **keys), ["metrics"])
    chosen = read_json(run / "selection.json")
    for approach, n in (("generalised", 8), ("specialised", 8)):
        for selection in chosen[approach].values():
            names = selection["members"]["fan"]
            assert len(names) == n
            assert all(name.startswith("transformer ") for name in names)
    models = read_json(run / "metrics.json")["test"]["models"]
    assert "simple features" in models
    # Of all systems, the best of each machine and of all machines are the same.
    for approach in ("generalised", "specialised"):
        one, other = (models[f"{approach}, ensemble{scope}"] for scope in ("", ", common"))
        assert one["official"]["value"] == pytest.approx(other["official"]["value"], abs=1e-9)
    domains = read_table(run / "domains.csv").astype({"logit": float})
    assert np.isfinite(domains.loc[domains["vectors"] == "transformer", "logit"]).all()
    assert evaluation.export(run.path, tmp_path / "model")[1] < 1e-4
    scorer = evaluation.load_scorer(run.path)
    scores = read_table(run / "scores.csv")
    for row in scores.iloc[::9].itertuples():
        waveform = scorer.front.read(finished / "data" / row.path)
        found = scorer.score(waveform, row.machine, row.section)
        assert found.score == pytest.approx(float(row.score), abs=1e-4)
