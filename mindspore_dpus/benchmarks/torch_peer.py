"""The same work in torch, on all threads: a peer to compare with, never a dependency of the product.

Function names and arguments are those of ``benchmarks.ours``; MindSpore is not imported here.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from mindspore_dpus.benchmarks.inputs import (
    FORWARD_BATCH,
    LEARNING_RATE,
    NUM_CLASSES,
    grey_images,
    training_batch,
)
from mindspore_dpus.benchmarks.runner import Prepared
from mindspore_dpus.benchmarks.torch_nets import create_net
from mindspore_dpus.data.cache import open_cache
from mindspore_dpus.processes import available_cpus

# Of grey images in 0..1, as in data.loader, which imports MindSpore.
MEAN, STD = 0.449, 0.226


def step(folder: Path, backbone: str, batch_size: int, image_size: int) -> Prepared:
    """One step of training, in the layout that torch's kernels are fastest with."""
    _use_all_threads()
    net = create_net(backbone, NUM_CLASSES, in_channels=1).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    images, labels = (torch.from_numpy(array) for array in training_batch(batch_size, image_size))
    images, labels = images.to(memory_format=torch.channels_last), labels.long()

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return Prepared(call, batch_size)


def features(folder: Path, backbone: str, n_images: int, batch_size: int, image_size: int) -> Prepared:
    """Vectors before the classifier, from prepared images."""
    _use_all_threads()
    net = create_net(backbone, NUM_CLASSES, in_channels=1).eval()
    images = grey_images(n_images, image_size)

    @torch.inference_mode()
    def call() -> None:
        vectors = [
            net.pooled(normalise(images[i : i + batch_size])).numpy()
            for i in range(0, n_images, batch_size)
        ]
        np.concatenate(vectors)

    return Prepared(call, n_images)


def fused(folder: Path, backbone: str, members: int, n_images: int, image_size: int) -> Prepared:
    """The mean of the members' softmax outputs, from prepared images."""
    _use_all_threads()
    nets = [create_net(backbone, NUM_CLASSES, in_channels=1).eval() for _ in range(members)]
    images = grey_images(n_images, image_size)

    @torch.inference_mode()
    def call() -> None:
        for i in range(0, n_images, FORWARD_BATCH):
            batch = normalise(images[i : i + FORWARD_BATCH])
            torch.stack([net(batch).softmax(1) for net in nets]).mean(0).numpy()

    return Prepared(call, n_images)


class _Rows(Dataset):
    """Whole batches of the image cache, by their rows."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        return normalise(self.images[rows]), torch.from_numpy(self.labels[rows])


def cached(folder: Path, n_images: int, batch_size: int, image_size: int) -> Prepared:
    """An epoch's batches from the same memory map, in this process: nothing is sent to and fro."""
    _use_all_threads()
    np.save(folder / "cache.npy", grey_images(n_images, image_size))
    data = _Rows(open_cache(folder / "cache.npy"), np.zeros(n_images, np.int64))
    order = BatchSampler(RandomSampler(data), batch_size, drop_last=True)

    def call() -> None:
        for _ in DataLoader(data, sampler=order, batch_size=None):
            pass

    return Prepared(call, n_images // batch_size * batch_size)


def normalise(images: np.ndarray) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 in torch's channels-last layout."""
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    batch = batch.mul_(1 / (STD * 255)).sub_(MEAN / STD)
    return batch.contiguous(memory_format=torch.channels_last)


def _use_all_threads() -> None:
    torch.set_num_threads(len(available_cpus()))
