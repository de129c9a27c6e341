"""The official baselines: their windows, targets and scores; both as rows of a run's tables."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from mindspore_dpus import systems
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.audio.logmel import LogMel
from mindspore_dpus.data.audio.waveforms import open_waveforms
from mindspore_dpus.data.shards import Shards
from mindspore_dpus.systems.machine_sound import baseline_stage
from mindspore_dpus.systems.machine_sound.baseline_frames import Frames, open_frames
from mindspore_dpus.systems.machine_sound.baselines import (
    BaselineRows,
    Windows,
    WindowTask,
    negative_log_odds,
)
from mindspore_dpus.systems.machine_sound.run_data import read_clips, source_of
from mindspore_dpus.systems.machine_sound.settings import BASELINES
from mindspore_dpus.systems.machine_sound.spectrograms import decoded
from mindspore_dpus.systems.machine_sound.vectors import used
from mindspore_dpus.training.checkpoint import load_checkpoint
from tests.systems.machine_sound.conftest import tiny

KEYS = {
    "extractors__networks": "[]",
    "extractors__options": "{}",
    "baselines__names": "[autoencoder,mobilenet_v2]",
    "baselines__mel_bands": 32,
    "evaluation__n_bootstrap": 0,
    "baselines__autoencoder__epochs": 1,
    "baselines__autoencoder__batch_size": 128,
    "baselines__mobilenet_v2__epochs": 1,
    "baselines__mobilenet_v2__frames": 32,
    "baselines__mobilenet_v2__width": 0.1,
}


@pytest.fixture(scope="module")
def config(finished, tmp_path_factory):
    keys = KEYS | {"simulate__enabled": False, "data__root": finished / "data"}
    return tiny(tmp_path_factory.mktemp("baselines") / "run", **keys)


@pytest.fixture(scope="module")
def run(config):
    return systems.train(config)


def frames(lengths, bands=3):
    """Clips of so many frames; frame i holds i in its first band."""
    values = np.arange(sum(lengths) * bands, dtype=np.float32).reshape(-1, bands) / bands
    return Frames(Shards([values]), np.concatenate([[0], np.cumsum(lengths)]), None)


def task(name, length, hop, batch_size, clips, training, held_out):
    rows = BaselineRows(None, clips.first, np.array([1, 0, 2]), np.array(training), np.array(held_out))
    return WindowTask(Windows(name, length, hop, batch_size), rows, clips)


def test_windows_begin_at_every_hop_and_lie_in_one_clip():
    starts, clips = frames([6, 9, 7]).starts(np.array([0, 2]), 4, 2)
    assert starts.tolist() == [0, 2, 15, 17]
    assert clips.tolist() == [0, 0, 2, 2]
    found = frames([6, 9, 7]).windows(starts, 4)
    assert found[:, :, 0].tolist() == [[s, s + 1, s + 2, s + 3] for s in starts]
    with pytest.raises(UserError, match="has 6 frames and a baseline takes 7"):
        frames([9, 6]).starts(np.array([0, 1]), 7, 1)


def test_an_epoch_shows_every_window_of_the_training_clips_once():
    made = task("autoencoder", 5, 1, 4, frames([7, 9, 8]), [0, 2], [1])
    assert made.n_samples == 3 + 4
    seen = []
    number, batches = made.epoch([0, 0, 1], None)
    for inputs, targets in batches:
        assert np.array_equal(inputs.asnumpy(), targets.asnumpy())
        assert inputs.shape[1] == 15
        seen += inputs.asnumpy()[:, 0].tolist()
    assert number == 2
    assert sorted(seen) == [0, 1, 2, 16, 17, 18, 19]
    again, other = (
        np.concatenate([x.asnumpy()[:, 0] for x, _ in made.epoch([0, 0, epoch], None)[1]]).tolist()
        for epoch in (1, 2)
    )
    assert again == seen
    assert other != seen


def test_the_classifier_gets_pictures_and_the_sections_of_their_clips():
    made = task("mobilenet_v2", 4, 2, 8, frames([6, 9, 7]), [0, 2], [1])
    ((inputs, classes),) = made.epoch([0, 0, 1], None)[1]
    assert inputs.shape == (4, 1, 3, 4)
    first = inputs.asnumpy()[:, 0, 0, 0]
    assert classes.asnumpy().tolist() == [1 if start < 6 else 2 for start in first]
    # Time runs along the last axis.
    assert (np.diff(inputs.asnumpy()[:, 0, 0], axis=1) == 1).all()


def test_negative_log_odds():
    logits = np.random.default_rng(0).normal(size=(5, 3)) * 3
    sections = np.array([0, 2, 1, 1, 0])
    p = softmax(logits, axis=1)[np.arange(5), sections]
    np.testing.assert_allclose(negative_log_odds(logits, sections), np.log((1 - p) / p), rtol=1e-9)
    sure = negative_log_odds(np.array([[1e3, 0.0], [0.0, 1e3]]), np.array([0, 0]))
    np.testing.assert_allclose(sure, [np.log(2.0**-52), -np.log(2.0**-52)])


def clips(sections):
    rows = [
        {"machine": m, "section": s, "split": "train", "label": "normal", "path": f"{m}{s}{i}"}
        for m, s in sections
        for i in range(3)
    ]
    return pd.DataFrame(rows)


def test_a_machine_of_one_section_is_told_from_the_sections_of_others():
    table = clips([("a", "00"), ("a", "01"), ("b", "00")])
    assert list(baseline_stage.classes_of(table, "a")) == [("a", "00"), ("a", "01")]
    assert list(baseline_stage.classes_of(table, "b")) == [("a", "00"), ("a", "01"), ("b", "00")]
    with pytest.raises(UserError, match="one section"):
        baseline_stage.classes_of(clips([("a", "00")]), "a")


def test_both_are_rows_of_the_tables(run):
    models = json.loads((run / "metrics.json").read_text())["test"]["models"]
    assert {"autoencoder baseline", "MobileNetV2 baseline", "simple features"} <= set(models)
    rows = read_table(run / "rows.csv")
    for name in ("autoencoder", "mobilenet_v2"):
        own = read_table(run / "baselines" / name / "scores.csv").astype({"score": float})
        own = own.set_index("path")["score"]
        title = {"autoencoder": "autoencoder baseline", "mobilenet_v2": "MobileNetV2 baseline"}[name]
        np.testing.assert_allclose(rows[title].astype(float), own.loc[rows["path"]], rtol=1e-12)
        assert set(own.index) == set(rows["path"])


def reconstruct(state, x):
    """The autoencoder by its formula."""
    for i in range(0, 27, 3):
        x = x @ state[f"layers.{i}.weight"].T + state[f"layers.{i}.bias"]
        gamma, beta, mean, variance = (
            state[f"layers.{i + 1}.norm.{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = np.maximum((x - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
    return x @ state["layers.27.weight"].T + state["layers.27.bias"]


def test_the_autoencoders_score_is_the_error_of_reconstruction(run, config):
    table = used(read_clips(run.path))
    waveforms = open_waveforms(decoded(table, source_of(run, config), config.audio)[0])
    log_mel = LogMel(
        rate=8000,
        window_seconds=0.064,
        hop_seconds=0.032,
        n_mels=32,
        low_hz=0,
        high_hz=4000,
        floor=np.finfo(float).eps,
    )
    state, _ = load_checkpoint(run / "baselines" / "autoencoder" / "fan" / "best.safetensors")
    scores = read_table(run / "baselines" / "autoencoder" / "scores.csv")
    scores = scores.astype({"score": float}).set_index("path")["score"]
    tested = table[(table["machine"] == "fan") & (table["split"] == "test")]
    assert len(tested) == 20
    for row, path in tested["path"].items():
        picture = log_mel(waveforms[row]).astype(np.float64)
        x = np.stack([picture[:, i : i + 5].T.ravel() for i in range(picture.shape[1] - 4)])
        expected = ((reconstruct(state, x) - x) ** 2).mean()
        assert scores[path] == pytest.approx(expected, rel=1e-4)


def test_another_setting_of_one_baseline_trains_that_one_alone(run, config):
    first, again = (
        {n: baseline_stage.baseline_settings(c, n) for n in BASELINES}
        for c in (config, tiny("x", **KEYS | {"baselines__autoencoder__epochs": 2}))
    )
    assert first["mobilenet_v2"] == again["mobilenet_v2"]
    assert first["autoencoder"] != again["autoencoder"]


def test_clips_that_are_too_short_are_named(run, config):
    table = used(read_clips(run.path))
    made = open_frames(table, source_of(run, config), config.audio, config.baselines)
    with pytest.raises(UserError, match="set frames of this baseline lower"):
        made.starts(np.arange(3), 33, 1)


def test_scores_that_are_not_there_are_an_error(run):
    with pytest.raises(KeyError):
        baseline_stage.baseline_scores(run.path, "autoencoder", pd.Series(["nowhere.wav"]))
