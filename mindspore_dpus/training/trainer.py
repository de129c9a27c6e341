"""Training one member: epochs over its balanced set, the best one kept, every one resumable."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from mindspore import Parameter, nn, ops

from mindspore_dpus.config import TrainingConfig
from mindspore_dpus.data.loader import BatchSource, batches, training_source
from mindspore_dpus.data.samples import write_table
from mindspore_dpus.device import Device
from mindspore_dpus.errors import UserError
from mindspore_dpus.evaluation.metrics import log_loss, roc_auc
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.models.weights import assign, get_state, set_state
from mindspore_dpus.training.checkpoint import load_checkpoint, save_checkpoint
from mindspore_dpus.training.optimizers import create_optimizer
from mindspore_dpus.training.step import create_step

PREDICT_BATCH = 64


@dataclass
class MemberData:
    """What one member learns from and is selected by.

    Args:
        images: (N, H, W, C) array of all cached images.
        labels: (N,) class index of each.
        train: (M,) rows of the member's balanced set.
        val: (V,) rows of the validation split.
    """

    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray


@dataclass
class Trainer:
    """Trains members one after the other with one network and one (compiled) step.

    Args:
        net: images -> logits; its weights are replaced at the start of every member.
        loss: (logits, labels) -> scalar.
        config: epochs, batch size, learning rate and so on.
        device: execution mode.
        stamp: written into every checkpoint; a checkpoint with another one is not resumed.
    """

    net: nn.Cell
    loss: nn.Cell
    config: TrainingConfig
    device: Device
    stamp: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimizer = create_optimizer(self.net, self.config)
        self.step = create_step(self.net, self.loss, self.optimizer, self.device)
        self.fresh_state = self._training_state()

    def fit(
        self,
        data: MemberData,
        start: dict[str, np.ndarray],
        folder: Path,
        seed: list[int],
        report: Callable[[dict], None] = lambda row: None,
    ) -> None:
        """Train one member; leaves ``best`` and ``last.safetensors`` and ``history.csv``.

        Goes on from ``last.safetensors`` where it belongs to the same stamp.

        Args:
            data: images and rows.
            start: weights to start from (``models.weights.get_state``).
            folder: the member's folder.
            seed: run seed and member: drives order and augmentation.
            report: called after every epoch with its row of the history.

        Raises:
            UserError: the loss is not a number; the last good epoch stays on disk.
        """
        stamp = self.stamp | {"seed": seed}
        history = self._resume(folder, stamp, start)
        for epoch in range(len(history) + 1, self.config.epochs + 1):
            if self._is_stale(history):
                break
            begin = time.perf_counter()
            self._set_learning_rate(epoch)
            train_loss = self._train_epoch(data, [*seed, epoch], folder)
            probabilities = predict(self.net, data.images, data.val)
            if not np.isfinite(probabilities).all():
                raise self._diverged(folder, epoch, "the outputs are not numbers after")
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "val_loss": log_loss(data.labels[data.val], probabilities),
                "val_auc": roc_auc(data.labels[data.val], probabilities),
                "seconds": time.perf_counter() - begin,
            }
            history = [*history, row]
            state = get_state(self.net)
            if _best_epoch(history, self.config.select_by) == epoch:
                save_checkpoint(folder / "best.safetensors", state, stamp | {"epoch": epoch})
            last = stamp | {"epoch": epoch, "history": history}
            save_checkpoint(folder / "last.safetensors", state | self._training_state(), last)
            write_table(pd.DataFrame(history).round(6), folder / "history.csv")
            report(row)

    def _is_stale(self, history: list[dict]) -> bool:
        """Whether ``patience`` epochs have passed since the best one."""
        if self.config.patience is None or not history:
            return False
        best = _best_epoch(history, self.config.select_by)
        return history[-1]["epoch"] - best >= self.config.patience

    def _resume(self, folder: Path, stamp: dict, start: dict[str, np.ndarray]) -> list[dict]:
        """Set network and optimiser to the last finished epoch, or to the start; its history."""
        last = folder / "last.safetensors"
        if last.exists():
            arrays, found = load_checkpoint(last)
            if {key: found.get(key) for key in stamp} == stamp:
                set_state(self.net, arrays)
                self._set_training_state(arrays)
                return found["history"]
            last.unlink()
        set_state(self.net, start)
        self._set_training_state(self.fresh_state)
        return []

    def _train_epoch(self, data: MemberData, seed: list[int], folder: Path) -> float:
        """One pass over the balanced set; the mean loss."""
        source = training_source(
            data.images,
            data.train,
            data.labels[data.train],
            self.config.batch_size,
            self.config.augment,
            seed,
        )
        set_train(self.net, True)
        losses = []
        for images, labels in batches(source):
            losses.append(self.step(images, labels))
            if len(losses) == 1:
                self.device.yield_to_workers()
        # Looked at once an epoch: reading every loss would make host and device wait for each other.
        values = np.array([float(loss.asnumpy()) for loss in losses])
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise self._diverged(folder, seed[-1], f"the loss is {values[bad[0]]} in", bad[0] + 1)
        return float(values.mean())

    def _diverged(self, folder: Path, epoch: int, what: str, step: int | None = None) -> UserError:
        kept = f"epoch {epoch - 1} is kept in {folder}" if epoch > 1 else "nothing was learnt yet"
        place = f"epoch {epoch}" + (f", step {step}" if step else "")
        return UserError(
            f"member {folder.name}: {what} {place}; {kept}. Lower --training.learning_rate (now "
            f"{self.config.learning_rate:g})"
        )

    def _set_learning_rate(self, epoch: int) -> None:
        rate = self.config.learning_rate
        if self.config.lr_schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * (epoch - 1) / self.config.epochs))
        assign(self.optimizer.learning_rate, rate)

    def _training_state(self) -> dict[str, np.ndarray]:
        """What besides the weights a member has at the end of an epoch: optimiser and loss."""
        return {name: p.asnumpy().copy() for name, p in self._training_parameters()}

    def _set_training_state(self, state: dict[str, np.ndarray]) -> None:
        for name, parameter in self._training_parameters():
            assign(parameter, state[name])

    def _training_parameters(self) -> list[tuple[str, Parameter]]:
        own = {p.name for p in self.net.get_parameters()}
        optimizer = [p for p in self.optimizer.get_parameters() if p.name not in own]
        return [(f"optimizer.{p.name}", p) for p in optimizer] + [
            (f"loss.{p.name}", p) for p in self.loss.get_parameters()
        ]


def _best_epoch(history: list[dict], select_by: str) -> int:
    """Number of the epoch to keep; among equals the first."""
    if select_by == "last":
        return history[-1]["epoch"]
    if select_by == "loss":
        return min(history, key=lambda row: row["val_loss"])["epoch"]
    return max(history, key=lambda row: row["val_auc"])["epoch"]


def predict(net: nn.Cell, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Softmax outputs of one network, without augmentation.

    Args:
        net: images -> logits.
        images: (N, H, W, C) array of all cached images.
        rows: (M,) which of them.

    Returns:
        (M, C) float32, rows sum to 1.
    """
    set_train(net, False)
    source = BatchSource(images, rows, np.zeros(len(rows)), PREDICT_BATCH)
    outputs = [ops.softmax(net(batch), axis=1).asnumpy() for batch, _ in batches(source)]
    return np.concatenate(outputs)
