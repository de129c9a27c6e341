"""The configuration's own sections of the traffic-sign system. No MindSpore here."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mindspore_dpus.core.settings import INNER_SHARE, SHARE, above, at_least, between, key
from mindspore_dpus.data.boxes.registry import AUTO, FORMATS
from mindspore_dpus.data.images.decoded import MAX_PIXELS
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.simulate.sign_drawings import SIGNS
from mindspore_dpus.features.settings import FeatureSettings
from mindspore_dpus.losses.settings import LossSettings
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.training.settings import TrainingSettings


@dataclass(frozen=True)
class FrameSettings:
    """Frames and their boxes."""

    root: str | None = key(None, changes_results=False)
    """Folder of the frames; their names in tables are relative to it."""
    boxes: str | None = key(None, changes_results=False)
    """File or folder of boxes. Default: root/boxes.csv, else root/gt.txt."""
    format: Literal[(AUTO, *FORMATS)] = AUTO
    """Of the boxes; auto: by their content."""
    list_frames: bool = False
    """Every image below root is a frame, with boxes or without. Needed where the boxes list no frames."""
    classes: tuple[str, ...] | None = None
    """Names of class 0, 1 ... for boxes that number them. Default: as the file says."""
    val_size: float = key(0.2, INNER_SHARE)
    """Share of the training frames that validate, where the data name no val split."""
    test_size: float = key(0.2, INNER_SHARE)
    """Share of the frames that test, where the data name no test split."""
    max_pixels: int = key(MAX_PIXELS, at_least(1), changes_results=False)
    """Height times width of the largest frame that is decoded."""
    cache_dir: str | None = key(None, changes_results=False)
    """Folder of decoded regions and features, shared by runs. Default: cache beside the run."""


@dataclass(frozen=True)
class StreetSettings:
    """Simulated street frames in place of real ones."""

    enabled: bool = False
    """Make frames inside the run folder and use them as data."""
    train: int = key(96, at_least(1))
    """Training frames."""
    val: int = key(24, at_least(1))
    """Validation frames."""
    test: int = key(40, at_least(1))
    """Test frames."""
    width: int = key(320, between(64, 8192))
    """Of a frame, in pixels."""
    height: int = key(200, between(64, 8192))
    """Of a frame, in pixels."""
    sign_size: tuple[float, float] = key((14.0, 40.0), at_least(10))
    """Smallest and largest side of a sign, in pixels."""
    classes: tuple[Literal[tuple(SIGNS)], ...] = ("give way", "stop", "go straight", "priority road")
    """Classes of the signs."""
    signs: tuple[int, int] = key((1, 3), at_least(0))
    """Fewest and most signs of a frame."""
    distractors: tuple[int, int] = key((0, 2), at_least(0))
    """Fewest and most things of a frame that are no signs."""
    noise: float = key(4.0, between(0, 64))
    """Standard deviation of the camera's noise, in grey levels."""


@dataclass(frozen=True)
class ProposalSettings:
    """The proposal network: which boxes are looked at (section 4.1)."""

    backbone: str = "mobilenet_v2"
    """Any name that a model.backbone may have."""
    options: dict[str, Any] = key(factory=dict)
    """What the backbone takes besides."""
    layer: str = "features.8"
    """Cell of the backbone on whose map anchors stand; it says the stride."""
    channels: int | None = key(None, at_least(1))
    """Of the 3x3 convolution on that map. Default: as many as the map has."""
    pretrained: str | None = "imagenet"
    """imagenet, a checkpoint file, or null for random weights."""
    rotate: bool = False
    """Turn the checkpoint's kernels by 180 degrees (docs/guide/weights.md)."""
    allow_fresh: tuple[str, ...] = ()
    """Patterns of the backbone's parameters that the checkpoint may lack."""
    freeze: tuple[str, ...] = ()
    """Patterns of parameters that are not trained, such as trunk.0.*; their batch norms stay in
    evaluation mode."""
    weights_dirs: tuple[str, ...] = key(("weights",), changes_results=False)
    """Folders searched for checkpoints before anything is downloaded."""
    sizes: tuple[float, ...] = key((18.0, 26.0, 37.0, 52.0, 74.0, 105.0), above(0))
    """Sides of the anchors in pixels."""
    ratios: tuple[float, ...] = key((1.0,), above(0))
    """Height of an anchor divided by its width."""
    crop: int = key(256, at_least(32))
    """Side of the square that is cut out of a frame for training, in pixels; a multiple of the stride."""
    crops_per_frame: int = key(1, at_least(1))
    """Crops of every frame in an epoch."""
    sign_share: float = key(0.9, between(0, 1))
    """Share of the crops that contain a sign, where the frame has one."""
    scale: float = key(1.5, at_least(1))
    """Crops are enlarged or reduced by up to this factor."""
    positive_from: float = key(0.5, between(0, 1))
    """Intersection over union with a true box from which an anchor is a sign."""
    negative_below: float = key(0.3, between(0, 1))
    """Below this, it is background."""
    anchors_per_crop: int = key(256, at_least(2))
    """Anchors that count in the loss of a crop."""
    positive_share: float = key(0.5, SHARE)
    """Largest share of signs among them."""
    box_weight: float = key(2.0, at_least(0))
    """Weight of the boxes in the loss."""
    pre_nms_top_k: int = key(6000, at_least(1))
    """Best anchors of a frame that become boxes."""
    post_nms_top_k: int = key(1500, at_least(1))
    """Proposals of a frame at most."""
    nms_threshold: float = key(0.7, SHARE)
    """Intersection over union above which the lower score goes."""
    min_size: float = key(4.0, at_least(0))
    """Narrower or lower proposals go, in pixels."""
    keep_maps: bool = False
    """Keep score maps and boxes of every frame (two megabytes each for 1360 x 800 pixels): what the
    sweep of Table 5 reads."""
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(epochs=10, batch_size=8, select_by="loss")
    )


