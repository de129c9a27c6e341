"""How long a run will train: counted and timed, before anything is computed."""

from types import SimpleNamespace

import pytest

from mindspore_dpus.core.files import write_json
from mindspore_dpus.experiments.estimate import estimate_seconds
from mindspore_dpus.systems.machine_sound import planning
from tests.systems.machine_sound.conftest import tiny

# Two machines of two sections, eight source-domain and three target-domain normals each.
COUNTS = {"fan": (16, 6, 2), "gearbox": (16, 6, 2)}


def case(config, folder=None):
    return SimpleNamespace(config=config, folder=folder)


def test_clips_are_counted_in_the_simulation_and_in_a_folder(finished, tmp_path):
    assert planning.clip_counts(tiny(tmp_path / "run")) == COUNTS
    there = tiny(tmp_path / "run", simulate__enabled=False, data__root=finished / "data")
    assert planning.clip_counts(there) == COUNTS


def test_segments_of_all_steps(tmp_path):
    # 85 % of 16, four samples for each in two epochs, of two machines.
    assert planning.planned_samples(tiny(tmp_path / "run")) == 2 * 2 * 4 * 14
    # In half batches of 4, one of them of the target domain: three source normals of 8 samples.
    plain = tiny(tmp_path / "run", extractors__batches="plain")
    assert planning.planned_samples(plain) == round(2 * 2 * 14 * 8 / 3)


def test_a_step_is_timed_once_for_each_network(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_known", {})
    config = tiny(tmp_path / "run")
    seconds = planning.planned_seconds(config)
    assert seconds > 0
    monkeypatch.setattr(planning, "step_seconds", lambda config, name: pytest.fail("timed again"))
    longer = tiny(tmp_path / "other", training__epochs=6)
    assert planning.planned_seconds(longer) == pytest.approx(3 * seconds)
    none = tiny(tmp_path / "none", extractors__networks="[]", extractors__options="{}")
    assert planning.planned_seconds(none) == 0


def test_a_grid_goes_by_the_plan_until_a_run_is_finished(tmp_path, monkeypatch):
    config = tiny(tmp_path / "run")
    todo = [case(config), case(config)]
    monkeypatch.setattr(planning, "_known", {})
    monkeypatch.setattr(planning, "step_seconds", lambda config, name: 0.5)
    each = 0.5 * planning.planned_samples(config)
    assert estimate_seconds(todo, []) == pytest.approx(2 * each)
    assert estimate_seconds(todo, [], jobs=2) == pytest.approx(each)
    folder = tmp_path / "done"
    folder.mkdir()
    write_json(folder / "stages.json", {"scores": {"seconds": 3.0}, "report": {"seconds": 1.0}})
    assert estimate_seconds(todo, [case(config, folder)]) == 8
    assert estimate_seconds([], [case(config, folder)]) == 0
