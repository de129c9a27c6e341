"""The work of an exported run of machine sound: WAV files to scores, on one core, without MindSpore."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarking.measuring import Prepared
from mindspore_dpus.core.processes import Work, side_by_side

# The report's: clips of 10 s, in a section 1,000 normals of 10 segments each, embeddings of 128 numbers.
SECONDS, CLIPS, NORMALS, EMBEDDING = 10.0, 3, 10_000, 128
MACHINE, SECTION = "fan", "00"


def sound_export(
    folder: Path,
    network: str,
    audio: dict | None = None,
    options: dict | None = None,
    seconds: float = SECONDS,
    normals: int = NORMALS,
) -> Prepared:
    """Score WAV files by an exported extractor and the distance to the nearest normal.

    Items are seconds of sound. The process stays on one core. Weights and normals are random: they take
    as long as others.

    Args:
        folder: empty.
        network: key of the system's ``NETWORKS``.
        audio: keys of the section ``audio``; None: the report's, which are the defaults.
        options: of the network, such as ``extractors.options`` has them.
        seconds: of a clip.
        normals: segments of the section's normals.
    """
    import soundfile

    from mindspore_dpus.core.files import file_hash, write_json
    from mindspore_dpus.core.settings import plain
    from mindspore_dpus.data.arrays import save_arrays
    from mindspore_dpus.data.audio.settings import AudioSettings
    from mindspore_dpus.deploy.onnx_sound import BUNDLE, FORMAT, OnnxSoundPredictor
    from mindspore_dpus.deploy.sound import sound_row
    from mindspore_dpus.detectors import create_detector
    from mindspore_dpus.detectors.archive import save_detectors
    from mindspore_dpus.detectors.systems import BOTH, Model, System

    settings, model = AudioSettings(**(audio or {})), folder / "model"
    model.mkdir()
    path = model / f"{network}-{MACHINE}.onnx"
    task = Work("export", _export, (path, network, settings, options or {}))
    for _, error in side_by_side([task], 1, lambda *_: None):
        if error is not None:
            raise error
    stay_on_one_core()
    rng = np.random.default_rng(0)
    system = System(Model(network, "knn", 1, BOTH), "mean")
    detector = create_detector("knn", 1, 0).fit(rng.normal(size=(normals, EMBEDDING)))
    name = f"{MACHINE}/{SECTION}/{system.model.name}"
    save_detectors(model / "detectors.npz", {name: detector})
    save_arrays(model / "scaling.npz", {"nothing": np.zeros(1)})
    about = {"threshold": 0.0, "has_target": False, "moments": {system.name: [0.0, 1.0]}}
    row = {**system.model._asdict(), "aggregator": system.aggregator}
    bundle = {
        "system": "machine_sound",
        "format": FORMAT,
        "audio": plain(settings),
        "scorer": {
            "kappa": 0.15,
            "sections": {MACHINE: {SECTION: about}},
            "systems": {MACHINE: [row]},
        },
        "sha256": {file.name: file_hash(file) for file in model.iterdir()},
    }
    write_json(model / BUNDLE, bundle)
    clips = [folder / f"{i}.wav" for i in range(CLIPS)]
    for clip in clips:
        sound = 0.1 * rng.standard_normal(round(seconds * settings.rate))
        soundfile.write(clip, sound, settings.rate, subtype="PCM_16")
    predictor = OnnxSoundPredictor(model, threads=1)

    def call() -> None:
        for clip in clips:
            if error := sound_row(predictor, clip, MACHINE, SECTION)["error"]:
                raise RuntimeError(error)

    return Prepared(call, round(CLIPS * seconds))


def stay_on_one_core() -> None:
    """Keep all threads of this process, and those that it starts, on one of its processors, where the system
    can (Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        return
    core = {max(os.sched_getaffinity(0))}
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), core)


def _export(path: Path, network: str, audio, options: dict, send: Callable) -> None:
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.core.device_settings import DeviceSettings
    from mindspore_dpus.data.audio.front_end import FrontEnd
    from mindspore_dpus.export.extractor import write_extractor
    from mindspore_dpus.systems.machine_sound.networks import NETWORKS

    configure(DeviceSettings(target="CPU", fast_kernels="none"))
    shape = FrontEnd(audio).shape
    net = NETWORKS[network].build(shape, EMBEDDING, **options)
    net.init_parameters_data()
    write_extractor(net, shape, path)
