"""The task of outlier exposure: a machine's sections, the machine itself, and its domains."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.data.audio.front_end import network_input
from mindspore_dpus.data.shards import Shards
from mindspore_dpus.losses.outlier_exposure import OutlierExposure
from mindspore_dpus.metrics.anomaly import auc
from mindspore_dpus.metrics.rounding import merge_near_ties
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.systems.machine_sound.batch_plan import Clips, plan_domain_epoch, plan_epoch
from mindspore_dpus.systems.machine_sound.mixup import Batch, mix, mix_pairs, soft_targets, unmixed
from mindspore_dpus.systems.machine_sound.settings import ExtractorSettings
from mindspore_dpus.systems.machine_sound.spectrograms import MadeSegments, Spectrograms
from mindspore_dpus.training.divergence import check_outputs

BATCH = 64


@dataclass(frozen=True)
class MachineRows:
    """What the extractor of a machine learns from, as another process can be told it.

    Args:
        machine: its name.
        spectrograms: of all clips.
        is_machine, is_target: (N,) bool of each clip.
        sections: (N,) index of the section, 0 to K - 1; of other machines any.
        n_sections: K.
        source, target, others: rows of clips to learn from.
        held_out, other_held_out: rows to validate on.
    """

    machine: str
    spectrograms: Spectrograms
    is_machine: np.ndarray
    is_target: np.ndarray
    sections: np.ndarray
    n_sections: int
    source: np.ndarray
    target: np.ndarray
    others: np.ndarray
    held_out: np.ndarray
    other_held_out: np.ndarray


@dataclass(frozen=True)
class Exposure:
    """What the extractors of all machines have in common.

    Args:
        extractors: the section.
        batch_size: samples of a step.
    """

    extractors: ExtractorSettings
    batch_size: int

    def __call__(self, rows: MachineRows) -> "ExposureTask":
        """The task of one machine."""
        return ExposureTask(self, rows, rows.spectrograms.open())


class Loss(nn.Cell):
    """``OutlierExposure`` of outputs and targets one by one, as the training step hands them over.

    Args:
        loss: of tuples.
        with_domain: whether there is a head for the domain.
    """

    def __init__(self, loss: nn.Cell, with_domain: bool) -> None:
        super().__init__()
        self.loss = loss
        self.n_heads = 3 if with_domain else 2

    def construct(self, embedding: Tensor, *values: Tensor) -> Tensor:
        return self.loss(values[: self.n_heads], values[self.n_heads :])


@dataclass
class ExposureTask:
    """A ``Task``: one segment of every clip of a batch, drawn anew each time.

    Args:
        common: what it shares with other machines.
        rows: the machine's.
        segments: of all clips.
    """

    common: Exposure
    rows: MachineRows
    segments: Shards | MadeSegments

    @property
    def with_domain(self) -> bool:
        """Whether the domain is learnt."""
        return self.common.extractors.batches == "domain"

    @property
    def n_samples(self) -> int:
        """Source-domain normals: one epoch uses each once."""
        return len(self.rows.source)

    @property
    def loss_key(self) -> Hashable:
        """All machines have the same loss."""
        return "outlier_exposure"

    def create_loss(self) -> nn.Cell:
        """See ``Task``."""
        extractors = self.common.extractors
        weight = extractors.domain_weight if self.with_domain else None
        return Loss(OutlierExposure(extractors.section_weight, weight), self.with_domain)

    def plan(self, seed: Sequence[int]) -> list[Batch]:
        """The batches of an epoch; the seed's last number is the epoch's."""
        rows, extractors, size = self.rows, self.common.extractors, self.common.batch_size
        clips = Clips(rows.machine, rows.source, rows.target, rows.others)
        *start, epoch = seed
        if self.with_domain:
            return plan_domain_epoch(clips, size, extractors.mixing, start, epoch)
        batches = plan_epoch(clips, size, extractors.target_per_batch, start, epoch)
        if extractors.mixup is not None:
            rng = np.random.default_rng([*seed, 1])
            batches = [mix_pairs(b, rows.is_machine, extractors.mixup, rng) for b in batches]
        return batches

    def epoch(self, seed: Sequence[int], device: Device) -> tuple[int, Iterator[tuple[Tensor, ...]]]:
        """See ``Task``."""
        plan = self.plan(seed)
        return len(plan), (self._tensors(batch, seed, i) for i, batch in enumerate(plan))

    def _tensors(self, batch: Batch, seed: Sequence[int], number: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([*seed, 2, number])
        images = self._draw(batch.rows, rng)
        mixed = batch.is_mixed
        if mixed.any():
            # Spectrograms are mixed, not waveforms: those are what is at hand.
            partners = self._draw(batch.partners[mixed], rng)
            images[mixed] = mix(images[mixed], partners, batch.ratios[mixed])
        return Tensor(network_input(images)), *self._targets(batch)

    def _draw(self, clips: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A segment of each clip."""
        first = self.rows.spectrograms.first
        numbers = rng.integers(first[clips], first[clips + 1])
        return np.ascontiguousarray(self.segments[numbers])

    def _targets(self, batch: Batch) -> tuple[Tensor, ...]:
        rows = self.rows
        y = soft_targets(batch, rows.is_machine, rows.sections, rows.is_target, rows.n_sections)
        targets = (y.sections, y.machine, y.domains) if self.with_domain else (y.sections, y.machine)
        return tuple(Tensor(values, ms.float32) for values in targets)

    def hits(self, outputs: tuple[Tensor, ...], targets: Sequence[Tensor]) -> None:
        """See ``Task``."""
        return None

    def validate(self, net: nn.Cell, epoch: int, device: Device) -> dict[str, float]:
        """``val_loss`` (one batch's), ``val_auc`` of machine against others, ``val_accuracy`` of sections;
        all on the middle segment of clips that do not train."""
        rows = np.concatenate([self.rows.held_out, self.rows.other_held_out])
        first = self.rows.spectrograms.first
        middle = (first[rows] + first[rows + 1]) // 2
        outputs = run_net(net, self.segments, middle)
        check_outputs(epoch, np.concatenate([o.reshape(len(rows), -1) for o in outputs], axis=1))
        own = self.rows.is_machine[rows]
        targets = self._targets(unmixed(rows))
        loss = self.create_loss()
        value = loss(*(Tensor(o) for o in outputs), *targets)
        hits = outputs[1][own].argmax(axis=1) == self.rows.sections[rows][own]
        return {
            "val_loss": float(value.asnumpy()),
            "val_auc": auc(own, merge_near_ties(outputs[2])),
            "val_accuracy": float(hits.mean()),
        }

    def behind(self, net: nn.Cell, n_cells: int, limit: int) -> None:
        """See ``Task``: nothing is frozen."""
        return None


def run_net(net: nn.Cell, segments: Shards | MadeSegments, numbers: np.ndarray) -> list[np.ndarray]:
    """Outputs of a network on segments, float32, each (M, ...)."""
    set_train(net, False)
    parts = []
    for start in range(0, len(numbers), BATCH):
        images = network_input(segments[numbers[start : start + BATCH]])
        parts.append([output.asnumpy() for output in net(Tensor(images))])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
