"""The configuration of a traffic-sign run: the sections that it is composed of, and how they fit."""

from dataclasses import dataclass, field
from typing import Literal

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import between, check_order, check_section, key
from mindspore_dpus.data.images.augment import moves
from mindspore_dpus.data.images.preparing import check_images
from mindspore_dpus.losses.settings import check_loss
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.sampling.settings import check_sampling
from mindspore_dpus.systems.traffic_signs.settings import (
    CascadeSettings,
    FrameSettings,
    PlaceSettings,
    ProposalSettings,
    RefinementSettings,
    RegionSettings,
    StageNetwork,
    StreetSettings,
    SweepSettings,
    background_network,
    sign_network,
)
from mindspore_dpus.training.settings import check_training

# Of the networks that learn from whole frames.
SELECTED_BY = {"proposals": ("recall", "loss"), "refinement": ("overlap", "loss")}


@dataclass(frozen=True)
class Configuration:
    """One run: from annotated frames to named signs in test frames."""

    system: Literal["traffic_signs"]
    """Which system this is a configuration of."""
    output: str = key("runs/traffic_signs", changes_results=False)
    """The run folder."""
    seed: int = key(0, between(0, 4294967295))
    """Drives splits, crops, the dice, initial weights and data order."""
    data: FrameSettings = field(default_factory=FrameSettings)
    simulate: StreetSettings = field(default_factory=StreetSettings)
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    sweep: SweepSettings = field(default_factory=SweepSettings)
    place: PlaceSettings = field(default_factory=PlaceSettings)
    regions: RegionSettings = field(default_factory=RegionSettings)
    background: StageNetwork = field(default_factory=background_network)
    signs: StageNetwork = field(default_factory=sign_network)
    refinement: RefinementSettings = field(default_factory=RefinementSettings)
    cascade: CascadeSettings = field(default_factory=CascadeSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    device: DeviceSettings = key(factory=DeviceSettings, changes_results=False)


def check_configuration(config: Configuration) -> None:
    """Refuse values that no stage could work with, and keys that do not fit each other.

    Raises:
        UserError: names the first such key, its value and what is allowed.
    """
    check_section(config)
    if config.simulate.enabled and (config.data.root or config.data.boxes):
        raise UserError(
            "configuration: simulate.enabled is true and data.root or data.boxes is given; use one of them"
        )
    if not config.simulate.enabled and not config.data.root:
        raise UserError("configuration: data.root is missing; give the folder of your frames")
    check_order(config.simulate, "simulate", "sign_size", "signs", "distractors", equal=True)
    for name in ("background", "signs", "refinement"):
        images = getattr(config, name).images
        check_images(images)
        if images.channels != 3 or images.bits != 8:
            raise UserError(
                f"configuration: {name}.images needs channels 3 and bits 8: frames are colour"
            )
    for network in (config.background, config.signs):
        check_loss(network.loss)
        check_sampling(network.sampling)
    sections = (config.background, config.signs, config.proposals, config.refinement)
    for training in (section.training for section in sections):
        check_training(training)
        if training.learning_rate == "auto":
            raise UserError("configuration: training.learning_rate auto is not for this system yet")
    for name, measures in SELECTED_BY.items():
        select_by = getattr(config, name).training.select_by
        if select_by not in (*measures, "last"):
            raise UserError(
                f"configuration: {name}.training.select_by is {select_by!r}; it must be "
                f"{', '.join(measures)} or last"
            )
    _check_refinement(config.refinement)
    proposals, regions = config.proposals, config.regions
    for section, name, low, high in (
        (proposals, "proposals", "negative_below", "positive_from"),
        (regions, "regions", "background_below", "sign_from"),
    ):
        if getattr(section, low) > getattr(section, high):
            raise UserError(
                f"configuration: {name}.{low} is {getattr(section, low)}, above {name}.{high} "
                f"{getattr(section, high)}"
            )
    if config.sweep.enabled and not proposals.keep_maps:
        raise UserError("configuration: sweep.enabled reads saved maps; set proposals.keep_maps true")
    if config.device.data_parallel:
        raise UserError("configuration: device.data_parallel is not for the system traffic_signs")


def _check_refinement(refinement: RefinementSettings) -> None:
    augment, model = refinement.training.augment, refinement.model
    if moves(augment) or augment.horizontal_flip or augment.vertical_flip:
        raise UserError(
            "configuration: refinement.training.augment moves the sign in its image, and the network "
            "learns where it is; use hue, saturation, brightness and contrast (boxes are shaken by "
            "refinement.shift and refinement.scale)"
        )
    if model.rotate and model.pretrained is None:
        raise UserError(
            "configuration: refinement.model.rotate has no effect with random weights; leave it out"
        )
