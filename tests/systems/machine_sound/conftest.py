"""One tiny finished run, shared by the tests of this folder."""

import pytest

from mindspore_dpus import systems

TINY = {
    "system": "machine_sound",
    "simulate.enabled": True,
    "simulate.machines": "[fan,gearbox]",
    "simulate.sections": 2,
    "simulate.seconds": 1.0,
    "simulate.source_train": 8,
    "simulate.target_train": 3,
    "simulate.test_normal": 2,
    "simulate.test_anomaly": 3,
    "simulate.severity": 1.0,
    "audio.rate": 8000,
    "audio.high_hz": 3800,
    "audio.segment_seconds": 0.5,
    "audio.segments": 3,
    "audio.mel_bands": 16,
    "audio.window_seconds": 0.064,
    "audio.hop_seconds": 0.032,
    "extractors.networks": "[transformer]",
    "extractors.embedding_size": 8,
    "extractors.options": "{transformer: {width: 16, n_blocks: 1, n_heads: 2, hidden: 16}}",
    "training.epochs": 2,
    "training.batch_size": 8,
    "detectors.names": "[knn]",
    "detectors.sizes": "[1,2]",
    "detectors.fit_on": "all",
    "detectors.pseudo_normals": 5,
    "ensemble.size": 2,
    "evaluation.n_bootstrap": 20,
    "device.processes": 1,
}


def tiny(output, **changes):
    """The tiny configuration with other values of some keys (``__`` stands for the point)."""
    values = TINY | {"output": output} | {k.replace("__", "."): v for k, v in changes.items()}
    given = [f"--{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in values.items()]
    return systems.parse_config(
        [g for g, v in zip(given, values.values(), strict=True) if v is not None]
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run folder."""
    return systems.train(tiny(tmp_path_factory.mktemp("sound") / "run"))
