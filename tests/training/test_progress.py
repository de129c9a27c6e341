"""What a person sees: a line an epoch always, a bar on a terminal."""

import io
import math
from contextlib import redirect_stderr

from mindspore_dpus.training.progress import Progress
from tests.support import logged


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def last_line(self):
        """What is to be seen there after the carriage returns."""
        shown = ""
        for part in self.getvalue().split("\r"):
            shown = part + shown[len(part) :]
        return shown.rstrip()


def watched(epochs, n_members):
    """Progress on a terminal, and the terminal."""
    with redirect_stderr(Terminal()) as terminal:
        return Progress({f"{i:02d}": epochs for i in range(n_members)}), terminal


def row(epoch):
    return {
        "epoch": epoch,
        "train_loss": 0.51239,
        "val_loss": 0.25,
        "val_auc": 0.98766,
        "seconds": 1.26,
    }


def test_every_epoch_is_a_line(capsys):
    lines = []
    of = {"00": 3, "01": 7}
    progress = Progress(of)
    # Side by side, members take turns; one that goes on begins where it was.
    told = [("00", 1), ("01", 2), ("00", 2), ("01", 3), ("00", 3)]
    with logged(lines.append):
        for member, epoch in told:
            progress(member, row(epoch))
    progress.close()
    assert lines == [
        f"  {member} epoch {epoch}/{of[member]}: loss 0.5124, val loss 0.2500, val AUC 0.9877 (1.3 s)"
        for member, epoch in told
    ]
    assert capsys.readouterr() == ("", ""), "no bar where nobody watches"


def test_what_validation_cannot_give_is_left_out():
    lines = []
    progress = Progress({"00": 1})
    with logged(lines.append):
        progress("00", row(1) | {"val_auc": math.nan})
    progress.close()
    assert lines == ["  00 epoch 1/1: loss 0.5124, val loss 0.2500 (1.3 s)"]


def test_the_bar_counts_all_members():
    progress, terminal = watched(5, 3)
    counts = []
    for member, epoch in [("00", 1), ("01", 1), ("00", 2), ("02", 1), ("01", 2)]:
        progress(member, row(epoch))
        counts.append(progress.bar.n)
    assert counts == [1, 2, 3, 4, 5]
    assert (progress.bar.total, progress.bar.initial) == (15, 0)
    assert " 5/15 " in terminal.last_line()
    assert "loss=0.512" in terminal.last_line()
    progress.close()


def test_epochs_of_an_earlier_start_count_but_took_no_time():
    progress, _ = watched(10, 2)
    progress("00", row(8))
    assert (progress.bar.n, progress.bar.initial) == (8, 7)
    progress("01", row(4))
    progress("00", row(9))
    assert (progress.bar.n, progress.bar.initial) == (13, 10)
    # Three epochs in six seconds, seven to go.
    shown = progress.bar.format_meter(**(progress.bar.format_dict | {"elapsed": 6.0}))
    assert "13/20 [00:06<00:14" in shown
    progress.close()


def test_the_bar_is_out_of_the_way_of_a_line_and_gone_at_the_end():
    seen = []
    progress, terminal = watched(2, 1)
    with logged(lambda line: seen.append(terminal.last_line())):
        progress("00", row(1))
        progress("00", row(2))
    assert seen == ["", ""]
    assert " 2/2 " in terminal.last_line()
    progress.close()
    assert terminal.last_line() == ""
