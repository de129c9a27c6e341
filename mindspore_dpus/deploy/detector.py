"""A frame in, named signs out: proposals, place filter, networks, suppression.

Needs NumPy and OpenCV; what the networks run on is handed in.
"""

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from mindspore_dpus.data.images.decoded import MAX_PIXELS
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.images.regions import prepare_regions
from mindspore_dpus.deploy.anchors import anchor_grid, anchor_shapes
from mindspore_dpus.deploy.cascade import Detections, Scored, detect, score_boxes
from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.deploy.proposals import Maps, Proposals, propose
from mindspore_dpus.deploy.refinement import refine
from mindspore_dpus.deploy.stopwatch import Stopwatch


class Networks(Protocol):
    """The networks of the cascade."""

    def maps(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 RGB -> scores (A, h, w) and deltas (4 A, h, w), float32."""

    def background(self, regions: np.ndarray) -> np.ndarray:
        """(N, S, S, 3) uint8 -> (N,) probability of a sign."""

    def refinement(self, regions: np.ndarray) -> np.ndarray:
        """(N, S, S, 3) uint8 -> (N, 4) what ``refinement.box_targets`` describes; asked only where
        ``DetectorSettings.refinement_rounds`` is above 0."""

    def signs(self, regions: np.ndarray) -> np.ndarray:
        """(N, S, S, 3) uint8 -> (N, C) probabilities of the classes."""


@dataclass(frozen=True)
class DetectorSettings:
    """All that a detector is besides its networks.

    Args:
        sizes, ratios, stride: of the anchors.
        pre_nms_top_k, post_nms_top_k, proposal_nms, min_size: of ``propose``.
        place_filter: None: none.
        background_images, background_margin: how the background network's regions are cut.
        refinement_images, refinement_margin: the refinement network's.
        refinement_rounds: moves of a box; 0: there is no such network.
        sign_images, sign_margin: the sign network's.
        classes: names in the order of the sign network's outputs.
        background_threshold, sign_threshold, nms_threshold, limit: of ``detect``.
        class_numbers: of ``classes`` in the data that were learnt from; None: not known, as of an export
            by an earlier version.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    stride: int
    pre_nms_top_k: int
    post_nms_top_k: int
    proposal_nms: float
    min_size: float
    place_filter: PlaceFilter | None
    background_images: ImageSettings
    background_margin: float
    refinement_images: ImageSettings
    refinement_margin: float
    refinement_rounds: int
    sign_images: ImageSettings
    sign_margin: float
    classes: tuple[str, ...]
    background_threshold: float = 0.5
    sign_threshold: float = 0.5
    nms_threshold: float = 0.3
    limit: int = 6
    vote_threshold: float | None = None
    max_pixels: int = MAX_PIXELS
    class_numbers: tuple[int, ...] | None = None

    def to_dict(self) -> dict:
        """Numbers, lists and dicts, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "DetectorSettings":
        """What ``to_dict`` gave, also after JSON.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        values = dict(values)
        for name in ("sizes", "ratios", "classes"):
            values[name] = tuple(values[name])
        for name in ("background_images", "refinement_images", "sign_images"):
            values[name] = ImageSettings.from_dict(values[name])
        if values.get("class_numbers") is not None:
            values["class_numbers"] = tuple(values["class_numbers"])
        if values["place_filter"] is not None:
            values["place_filter"] = PlaceFilter.from_dict(values["place_filter"])
        return cls(**values)


class Detector:
    """Finds and names signs.

    Args:
        settings: all but the networks.
        networks: what computes.
        identity: changes with the networks.
    """

    def __init__(self, settings: DetectorSettings, networks: Networks, identity: str) -> None:
        self.settings = settings
        self.networks = networks
        self.identity = identity
        self.shapes = anchor_shapes(settings.sizes, settings.ratios)

    def maps(self, frame: np.ndarray) -> Maps:
        """What the proposal network says of a frame."""
        scores, deltas = self.networks.maps(frame)
        return Maps(scores, deltas, frame.shape[1], frame.shape[0])

    def proposals(self, maps: Maps) -> Proposals:
        """Boxes that are looked at, the best first."""
        s = self.settings
        return propose(
            maps,
            anchor_grid(self.shapes, *maps.scores.shape[1:], s.stride),
            pre_nms_top_k=s.pre_nms_top_k,
            post_nms_top_k=s.post_nms_top_k,
            nms_threshold=s.proposal_nms,
            min_size=s.min_size,
        )

    def score(
        self,
        frame: np.ndarray,
        boxes: np.ndarray,
        floor: float | None = None,
        watch: Stopwatch | None = None,
    ) -> Scored:
        """What the classifiers say of a frame's boxes.

        Args:
            frame: (H, W, 3) uint8 RGB.
            boxes: (P, 4) proposals.
            floor: the sign network sees no box below it; None: the background threshold.
            watch: takes the time of every step.
        """
        s, networks = self.settings, self.networks

        def background(found: np.ndarray) -> np.ndarray:
            return networks.background(
                prepare_regions(frame, found, s.background_images, s.background_margin)
            )

        def signs(found: np.ndarray) -> np.ndarray:
            return networks.signs(prepare_regions(frame, found, s.sign_images, s.sign_margin))

        def moved(found: np.ndarray) -> np.ndarray:
            how = s.refinement_images, s.refinement_margin, s.refinement_rounds
            return refine(frame, found, networks.refinement, *how)

        return score_boxes(
            boxes,
            frame.shape[1],
            frame.shape[0],
            s.place_filter,
            background,
            signs,
            len(s.classes),
            s.background_threshold if floor is None else floor,
            moved if s.refinement_rounds else None,
            watch,
        )

    def choose(self, scored: Scored) -> Detections:
        """What passes the thresholds, without doubles."""
        s = self.settings
        return detect(
            scored,
            background_threshold=s.background_threshold,
            sign_threshold=s.sign_threshold,
            nms_threshold=s.nms_threshold,
            limit=s.limit,
            vote_threshold=s.vote_threshold,
        )

    def detect(self, frame: np.ndarray) -> Detections:
        """The signs of a frame; ``classes`` are places in ``settings.classes``."""
        found = self.proposals(self.maps(frame))
        return self.choose(self.score(frame, found.boxes))
