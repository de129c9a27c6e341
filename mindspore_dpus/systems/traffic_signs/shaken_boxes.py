"""What the refinement network learns from: true boxes that were shaken, and where they had been."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import iou
from mindspore_dpus.data.images.augment import AugmentSettings, augment
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.images.regions import cut, prepare_regions, windows
from mindspore_dpus.deploy.refinement import box_targets

# Of a frame, so much is kept on every side of a sign, in sides of the sign.
KEPT = 2.0
TRIES = 20


@dataclass(frozen=True)
class Patch:
    """A sign and what is around it.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (4,) the sign in it.
    """

    image: np.ndarray
    box: np.ndarray


def patches(image: np.ndarray, boxes: np.ndarray) -> list[Patch]:
    """The signs of a frame, each with what a shaken box may reach."""
    found = []
    for box, seen in zip(boxes, windows(image.shape[1], image.shape[0], boxes, KEPT), strict=True):
        part = cut(image, box, KEPT).copy()
        found.append(Patch(part, box - np.tile(seen[:2], 2)))
    return found


def shake(
    box: np.ndarray, rng: np.random.Generator, shift: float, scale: float, overlap_from: float
) -> np.ndarray:
    """A box near a true one, as a proposal would be.

    Args:
        box: (4,).
        rng: draws.
        shift: standard deviation of the centre, in sides of the box.
        scale: standard deviation of the logarithm of width and of height.
        overlap_from: least intersection over union with the true box; what is drawn below it is drawn
            again, and after twenty times the true box is taken.

    Returns:
        (4,) float64.
    """
    side = box[2:] - box[:2]
    for _ in range(TRIES):
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, shift, 2) * side
        half = side * np.exp(rng.normal(0, scale, 2)) / 2
        drawn = np.concatenate([centre - half, centre + half])
        if iou(drawn[np.newaxis], box[np.newaxis])[0, 0] >= overlap_from:
            return drawn
    return box.astype(np.float64)


@dataclass(frozen=True)
class ShakenBoxes:
    """A sign's number and a random generator -> what the network sees, and what it has to say.

    Args:
        signs: all of them.
        images, margin: how regions are cut.
        shift, scale, overlap_from: of ``shake``.
        augment: changes of colour; None: none, and no mirror images.
    """

    signs: Sequence[Patch]
    images: ImageSettings
    margin: float
    shift: float
    scale: float
    overlap_from: float
    augment: AugmentSettings | None = None

    def __call__(self, sign: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(S, S, 3) uint8 and (4,) float32 of ``box_targets``."""
        patch = self.signs[sign]
        box = shake(patch.box, rng, self.shift, self.scale, self.overlap_from)[np.newaxis]
        region = prepare_regions(patch.image, box, self.images, self.margin)[0]
        seen = windows(patch.image.shape[1], patch.image.shape[0], box, self.margin)
        target = box_targets(patch.box[np.newaxis], seen)[0]
        if self.augment is None:
            return region, target
        if rng.random() < 0.5:
            # A mirror image is as good: where a sign ends has no left and right.
            region, target = region[:, ::-1], target * np.float32([-1, 1, 1, 1])
        return augment(np.ascontiguousarray(region), self.augment, rng), target


def read_patches(
    read: Callable[[int], np.ndarray], boxes: Sequence[np.ndarray], frames: np.ndarray
) -> list[Patch]:
    """The signs of some frames.

    Args:
        read: number of a frame -> (H, W, 3) uint8; each frame is read once.
        boxes: true boxes of every frame, each (G, 4).
        frames: numbers of the frames that are wanted.
    """
    return [patch for i in frames if len(boxes[i]) for patch in patches(read(int(i)), boxes[i])]
