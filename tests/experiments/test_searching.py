"""The section ``search`` of an experiment: axes out of a space, rounds, and the table of candidates."""

import math
from types import SimpleNamespace

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.experiments.grid import expand
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.experiments.searching import Search, parts, ranking
from tests.experiments.grids import write_experiment

SPACE = {"training.learning_rate": [0.1, 0.01, 0.001], "training.optimizer": ["adam", "sgd"]}
HALVING = {
    "strategy": "halving",
    "space": SPACE,
    "by": "accuracy",
    "candidates": 4,
    "min_epochs": 2,
    "max_epochs": 8,
    "factor": 2,
}


def cases_of(search, seeds=(0,), others=("A",)):
    axes = search.axes()
    return [
        SimpleNamespace(
            cell={"network": other, "candidate": candidate, "epochs": epochs},
            seed=seed,
            folder=f"{other}-{candidate}-{epochs}-{seed}",
        )
        for seed in seeds
        for other in others
        for candidate in axes["candidate"]
        for epochs in axes["epochs"]
    ]


def test_a_grid_and_a_draw_are_one_axis():
    (axis,) = Search("grid", SPACE, "accuracy").axes().values()
    assert len(axis) == 6
    assert axis["learning_rate 0.1, optimizer sgd"] == {
        "training.learning_rate": 0.1,
        "training.optimizer": "sgd",
    }
    drawn = Search("random", SPACE, "accuracy", candidates=4, seed=3)
    assert len(drawn.axes()["candidate"]) == 4
    assert drawn.axes() == drawn.axes()
    assert set(drawn.axes()["candidate"]) < set(axis)


def test_without_rounds_all_runs_are_one_part():
    assert list(parts(None, [1, 2], None)) == [[1, 2]]
    assert list(parts(Search("grid", SPACE, "accuracy"), [1, 2], None)) == [[1, 2]]


def test_the_best_go_on():
    search = Search(**HALVING)
    assert {k: list(v) for k, v in search.axes().items()}["epochs"] == ["2", "4", "8"]
    cases = cases_of(search, seeds=(0, 1), others=("A", "B"))
    names = list(search.axes()["candidate"])
    # Of A, the first is best; of B, the last. One seed alone would choose another.
    values = {"A": [0.9, 0.8, 0.1, 0.2], "B": [0.1, 0.2, 0.8, 0.9]}

    def score(case):
        value = values[case.cell["network"]][names.index(case.cell["candidate"])]
        return value + (0.75 if case.seed == 0 else -0.75) * (case.cell["candidate"] == names[1])

    made = [
        sorted({(c.cell["network"], names.index(c.cell["candidate"])) for c in part})
        for part in parts(search, cases, score)
    ]
    assert made == [
        [("A", 0), ("A", 1), ("A", 2), ("A", 3), ("B", 0), ("B", 1), ("B", 2), ("B", 3)],
        [("A", 0), ("A", 1), ("B", 2), ("B", 3)],
        [("A", 0), ("B", 3)],
    ]


def test_small_values_may_be_good_and_failed_runs_do_not_go_on():
    search = Search(**HALVING | {"by": "log_loss", "largest": False})
    cases = cases_of(search)
    names = list(search.axes()["candidate"])
    losses = dict(zip(names, [3.0, math.nan, 1.0, 2.0], strict=True))
    rounds = list(parts(search, cases, lambda case: losses[case.cell["candidate"]]))
    assert [[names.index(c.cell["candidate"]) for c in part] for part in rounds] == [
        [0, 1, 2, 3],
        [2, 3],
        [2],
    ]
    with pytest.raises(UserError, match="2 of 4 candidates should go on, but only 0 have a score"):
        list(parts(search, cases, lambda case: math.nan))


def test_the_ranking_has_the_longest_trained_first():
    search = Search(**HALVING)
    cases = cases_of(search)[:6]
    table = ranking(search, cases, lambda case: len(cases) - cases.index(case))
    assert table["epochs"].tolist() == ["8", "8", "4", "4", "2", "2"]
    assert table["val_accuracy"].tolist() == [4, 1, 5, 2, 6, 3]
    assert table.columns.tolist()[:3] == ["rank", "network", "epochs"]
    assert table["training.learning_rate"].isin(SPACE["training.learning_rate"]).all()


def test_an_experiment_with_a_search(tmp_path):
    path = write_experiment(tmp_path, axes={}, reference={}, seeds=[0, 1], search=HALVING)
    experiment = load_experiment(path)
    cases = expand(experiment, ["--data.root=x"])
    assert len(cases) == 2 * 4 * 3
    assert {case.config.training.epochs for case in cases} == {2, 4, 8}
    assert {case.config.training.optimizer for case in cases} <= {"adam", "sgd"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"strategy": "best"}, "search: strategy is 'best'; it must be grid, random, halving"),
        ({"strategy": "random"}, "search: min_epochs has no effect|search: max_epochs has no effect"),
        ({"max_epochs": None}, "search: strategy halving needs max_epochs"),
        ({"by": "speed"}, "search: by is 'speed'; it must be auc"),
        ({"budget": 3}, "search: got an unexpected keyword argument 'budget'"),
        ({"space": {}}, "search: the space must map keys"),
        ({"space": {"training.epochs": [1, 2, 3, 4]}}, "search: training.epochs is given by the rounds"),
    ],
)
def test_a_search_that_makes_no_sense_is_named(tmp_path, keys, message):
    path = write_experiment(tmp_path, axes={}, reference={}, search=HALVING | keys)
    with pytest.raises(UserError, match=f"experiment.yaml: (?:{message})"):
        load_experiment(path)


def test_an_axis_cannot_have_the_name_of_the_candidates(tmp_path):
    path = write_experiment(tmp_path, axes={"candidate": {"a": None}}, reference={}, search=HALVING)
    with pytest.raises(UserError, match="axes has candidate, which search adds"):
        load_experiment(path)
