"""Score the images that arrive in a folder, for as long as the program runs.

The table itself is the memory of what is done: a file is scored when no row of the table has its name,
time of change and size. So a killed program loses nothing and repeats nothing when it starts again.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from mindspore_dpus.core.errors import UserError, terminated_by_signal
from mindspore_dpus.data.images.folders import is_companion, is_image, passed_over_line, walk
from mindspore_dpus.deploy.batch import Summary
from mindspore_dpus.deploy.result_file import ResultFile, format_of
from mindspore_dpus.deploy.rule import rule_mark
from mindspore_dpus.deploy.scoring import (
    Loaded,
    Scorer,
    columns,
    load,
    row_name,
    score_loaded,
    to_look_at,
)

# Of a row: the file's ``Version``, how many frames it has, and by which model and rule it was scored.
OWN_COLUMNS = ["modified", "size", "frames", "rule"]
# An image that does not decode is reported once it has stood still for so many times ``settle``.
PATIENCE = 5
SHORTEST_PAUSE = 0.2


class Version(NamedTuple):
    """Which of several files that had the same name one after another: two columns of the table.

    Args:
        modified: time of change, as ``modified_text``.
        size: in bytes. A file may be replaced without another time of change.
    """

    modified: str
    size: int


@dataclass
class _Seen:
    """A file that waits for its turn.

    Args:
        state: size and time of change in nanoseconds.
        since: when it was first seen in that state.
        failed: whether it did not decode when it had settled.
    """

    state: tuple[int, int]
    since: float
    failed: bool = False


@dataclass
class FolderWatch:
    """Which files of a folder are complete and not yet done.

    A file is complete when its size and time of change have stood still for ``settle`` seconds and it
    decodes to its end. One that does not decode is tried once more after ``PATIENCE * settle`` seconds,
    and then given up: until it changes.

    By default images are wanted, as ``data.images.folders`` tells them: of what is none by its name, it
    looks at the first bytes, when they have settled.

    Args:
        folder: with all folders below it; hidden files and companions of images are left out.
        settle: in seconds.
        done: (row name, version) of files that have their row.
        wanted: whether a file is one to read.
        others: files that are not wanted, and their size and time of change when they were looked at.
        news: ending -> how many files were added to ``others``, for whoever reports and empties it.
    """

    folder: Path
    settle: float
    done: set[tuple[str, Version]] = field(default_factory=set)
    wanted: Callable[[Path], bool] = is_image
    waiting: dict[Path, _Seen] = field(default_factory=dict)
    others: dict[Path, tuple[int, int]] = field(default_factory=dict)
    news: Counter[str] = field(default_factory=Counter)

    def ready(
        self, read: Callable[[Path], Loaded], now: float
    ) -> Iterator[tuple[Path, Version, Loaded]]:
        """Look once.

        Args:
            read: decodes a file (``deploy.scoring.load``); text says why it cannot.
            now: monotonic clock, in seconds.

        Yields:
            Complete files: path, version, and what ``read`` gave.
        """
        present = dict(_files(self.folder))
        self.waiting = {file: seen for file, seen in self.waiting.items() if file in present}
        self.others = {file: state for file, state in self.others.items() if present.get(file) == state}
        for file, state in sorted(present.items(), key=lambda item: (item[1][1], item[0])):
            if file in self.others:
                continue
            version = Version(modified_text(state[1]), state[0])
            if (row_name(file), version) in self.done:
                self.waiting.pop(file, None)
                continue
            seen = self.waiting.get(file)
            if seen is None or seen.state != state:
                seen = self.waiting[file] = _Seen(state, now)
            if now - seen.since < self.settle * (PATIENCE if seen.failed else 1):
                continue
            if not self.wanted(file) and _state(file) == state:
                self.others[file] = state
                self.news[file.suffix.lower()] += 1
                del self.waiting[file]
                continue
            found = read(file)
            if _state(file) != state:
                continue  # Changed while it was read: it is seen anew next time.
            if isinstance(found, str) and not seen.failed:
                seen.failed = True
                continue
            yield file, version, found


def watch(
    scorer: Scorer,
    folder: Path,
    output: Path,
    kind: str | None = None,
    settle: float = 2.0,
    batch_size: int | None = None,
    report: Callable[[str], None] = print,
) -> Summary:
    """Score what arrives in a folder, until Ctrl-C or SIGTERM.

    Args:
        scorer: what scores.
        folder: is looked at again and again, with all folders below it.
        output: the table, extended: ``deploy.scoring.columns``, and ``modified``, the file's time of
            change (UTC), its ``size`` in bytes, ``frames`` in it, and ``rule``, a mark of model,
            threshold and tiles. A file that is replaced by another of its name has another row.
        kind: ``csv`` or ``jsonl``; None: by the name's ending.
        settle: seconds for which a file must stand still before it is read.
        batch_size: images scored and written at a time; None: the scorer's.
        report: called with a line for everything that somebody should look at.

    Returns:
        What this start has scored.

    Raises:
        UserError: there is no such folder, or the output holds something else.
        OSError: the disk is full.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    batch_size = batch_size or scorer.batch_size
    names = [*columns(scorer), *OWN_COLUMNS]
    with ResultFile(output, names, kind or format_of(output)) as results:
        if results.found and results.found[-1]["rule"] != rule_mark(scorer):
            raise UserError(
                f"{output} was filled by another model, or with another threshold or other tiles: name "
                "another output"
            )
        done = _done(results)
        summary = Summary()
        looker = FolderWatch(folder, settle, done)
        report(f"watching {folder}: {len(results.found)} rows are there; Ctrl-C ends it")
        results.found.clear()
        gone = False
        with terminated_by_signal():
            try:
                while True:
                    start = time.monotonic()
                    if gone != (not folder.is_dir()):
                        gone = not gone
                        report(f"{folder} is {'gone: waiting for it' if gone else 'back'}")
                    batch: list[tuple[Path, Version, Loaded]] = []
                    for one in looker.ready(lambda file: load(file, scorer.spec, scorer.tiles), start):
                        batch.append(one)
                        # Frames in tiles may be large: one at a time.
                        if len(batch) == batch_size or scorer.tiles is not None:
                            _finish(scorer, batch, results, looker, summary, batch_size, report)
                            batch = []
                    _finish(scorer, batch, results, looker, summary, batch_size, report)
                    if looker.news:
                        report(passed_over_line(looker.news, folder))
                        looker.news.clear()
                    # A large folder on a slow disk is not looked at all the time.
                    took = time.monotonic() - start
                    time.sleep(max(SHORTEST_PAUSE, settle / 4, took))
            except KeyboardInterrupt:
                return summary


