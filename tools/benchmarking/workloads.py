"""What the measured work works on, the same for both sides. No MindSpore and no torch here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.data.simulate.radiograph_settings import RadiographSettings
from mindspore_dpus.data.simulate.radiographs import simulate

NUM_CLASSES = 2
# Adam's, small enough that random labels do not blow a network up within a benchmark.
LEARNING_RATE = 1e-4
FEATURES = 512
# The product's own: features.batch_size, and training.inference.PREDICT_BATCH.
FORWARD_BATCH = 64


@dataclass(frozen=True)
class TrainingWork:
    """A whole training: so small that it takes about a minute, with every stage in it.

    Args:
        backbone: of the members.
        image_size: height and width in pixels; the files are twice as large.
        train, val, test: images, normal and defect.
        n_subsets, n_clusters, n_components: t, K and the PCA's dimensions.
        epochs, batch_size, learning_rate: of each member.
    """

    backbone: str
    image_size: int
    train: tuple[int, int] = (300, 50)
    val: tuple[int, int] = (20, 20)
    test: tuple[int, int] = (20, 20)
    n_subsets: int = 3
    n_clusters: int = 5
    n_components: int = 128
    epochs: int = 2
    batch_size: int = 16
    learning_rate: float = LEARNING_RATE

    @property
    def presented(self) -> int:
        """Training images that all members see in all epochs, about: 10 % more normals than defects."""
        return round(self.n_subsets * self.epochs * 2.1 * self.train[1])


def training_files(folder: Path, work: TrainingWork) -> Path:
    """Write the radiographs of a whole training, and their manifest."""
    config = RadiographSettings(
        enabled=True, train=work.train, val=work.val, test=work.test, size=2 * work.image_size
    )
    simulate(config, folder, random_state=0)
    return folder


def layer_kind(layer: object) -> str | None:
    """``convolutions``, ``depthwise`` or ``norms``, of either library; None: another kind."""
    name = type(layer).__name__
    if name == "BatchNorm2d":
        return "norms"
    if name != "Conv2d":
        return None
    groups = layer.group if hasattr(layer, "group") else layer.groups
    return "depthwise" if groups == layer.in_channels > 1 else "convolutions"


def training_batch(batch_size: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Normalised grey images (N, 1, H, W) float32 and labels (N,) int32."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch_size, 1, image_size, image_size)).astype(np.float32)
    return images, rng.integers(NUM_CLASSES, size=batch_size).astype(np.int32)


def grey_images(n: int, image_size: int) -> np.ndarray:
    """Prepared grey images (N, H, W, 1) uint8."""
    shape = (n, image_size, image_size, 1)
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def castings(folder: Path, n: int, size: int) -> pd.DataFrame:
    """Write simulated radiographs as files; the table of their paths, relative to the folder."""
    config = RadiographSettings(enabled=True, train=(n - 1, 1), val=(0, 0), test=(0, 0), size=size)
    return pd.read_csv(simulate(config, folder, random_state=0))[["path"]]


def feature_vectors(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of a large class in five groups, and of a small one a twentieth its size.

    Returns:
        (N, 512) float32, and (N,) 0 for the large class, 1 for the small one.
    """
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [samples, samples // 20])
    vectors = rng.standard_normal((len(labels), FEATURES), dtype=np.float32)
    centres = rng.standard_normal((5, FEATURES), dtype=np.float32)
    groups = rng.integers(5, size=len(labels))
    # In blocks: at a million samples, all their centres at once would be 2 GB.
    for first in range(0, len(labels), 4096):
        rows = slice(first, first + 4096)
        vectors[rows] += centres[groups[rows]]
    return vectors, labels
