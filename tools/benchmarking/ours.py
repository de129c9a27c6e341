"""The product's own work, through the functions that a run calls.

Every function prepares one piece of work; its first argument is an empty folder that it may use.
MindSpore is imported where it is used: the memory of what does not need it is measured without it.
"""

import dataclasses
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

from benchmarking.measuring import Prepared

# Prepared by name, as everything here.
from benchmarking.sound import librosa_log_mel, log_mel, sound_step  # noqa: F401
from benchmarking.sound_export import sound_export  # noqa: F401
from benchmarking.starting import starting
from benchmarking.workloads import (
    LEARNING_RATE,
    NUM_CLASSES,
    TrainingWork,
    castings,
    feature_vectors,
    grey_images,
    layer_kind,
    training_batch,
    training_files,
)
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.processes import Work, side_by_side
from mindspore_dpus.data.images.augment import AugmentSettings
from mindspore_dpus.systems import parse_config
from mindspore_dpus.training.settings import TrainingSettings


def step(
    folder: Path,
    backbone: str,
    batch_size: int,
    image_size: int,
    target: str,
    fast_kernels: str,
) -> Prepared:
    """One step of a member's training."""
    import mindspore as ms
    from mindspore import Tensor

    from mindspore_dpus.core.device import configure
    from mindspore_dpus.losses import create_loss
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.freeze import set_train
    from mindspore_dpus.training.optimizers import create_optimizer
    from mindspore_dpus.training.step import create_step

    device = configure(DeviceSettings(target=target, fast_kernels=fast_kernels))
    net = create_model(backbone, NUM_CLASSES, in_channels=1, device=device)
    optimizer = create_optimizer(net, TrainingSettings(learning_rate=LEARNING_RATE))
    loss = create_loss("cross_entropy", [batch_size // 2, batch_size - batch_size // 2])
    train_step = create_step(net, loss, optimizer, device)
    images, labels = (Tensor(array) for array in training_batch(batch_size, image_size))
    set_train(net, True)

    def call() -> None:
        train_step(images, labels)
        # On CPU every operation is waited for (device.configure), and this is not supported.
        if device.target != "CPU":
            ms.runtime.synchronize()
        device.yield_to_workers()

    return Prepared(call, batch_size)


def start(folder: Path, installed_anew: bool, **options) -> Prepared:
    """A new process until its first step is done."""
    return starting(folder, "ours", options, installed_anew)


def layers(
    folder: Path,
    backbone: str,
    kind: str,
    batch_size: int,
    image_size: int,
    target: str,
    fast_kernels: str,
) -> Prepared:
    """All layers of one kind, forward and back, one after the other: a part of a step."""
    import mindspore as ms
    from mindspore import Tensor, ops

    from mindspore_dpus.core.device import configure
    from mindspore_dpus.models.factory import create_model

    device = configure(DeviceSettings(target=target, fast_kernels=fast_kernels))
    net = create_model(backbone, NUM_CLASSES, in_channels=1, device=device)
    met = met_layers(net, kind, Tensor(training_batch(batch_size, image_size)[0]))
    net.set_train()
    back = ops.GradOperation(get_all=True, get_by_list=True, sens_param=True)
    works = [
        (back(cell, ms.ParameterTuple(cell.trainable_params())), x.copy(), ops.ones_like(out))
        for cell, x, out in met
    ]

    def call() -> None:
        for work, x, gradient in works:
            work(x, gradient)

    return Prepared(call, batch_size)


def met_layers(net, kind: str, images) -> list[tuple]:
    """The layers of one kind that a batch meets on its way through a network, each with its input and
    output. Not in training, where MobileNetV2's blocks run as one (``models.kernels.hidden_layers``)."""
    met = []
    hooks = [
        cell.register_forward_hook(lambda cell, inputs, out: met.append((cell, inputs[0], out)))
        for _, cell in net.cells_and_names()
        if layer_kind(cell) == kind
    ]
    net.set_train(False)
    net(images)
    for hook in hooks:
        hook.remove()
    return met


def features(
    folder: Path,
    backbone: str,
    n_images: int,
    batch_size: int,
    image_size: int,
    target: str,
    fast_kernels: str,
) -> Prepared:
    """The features that the majority class is grouped by."""
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.features.extract import extract, feature_layer
    from mindspore_dpus.models.factory import create_model

    device = configure(DeviceSettings(target=target, fast_kernels=fast_kernels))
    net = create_model(backbone, NUM_CLASSES, in_channels=1, device=device)
    layer = feature_layer(net, None)
    images, rows = grey_images(n_images, image_size), np.arange(n_images)
    return Prepared(lambda: extract(net, layer, images, rows, batch_size, device), n_images)


def fused(
    folder: Path,
    backbone: str,
    members: int,
    n_images: int,
    image_size: int,
    target: str,
    fast_kernels: str,
) -> Prepared:
    """The fused output of an ensemble, from prepared images."""
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.metrics.fusion import with_fused
    from mindspore_dpus.models.classifier import Classifier
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.settings import ModelSettings
    from mindspore_dpus.models.weights import get_state
    from mindspore_dpus.training.checkpoint import save_checkpoint
    from mindspore_dpus.training.ensemble import Ensemble

    device = configure(DeviceSettings(target=target, fast_kernels=fast_kernels))
    names = [f"{i:02d}" for i in range(members)]
    for i, name in enumerate(names):
        net = create_model(backbone, NUM_CLASSES, in_channels=1, seed=i)
        save_checkpoint(folder / name / "best.safetensors", get_state(net), {"key": "benchmark"})
        del net
    network = Classifier(ModelSettings(backbone=backbone), NUM_CLASSES, 1, None)
    ensemble = Ensemble(network, names, folder, "benchmark", device)
    images, rows = grey_images(n_images, image_size), np.arange(n_images)
    return Prepared(lambda: with_fused(ensemble.predict(images, rows)), n_images)


def graph(folder: Path, backbone: str, members: int, n_images: int, image_size: int) -> Prepared:
    """The same through the exported graph, as on the line's PC: without MindSpore in the process."""
    from mindspore_dpus.deploy.predictor import OnnxPredictor

    path = folder / "model.onnx"
    task = Work("export", _export, (path, backbone, members, image_size))
    for _, error in side_by_side([task], 1, lambda *_: None):
        if error is not None:
            raise error
    predictor, images = OnnxPredictor(path), grey_images(n_images, image_size)
    size = predictor.batch_size

    def call() -> None:
        for first in range(0, n_images, size):
            predictor.predict(images[first : first + size])

    return Prepared(call, n_images)


def _export(path: Path, backbone: str, members: int, image_size: int, send: Callable) -> None:
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.core.files import file_hash
    from mindspore_dpus.data.images.preparing import ImageSettings
    from mindspore_dpus.deploy.bundle import Bundle
    from mindspore_dpus.export.graph import Members
    from mindspore_dpus.export.onnx_graph import write_onnx
    from mindspore_dpus.models.factory import create_model

    configure(DeviceSettings(target="CPU"))
    nets = {
        f"{i:02d}": create_model(backbone, NUM_CLASSES, in_channels=1, seed=i) for i in range(members)
    }
    spec = ImageSettings(image_size)
    write_onnx(Members(nets, spec, NUM_CLASSES), path)
    classes = [str(i) for i in range(NUM_CLASSES)]
    made = file_hash(path), "onnx", spec, classes, classes[0], 0.5, None, list(nets), {}, {}
    Bundle(*made).save(path)


def cold(folder: Path, n_images: int, image_size: int) -> Prepared:
    """Image files, twice as large as the network wants them, into the image cache."""
    from mindspore_dpus.data.cache import build_cache
    from mindspore_dpus.data.images.preparing import ImageSettings

    root = folder / "castings"
    files = castings(root, n_images, 2 * image_size)
    cache = folder / "cache"

    def call() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        build_cache(files, root, ImageSettings(image_size), cache, folder / "unreadable.csv")

    return Prepared(call, n_images)


def cached(folder: Path, n_images: int, batch_size: int, image_size: int) -> Prepared:
    """An epoch's batches from the image cache."""
    from mindspore_dpus.data.loader import batches, training_source
    from mindspore_dpus.data.shards import fill_shards, open_shards

    made = grey_images(n_images, image_size)
    fill_shards(folder / "cache", n_images, n_images, made.__getitem__)
    images = open_shards(folder / "cache")
    rows, labels = np.arange(n_images), np.zeros(n_images, np.int32)

    def call() -> None:
        source = training_source(images, rows, labels, batch_size, AugmentSettings(), [0])
        for _ in batches(source):
            pass

    return Prepared(call, n_images // batch_size * batch_size)


def sampler(folder: Path, samples: int) -> Prepared:
    """Groups and subsets of so many majority samples."""
    from mindspore_dpus.sampling import DistributionPreservingUnderSampler

    vectors, labels = feature_vectors(samples)

    def call() -> None:
        DistributionPreservingUnderSampler(random_state=0).fit_resample(vectors, labels)

    # Nothing is compiled, and at a million samples a call takes minutes.
    return Prepared(call, samples, warm_up=1)


def training(
    folder: Path, backbone: str, image_size: int, epochs: int, target: str, fast_kernels: str
) -> Prepared:
    """A whole run: from files to metrics, and the report."""
    work = TrainingWork(backbone, image_size, epochs=epochs)
    options = {
        "system": "classification",
        "data.root": training_files(folder / "castings", work),
        "images.size": image_size,
        "images.channels": 1,
        "features.pretrained": "null",
        "features.n_components": work.n_components,
        "sampling.n_clusters": work.n_clusters,
        "sampling.n_subsets": work.n_subsets,
        "model.backbone": backbone,
        "model.pretrained": "null",
        "training.epochs": work.epochs,
        "training.batch_size": work.batch_size,
        "training.learning_rate": work.learning_rate,
        # The peer has neither intervals, nor an audit, nor heatmaps.
        "evaluation.n_bootstrap": 0,
        "audit.enabled": "false",
        "heatmaps.report": "false",
        "device.target": target,
        "device.fast_kernels": fast_kernels,
    }
    config = parse_config([f"--{key}={value}" for key, value in options.items()])
    return _run(folder, config, work.presented)


def run(folder: Path, config: str, target: str, fast_kernels: str) -> Prepared:
    """Whatever a configuration file says, from its data to the report."""
    device = f"--device.target={target}", f"--device.fast_kernels={fast_kernels}"
    loaded = parse_config([f"--config={config}", *device])
    return _run(folder, loaded, 1)


def _run(folder: Path, config, items: int) -> Prepared:
    from mindspore_dpus.systems import train

    numbers = count()

    def call() -> None:
        # Another folder, and another cache, each time: nothing is there already.
        own = folder / f"runs-{next(numbers)}"
        train(dataclasses.replace(config, output=str(own / "run")))

    return Prepared(call, items, warm_up=0, tree=True)
