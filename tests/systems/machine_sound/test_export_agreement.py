"""An export that does not give its run's scores is refused with the reason."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.detectors.systems import GENERALISED, Model, System
from mindspore_dpus.systems.machine_sound.export_agreement import check_scores

AUDIO = AudioSettings(rate=8000, high_hz=3800, mel_bands=8, segments=2, segment_seconds=0.5)


class Half:
    """Of a run, or of its export: embeddings ``10 + spread * statistics + error``; the score is what they
    say of the statistics, plus ``shift``."""

    def __init__(self, networks, spread=1.0, error=0.0, shift=0.0):
        self.front = FrontEnd(AUDIO)
        self.spread, self.error, self.shift = spread, error, shift
        systems = [System(Model(name, "knn", 1, GENERALISED), "mean") for name in networks]
        self.systems = {"fan": systems}
        self.embedder = SimpleNamespace(embed=self.embed)

    def embed(self, network, machine, inputs):
        inputs = inputs.astype(np.float64)
        statistics = np.stack([inputs.mean(axis=(1, 2, 3)), inputs.std(axis=(1, 2, 3))], axis=1)
        wrong = self.error if network == "wrong" else 0
        return 10 + self.spread * statistics + wrong

    def score(self, waveform, machine, section):
        inputs = self.front(waveform)[:, None]
        found = (self.embed("wrong", machine, inputs).mean() - 10) / self.spread + self.shift
        return SimpleNamespace(score=float(found))


@pytest.fixture
def tested(tmp_path):
    """A table of scores and its clips."""
    paths = [f"{i}.wav" for i in range(4)]
    for i, path in enumerate(paths):
        rng = np.random.default_rng(i)
        soundfile.write(tmp_path / path, rng.normal(size=8000).cumsum() * 1e-3 * (i + 1), 8000)
    return pd.DataFrame({"path": paths, "machine": "fan", "section": "00", "error": ""}), tmp_path


def message(tested, networks, **export):
    table, root = tested
    spread = export.pop("spread", 1.0)
    with pytest.raises(UserError) as caught:
        check_scores(table, root, Half(networks, spread), Half(networks, spread, **export))
    text = str(caught.value)
    assert text.startswith("the export's scores differ from the run's by ")
    assert ".wav); nothing is written. " in text
    return text


def test_what_agrees_is_let_through(tested):
    assert check_scores(*tested, Half(["wrong"]), Half(["wrong"], error=1e-6)) < 1e-5


def test_a_collapsed_network_is_named_and_what_to_do(tested):
    text = message(tested, ["good", "wrong"], spread=1e-6, error=2e-6)
    assert "Run and graph agree to 2.0e-07 of the length of the embeddings of wrong for fan" in text
    assert "hardly differ from sound to sound" in text
    assert "Train it longer (training.epochs), or leave it out of extractors.networks" in text


def test_a_graph_that_computes_something_else_is_named(tested):
    text = message(tested, ["good", "wrong"], error=1.0)
    assert "The graph of wrong for fan gives other embeddings, by 1" in text
    assert "MindSpore's version" in text


def test_vectors_that_agree_are_not_the_reason(tested):
    assert "embeddings of good for fan agree to 0.0e+00" in message(tested, ["good"], shift=9.0)
    assert "statistics, without a network" in message(tested, ["simple"], shift=9.0)
    assert "differ from the run's by nan" in message(tested, ["simple"], shift=np.nan)
