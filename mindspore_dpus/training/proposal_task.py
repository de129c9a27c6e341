"""Learning to propose boxes: crops of frames, anchors' targets, validation by loss and recall."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.losses.rpn import RPNLoss
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.training.ahead import batches_ahead, full_batches
from mindspore_dpus.training.divergence import check_outputs

# (frame, random generator) -> image (S, S, C) uint8, targets with labels, sampled and deltas.
Crops = Callable[[int, np.random.Generator], tuple]
# scores (A, H, W), deltas (4 A, H, W), true boxes of the crop -> (found, number) of them.
Recalled = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[int, int]]


@dataclass
class ProposalTask:
    """A ``Task`` whose network says of every anchor how much it is an object, and how it moves.

    Args:
        crops: makes a crop of a frame.
        train, val: numbers of the frames.
        crops_per_frame: in an epoch.
        batch_size: crops per step.
        box_weight: of the loss.
        recalled: frame, its random generator and outputs -> true boxes found, and all.
        seed: of the validation crops, which are the same in every epoch.
    """

    crops: Crops
    train: np.ndarray
    val: np.ndarray
    crops_per_frame: int
    batch_size: int
    box_weight: float
    recalled: Callable[[int, Sequence[int], np.ndarray, np.ndarray], tuple[int, int]]
    seed: Sequence[int] = (0,)
    loss_key: tuple = ()

    @property
    def n_samples(self) -> int:
        """Crops of an epoch."""
        return len(self.train) * self.crops_per_frame

    def create_loss(self) -> nn.Cell:
        """See ``Task``."""
        return RPNLoss(self.box_weight)

    def epoch(self, seed: Sequence[int], device: Device) -> tuple[int, Iterator[tuple[Tensor, ...]]]:
        """See ``Task``."""
        things = np.repeat(self.train, self.crops_per_frame)
        order, size = full_batches(things, self.batch_size, seed)
        return len(order) // size, self._batches(order, size, seed)

    def _batches(
        self, order: np.ndarray, size: int, seed: Sequence[int]
    ) -> Iterator[tuple[Tensor, ...]]:
        """Batches of crops; the next one is cut while the last one is learnt."""

        def make(first: int) -> list[np.ndarray]:
            made = [
                self.crops(int(frame), np.random.default_rng([*seed, first + i]))
                for i, frame in enumerate(order[first : first + size])
            ]
            targets = [np.stack([getattr(t, n) for _, t in made]) for n in TARGETS]
            return [normalise(np.stack([image for image, _ in made])), *targets]

        return batches_ahead(make, len(order), size)

    def hits(self, outputs, targets: Sequence[Tensor]) -> None:
        """See ``Task``: no crop is right or wrong."""
        return None

    def validate(self, net: nn.Cell, epoch: int, device: Device) -> dict[str, float]:
        """See ``Task``: loss, and the recall of proposals at an intersection over union of 0.7."""
        set_train(net, False)
        loss, losses, weights, found, number = self.create_loss(), [], [], 0, 0
        batches = self._batches(self.val, self.batch_size, self.seed)
        for first, (images, *targets) in zip(
            range(0, len(self.val), self.batch_size), batches, strict=True
        ):
            outputs = net(images)
            scores, deltas = (output.asnumpy() for output in outputs)
            check_outputs(epoch, scores)
            check_outputs(epoch, deltas)
            losses.append(float(loss(*outputs, *targets).asnumpy()))
            weights.append(len(scores))
            for i, frame in enumerate(self.val[first : first + self.batch_size]):
                counts = self.recalled(int(frame), [*self.seed, first + i], scores[i], deltas[i])
                found, number = found + counts[0], number + counts[1]
        mean = float(np.average(losses, weights=weights))
        return {"val_loss": mean, "val_recall": found / max(number, 1)}

    def behind(self, net: nn.Cell, n_cells: int, limit: int) -> None:
        """See ``Task``: crops differ in every epoch."""
        return None


TARGETS = ("labels", "sampled", "deltas")
