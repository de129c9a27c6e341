"""What a person sees while members train: a line an epoch, and a bar with the time left."""

import logging
import math

from mindspore_dpus.core.bars import tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Counts epochs over all members, whichever of them trains.

    Args:
        epochs: member -> how many it trains.
    """

    def __init__(self, epochs: dict[str, int]) -> None:
        self.epochs = epochs
        self.done: dict[str, int] = {}
        self.bar = tqdm(
            desc="members", total=sum(epochs.values()), unit="epoch", leave=False, disable=None
        )

    def __call__(self, member: str, row: dict) -> None:
        """Show an epoch that has ended.

        Args:
            member: its name.
            row: of its history.
        """
        if member not in self.done and not self.bar.disable:
            # Epochs of an earlier start took none of this one's time.
            self.bar.initial += row["epoch"] - 1
        self.done[member] = row["epoch"]
        self.bar.n = sum(self.done.values())
        self.bar.set_postfix(loss=f"{row['train_loss']:.3f}", refresh=False)
        self.bar.clear()
        # A measure that validation cannot give, as a class is missing there, is nan in history.csv.
        measures = ", ".join(
            f"{_title(name)} {value:.4f}"
            for name, value in row.items()
            if name.startswith("val_") and not math.isnan(value)
        )
        logger.info(
            "  %s epoch %d/%d: loss %.4f, %s (%.1f s)",
            *(member, row["epoch"], self.epochs[member], row["train_loss"], measures, row["seconds"]),
        )
        self.bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        self.bar.close()


def _title(column: str) -> str:
    """``val_auc`` -> ``val AUC``."""
    return column.replace("_", " ").replace("auc", "AUC")
