"""subsets -> members: t classifiers, each trained on its own subset."""

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import file_hash, write_text
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.sample_table import class_names, read_samples
from mindspore_dpus.data.source import Source
from mindspore_dpus.losses.settings import LossSettings
from mindspore_dpus.models.pretrained import weights_file
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.report import plots
from mindspore_dpus.stages.subsets import read_subsets
from mindspore_dpus.training.lr_range import suggest_rate
from mindspore_dpus.training.settings import TrainingSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassifierTraining:
    """All that the members of an ensemble of classifiers depend on.

    Args:
        model, loss, training, device: the sections.
        seed: of the run.
    """

    model: ModelSettings
    loss: LossSettings
    training: TrainingSettings
    device: DeviceSettings
    seed: int

    def weights(self) -> Path | None:
        """The pretrained checkpoint; None: random weights."""
        m = self.model
        return weights_file(m.pretrained, m.backbone, m.weights_dirs, m.options)

    def settings(self) -> list:
        """What the weights of a member depend on besides its data, as JSON values."""
        weights = self.weights()
        sections = [results(section) for section in (self.model, self.loss, self.training)]
        return [sections, file_hash(weights) if weights else None, self.seed]

    def network(self, num_classes: int, shape: tuple[int, int, int]):
        """The ``training.members.Network`` of its members; ``shape`` is that of an image."""
        from mindspore_dpus.models.classifier import Classifier

        weights = self.weights()
        weights = weights and weights.absolute()
        return Classifier(self.model, num_classes, shape[-1], weights, shape[0])

    def recipe(self, num_classes: int, shape: tuple[int, int, int], key: str):
        """The ``training.members.Recipe`` of its members."""
        from mindspore_dpus.training.classification_task import Classification
        from mindspore_dpus.training.members import Recipe

        task = Classification(num_classes, self.loss, self.training.augment, self.training.batch_size)
        network = self.network(num_classes, shape)
        return Recipe(network, task, self.training, self.device, key)


def check_members(folder: Path, source: Source, classifier: ClassifierTraining, n_members: int) -> None:
    """Build the members' network and loss once, before anything long is computed; from then on, what their
    processes need is imported beside what is computed first.

    Args:
        folder: with ``samples.csv``.
        source: where samples lie and how they are read.
        classifier: the sections.
        n_members: how many will be trained.

    Raises:
        UserError: the backbone, the checkpoint, what is to be frozen, the loss, the measure that epochs
            are selected by, the device or the cluster cannot be used.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.training.classification_task import MEASURES
    from mindspore_dpus.training.members import expect_members

    samples = read_table(folder / "samples.csv")
    classes = class_names(samples)
    unseen = sorted(set(classes) - set(samples.loc[samples["split"] == "val", "label"]))
    if classifier.training.select_by == "auc" and unseen:
        raise UserError(
            f"training.select_by is auc, and no validation image shows {unseen[0]!r}"
            + (f" or {len(unseen) - 1} more classes" if unseen[1:] else "")
            + f"; name {', '.join(m for m in MEASURES if m != 'auc')} or last"
        )
    check_training_of(classifier, source.reader.shape, len(classes))
    expect_members(n_members, classifier.training, configure(classifier.device))


def check_training_of(
    classifier: ClassifierTraining, shape: tuple[int, int, int], n_classes: int
) -> None:
    """The part of ``check_members`` that needs no samples.

    Args:
        classifier: the sections.
        shape: of an image.
        n_classes: of the network's outputs.

    Raises:
        UserError: as there.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.losses import create_loss
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.freeze import phases
    from mindspore_dpus.training.classification_task import MEASURES
    from mindspore_dpus.training.members import check_cluster

    select_by = classifier.training.select_by
    if select_by not in (*MEASURES, "last"):
        raise UserError(f"training.select_by is {select_by!r}; it must be {', '.join(MEASURES)} or last")
    device = configure(classifier.device)
    if classifier.training.executor == "ray":
        check_cluster(classifier.training, device)
    model = classifier.model
    if model.rotate and model.pretrained is None:
        raise UserError("model.rotate has no effect with random weights; leave it out")
    net = create_model(
        model.backbone,
        n_classes,
        shape[-1],
        classifier.weights(),
        allow_fresh=model.allow_fresh,
        random=False,
        options=model.options,
        image_size=shape[0],
    )
    phases(net, model)
    create_loss(classifier.loss.name, [1] * n_classes, **classifier.loss.options)


