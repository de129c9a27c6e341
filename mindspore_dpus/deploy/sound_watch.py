"""Score the recordings that arrive in a folder, for as long as the program runs."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError, terminated_by_signal
from mindspore_dpus.data.audio.reading import is_clip
from mindspore_dpus.data.images.folders import passed_over_line
from mindspore_dpus.deploy.result_file import ResultFile, format_of
from mindspore_dpus.deploy.scoring import row_name
from mindspore_dpus.deploy.sound import COLUMNS, waveform_row
from mindspore_dpus.deploy.sound_scorer import SoundScorer
from mindspore_dpus.deploy.watch import SHORTEST_PAUSE, FolderWatch, line_of, version_of

OWN_COLUMNS = ("modified", "size", "rule")


def watch_sound(
    scorer: SoundScorer,
    folder: Path,
    output: Path,
    machine: str | None = None,
    section: str | None = None,
    settle: float = 2.0,
    report: Callable[[str], None] = print,
) -> tuple[int, int]:
    """Score what arrives in a folder, until Ctrl-C or SIGTERM.

    The table itself is the memory of what is done, as ``deploy.watch`` has it: a killed program loses
    nothing and repeats nothing when it starts again.

    Args:
        scorer: what scores.
        folder: is looked at again and again, with all folders below it.
        output: the table, extended: ``deploy.sound.COLUMNS``; ``modified``, the file's time of change (UTC);
            ``size`` in bytes; ``rule``, a mark of the model.
        machine, section: whose recordings they are; None: folders and names say it.
        settle: seconds for which a file must stand still before it is read.
        report: called with a line for everything that somebody should look at.

    Returns:
        How many recordings this start has scored, and how many of them are to be looked at.

    Raises:
        UserError: there is no such folder, or the output holds something else or another model's rows.
        OSError: the disk is full.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    with ResultFile(output, [*COLUMNS, *OWN_COLUMNS], format_of(output)) as results:
        if results.found and results.found[-1]["rule"] != scorer.mark:
            raise UserError(f"{output} was filled by another model: name another output")
        done = {(row["path"], version_of(row)) for row in results.found}
        looker = FolderWatch(folder, settle, done, is_clip)
        report(f"watching {folder}: {len(done)} rows are there; Ctrl-C ends it")
        scored = look = 0
        with terminated_by_signal():
            try:
                while True:
                    start = time.monotonic()
                    for file, version, found in looker.ready(lambda f: _look(scorer, f), start):
                        row = waveform_row(scorer, row_name(file), _given(found), machine, section)
                        results.append([row | version._asdict() | {"rule": scorer.mark}])
                        looker.done.add((row_name(file), version))
                        scored += 1
                        if row["error"] or row["decision"] == 1:
                            look += 1
                            what = row["error"] or f"anomalous {row['score']:.3f}"
                            what += f" ({row['note']})" if row["note"] else ""
                            report(line_of(row, what))
                    if looker.news:
                        report(passed_over_line(looker.news, folder))
                        looker.news.clear()
                    # A large folder on a slow disk is not looked at all the time.
                    took = time.monotonic() - start
                    time.sleep(max(SHORTEST_PAUSE, settle / 4, took))
            except KeyboardInterrupt:
                return scored, look


def _look(scorer: SoundScorer, file: Path) -> tuple[np.ndarray, str] | str:
    try:
        return scorer.front.look(file)
    except Exception as error:
        # As ``waveform_row`` has it: whatever is raised, the next file has its turn.
        return " ".join(str(error).split()) or type(error).__name__


def _given(found: tuple[np.ndarray, str] | str) -> Callable[[Path], tuple[np.ndarray, str]]:
    """What ``_look`` found, as a function that gives or raises it."""

    def give(path: Path) -> tuple[np.ndarray, str]:
        if isinstance(found, str):
            raise UserError(found)
        return found

    return give