@dataclass(frozen=True)
class SweepSettings:
    """Table 5: recall of other proposals from the same maps, every combination (proposals.keep_maps)."""

    enabled: bool = False
    """Try them."""
    ratios: tuple[str, ...] = ()
    """Lists such as "0.8, 1.0, 1.2", some of those trained with. Default: those trained with."""
    sizes: tuple[str, ...] = ()
    """Lists such as "32, 64". Default: those trained with."""
    pre_nms_top_k: tuple[int, ...] = key((6000,), at_least(1))
    """Best anchors."""
    post_nms_top_k: tuple[int, ...] = key((1000, 1500), at_least(1))
    """Proposals at most."""
    nms_thresholds: tuple[float, ...] = key((0.7, 0.8), SHARE)
    """Thresholds of suppression."""


@dataclass(frozen=True)
class PlaceSettings:
    """The place and shape filter (section 4.2.1), fitted on the boxes of training frames."""

    enabled: bool = True
    """Drop proposals where no sign stands."""
    max_lost: float = key(0.005, between(0, 1))
    """Largest share of the training boxes that it may lose."""
    place_margin: float = key(0.02, between(0, 1))
    """Added to the band and the triangle, as a share of the frame."""
    shape_margin: float = key(0.2, between(0, 1))
    """Added to the limits of width, height and ratio."""


@dataclass(frozen=True)
class RegionSettings:
    """What both networks learn from (section 4.2.2)."""

    background_below: float = key(0.2, INNER_SHARE)
    """A proposal that overlaps no true box by as much is background."""
    sign_from: float = key(0.6, SHARE)
    """One that overlaps a true box by as much shows its sign."""
    background_per_frame: float = key(40.0, above(0))
    """Background that the dice takes of a frame on average."""
    train_background: float | Literal["balanced"] | None = key(None, above(0))
    """The same of a training frame; balanced: as much of all of them as they and the crops show signs, or
    as there is. Default: balanced, where background.sampling.strategy is none; else
    background_per_frame, as the strategy draws out of it."""
    crops: tuple[str, ...] = key((), changes_results=False)
    """CSV tables of photographs of single signs (path, label, split, group, roi_x1 ...); the training rows
    are shown to both networks."""
    crops_leave_out: tuple[str, ...] = ("seen_in_gtsdb_test",)
    """Columns of these tables that mark rows with 1 which are not used."""


@dataclass(frozen=True)
class StageNetwork:
    """A classifier of the cascade, an ordinary training."""

    margin: float = key(0.1, between(0, 2))
    """Context around a region, on every side, as a share of its side."""
    images: ImageSettings = field(default_factory=lambda: ImageSettings(size=48, channels=3))
    features: FeatureSettings = field(default_factory=FeatureSettings)
    sampling: SamplingSettings = field(
        default_factory=lambda: SamplingSettings(strategy="none", n_subsets=1)
    )
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(select_by="accuracy", batch_size=32)
    )


def background_network() -> StageNetwork:
    """MobileNetV2 of width 0.5."""
    return StageNetwork(model=ModelSettings(options={"width": 0.5}, pretrained=None))


def sign_network() -> StageNetwork:
    """MobileNetV2 of width 0.7, Adamax."""
    training = TrainingSettings(select_by="accuracy", batch_size=32, optimizer="adamax")
    return StageNetwork(model=ModelSettings(options={"width": 0.7}, pretrained=None), training=training)


@dataclass(frozen=True)
class RefinementSettings:
    """Bounding-box regression, beyond the paper: a network that moves a box to where it sees the sign. It
    learns from true boxes that were shaken."""

    enabled: bool = False
    """Move every box that the background network lets pass, before the sign network sees it."""
    rounds: int = key(1, at_least(1))
    """Moves of a box, each from where the last one has left it."""
    margin: float = key(0.4, between(0, 2))
    """Context around a box, on every side, as a share of its side."""
    images: ImageSettings = field(default_factory=lambda: ImageSettings(size=48, channels=3))
    shift: float = key(0.15, above(0))
    """Standard deviation of a shaken box's centre, in sides of the true box."""
    scale: float = key(0.2, above(0))
    """Standard deviation of the logarithms of its width and height."""
    overlap_from: float = key(0.4, SHARE)
    """Least intersection over union of shaken and true box."""
    boxes_per_sign: int = key(16, at_least(1))
    """Shaken boxes of every sign in an epoch; as many of every validation sign."""
    model: ModelSettings = field(
        default_factory=lambda: ModelSettings(backbone="conv4", pretrained=None)
    )
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(select_by="overlap", batch_size=32)
    )


@dataclass(frozen=True)
class CascadeSettings:
    """From proposals to detections (sections 4.2.4 and 4.3)."""

    background_thresholds: tuple[float, ...] = key((0.1, 0.5, 0.9, 0.99), between(0, 1))
    """Least probabilities of a sign that are tried on validation frames."""
    sign_thresholds: tuple[float, ...] = key((0.0, 0.3, 0.6, 0.9), between(0, 1))
    """Least probabilities of the class that are tried."""
    nms_thresholds: tuple[float, ...] = key((0.3,), SHARE)
    """Thresholds of the last suppression that are tried."""
    limit: int = key(6, at_least(1))
    """Detections of a frame at most."""
    vote_threshold: float | None = key(0.3, SHARE)
    """A detection's box is the weighted mean of all boxes that have passed the thresholds and overlap it
    by as much; null: the box with the best sign score, as in the paper."""
