"""The configuration of a classification run: the sections that it is composed of, and how they fit."""

from dataclasses import dataclass, field
from typing import Literal

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import between, check_section, key
from mindspore_dpus.data.images.preparing import ImageSettings, check_images
from mindspore_dpus.data.settings import AuditSettings, DataSettings, SplitSettings
from mindspore_dpus.data.simulate.radiograph_settings import RadiographSettings, check_radiographs
from mindspore_dpus.decision.settings import DecisionSettings, check_rule
from mindspore_dpus.detectors.settings import OneClassSettings
from mindspore_dpus.features.settings import FeatureSettings
from mindspore_dpus.losses.settings import LOSSES, LossSettings, check_loss, spoils_probabilities
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.models.settings import HeatmapSettings, ModelSettings
from mindspore_dpus.sampling.settings import SamplingSettings, check_sampling
from mindspore_dpus.training.settings import TrainingSettings, check_training


@dataclass(frozen=True)
class Configuration:
    """One run: from images to a fused, evaluated ensemble."""

    system: Literal["classification"]
    """Which system this is a configuration of."""
    output: str = key("runs/default", changes_results=False)
    """The run folder."""
    seed: int = key(0, between(0, 4294967295))
    """Drives splits, clusters, draws, initial weights and data order."""
    data: DataSettings = field(default_factory=DataSettings)
    simulate: RadiographSettings = field(default_factory=RadiographSettings)
    images: ImageSettings = field(default_factory=ImageSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    one_class: OneClassSettings = field(default_factory=OneClassSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    heatmaps: HeatmapSettings = field(default_factory=HeatmapSettings)
    decision: DecisionSettings = field(default_factory=DecisionSettings)
    device: DeviceSettings = key(factory=DeviceSettings, changes_results=False)


def check_configuration(config: Configuration) -> None:
    """Refuse values that no stage could work with, and keys that do not fit each other.

    Raises:
        UserError: names the first such key, its value and what is allowed.
    """
    check_section(config)
    check_radiographs(config.simulate)
    check_images(config.images)
    check_loss(config.loss)
    check_training(config.training)
    check_sampling(config.sampling)
    check_rule(config.decision)
    _check_data(config)
    _check_fine_tuning(config.model, config.training)
    _check_probabilities(config.decision, config.loss)
    _check_devices(config)
    if config.one_class.detectors and not config.one_class.embeddings:
        raise UserError(
            "configuration: one_class.embeddings is empty; name frozen, members or both, or leave "
            "one_class.detectors empty"
        )
    augment = config.training.augment
    if config.images.channels == 1 and (augment.hue or augment.saturation):
        raise UserError(
            "configuration: training.augment.hue and saturation have no effect with images.channels 1; "
            "leave them out, or set images.channels to 3"
        )


def _check_data(config: Configuration) -> None:
    data, split = config.data, config.split
    if config.simulate.enabled and (data.root or data.manifest):
        raise UserError(
            "configuration: simulate.enabled is true and data.root or data.manifest is given; use one of "
            "them (simulate.enabled false to read your own images)"
        )
    if not config.simulate.enabled and not data.root:
        raise UserError("configuration: data.root is missing; give the folder of your images")
    if data.classes is not None and len(set(data.classes)) < 2:
        raise UserError(f"configuration: data.classes is {list(data.classes)}; at least two are needed")
    if data.positive == data.majority:
        raise UserError("configuration: data.positive and data.majority name the same class")
    if split.val_size <= 1 and split.test_size <= 1 and split.val_size + split.test_size >= 1:
        raise UserError(
            f"configuration: split.val_size is {split.val_size} and split.test_size is "
            f"{split.test_size}; as shares of the images, their sum must be below 1"
        )


def _check_fine_tuning(model: ModelSettings, training: TrainingSettings) -> None:
    if model.fine_tuning == "shallow" and model.freeze_layers is not None:
        raise UserError(
            "configuration: model.freeze_layers has no effect with model.fine_tuning shallow; leave it "
            "out, or set model.fine_tuning to deep or gradual"
        )
    if model.fine_tuning != "gradual":
        return
    if training.steps is not None:
        raise UserError(
            "configuration: model.fine_tuning gradual counts in epochs; give training.epochs instead of "
            "training.steps"
        )
    needed = model.unfreeze_every * model.unfreeze_parts
    if training.epochs <= needed:
        raise UserError(
            f"configuration: training.epochs is {training.epochs}, and model.fine_tuning gradual trains "
            f"all layers only after {needed}; give more epochs, or lower model.unfreeze_every or "
            "model.unfreeze_parts"
        )


def _check_probabilities(decision: DecisionSettings, loss: LossSettings) -> None:
    """Refuse a correction of scores that are no probabilities."""
    reason = spoils_probabilities(loss)
    if reason and decision.calibration == "none" and decision.defect_rate is not None:
        raise UserError(
            f"configuration: decision.defect_rate corrects probabilities, and with {reason} scores are "
            "none; set decision.calibration to temperature or isotonic"
        )


def _check_devices(config: Configuration) -> None:
    """Refuse settings of the device that change nothing, and losses that devices cannot share."""
    device, training = config.device, config.training
    on_cluster = training.executor != "local"
    for name, is_set in (
        ("processes", device.processes is not None),
        ("device_id", device.device_id != 0),
        ("data_parallel", device.data_parallel),
    ):
        if is_set and on_cluster:
            raise UserError(
                f"configuration: device.{name} has no effect with training.executor "
                f"{training.executor}; leave it out, or set training.executor to local"
            )
        if is_set and device.data_parallel and name != "data_parallel":
            raise UserError(
                f"configuration: device.{name} has no effect with device.data_parallel true; leave it "
                "out, or set device.data_parallel to false"
            )
    if device.data_parallel and not LOSSES[config.loss.name].splits:
        fitting = " or ".join(name for name, row in LOSSES.items() if row.splits)
        raise UserError(
            "configuration: device.data_parallel averages the losses of equal parts of a batch, and "
            f"loss.name {config.loss.name} is not such an average; use {fitting}"
        )
