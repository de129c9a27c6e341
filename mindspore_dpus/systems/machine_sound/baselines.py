"""The official baselines of DCASE 2022 Task 2: what each takes, learns and says of a clip.

Source: Dohi et al. 2022 (arXiv:2206.05876), section on baselines.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_dpus.core.device import Device
from mindspore_dpus.data.shards import open_shards
from mindspore_dpus.models.autoencoder import DenseAutoencoder, reconstruction_errors
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.models.mobilenet_v2 import MobileNetV2
from mindspore_dpus.systems.machine_sound.baseline_frames import Frames
from mindspore_dpus.systems.machine_sound.networks import Built
from mindspore_dpus.systems.machine_sound.settings import BaselineSettings
from mindspore_dpus.training.divergence import check_outputs

# Windows that are scored at once, and the most that validate after an epoch.
BATCH, VALIDATION = 256, 2048


class ReconstructionLoss(nn.Cell):
    """Mean squared error of outputs and inputs."""

    def construct(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        return reconstruction_errors(outputs, inputs).mean()


class SectionLoss(nn.Cell):
    """Cross entropy of section logits (N, K) and sections (N,)."""

    def construct(self, logits: Tensor, sections: Tensor) -> Tensor:
        return ops.cross_entropy(logits, sections)


def negative_log_odds(logits: np.ndarray, sections: np.ndarray) -> np.ndarray:
    """``log((1 - p) / p)`` of each row's own section; probabilities are not below the smallest step at 1.

    Args:
        logits: (N, K).
        sections: (N,) own section of each.

    Returns:
        (N,) float64, higher is more anomalous.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shares = np.exp(shifted)
    p = shares[np.arange(len(shares)), sections] / shares.sum(axis=1)
    least = np.finfo(np.float64).eps
    return np.log(np.maximum(1 - p, least)) - np.log(np.maximum(p, least))


def _flat(windows: np.ndarray) -> np.ndarray:
    return windows.reshape(len(windows), -1)


def _picture(windows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(windows.transpose(0, 2, 1)[:, None])


@dataclass(frozen=True)
class Row:
    """A row of ``BASELINES``.

    Args:
        create: settings of all baselines, number of classes -> network.
        inputs: windows (B, frames, bands) -> the network's input.
        loss: makes the loss, of outputs and targets.
        targets: inputs and the classes of windows -> targets of the loss.
        scores: outputs, inputs and the classes of windows -> (B,) scores.
        by_section: whether it learns to tell sections apart.
    """

    create: Callable[[BaselineSettings, int], nn.Cell]
    inputs: Callable[[np.ndarray], np.ndarray]
    loss: Callable[[], nn.Cell]
    targets: Callable[[Tensor, np.ndarray], Tensor]
    scores: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    by_section: bool


def _autoencoder(baselines: BaselineSettings, n_classes: int) -> nn.Cell:
    return DenseAutoencoder(baselines.autoencoder.frames * baselines.mel_bands)


def _mobilenet_v2(baselines: BaselineSettings, n_classes: int) -> nn.Cell:
    # The official one takes one grey picture three times as its colours: the same functions.
    return MobileNetV2(n_classes, in_channels=1, width=baselines.mobilenet_v2.width)


BASELINES = {
    "autoencoder": Row(
        _autoencoder,
        _flat,
        ReconstructionLoss,
        lambda inputs, classes: inputs,
        lambda outputs, inputs, classes: ((outputs.astype(np.float64) - inputs) ** 2).mean(axis=1),
        by_section=False,
    ),
    "mobilenet_v2": Row(
        _mobilenet_v2,
        _picture,
        SectionLoss,
        lambda inputs, classes: Tensor(classes, ms.int32),
        lambda outputs, inputs, classes: negative_log_odds(outputs, classes),
        by_section=True,
    ),
}


@dataclass(frozen=True)
class BaselineNetwork(Built):
    """A ``training.members.Network``.

    Args:
        name: key of ``BASELINES``.
        baselines: the section.
        n_classes: sections that are told apart.
    """

    name: str
    baselines: BaselineSettings
    n_classes: int

    def create(self) -> nn.Cell:
        """See ``Built``."""
        return BASELINES[self.name].create(self.baselines, self.n_classes)


@dataclass(frozen=True)
class BaselineRows:
    """What the baseline of a machine learns from, as another process can be told it.

    Args:
        frames: folder of all frames.
        first: (N + 1,) first frame of each clip.
        classes: (N,) which section a clip is of; of clips of none, any.
        training, held_out: rows of clips to learn from, and to validate on.
    """

    frames: Path
    first: np.ndarray
    classes: np.ndarray
    training: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True)
