"""The same work in torch, on all threads: a peer to compare with, never a dependency of the product.

Function names and arguments are those of ``benchmarks.ours``; MindSpore is not imported here.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from benchmarking.measuring import Prepared
from benchmarking.starting import starting
from benchmarking.torch_nets import create_net
from benchmarking.torch_sound import log_mel, sound_step  # noqa: F401
from benchmarking.torch_training import Images, normalise, train_ensemble
from benchmarking.workloads import (
    FORWARD_BATCH,
    LEARNING_RATE,
    NUM_CLASSES,
    TrainingWork,
    grey_images,
    layer_kind,
    training_batch,
    training_files,
)
from mindspore_dpus.core.processes import available_cpus
from mindspore_dpus.data.arrays import open_array, save_array


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


def start(folder: Path, **options) -> Prepared:
    """A new process until its first step is done."""
    return starting(folder, "torch_peer", options, installed_anew=False)


def layers(folder: Path, backbone: str, kind: str, batch_size: int, image_size: int) -> Prepared:
    """All layers of one kind, forward and back, one after the other: a part of a step."""
    _use_all_threads()
    net = create_net(backbone, NUM_CLASSES, in_channels=1).train()
    met = []
    hooks = [
        module.register_forward_hook(lambda layer, inputs, out: met.append((layer, inputs[0], out)))
        for module in net.modules()
        if layer_kind(module) == kind
    ]
    images = torch.from_numpy(training_batch(batch_size, image_size)[0])
    net(images.to(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    works = [(layer, x.detach().clone().requires_grad_(), torch.ones_like(out)) for layer, x, out in met]

    def call() -> None:
        for layer, x, gradient in works:
            x.grad = None
            layer.zero_grad(set_to_none=True)
            layer(x).backward(gradient)

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


def cached(folder: Path, n_images: int, batch_size: int, image_size: int) -> Prepared:
    """An epoch's batches from the same memory map, in this process: nothing is sent to and fro."""
    _use_all_threads()
    save_array(folder / "cache.npy", grey_images(n_images, image_size))
    data = Images(open_array(folder / "cache.npy"), np.zeros(n_images, np.int64))
    order = BatchSampler(RandomSampler(data), batch_size, drop_last=True)

    def call() -> None:
        for _ in DataLoader(data, sampler=order, batch_size=None):
            pass

    return Prepared(call, n_images // batch_size * batch_size)


def training(folder: Path, backbone: str, image_size: int, epochs: int) -> Prepared:
    """A whole ensemble, from files to metrics."""
    _use_all_threads()
    work = TrainingWork(backbone, image_size, epochs=epochs)
    root = training_files(folder / "castings", work)
    return Prepared(lambda: train_ensemble(root, work), work.presented, warm_up=0, tree=True)


def _use_all_threads() -> None:
    torch.set_num_threads(len(available_cpus()))
