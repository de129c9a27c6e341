"""Training one member: epochs over its balanced set, the best one kept, every one resumable."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from mindspore import Parameter, nn

from mindspore_dpus.config import AugmentConfig, TrainingConfig
from mindspore_dpus.data.loader import BatchSource, batches, training_source
from mindspore_dpus.data.samples import write_table
from mindspore_dpus.device import Device
from mindspore_dpus.errors import UserError
from mindspore_dpus.evaluation.metrics import log_loss, roc_auc
from mindspore_dpus.models.dropout import seed_dropout
from mindspore_dpus.models.freeze import Phase, frozen_start, layers, set_frozen, set_train
from mindspore_dpus.models.weights import assign, get_state, set_state
from mindspore_dpus.training.checkpoint import load_checkpoint, save_checkpoint
from mindspore_dpus.training.frozen import Tail, frozen_outputs
from mindspore_dpus.training.inference import predict
from mindspore_dpus.training.optimizers import create_optimizer
from mindspore_dpus.training.schedules import learning_rate_factor
from mindspore_dpus.training.step import create_step


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


class _Engine:
    """What turns batches into steps, for one phase.

    Args:
        net: what the batches go through: a network, or the part of it after its frozen start.
        trainer: whose loss, settings and device.
    """

    def __init__(self, net: nn.Cell, trainer: "Trainer") -> None:
        self.net = net
        self.optimizer = create_optimizer(net, trainer.config)
        self.step = create_step(net, trainer.loss, self.optimizer, trainer.device)
        own = {p.name for p in net.get_parameters()}
        self.state = [p for p in self.optimizer.get_parameters() if p.name not in own]
        self.fresh = [p.asnumpy().copy() for p in self.state]

    def reset(self) -> None:
        """Forget every step."""
        for parameter, value in zip(self.state, self.fresh, strict=True):
            assign(parameter, value)


@dataclass
class Trainer:
    """Trains members one after the other with one network and one (compiled) step.

    Args:
        net: images -> logits; its weights are replaced at the start of every member.
        loss: (logits, labels) -> scalar.
        config: epochs, batch size, learning rate and so on.
        device: execution mode.
        stamp: written into every checkpoint; a checkpoint with another one is not resumed.
        phases: which layers are frozen when (``models.freeze.phases``). None: those that are frozen now,
            throughout.
    """

    net: nn.Cell
    loss: nn.Cell
    config: TrainingConfig
    device: Device
    stamp: dict = field(default_factory=dict)
    phases: Sequence[Phase] | None = None

    def __post_init__(self) -> None:
        self.layers = layers(self.net)
        if self.phases is None:
            self.phases = [Phase(1, frozenset())]
        self.engines: dict[tuple[int, int], _Engine] = {}
        self.fresh_loss = [p.asnumpy().copy() for p in self.loss.get_parameters()]

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
        begin = time.perf_counter()
        history = self._resume(folder, stamp, start, data)
        for epoch in range(len(history) + 1, self.config.epochs + 1):
            if self._is_stale(history):
                break
            if epoch > 1 and epoch in (phase.first_epoch for phase in self.phases):
                self._enter(epoch, data)
            train_loss, train_accuracy = self._train_epoch([*seed, epoch], folder)
            labels = self.data.labels[self.data.val]
            probabilities = predict(self.engine.net, self.data.images, self.data.val)
            if not np.isfinite(probabilities).all():
                raise self._diverged(folder, epoch, "the outputs are not numbers after")
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "val_loss": log_loss(labels, probabilities),
                "val_auc": roc_auc(labels, probabilities),
                "val_accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
                "seconds": time.perf_counter() - begin,
            }
            begin = time.perf_counter()
            history = [*history, row]
            state = get_state(self.net)
            if _best_epoch(history, self.config.select_by) == epoch:
                save_checkpoint(folder / "best.safetensors", state, stamp | {"epoch": epoch})
            last = stamp | {"epoch": epoch, "history": history}
            save_checkpoint(folder / "last.safetensors", state | self._training_state(), last)
            write_table(pd.DataFrame(history).round(6), folder / "history.csv")
            report(row)

    def _is_stale(self, history: list[dict]) -> bool:
        """Whether ``patience`` epochs of the last phase have passed since the best one."""
        if self.config.patience is None or not history:
            return False
        best = _best_epoch(history, self.config.select_by)
        since = max(best, self.phases[-1].first_epoch - 1)
        return history[-1]["epoch"] - since >= self.config.patience

    def _resume(
        self, folder: Path, stamp: dict, start: dict[str, np.ndarray], data: MemberData
    ) -> list[dict]:
        """Set network and optimiser to the last finished epoch, or to the start; its history."""
        last = folder / "last.safetensors"
        if last.exists():
            arrays, found = load_checkpoint(last)
            if {key: found.get(key) for key in stamp} == stamp:
                set_state(self.net, arrays)
                self._enter(len(found["history"]), data)
                for name, parameter in self._training_parameters():
                    assign(parameter, arrays[name])
                return found["history"]
            last.unlink()
        self._begin(start, data)
        return []

    def _begin(self, start: dict[str, np.ndarray], data: MemberData) -> None:
        """Set network, optimiser and loss to the start of a member."""
        set_state(self.net, start)
        for parameter, value in zip(self.loss.get_parameters(), self.fresh_loss, strict=True):
            assign(parameter, value)
        self._enter(1, data)

    def _enter(self, epoch: int, data: MemberData) -> None:
        """Freeze what is frozen in this epoch, and begin with a fresh optimiser.

        Sets ``engine``, and ``data``: the images, or what the frozen start of the network makes of them.
        """
        place = max(i for i, phase in enumerate(self.phases) if phase.first_epoch <= epoch)
        set_frozen(self.net, self.phases[place].frozen, self.layers)
        n_cells = frozen_start(self.net)
        self.data = self._behind(n_cells, data) if n_cells else data
        n_cells = n_cells if self.data is not data else 0
        if (place, n_cells) not in self.engines:
            net = Tail(self.net.sequence()[n_cells:]) if n_cells else self.net
            self.engines[place, n_cells] = _Engine(net, self)
        self.engine = self.engines[place, n_cells]
        self.engine.reset()

    def _behind(self, n_cells: int, data: MemberData) -> MemberData:
        """The data as the network sees them after its first Cells, if they are fixed and small."""
        if self.config.augment != AugmentConfig():
            return data
        rows = np.union1d(data.train, data.val)
        outputs = frozen_outputs(self.net, n_cells, data.images, rows, self.device.frozen_cache)
        if outputs is None:
            return data
        train, val = np.searchsorted(rows, data.train), np.searchsorted(rows, data.val)
        return MemberData(outputs, data.labels[rows], train, val)

    def _source(self, seed: list[int]) -> BatchSource:
        data = self.data
        labels, size, augment = data.labels[data.train], self.config.batch_size, self.config.augment
        return training_source(data.images, data.train, labels, size, augment, seed)

    def _train_epoch(self, seed: list[int], folder: Path) -> tuple[float, float]:
        """One pass over the balanced set; the mean loss, and the accuracy, of every batch before its
        step and as augmented."""
        source = self._source(seed)
        seed_dropout(self.net, seed)
        set_train(self.engine.net, True)
        losses, hits = [], []
        for images, labels in batches(source):
            self._set_learning_rate(seed[-1], len(losses), len(source))
            loss, logits = self.engine.step(images, labels)
            losses.append(loss)
            hits.append(logits.argmax(axis=1) == labels)
            if len(losses) == 1:
                self.device.yield_to_workers()
        # Looked at once an epoch: reading every loss would make host and device wait for each other.
        values = np.array([float(loss.asnumpy()) for loss in losses])
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise self._diverged(folder, seed[-1], f"the loss is {values[bad[0]]} in", bad[0] + 1)
        return float(values.mean()), float(np.concatenate([h.asnumpy() for h in hits]).mean())

    def _diverged(self, folder: Path, epoch: int, what: str, step: int | None = None) -> UserError:
        kept = f"epoch {epoch - 1} is kept in {folder}" if epoch > 1 else "nothing was learnt yet"
        place = f"epoch {epoch}" + (f", step {step}" if step else "")
        return UserError(
            f"member {folder.name}: {what} {place}; {kept}. Lower --training.learning_rate (now "
            f"{self.config.learning_rate:g})"
        )

    def _set_learning_rate(self, epoch: int, step: int, steps: int) -> None:
        config = self.config
        if step == 0 or config.lr_schedule == "one_cycle":
            factor = learning_rate_factor(config.lr_schedule, epoch, step, config.epochs, steps)
            assign(self.engine.optimizer.learning_rate, config.learning_rate * factor)

    def stepper(
        self, data: MemberData, start: dict[str, np.ndarray], seed: list[int]
    ) -> Callable[[float], float]:
        """A training that goes on by one step whenever it is called, at the rate that it is given.

        Args:
            data, start, seed: as for ``fit``.

        Returns:
            learning rate -> loss before the step.
        """
        self._begin(start, data)
        # With all that will be trained: a rate that the classifier alone bears can ruin the rest.
        self._enter(self.phases[-1].first_epoch, data)
        set_train(self.engine.net, True)
        # Epoch 0: none of those that a member sees.
        endless = (b for i in itertools.count() for b in batches(self._source([*seed, 0, i])))

        def step(rate: float) -> float:
            assign(self.engine.optimizer.learning_rate, rate)
            return float(self.engine.step(*next(endless))[0].asnumpy())

        return step

    def _training_state(self) -> dict[str, np.ndarray]:
        """What besides the weights a member has at the end of an epoch: optimiser and loss."""
        return {name: p.asnumpy().copy() for name, p in self._training_parameters()}

    def _training_parameters(self) -> list[tuple[str, Parameter]]:
        optimizer = [(f"optimizer.{p.name}", p) for p in self.engine.state]
        return optimizer + [(f"loss.{p.name}", p) for p in self.loss.get_parameters()]


def _best_epoch(history: list[dict], select_by: str) -> int:
    """Number of the epoch to keep; among equals the first."""
    if select_by == "last":
        return history[-1]["epoch"]
    if select_by == "loss":
        return min(history, key=lambda row: row["val_loss"])["epoch"]
    return max(history, key=lambda row: row[f"val_{select_by}"])["epoch"]
