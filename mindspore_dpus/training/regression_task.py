"""Learning numbers from images: samples drawn anew in every epoch, smooth L1, validation by a measure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.device import Device
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.training.ahead import batches_ahead, full_batches
from mindspore_dpus.training.divergence import check_outputs


@dataclass
class RegressionTask:
    """A ``Task`` whose network gives K numbers for an image.

    Args:
        samples: (number of a thing, random generator) -> (S, S, C) uint8 and (K,) float32.
        n_things: that can be drawn.
        repeats: times that each is drawn in an epoch.
        batch_size: images per step.
        val_images: (V, S, S, C) uint8.
        val_targets: (V, K) float32.
        measure: outputs (V, K) -> how good they are; the larger, the better.
        measure_name: its name in the history: ``val_<name>``.
    """

    samples: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    n_things: int
    repeats: int
    batch_size: int
    val_images: np.ndarray
    val_targets: np.ndarray
    measure: Callable[[np.ndarray], float]
    measure_name: str
    loss_key: tuple = ()

    @property
    def n_samples(self) -> int:
        """Images of an epoch."""
        return self.n_things * self.repeats

    def create_loss(self) -> nn.Cell:
        """See ``Task``."""
        return nn.SmoothL1Loss(reduction="mean")

    def epoch(self, seed: Sequence[int], device: Device) -> tuple[int, Iterator[tuple[Tensor, ...]]]:
        """See ``Task``."""
        things = np.repeat(np.arange(self.n_things), self.repeats)
        order, size = full_batches(things, self.batch_size, seed)
        return len(order) // size, self._batches(order, size, seed)

    def _batches(
        self, order: np.ndarray, size: int, seed: Sequence[int]
    ) -> Iterator[tuple[Tensor, ...]]:
        """Batches of drawn samples."""

        def make(first: int) -> tuple[np.ndarray, np.ndarray]:
            drawn = [
                self.samples(int(thing), np.random.default_rng([*seed, first + i]))
                for i, thing in enumerate(order[first : first + size])
            ]
            return normalise(np.stack([d[0] for d in drawn])), np.stack([d[1] for d in drawn])

        return batches_ahead(make, len(order), size)

    def hits(self, outputs: Tensor, targets: Sequence[Tensor]) -> None:
        """See ``Task``: no image is right or wrong."""
        return None

    def validate(self, net: nn.Cell, epoch: int, device: Device) -> dict[str, float]:
        """See ``Task``: loss, and the measure."""
        set_train(net, False)
        outputs = []
        for first in range(0, len(self.val_images), self.batch_size):
            part = self.val_images[first : first + self.batch_size]
            outputs.append(net(Tensor(normalise(part))).asnumpy())
        found = np.concatenate(outputs)
        check_outputs(epoch, found)
        loss = self.create_loss()(Tensor(found), Tensor(self.val_targets))
        return {
            "val_loss": float(loss.asnumpy()),
            f"val_{self.measure_name}": float(self.measure(found)),
        }

    def behind(self, net: nn.Cell, n_cells: int, limit: int) -> None:
        """See ``Task``: images differ in every epoch."""
        return None