def make_lr_range(folder: Path, source: Source, classifier: ClassifierTraining, key: str) -> None:
    """``lr_range.csv`` (rate, loss, smoothed) and ``lr_range.svg``: the learning-rate range test."""
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.training.members import try_rates

    jobs, recipe = member_jobs(folder, source, classifier, key)
    job = min(jobs, key=lambda job: job.name)
    curve = try_rates(replace(job, seed=[classifier.seed, 0]), recipe, configure(classifier.device))
    rate = suggest_rate(curve)
    write_table(curve, folder / "lr_range.csv")
    write_text(folder / "lr_range.svg", plots.learning_rate_range(curve, rate))


def with_rate(folder: Path, classifier: ClassifierTraining) -> ClassifierTraining:
    """The same, its learning rate that of the range test where the section says ``auto``."""
    if classifier.training.learning_rate != "auto":
        return classifier
    rate = suggest_rate(pd.read_csv(folder / "lr_range.csv"))
    logger.info("  learning rate %.3g (range test)", rate)
    return replace(classifier, training=replace(classifier.training, learning_rate=rate))


def member_jobs(folder: Path, source: Source, classifier: ClassifierTraining, key: str) -> tuple:
    """The members of a folder as jobs, and what they have in common.

    Args:
        folder: with ``samples.csv`` and ``subsets.csv``; members go to ``members/<name>`` in it.
        source: where samples lie and how they are read.
        classifier: the sections.
        key: what the members belong to.

    Returns:
        A list of ``training.members.Job``, and the ``Recipe``.
    """
    from mindspore_dpus.training.classification_task import LabelledRows
    from mindspore_dpus.training.members import Job

    table, classes, labels = read_samples(folder / "samples.csv")
    row_of = {path: i for i, path in enumerate(table["path"])}
    val = np.flatnonzero(table["split"] == "val")
    # Absolute: other processes need not be in this one's folder.
    images = source.filled(table).absolute()
    jobs = []
    for i, (name, paths) in enumerate(read_subsets(folder).items()):
        rows = np.array([row_of[path] for path in paths])
        data = LabelledRows(images, labels, rows, val)
        place = (folder / "members" / name).absolute()
        jobs.append(Job(name, [classifier.seed, i], data, len(rows), images, place))
    return jobs, classifier.recipe(len(classes), source.reader.shape, key)


def make_members(
    folder: Path, source: Source, classifier: ClassifierTraining, key: str, announce=None
) -> None:
    """``members/<member>/``: best and last checkpoint, history.

    Args:
        folder, source, classifier, key: as for ``member_jobs``.
        announce: tells other devices (``training.members.train_members``).
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.training.members import train_members

    jobs, recipe = member_jobs(folder, source, with_rate(folder, classifier), key)
    names = {job.name for job in jobs}
    for place in (folder / "members").glob("*"):
        if place.name not in names:
            shutil.rmtree(place)
    more = {} if announce is None else {"announce": announce}
    train_members(jobs, recipe, configure(classifier.device), **more)


def member_artefacts(folder: Path) -> list[str]:
    """What ``make_members`` leaves that must be there."""
    return [f"members/{name}/best.safetensors" for name in read_subsets(folder)]


def load_ensemble(folder: Path, source: Source, classifier: ClassifierTraining, key: str):
    """The trained members of a folder, on the configured device (``training.ensemble.Ensemble``).

    Raises:
        UserError: a checkpoint is missing, damaged, or not theirs.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.training.ensemble import Ensemble

    _, classes, _ = read_samples(folder / "samples.csv")
    # Their checkpoints replace the pretrained one, which need not be there any more.
    fresh = replace(classifier, model=replace(classifier.model, pretrained=None))
    network = fresh.network(len(classes), source.reader.shape)
    device = configure(classifier.device)
    return Ensemble(network, list(read_subsets(folder)), folder / "members", key, device)
