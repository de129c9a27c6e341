"""The configuration of a machine-sound run: the sections that it is composed of, and how they fit."""

from dataclasses import dataclass, field
from typing import Literal

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import between, check_section, key
from mindspore_dpus.data.audio.settings import AudioSettings, check_audio
from mindspore_dpus.data.simulate.machine_settings import MachineSettings
from mindspore_dpus.systems.machine_sound.settings import (
    BaselineSettings,
    DetectorSettings,
    EnsembleSettings,
    ExtractorSettings,
    PartSettings,
    SimpleSettings,
    SoundAuditSettings,
    SoundDataSettings,
    SoundDecisionSettings,
    SoundEvaluationSettings,
    StandardiseSettings,
)
from mindspore_dpus.training.settings import TrainingSettings, check_training

MEASURES = ("auc", "accuracy", "loss")


@dataclass(frozen=True)
class Configuration:
    """One run: from waveforms of normals to anomaly scores and the DCASE tables."""

    system: Literal["machine_sound"]
    """Which system this is a configuration of."""
    output: str = key("runs/machine_sound", changes_results=False)
    """The run folder."""
    seed: int = key(0, between(0, 4294967295))
    """Drives simulated data, parts, initial weights, data order, pseudo-normals and folds."""
    data: SoundDataSettings = field(default_factory=SoundDataSettings)
    simulate: MachineSettings = field(default_factory=MachineSettings)
    audio: AudioSettings = field(default_factory=AudioSettings)
    parts: PartSettings = field(default_factory=PartSettings)
    audit: SoundAuditSettings = field(default_factory=SoundAuditSettings)
    simple: SimpleSettings = field(default_factory=SimpleSettings)
    extractors: ExtractorSettings = field(default_factory=ExtractorSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            epochs=150,
            batch_size=128,
            optimizer="adamw",
            lr_schedule="one_cycle_momentum",
            weight_decay=0.01,
            select_by="last",
        )
    )
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    detectors: DetectorSettings = field(default_factory=DetectorSettings)
    standardise: StandardiseSettings = field(default_factory=StandardiseSettings)
    ensemble: EnsembleSettings = field(default_factory=EnsembleSettings)
    decision: SoundDecisionSettings = field(default_factory=SoundDecisionSettings)
    evaluation: SoundEvaluationSettings = field(default_factory=SoundEvaluationSettings)
    device: DeviceSettings = key(factory=DeviceSettings, changes_results=False)


def check_configuration(config: Configuration) -> None:
    """Refuse values that no stage could work with, and keys that do not fit each other.

    Raises:
        UserError: names the first such key, its value and what is allowed.
    """
    check_section(config)
    check_audio(config.audio)
    check_training(config.training)
    data = config.data
    if config.simulate.enabled and (data.root or data.manifest):
        raise UserError(
            "configuration: simulate.enabled is true and data.root or data.manifest is given; use one of "
            "them (simulate.enabled false to read your own recordings)"
        )
    if not config.simulate.enabled and not data.root:
        raise UserError("configuration: data.root is missing; give the folder of your recordings")
    if config.simulate.enabled and data.normals == "drawn":
        raise UserError(
            "configuration: data.normals is drawn and simulate.enabled is true, whose machines the seed "
            "draws anew anyway; leave data.normals out"
        )
    for path in ("detectors.names", "detectors.aggregators", "detectors.domains"):
        section, name = path.split(".")
        if not getattr(getattr(config, section), name):
            raise UserError(f"configuration: {path} is empty; name one or more")
    if not config.simple.sets and not config.extractors.networks:
        raise UserError(
            "configuration: simple.sets and extractors.networks are empty; detectors need vectors of one "
            "of them"
        )
    if config.ensemble.size is None and config.ensemble.select_by == "test_labels":
        raise UserError(
            "configuration: ensemble.select_by is test_labels and ensemble.size is null, which chooses "
            "nothing; give a size"
        )
    if config.ensemble.product not in config.detectors.domains:
        raise UserError(
            f"configuration: ensemble.product is {config.ensemble.product}, which detectors.domains "
            f"({', '.join(config.detectors.domains)}) does not name"
        )
    _check_extractors(config)
    _check_devices(config)


def _check_extractors(config: Configuration) -> None:
    extractors, training = config.extractors, config.training
    foreign = [name for name in extractors.options if name not in extractors.networks]
    if foreign:
        raise UserError(
            f"configuration: extractors.options names {foreign[0]}, which extractors.networks does not"
        )
    if training.select_by not in (*MEASURES, "last"):
        raise UserError(
            f"configuration: training.select_by is {training.select_by!r}; it must be "
            f"{', '.join(MEASURES)} or last"
        )
    if training.learning_rate == "auto":
        raise UserError("configuration: training.learning_rate is auto; this system needs a number")
    least = 4 if extractors.batches == "domain" else 2
    if training.batch_size % least:
        raise UserError(
            f"configuration: training.batch_size is {training.batch_size}; with extractors.batches "
            f"{extractors.batches} it must be a multiple of {least}"
        )
    if extractors.batches == "domain" and extractors.mixup is not None:
        raise UserError(
            "configuration: extractors.mixup has no effect with extractors.batches domain, which mixes "
            "by extractors.mixing; leave it out, or set extractors.batches to plain"
        )
    if config.extractors.networks and training.augment != TrainingSettings().augment:
        raise UserError("configuration: training.augment is for images; leave it out")


def _check_devices(config: Configuration) -> None:
    for name, value in (
        ("device.data_parallel", config.device.data_parallel),
        ("training.executor ray", config.training.executor == "ray"),
    ):
        if value:
            raise UserError(f"configuration: {name} is not there for the system machine_sound")