def _finish(
    scorer: Scorer,
    batch: list[tuple[Path, Version, Loaded]],
    results: ResultFile,
    looker: FolderWatch,
    summary: Summary,
    batch_size: int,
    report: Callable[[str], None],
) -> None:
    """Score and write one batch, and only then call it done."""
    files = score_loaded(scorer, [(file, found) for file, _, found in batch], batch_size)
    mark = rule_mark(scorer)
    scored = [
        row | version._asdict() | {"frames": len(rows), "rule": mark}
        for rows, (_, version, _) in zip(files, batch, strict=True)
        for row in rows
    ]
    results.append(scored)
    looker.done |= {(row_name(file), version) for file, version, _ in batch}
    summary.add(scorer, scored)
    for row in scored:
        if to_look_at(scorer, row):
            score = "" if scorer.positive is None or row["error"] else f" {row['score']:.3f}"
            report(line_of(row, row["error"] or f"{row['predicted']}{score}"))


def line_of(row: dict, what: str) -> str:
    """A line about a row of the table: errors mostly name the file themselves."""
    return what if what.startswith(row["path"]) else f"{row['path']}: {what}"


def _done(results: ResultFile) -> set[tuple[str, Version]]:
    """What the table holds. Of the last file, perhaps not all frames' rows were written: then those that
    were are cut off, and the file is read again."""
    files = [
        (row["path"].rpartition("#")[0] if int(row["frames"]) > 1 else row["path"], version_of(row))
        for row in results.found
    ]
    if files:
        last = sum(1 for _ in itertools.takewhile(lambda file: file == files[-1], reversed(files)))
        if last < int(results.found[-1]["frames"]):
            results.cut(len(files) - last)
    return set(files[: len(results.found)])


def version_of(row: dict) -> Version:
    """Of which file a row of the table is."""
    return Version(row["modified"], int(row["size"]))


def modified_text(nanoseconds: int) -> str:
    """A time of change as text: UTC, to the microsecond."""
    try:
        moment = datetime.fromtimestamp(nanoseconds // 1_000 / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{nanoseconds} ns"  # A file system may hold a year that no calendar here has.
    return moment.isoformat(timespec="microseconds")


def _files(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    for file in walk(folder):
        if not is_companion(file) and (state := _state(file)) is not None:
            yield file, state


def _state(file: Path) -> tuple[int, int] | None:
    """Size and time of change; of a link that leads nowhere, its own; None for a file that has gone."""
    try:
        status = file.stat()
    except OSError:
        try:
            status = file.lstat()
        except OSError:
            return None
    return status.st_size, status.st_mtime_ns