class Windows:
    """What the baselines of all machines have in common.

    Args:
        name: key of ``BASELINES``.
        length, hop: frames of a window, and from one to the next.
        batch_size: windows of a step.
    """

    name: str
    length: int
    hop: int
    batch_size: int

    def __call__(self, rows: BaselineRows) -> "WindowTask":
        """The task of one machine."""
        frames = Frames(open_shards(rows.frames), rows.first, rows.frames)
        return WindowTask(self, rows, frames)


class WindowTask:
    """A ``Task``: every window of every training clip once an epoch.

    Args:
        common: what it shares with other machines.
        rows: the machine's.
        frames: of all clips.
    """

    shown = "val_loss"

    def __init__(self, common: Windows, rows: BaselineRows, frames: Frames) -> None:
        self.common, self.rows, self.frames = common, rows, frames
        self.row = BASELINES[common.name]
        self.loss_key: Hashable = common.name
        self.training = frames.starts(rows.training, common.length, common.hop)
        starts, clips = frames.starts(rows.held_out, common.length, common.hop)
        spread = np.linspace(0, len(starts) - 1, min(VALIDATION, len(starts)))
        kept = np.unique(np.rint(spread).astype(int))
        self.held_out = starts[kept], clips[kept]

    @property
    def n_samples(self) -> int:
        """Windows of the training clips."""
        return len(self.training[0])

    def create_loss(self) -> nn.Cell:
        """See ``Task``."""
        return self.row.loss()

    def _inputs(self, starts: np.ndarray) -> np.ndarray:
        return self.row.inputs(self.frames.windows(starts, self.common.length))

    def epoch(self, seed: Sequence[int], device: Device) -> tuple[int, Iterator[tuple[Tensor, ...]]]:
        """See ``Task``: all windows in a random order; the last batch may be smaller, by as little as the
        even sizes of all batches allow."""
        starts, clips = self.training
        n_batches = -(-len(starts) // self.common.batch_size)
        order = np.random.default_rng(seed).permutation(len(starts))
        return n_batches, (
            self._tensors(starts[part], self.rows.classes[clips[part]])
            for part in np.array_split(order, n_batches)
        )

    def _tensors(self, starts: np.ndarray, classes: np.ndarray) -> tuple[Tensor, Tensor]:
        inputs = Tensor(self._inputs(starts))
        return inputs, self.row.targets(inputs, classes)

    def hits(self, outputs: Tensor, targets: Sequence[Tensor]) -> None:
        """See ``Task``."""
        return None

    def validate(self, net: nn.Cell, epoch: int, device: Device) -> dict[str, float]:
        """``val_loss``, on windows of clips that do not train."""
        starts, clips = self.held_out
        loss, total = self.create_loss(), 0.0
        set_train(net, False)
        for first in range(0, len(starts), BATCH):
            rows = slice(first, first + BATCH)
            inputs, targets = self._tensors(starts[rows], self.rows.classes[clips[rows]])
            outputs = net(inputs)
            check_outputs(epoch, outputs.asnumpy())
            total += float(loss(outputs, targets).asnumpy()) * len(inputs)
        return {"val_loss": total / len(starts)}

    def behind(self, net: nn.Cell, n_cells: int, limit: int) -> None:
        """See ``Task``: nothing is frozen."""
        return None

    def scores(self, net: nn.Cell, rows: np.ndarray) -> np.ndarray:
        """(C,) scores of clips: the mean over their windows.

        Args:
            net: trained.
            rows: (C,) clips, ascending.
        """
        set_train(net, False)
        starts, clips = self.frames.starts(rows, self.common.length, self.common.hop)
        parts = []
        for first in range(0, len(starts), BATCH):
            inputs = self._inputs(starts[first : first + BATCH])
            classes = self.rows.classes[clips[first : first + BATCH]]
            parts.append(self.row.scores(net(Tensor(inputs)).asnumpy(), inputs, classes))
        values = np.concatenate(parts)
        return np.array([values[clips == row].mean() for row in rows])
