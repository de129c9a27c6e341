"""What a person sees while members train: a line an epoch, and a bar with the time left."""

from collections.abc import Callable

from mindspore_dpus.core.bars import tqdm


class Progress:
    """Counts epochs over all members, whichever of them trains.

    Args:
        epochs: member -> how many it trains.
        report: called with a line after every epoch.
    """

    def __init__(self, epochs: dict[str, int], report: Callable[[str], None]) -> None:
        self.epochs = epochs
        self.report = report
        self.done: dict[str, int] = {}
        self.bar = tqdm(
            desc="members", total=sum(epochs.values()), unit="epoch", leave=False, disable=None
        )

    def __call__(self, member: str, told: dict | str) -> None:
        """Show an epoch that has ended, or pass a line on.

        Args:
            member: its name.
            told: the row of its history, or the line.
        """
        if isinstance(told, str):
            self.bar.clear()
            self.report(f"  {member} {told}")
            self.bar.refresh()
            return
        row = told
        if member not in self.done and not self.bar.disable:
            # Epochs of an earlier start took none of this one's time.
            self.bar.initial += row["epoch"] - 1
        self.done[member] = row["epoch"]
        self.bar.n = sum(self.done.values())
        self.bar.set_postfix(auc=f"{row['val_auc']:.3f}", loss=f"{row['train_loss']:.3f}", refresh=False)
        self.bar.clear()
        self.report(
            f"  {member} epoch {row['epoch']}/{self.epochs[member]}: loss {row['train_loss']:.4f}, "
            f"val loss {row['val_loss']:.4f}, val AUC {row['val_auc']:.4f} ({row['seconds']:.1f} s)"
        )
        self.bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        self.bar.close()
