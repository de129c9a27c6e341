"""What a network is trained for: the seam between the training loop and the systems."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Protocol

from mindspore import Tensor, nn

from mindspore_dpus.core.device import Device


class Task(Protocol):
    """The samples of one member, its loss, and how it is validated.

    Attributes:
        n_samples: of the training set.
        loss_key: equal for tasks whose losses may be shared.
    """

    n_samples: int
    loss_key: Hashable

    def create_loss(self) -> nn.Cell:
        """A Cell from the network's outputs and the targets of a batch to a scalar. What it remembers of
        the batches, it keeps in parameters: they are part of every checkpoint."""

    def epoch(self, seed: Sequence[int], device: Device) -> tuple[int, Iterator[tuple[Tensor, ...]]]:
        """One pass over the training set.

        Args:
            seed: run, member and epoch: equal seeds give equal batches.
            device: which part of every batch this one gets.

        Returns:
            The number of batches; and the batches: the network's input, then the targets.
        """

    def hits(self, outputs, targets: Sequence[Tensor]) -> Tensor | None:
        """Which samples of a batch were right before its step, (B,) bool; None where nothing is right or
        wrong."""

    def validate(self, net: nn.Cell, epoch: int, device: Device) -> dict[str, float]:
        """Columns of the history, each ``val_<measure>``; ``select_by`` names a measure.

        Raises:
            Diverged: the outputs are no numbers.
        """

    def behind(self, net: nn.Cell, n_cells: int, limit: int) -> "Task | None":
        """The same task on what the first Cells of a network make of its samples, where these Cells are
        frozen and their outputs fixed and below ``limit`` bytes; else None."""
