"""The whole way through, on tiny simulated machines: stages, repeating, resuming, bad input."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from mindspore_dpus import systems
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.metrics.anomaly import harmonic_means, section_results
from mindspore_dpus.systems.machine_sound import system
from mindspore_dpus.systems.machine_sound.challenge import read_challenge_file
from mindspore_dpus.systems.machine_sound.evaluation import evaluate as system_evaluate
from mindspore_dpus.systems.machine_sound.run_data import draw_normals
from tests.support import logged
from tests.systems.machine_sound.conftest import tiny

STAGES = (
    *("simulate", "samples", "audit", "simple", "transformer.extractors", "transformer.embeddings"),
    *("scores", "ensemble", "metrics", "report"),
)
# Metrics take a tiny run long, and drawing longer than all the rest.
UNTIL_SCORES, UNTIL_METRICS = ["ensemble"], ["metrics"]


def simple_config(folder, root, **changes):
    """Of a run on recordings that lie somewhere, with simple features alone."""
    keys = {"simulate__enabled": False, "data__root": root, "decision__rule": "quantile"}
    keys |= {"extractors__networks": "[]", "extractors__options": "{}", "evaluation__n_bootstrap": 0}
    return tiny(folder / "run", **keys | changes)


def simple_run(folder, root, until=UNTIL_METRICS, **changes):
    return systems.train(simple_config(folder, root, **changes), until)


@pytest.fixture(scope="module")
def simple(finished, tmp_path_factory):
    """A run with simple features on what the finished run has simulated."""
    return simple_run(tmp_path_factory.mktemp("simple"), finished / "data", decision__rule=None)


@pytest.fixture
def recordings(finished, tmp_path):
    """A copy of the simulated recordings, without the manifest: names say what they are."""
    shutil.copytree(finished / "data" / "dev_data", tmp_path / "data" / "dev_data")
    return tmp_path / "data"


def test_every_stage_has_run_and_left_its_files(finished):
    records = finished.stages()
    assert tuple(records) == STAGES
    assert all((finished / name).exists() for r in records.values() for name in r["artefacts"])
    assert len(records["metrics"]["artefacts"]) == 4 + 2 * 4


def test_the_numbers_are_those_of_the_scores(finished):
    metrics = json.loads((finished / "metrics.json").read_text())["test"]["models"]
    table = read_table(finished / "scores.csv").astype({"score": float})
    official = harmonic_means(section_results(table, "official"))["value"][0]
    assert metrics["fused"]["official"]["value"] == pytest.approx(official, abs=1e-12)
    assert metrics["fused"] == metrics["generalised, ensemble"] | {
        "domain_auc": metrics["fused"]["domain_auc"]
    }
    assert "simple features" in metrics
    interval = metrics["fused"]["official"]
    assert interval["low"] <= interval["value"] <= interval["high"]


def test_challenge_files_hold_the_scores(finished):
    table = read_table(finished / "scores.csv").astype({"score": float, "decision": int})
    for (machine, section), part in table.groupby(["machine", "section"]):
        part = part.assign(name=part["path"].str.rpartition("/")[2]).sort_values("name")
        for kind, column in (("anomaly_score", "score"), ("decision_result", "decision")):
            name = f"{kind}_{machine}_section_{section}_test.csv"
            found = read_challenge_file(finished / "challenge" / name)
            assert found["name"].tolist() == part["name"].tolist()
            assert found["value"].tolist() == part[column].tolist()


def test_test_clips_have_no_part_in_what_is_learnt(finished, simple, tmp_path):
    """Other labels of test clips change no score, no choice and no threshold."""
    folder = tmp_path / "data"
    shutil.copytree(finished / "data", folder)
    manifest = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    tested = manifest["split"] == "test"
    swapped = manifest["label"].map({"normal": "anomaly", "anomaly": "normal"})
    manifest["label"] = manifest["label"].where(~tested, swapped)
    manifest.to_csv(folder / "manifest.csv", index=False)
    keys = {"decision__rule": None}
    there = simple_run(tmp_path / "b", folder, UNTIL_SCORES, **keys)
    columns = ["path", "score", "threshold", "decision"]
    first, second = (read_table(run / "scores.csv")[columns] for run in (simple, there))
    assert first.equals(second)
    leaky = simple_run(tmp_path / "c", folder, ensemble__select_by="test_labels", **keys)
    models = json.loads((leaky / "metrics.json").read_text())["test"]["models"]
    assert "generalised, ensemble (test data leak in)" in models


def test_nothing_is_done_twice_and_what_changes_is(finished, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    lines = []
    with logged(lines.append):
        systems.train(tiny(tmp_path / "run"))
    assert lines == ["nothing to do: every stage is done for this configuration and data"]
    lines.clear()
    with logged(lines.append):
        systems.train(tiny(tmp_path / "run", ensemble__size=1))
    ran = [line.removesuffix(" ...") for line in lines if line.endswith(" ...")]
    assert ran == ["ensemble", "metrics", "report"]


def test_a_run_that_was_killed_in_its_stages_goes_on(finished, simple, tmp_path, monkeypatch):
    config = simple_config(tmp_path, finished / "data", decision__rule=None)
    for stage in ("make_scores", "make_ensemble", "make_metrics"):
        real = getattr(system, stage)

        def killed(*args, real=real, **more):
            real(*args, **more)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(system, stage, killed)
            with pytest.raises(KeyboardInterrupt):
                systems.train(config, UNTIL_METRICS)
    run = systems.train(config, UNTIL_METRICS)
    for name in ("scores.csv", "metrics.json"):
        assert (run / name).read_bytes() == (simple / name).read_bytes()


def one(folder, pattern="*"):
    """A test clip."""
    return next(iter(sorted(folder.glob(f"dev_data/fan/test/{pattern}.wav"))))


def test_clips_that_cannot_be_used_are_named_in_one_line(recordings, tmp_path):
    clip = one(recordings)
    whole = clip.read_bytes()
    for content, words in ((b"", "is empty"), (whole[: len(whole) // 2], "cut")):
        clip.write_bytes(content)
        with pytest.raises(UserError, match=words) as error:
            simple_run(tmp_path, recordings)
        assert clip.name in str(error.value)
        assert "\n" not in str(error.value)


def test_odd_formats_are_used_and_noted(recordings, tmp_path):
    pytest.importorskip("soxr", reason="it resamples")
    names = sorted(recordings.glob("dev_data/fan/test/*.wav"))
    sounds = [soundfile.read(name)[0] for name in names[:4]]
    soundfile.write(names[0], np.repeat(sounds[0], 2), 16000)
    soundfile.write(names[1], np.stack([sounds[1], sounds[1]], axis=1), 8000)
    soundfile.write(names[2], sounds[2], 8000, subtype="PCM_24")
    soundfile.write(names[3], np.clip(20 * sounds[3], -1, 1), 8000)
    run = simple_run(tmp_path, recordings, UNTIL_SCORES)
    kinds = set(read_table(run / "audit.csv")["kind"])
    assert {"sample_rate", "channels_outlier", "depth_outlier", "clipped"} <= kinds
    scores = read_table(run / "scores.csv")
    assert (scores["error"] == "").all()
    assert len(scores) == 40


def test_sections_without_enough_normals_have_rows_with_the_reason(recordings, tmp_path):
    for clip in recordings.glob("dev_data/fan/train/section_01_*"):
        clip.unlink()
    kept = sorted(recordings.glob("dev_data/gearbox/train/section_00_source*"))[0]
    for clip in recordings.glob("dev_data/gearbox/train/section_00_*"):
        if clip != kept:
            clip.unlink()
    run = simple_run(tmp_path, recordings)
    scores = read_table(run / "scores.csv")
    wrong = scores[scores["error"] != ""]
    counts = wrong.groupby(["machine", "section"]).size()
    assert counts.to_dict() == {("fan", "01"): 10, ("gearbox", "00"): 10}
    reasons = wrong.groupby("machine")["error"].first()
    assert reasons["fan"].startswith("training has 0 normal clips")
    assert reasons["gearbox"].startswith("training has 1 normal clip of")
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert (metrics["clips"], metrics["without_score"]) == (40, 20)
    assert "20 of 40 test clips have no score" in system.summary(run)


def test_a_machine_with_one_clip_has_rows_with_the_reason(recordings, tmp_path):
    clips = sorted(recordings.glob("dev_data/gearbox/train/*"))
    for clip in clips[1:]:
        clip.unlink()
    run = simple_run(tmp_path, recordings, UNTIL_SCORES)
    scores = read_table(run / "scores.csv")
    wrong = scores[scores["machine"] == "gearbox"]
    assert len(wrong) == 20
    assert (wrong["score"] == "").all()
    assert wrong["error"].str.match("training has [01] normal clips? of this section").all()
    assert (scores.loc[scores["machine"] == "fan", "error"] == "").all()


def test_machines_that_have_nothing_at_all_stop_the_run(recordings, tmp_path):
    for clip in recordings.glob("dev_data/*/train/*"):
        clip.unlink()
    with pytest.raises(UserError, match="no section can be used"):
        simple_run(tmp_path, recordings)


def test_normals_are_dealt_anew_by_the_seed(finished, tmp_path):
    root = finished / "data"
    given = read_table(finished / "samples.csv").set_index("path")
    keys = {"data__normals": "drawn", "simple__sets": "[level]"}
    runs = [
        simple_run(tmp_path / str(seed), root, until, seed=seed, **keys)
        for seed, until in enumerate((["samples"], UNTIL_SCORES))
    ]
    tables = [read_table(run / "samples.csv").set_index("path") for run in runs]
    normal = given["label"] == "normal"
    for table in tables:
        table = table.loc[given.index]
        assert (table["split"] == given["split"])[~normal].all()
        assert (table["split"] != given["split"])[normal].any()
        keys = ["machine", "section", "domain", "split"]
        assert table[normal].groupby(keys).size().equals(given[normal].groupby(keys).size())
    assert (tables[0]["split"] != tables[1].loc[tables[0].index, "split"]).any()
    folder, _ = system_evaluate(runs[1].path, None, None, tmp_path / "evaluation")
    ours, theirs = (
        read_table(place / "scores.csv").set_index("path").sort_index() for place in (runs[1], folder)
    )
    assert list(ours.index) == list(theirs.index)
    assert np.allclose(ours["score"].astype(float), theirs["score"].astype(float), atol=1e-9)


def test_groups_stay_together_and_one_is_left_for_the_test():
    rows = pd.DataFrame(
        [
            {"path": f"{group}{i}", "machine": "fan", "section": "00", "domain": "source"}
            | {"label": label, "split": split, "group": group}
            for group, label, split, n in (
                *(("a", "normal", "train", 3), ("b", "normal", "train", 2)),
                *(("c", "normal", "test", 4), ("x", "anomaly", "test", 2)),
            )
            for i in range(n)
        ]
    )
    seen = set()
    for seed in range(20):
        drawn = draw_normals(rows, seed)
        assert (drawn.groupby("group")["split"].nunique() == 1).all()
        normals = drawn[drawn["label"] == "normal"]
        assert set(normals["split"]) == {"train", "test"}
        assert (drawn.loc[drawn["label"] == "anomaly", "split"] == "test").all()
        seen.add(tuple(drawn["split"]))
    assert len(seen) == 3


def test_without_labels_there_are_scores_and_no_metrics(recordings, tmp_path):
    for number, clip in enumerate(sorted(recordings.glob("dev_data/*/test/*.wav"))):
        words = clip.name.split("_")
        clip.rename(clip.with_name(f"{words[0]}_{words[1]}_{number:04d}.wav"))
    run = simple_run(tmp_path, recordings)
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert metrics["models"] == {}
    assert set(read_table(run / "scores.csv")["label"]) == {"unknown"}
    assert "no test clip is labelled" in system.summary(run)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"simulate__enabled": False}, "data.root is missing"),
        ({"data__root": "."}, "use one of them"),
        ({"data__normals": "drawn"}, "leave data.normals out"),
        ({"audio__high_hz": 5000}, "audio.high_hz"),
        ({"detectors__domains": "[specialised]"}, "ensemble.product"),
        ({"detectors__names": "[]"}, "detectors.names is empty"),
        ({"simple__sets": "[fancy]"}, "simple.sets"),
        (
            {"simple__sets": "[]", "extractors__networks": "[]", "extractors__options": "{}"},
            "detectors need vectors",
        ),
        ({"ensemble__size": "null", "ensemble__select_by": "test_labels"}, "chooses nothing"),
        ({"extractors__networks": "[]"}, "extractors.options names transformer"),
        ({"training__batch_size": 6}, "multiple of 4"),
        ({"training__optimizer": "adam"}, "does not take; use"),
        ({"training__select_by": "recall"}, "training.select_by"),
        ({"device__data_parallel": True}, "device.data_parallel"),
        ({"detectors__sizes": "[0]"}, "detectors.sizes"),
    ],
)
def test_settings_that_do_not_go_are_named(tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        tiny(tmp_path / "run", **changes)


def test_an_option_that_a_network_lacks_is_named_before_training(tmp_path):
    config = tiny(tmp_path / "run", extractors__options="{transformer: {depth: 3}}")
    with pytest.raises(UserError, match="no option 'depth'; it takes"):
        systems.train(config)
    assert not (tmp_path / "run" / "extractors").exists()


def test_equal_configurations_give_equal_results_whether_spectrograms_are_kept_or_not(
    finished, tmp_path
):
    run = systems.train(tiny(tmp_path / "run", data__spectrograms_gb=0), UNTIL_METRICS)
    assert not list((tmp_path / "cache").glob("logmels-*"))
    for name in ("scores.csv", "system_scores.csv", "metrics.json", "selection.json", "rows.csv"):
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name
