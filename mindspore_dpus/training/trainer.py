"""Training one member: epochs over its balanced set, the best one kept, every one resumable."""

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from mindspore import Parameter, nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.models.dropout import seed_dropout
from mindspore_dpus.models.freeze import Phase, frozen_start, layers, set_frozen, set_train
from mindspore_dpus.models.weights import assign, look_at_state, set_state
from mindspore_dpus.training.checkpoint import load_checkpoint, save_checkpoint
from mindspore_dpus.training.divergence import Diverged, check_steps, halve_or_stop
from mindspore_dpus.training.early_stopping import best_epoch, is_stale
from mindspore_dpus.training.engine import Engine
from mindspore_dpus.training.frozen import Tail
from mindspore_dpus.training.parallel import add_up, check_agreement, meet
from mindspore_dpus.training.schedules import SCHEDULES, member_epochs
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.task import Task

logger = logging.getLogger(__name__)
Start = Callable[[], dict[str, np.ndarray]]


@dataclass
class Trainer:
    """Trains members one after the other with one network and one (compiled) step.

    Args:
        net: inputs -> outputs; its weights are replaced at the start of every member.
        loss: (outputs, targets) -> scalar.
        training: epochs, batch size, learning rate and so on.
        device: execution mode.
        stamp: written into every checkpoint; a checkpoint with another one is not resumed.
        phases: which layers are frozen when (``models.freeze.phases``). None: those that are frozen now,
            throughout.
    """

    net: nn.Cell
    loss: nn.Cell
    training: TrainingSettings
    device: Device
    stamp: dict = field(default_factory=dict)
    phases: Sequence[Phase] | None = None

    def __post_init__(self) -> None:
        self.layers = layers(self.net)
        if self.phases is None:
            self.phases = [Phase(1, frozenset())]
        self.engines: dict[tuple[int, int], Engine] = {}
        self.epochs = self.training.epochs
        self.halvings: list[str] = []
        self.on_first_step = lambda: None
        self.fresh_loss = [p.asnumpy().copy() for p in self.loss.get_parameters()]

    def fit(
        self,
        task: Task,
        start: Start,
        folder: Path,
        seed: list[int],
        on_epoch: Callable[[dict], None] = lambda row: None,
        on_first_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Train one member; leaves ``best`` and ``last.safetensors`` and ``history.csv``.

        Goes on from ``last.safetensors`` where it belongs to the same stamp; so it does, with half the
        learning rate, when an epoch has diverged (``training.on_divergence``).

        Args:
            task: what the member learns (``training.task``).
            start: gives the weights to start from (``models.weights.get_state``), alike at every call: they
                are not kept while the member learns.
            folder: the member's folder.
            seed: run seed and member: drives order and augmentation.
            on_epoch: called after every epoch with its row of the history.
            on_first_step: called after the first step of every epoch: all that counts cores when it is
                first used has counted them (``kernels.crew``, oneDNN, MindSpore, numba).

        Raises:
            UserError: the training diverged, and the last good epoch stays on disk; or a checkpoint is
                damaged.
        """
        stamp = self.stamp | {"seed": seed}
        self.on_first_step = on_first_step
        t = self.training
        self.epochs = member_epochs(t.epochs, t.steps, t.batch_size, task.n_samples)
        begin = time.perf_counter()
        meet(self.device)  # The leading one may still be writing what an earlier call has learnt.
        history = self._resume(folder, stamp, start, task)
        check_agreement(len(history), self.device, folder)
        while len(history) < self.epochs and not self._is_stale(history):
            epoch = len(history) + 1
            if epoch > 1 and epoch in (phase.first_epoch for phase in self.phases):
                self._enter(epoch, task)
            try:
                row = self._run_epoch(epoch, seed)
            except Diverged as error:
                last = folder / "last.safetensors"
                kept = f"epoch {epoch - 1} is kept in {last}" if history else "nothing was learnt yet"
                halvings = halve_or_stop(error, self.training, self.halvings, folder.name, kept)
                # Before the first new epoch, what is on disk is what diverged at once.
                if error.at_once or not history:
                    history = self._begin(start, task)
                else:
                    history = self._resume(folder, stamp, start, task)
                self.halvings = halvings
                back = f"back to epoch {len(history)}" if history else "back to the start"
                logger.info(
                    "  %s %s; %s, with the learning rate halved to %g",
                    folder.name,
                    error,
                    back,
                    self._rate,
                )
                continue
            history = [*history, row | {"seconds": time.perf_counter() - begin}]
            begin = time.perf_counter()
            if self.device.rank == 0:
                self._keep(folder, stamp, history)
            on_epoch(history[-1])

    def _keep(self, folder: Path, stamp: dict, history: list[dict]) -> None:
        """Write what the last epoch has left."""
        state, epoch = look_at_state(self.net), history[-1]["epoch"]
        if best_epoch(history, self.training.select_by) == epoch:
            save_checkpoint(folder / "best.safetensors", state, stamp | {"epoch": epoch})
        last = stamp | {"epoch": epoch, "history": history, "halvings": self.halvings}
        save_checkpoint(folder / "last.safetensors", state | self._training_state(), last)
        _write_history(history, folder)

    def _run_epoch(self, epoch: int, seed: list[int]) -> dict:
        """Train for one epoch and validate; its row of the history, but for the time."""
        row = {"epoch": epoch} | self._train_epoch([*seed, epoch])
        row |= self.task.validate(self.engine.net, epoch, self.device)
        return row | {"halvings": len(self.halvings)}

    def _is_stale(self, history: list[dict]) -> bool:
        select_by, patience = self.training.select_by, self.training.patience
        return is_stale(history, select_by, patience, self.phases[-1].first_epoch)

    def _resume(
        self,
        folder: Path,
        stamp: dict,
        start: Start,
        task: Task,
    ) -> list[dict]:
        """Set network and optimiser to the last finished epoch, or to the start; its history."""
        last, best = folder / "last.safetensors", folder / "best.safetensors"
        if last.exists():
            arrays, found = load_checkpoint(last)
            if _belongs(found, stamp):
                if best.exists() and _belongs(load_checkpoint(best)[1], stamp):
                    set_state(self.net, arrays)
                    self._enter(len(found["history"]), task)
                    for name, parameter in self._training_parameters():
                        assign(parameter, arrays[name])
                    self.halvings = found["halvings"]
                    if self.device.rank == 0:
                        # The end may have come between the two.
                        _write_history(found["history"], folder)
                    return found["history"]
                logger.info("  %s is missing or of another run: trained from the start again", best)
            if self.device.rank == 0:
                last.unlink()
        return self._begin(start, task)

    def _begin(self, start: Start, task: Task) -> list[dict]:
        """Set network, optimiser and loss to the start of a member; its history: none yet."""
        self.halvings = []
        set_state(self.net, start())
        for parameter, value in zip(self.loss.get_parameters(), self.fresh_loss, strict=True):
            assign(parameter, value)
        self._enter(1, task)
        return []

    def _enter(self, epoch: int, task: Task) -> None:
        """Freeze what is frozen in this epoch, and begin with a fresh optimiser.

        Sets ``engine``, and ``task``: the whole one, or what is behind the frozen start of the network.
        """
        place = max(i for i, phase in enumerate(self.phases) if phase.first_epoch <= epoch)
        set_frozen(self.net, self.phases[place].frozen, self.layers)
        n_cells = frozen_start(self.net)
        behind = task.behind(self.net, n_cells, self.device.frozen_cache) if n_cells else None
        self.task = behind or task
        n_cells = n_cells if behind else 0
        if (place, n_cells) not in self.engines:
            net = Tail(self.net.sequence()[n_cells:]) if n_cells else self.net
            self.engines[place, n_cells] = Engine(net, self.loss, self.training, self.device)
        self.engine = self.engines[place, n_cells]
        self.engine.reset()

    def _train_epoch(self, seed: list[int]) -> dict[str, float]:
        """One pass over the balanced set; the mean loss and, where the task has hits, the accuracy, of
        every batch before its step and as augmented."""
        n_batches, source = self.task.epoch(seed, self.device)
        seed_dropout(self.net, seed)
        set_train(self.engine.net, True)
        losses, hits = [], []
        for inputs, *targets in source:
            self._set_learning_rate(seed[-1], len(losses), n_batches)
            loss, outputs, norm = self.engine.step(inputs, *targets)
            losses.append((loss, norm))
            hits.append(self.task.hits(outputs, targets))
            if len(losses) == 1:
                self.device.yield_to_workers()
                self.on_first_step()
        # Looked at once an epoch: reading every loss would make host and device wait for each other.
        has_hits = hits[0] is not None
        accuracy = (
            np.concatenate([hit.asnumpy() for hit in hits]).mean(dtype=np.float64) if has_hits else 0
        )
        values = np.array([*([float(v.asnumpy()) for v in step] for step in losses), [accuracy, 0]])
        # Parts of a batch are equal. Norms are those of the mean gradients, alike on every device.
        means = add_up(values[:, 0], self.device) / self.device.n_devices
        check_steps(seed[-1], means[:-1], values[:-1, 1], self.training.gradient_limit)
        row = {"train_loss": float(means[:-1].mean())}
        return row | ({"train_accuracy": float(means[-1])} if has_hits else {})

    @property
    def _rate(self) -> float:
        """The learning rate, halved as often as the member has diverged."""
        return self.training.learning_rate / 2 ** len(self.halvings)

    def _set_learning_rate(self, epoch: int, step: int, steps: int) -> None:
        schedule = SCHEDULES[self.training.lr_schedule]
        if step == 0 or schedule.each_step:
            factor = schedule.factor(epoch, step, self.epochs, steps)
            assign(self.engine.optimizer.learning_rate, self._rate * factor)
            if schedule.momentum is not None:
                momentum = schedule.momentum(epoch, step, self.epochs, steps)
                assign(self.engine.optimizer.momentum, momentum)

    def stepper(self, task: Task, start: Start, seed: list[int]) -> Callable[[float], float]:
        """A training that goes on by one step whenever it is called, at the rate that it is given.

        Args:
            task, start, seed: as for ``fit``.

        Returns:
            learning rate -> loss before the step.
        """
        self._begin(start, task)
        # With all that will be trained: a rate that the classifier alone bears can ruin the rest.
        self._enter(self.phases[-1].first_epoch, task)
        set_train(self.engine.net, True)
        # Epoch 0: none of those that a member sees.
        endless = (b for i in itertools.count() for b in self.task.epoch([*seed, 0, i], self.device)[1])

        def step(rate: float) -> float:
            assign(self.engine.optimizer.learning_rate, rate)
            return float(self.engine.step(*next(endless))[0].asnumpy())

        return step

    def _training_state(self) -> dict[str, np.ndarray]:
        """What besides the weights a member has at the end of an epoch: optimiser and loss; to be read
        before the next step."""
        return {name: p.asnumpy() for name, p in self._training_parameters()}

    def _training_parameters(self) -> list[tuple[str, Parameter]]:
        optimizer = [(f"optimizer.{p.name}", p) for p in self.engine.state]
        return optimizer + [(f"loss.{p.name}", p) for p in self.loss.get_parameters()]


def _belongs(found: dict, stamp: dict) -> bool:
    return {key: found.get(key) for key in stamp} == stamp


def _write_history(history: list[dict], folder: Path) -> None:
    write_table(pd.DataFrame(history).round(6), folder / "history.csv")
