"""One label a sample: softmax, any loss of the table, validation by AUC, accuracy and loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.data.images.augment import AugmentSettings
from mindspore_dpus.data.loader import batches, training_source
from mindspore_dpus.data.shards import open_shards
from mindspore_dpus.losses import create_loss
from mindspore_dpus.losses.settings import LossSettings
from mindspore_dpus.metrics.classification import log_loss, roc_auc
from mindspore_dpus.metrics.rounding import merge_near_ties
from mindspore_dpus.training.divergence import check_outputs
from mindspore_dpus.training.frozen import frozen_outputs
from mindspore_dpus.training.inference import predict
from mindspore_dpus.training.parallel import all_parts

# What ``training.select_by`` may name.
MEASURES = ("auc", "accuracy", "loss")


@dataclass(frozen=True)
class LabelledRows:
    """What a member learns from, in a form that can be sent to another process.

    Args:
        images: folder of the array of all samples (``data.cache``).
        labels: (N,) class index of each.
        train: (M,) rows of the member's balanced set.
        val: (V,) rows of the validation split.
    """

    images: Path
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray


@dataclass(frozen=True)
class Classification:
    """What all members of an ensemble of classifiers have in common.

    Args:
        num_classes: C.
        loss: the section.
        augment: random changes of the training images.
        batch_size: images per step.
    """

    num_classes: int
    loss: LossSettings
    augment: AugmentSettings
    batch_size: int

    def __call__(self, rows: LabelledRows) -> "ClassificationTask":
        """The task of one member."""
        return ClassificationTask(self, open_shards(rows.images), rows.labels, rows.train, rows.val)


@dataclass
class ClassificationTask:
    """A ``Task``: images (N, H, W, C), or float32 arrays of any shape, one class index each.

    Args:
        common: what it shares with other members.
        images: (N, ...) array of all samples.
        labels: (N,) class index of each.
        train: (M,) rows of the balanced set.
        val: (V,) rows of the validation split.
    """

    common: Classification
    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray

    @property
    def n_samples(self) -> int:
        """M."""
        return len(self.train)

    @property
    def loss_key(self) -> tuple[int, ...]:
        """Training samples of each class."""
        counts = np.bincount(self.labels[self.train], minlength=self.common.num_classes)
        return tuple(counts.tolist())

    def create_loss(self) -> nn.Cell:
        """See ``Task``."""
        return create_loss(self.common.loss.name, self.loss_key, **self.common.loss.options)

    def epoch(self, seed: Sequence[int], device: Device) -> tuple[int, Iterator[tuple[Tensor, ...]]]:
        """See ``Task``."""
        labels, common = self.labels[self.train], self.common
        place = device.rank, device.n_devices
        source = training_source(
            self.images, self.train, labels, common.batch_size, common.augment, seed, *place
        )
        return len(source), batches(source)

    def hits(self, outputs: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """See ``Task``."""
        return outputs.argmax(axis=1) == targets[0]

    def validate(self, net: nn.Cell, epoch: int, device: Device) -> dict[str, float]:
        """See ``Task``. Scores that differ in their last digits only order nothing: their AUC is 0.5."""
        labels = self.labels[self.val]
        probabilities = all_parts(partial(predict, net, self.images), self.val, device)
        check_outputs(epoch, probabilities)
        return {
            "val_loss": log_loss(labels, probabilities),
            "val_auc": roc_auc(labels, merge_near_ties(probabilities)),
            "val_accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        }

    def behind(self, net: nn.Cell, n_cells: int, limit: int) -> "ClassificationTask | None":
        """See ``Task``."""
        if self.common.augment != AugmentSettings():
            return None
        rows = np.union1d(self.train, self.val)
        outputs = frozen_outputs(net, n_cells, self.images, rows, limit)
        if outputs is None:
            return None
        train, val = np.searchsorted(rows, self.train), np.searchsorted(rows, self.val)
        return ClassificationTask(self.common, outputs, self.labels[rows], train, val)
