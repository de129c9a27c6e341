"""Cached images -> augmented, normalised float32 NCHW batches: the only user of mindspore.dataset."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import mindspore.dataset as ds
import numpy as np

from mindspore_dpus.core.device import restore_interrupt
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.augment import AugmentSettings, augment

# ImageNet's statistics for images in 0..1. Grey images use their means over the channels: a stem whose
# kernels are summed over the input channels then sees exactly what the original stem sees of the grey
# image repeated to three channels and normalised with the grey mean and deviation in all three (not
# with those of each colour).
IMAGENET_MEAN = {3: (0.485, 0.456, 0.406), 1: (0.449,)}
IMAGENET_STD = {3: (0.229, 0.224, 0.225), 1: (0.226,)}


def normalise(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) uint8 or uint16 -> (N, C, H, W) float32, ImageNet mean 0 and deviation 1."""
    channels = images.shape[-1]
    mean = np.array(IMAGENET_MEAN[channels], np.float32)
    std = np.array(IMAGENET_STD[channels], np.float32)
    scale = 1.0 / (std * np.iinfo(images.dtype).max)
    # In place: other copies would stay in the memory of the thread that prepares batches.
    batch = images.astype(np.float32)
    batch *= scale
    batch -= mean / std
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


@dataclass
class BatchSource:
    """Random-access source of whole batches for ``GeneratorDataset``.

    Args:
        images: (N, H, W, C) array of all cached images; or float32 of any shape, fed as it is.
        indices: (M,) rows of ``images``, in the order in which they are fed.
        labels: (M,) class index of each.
        batch_size: images per batch.
        augment: random changes, or None.
        seed: with an image's place in ``indices``, drives its random changes.
        rank, n_devices: of every batch, give one of so many equal parts.
    """

    images: np.ndarray
    indices: np.ndarray
    labels: np.ndarray
    batch_size: int
    augment: AugmentSettings | None = None
    seed: Sequence[int] = (0,)
    rank: int = 0
    n_devices: int = 1

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        first = batch * self.batch_size
        size = min(self.batch_size, len(self.indices) - first) // self.n_devices
        first += self.rank * size
        rows = slice(first, first + size)
        images = self.images[self.indices[rows]]
        if self.augment is not None:
            images = np.stack(
                [
                    augment(image, self.augment, np.random.default_rng([*self.seed, first + i]))
                    for i, image in enumerate(images)
                ]
            )
        if images.dtype != np.float32:
            images = normalise(images)
        return images, self.labels[rows].astype(np.int32)


def batches(source: BatchSource):
    """Iterate once over a source's batches, prepared ahead in a thread.

    Args:
        source: what to feed.

    Returns:
        An iterator over (images (B, C, H, W) float32, labels (B,) int32) tensors, in order.
    """
    dataset = ds.GeneratorDataset(
        source,
        ["image", "label"],
        num_parallel_workers=1,
        shuffle=False,
        python_multiprocessing=False,
    )
    iterator = dataset.create_tuple_iterator(num_epochs=1, do_copy=False)
    restore_interrupt()
    return iterator


def training_source(
    images: np.ndarray,
    indices: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    augment: AugmentSettings,
    seed: Sequence[int],
    rank: int = 0,
    n_devices: int = 1,
) -> BatchSource:
    """One epoch of a member's balanced set: shuffled, augmented, every batch full.

    The images that do not fill a last batch sit this epoch out (others do in the next): a batch norm
    cannot learn from one image. A set smaller than a batch is one batch; of several devices, all have
    equally many of its images.

    Args:
        images: (N, H, W, C) array of all cached images.
        indices: (M,) rows of the balanced set.
        labels: (M,) class index of each.
        batch_size: images per step.
        augment: random changes.
        seed: run seed, member and epoch: equal seeds give equal batches.
        rank, n_devices: which part of every batch, of how many.

    Raises:
        UserError: not an image for every device.
    """
    order = np.random.default_rng(seed).permutation(len(indices))
    batch_size = min(batch_size, len(order)) // n_devices * n_devices
    if batch_size == 0:
        raise UserError(
            f"device.data_parallel: {len(order)} images cannot be shared by {n_devices} devices"
        )
    order = order[: len(order) // batch_size * batch_size]
    changes = augment if augment != AugmentSettings() else None
    return BatchSource(images, indices[order], labels[order], batch_size, changes, seed, rank, n_devices)
