"""A graph of stages: what needs what runs again, and nothing else; checks come before long work."""

import json
from functools import partial

import pytest

from mindspore_dpus.core.files import write_text
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.stages import Stage, fill
from tests.support import logged


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def writes(run, name, text="x"):
    """What a stage does that leaves ``<name>.txt``."""
    return lambda key: write_text(run / f"{name}.txt", text)


def stage(run, name, needs=(), settings=None, **more):
    """A stage that leaves ``<name>.txt``."""
    more = {"artefacts": [f"{name}.txt"], "make": writes(run, name, str(settings))} | more
    return Stage(name, needs=needs, settings=settings, **more)


def diamond(run, **settings):
    """a; b and c, which need a; d, which needs both; e, which needs only c."""
    graph = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("c",)}
    return [stage(run, name, needs, settings.get(name, 0)) for name, needs in graph.items()]


@pytest.mark.parametrize(
    ("changed", "ran"),
    [("a", "abcde"), ("b", "bd"), ("c", "cde"), ("d", "d"), ("e", "e")],
)
def test_a_changed_setting_runs_its_stage_and_those_that_need_it(run, changed, ran):
    assert fill(run, diamond(run)) == list("abcde")
    assert fill(run, diamond(run)) == []
    assert fill(run, diamond(run, **{changed: 1})) == list(ran)
    assert (run / f"{changed}.txt").read_text() == "1"
    assert fill(run, diamond(run, **{changed: 1})) == []


def test_the_order_in_the_list_changes_nothing(run):
    a, b, c, d, e = diamond(run)
    fill(run, [a, b, c, d, e])
    assert fill(run, [a, c, e, b, d]) == []


def test_results_of_older_code_are_made_again(run):
    fill(run, [stage(run, "a", version=1)])
    assert fill(run, [stage(run, "a", version=1)]) == []
    assert fill(run, [stage(run, "a", version=2)]) == ["a"]


def test_a_missing_artefact_runs_its_stage_alone(run):
    fill(run, diamond(run))
    (run / "b.txt").unlink()
    assert fill(run, diamond(run)) == ["b"]


def test_a_new_stage_in_between_takes_away_what_needs_it(run):
    fill(run, [stage(run, "a"), stage(run, "b", ("a",))])
    stopped = [
        stage(run, "a"),
        stage(run, "new", ("a",), make=lambda key: 1 / 0),
        stage(run, "b", ("new",)),
    ]
    with pytest.raises(ZeroDivisionError):
        fill(run, stopped)
    assert list(run.stages()) == ["a"]


def test_a_stage_comes_after_one_that_it_does_not_read(run):
    def graph(threshold):
        return [
            stage(run, "a"),
            stage(run, "audit", ("a",), threshold),
            stage(run, "b", ("a",), after=("audit",)),
        ]

    assert fill(run, graph(1)) == ["a", "audit", "b"]
    assert fill(run, graph(2)) == ["audit"]
    failing = graph(3)
    failing[1] = stage(run, "audit", ("a",), 3, make=lambda key: 1 / 0)
    failing[2] = stage(run, "b", ("a",), 9, after=("audit",))
    with pytest.raises(ZeroDivisionError):
        fill(run, failing)
    assert (run / "b.txt").read_text() == "None", "b waits for the audit"


def test_only_what_is_asked_for_and_what_that_needs_runs(run):
    graph = [*diamond(run), stage(run, "extra", ("b",), on_request=True)]
    assert fill(run, graph, targets=["extra"]) == ["a", "b", "extra"]
    assert fill(run, graph) == ["c", "d", "e"]
    assert set(run.stages()) == {*"abcde", "extra"}, "what is not asked for stays"


def test_what_another_graph_has_left_is_removed_when_something_runs(run):
    fill(run, [stage(run, "a"), stage(run, "old", ("a",))])
    assert fill(run, [stage(run, "a")]) == []
    assert (run / "old.txt").exists(), "nothing has changed"
    fill(run, [stage(run, "a", settings=1)])
    assert not (run / "old.txt").exists()
    assert list(run.stages()) == ["a"]


def test_artefacts_that_a_stage_makes_no_more_are_removed(run):
    fill(run, [stage(run, "a", artefacts=lambda: ["a.txt", "b.txt"], make=partial(_two, run))])
    assert (run / "b.txt").exists()
    fill(run, [stage(run, "a", settings=1)])
    assert not (run / "b.txt").exists()


def _two(run, key):
    for name in "ab":
        write_text(run / f"{name}.txt", key)


def test_settings_may_be_known_only_when_the_stages_before_are_done(run):
    graph = [stage(run, "a"), stage(run, "b", ("a",), lambda: (run / "a.txt").read_text())]
    assert fill(run, graph) == ["a", "b"]


def test_a_stage_is_checked_as_soon_as_can_be_and_only_if_it_will_run(run):
    seen = []

    def graph(last):
        return [
            stage(run, "a", make=lambda key: (seen.append("a"), writes(run, "a")(key))),
            stage(run, "long", ("a",), make=lambda key: (seen.append("long"), writes(run, "long")(key))),
            stage(
                run,
                "b",
                ("long",),
                last,
                check=lambda: seen.append("check"),
                check_after=("a",),
            ),
        ]

    fill(run, graph(0))
    assert seen == ["a", "check", "long"]
    fill(run, graph(0))
    assert seen == ["a", "check", "long"]
    fill(run, graph(1))
    assert seen == ["a", "check", "long", "check"]


def test_a_refusal_comes_before_the_long_stage(run):
    def refuse():
        raise ValueError("no")

    graph = [
        stage(run, "a"),
        stage(run, "long", ("a",)),
        stage(run, "b", ("long",), check=refuse, check_after=("a",)),
    ]
    with pytest.raises(ValueError, match="no"):
        fill(run, graph)
    assert list(run.stages()) == ["a"]


def test_a_run_is_described_before_anything_of_it_changes(run):
    described = []

    def describe():
        described.append(sorted(run.stages()))

    fill(run, diamond(run), describe)
    fill(run, diamond(run), describe)
    fill(run, diamond(run, e=1), describe)
    assert described == [[], [*"abcde"]]


def test_a_stage_is_recorded_and_logged(run):
    lines = []
    with logged(lines.append):
        for _ in range(2):
            fill(run, [stage(run, "a")])
    assert lines == ["a ..."]
    record = run.finished("a")
    assert record["artefacts"] == ["a.txt"]
    assert record["needs"] == []
    assert 0 <= record["seconds"] < 60
    assert record["peak_memory_mb"] > 1
    assert record["child_peak_memory_mb"] >= 0
    assert json.loads((run / "stages.json").read_text()) == {"a": record}


def test_a_stage_is_handed_its_key(run):
    keys = []
    fill(run, [stage(run, "a", make=lambda key: (keys.append(key), writes(run, "a")(key)))])
    assert keys == [run.finished("a")["key"]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([("a", ()), ("a", ())], "two stages are called 'a'"),
        ([("a", ("b",)), ("b", ())], "stage 'a' names 'b', which does not come before it"),
    ],
)
def test_a_list_that_is_no_graph_is_refused(run, names, message):
    with pytest.raises(ValueError, match=message):
        fill(run, [stage(run, name, needs) for name, needs in names])


def test_no_later_stage_stands_for_settings_that_it_was_not_made_with(run):
    """A start with other settings of the last stage that ends in the first one, which had lost a file."""
    fill(run, diamond(run))
    (run / "a.txt").unlink()
    graph = diamond(run, e=1)
    graph[0] = stage(run, "a", (), 0, make=lambda key: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fill(run, graph)
    assert list(run.stages()) == list("bcd")
