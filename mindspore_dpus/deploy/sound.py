"""Machine sound's files, or sound as it comes -> the table of scores.

Needs what requirements/deploy_sound.txt names, and nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError, explain, one_line
from mindspore_dpus.data.audio.names import parse_name
from mindspore_dpus.data.audio.stream import WindowStream
from mindspore_dpus.data.images.folders import leads_nowhere
from mindspore_dpus.deploy.growing import going_on
from mindspore_dpus.deploy.result_file import format_of
from mindspore_dpus.deploy.scoring import row_name
from mindspore_dpus.deploy.sound_scorer import SoundScore, SoundScorer

COLUMNS = (
    *("path", "machine", "section", "score", "threshold", "decision", "target_probability"),
    *("worst_second", "note", "error"),
)


def sound_row(scorer: SoundScorer, path: str | Path, machine: str | None, section: str | None) -> dict:
    """Score a file.

    Args:
        scorer: what scores.
        path: the file.
        machine, section: whose it is; None: its folders and name say so, as DCASE names them.

    Returns:
        ``COLUMNS`` -> values. Whatever is wrong with the file stands under ``error``; what may be another
        reason for a high score, under ``note`` (``FrontEnd.look``).
    """
    return waveform_row(scorer, path, scorer.front.look, machine, section)


def waveform_row(
    scorer: SoundScorer,
    path: str | Path,
    look: Callable[[Path], tuple[np.ndarray, str]],
    machine: str | None,
    section: str | None,
) -> dict:
    """As ``sound_row``; ``look`` gives the file's waveform and a note, or raises."""
    row = dict.fromkeys(COLUMNS, "") | {"path": row_name(path)}
    try:
        if leads_nowhere(Path(path)):
            raise UserError(f"{path} {explain(FileNotFoundError(), Path(path))}")
        if machine is None or section is None:
            named = parse_name(path)
            machine, section = machine or named.machine, section or named.section
        row |= {"machine": one_line(machine), "section": one_line(section)}
        scorer.find(machine, section)
        waveform, note = look(path)
        return row | _cells(scorer.score(waveform, machine, section)) | {"note": note}
    except Exception as error:
        # Whatever a decoder raises on a hostile file: the next file has its turn.
        return row | {"error": one_line(" ".join(str(error).split())) or type(error).__name__}


def _cells(found: SoundScore) -> dict:
    if not np.isfinite(found.score):
        return {"error": "the score is not a number"}
    return {
        "score": found.score,
        "threshold": found.threshold,
        "decision": int(found.score > found.threshold),
        "target_probability": found.probability,
        "worst_second": float(found.starts[int(np.argmax(found.segments))]),
    }


def stream_rows(
    scorer: SoundScorer,
    blocks: Iterator[np.ndarray],
    machine: str,
    section: str,
    *,
    window_seconds: float,
    hop_seconds: float,
) -> Iterator[dict]:
    """Score sound as it comes: a row for every window, equal to that of a file with these samples.

    Args:
        scorer: what scores.
        blocks: (n,) float32 at the scorer's rate.
        machine, section: whose it is.
        window_seconds: length of a window.
        hop_seconds: from one to the next.

    Raises:
        UserError: training never saw the section.
    """
    scorer.find(machine, section)
    rate = scorer.front.audio.rate
    stream = WindowStream(round(window_seconds * rate), round(hop_seconds * rate))
    for block in blocks:
        for first, window in stream.push(block):
            row = dict.fromkeys(COLUMNS, "")
            row |= {"path": f"{first / rate:g} s", "machine": machine, "section": section}
            try:
                row |= _cells(scorer.score(window, machine, section))
            except UserError as error:
                row["error"] = str(error)
            yield row


@dataclass
class SoundSummary:
    """What was scored.

    Attributes:
        rows: all.
        anomalous: of these.
        unscored: rows with an error.
        kept: rows of an earlier, interrupted start.
        notes: how many rows have one.
        first: one of them.
    """

    rows: int = 0
    anomalous: int = 0
    unscored: int = 0
    kept: int = 0
    notes: int = 0
    first: str = ""

    def add(self, row: dict) -> None:
        """Count a row, as it is scored or as it is found in a table."""
        self.rows += 1
        self.unscored += row["error"] != ""
        self.anomalous += str(row["decision"]) == "1"
        if row["note"]:
            self.notes += 1
            self.first = self.first or f"{row['path']}: {row['note']}"

    @property
    def look(self) -> int:
        """Rows that somebody should look at."""
        return self.anomalous + self.unscored

    def lines(self, output: Path, what: str = "recordings") -> list[str]:
        """What a person wants to know at the end; ``what`` a row is of."""
        kept = f", {self.kept} of them by an earlier start" if self.kept else ""
        line = (
            f"{output}: {self.rows} {what}{kept}, {self.anomalous} anomalous, "
            f"{self.unscored} without a score"
        )
        return [line, *([f"{self.notes} with a note, such as {self.first}"] if self.notes else [])]


def predict_sound(
    scorer: SoundScorer,
    files: Sequence[Path],
    output: Path,
    machine: str | None = None,
    section: str | None = None,
) -> SoundSummary:
    """Score files into a table, row by row; started again, the same call goes on (``deploy.growing``).

    Args:
        scorer: what scores.
        files: recordings, each once.
        output: the table: ``COLUMNS``, a row for every file; CSV, or JSON lines by its ending.
        machine, section: as of ``sound_row``.

    Raises:
        UserError: the output cannot be written there.
        OSError: the disk is full.
    """
    summary = SoundSummary()
    made_by, keep = ("files", scorer.mark, machine, section), ("path", "error", "decision", "note")
    kind = format_of(output)
    with going_on(output, COLUMNS, files, made_by, kind=kind, keep=keep) as (results, done):
        for row in results.found:
            summary.add(row)
        summary.kept = summary.rows
        for file in files[done:]:
            row = sound_row(scorer, file, machine, section)
            results.append([row])
            summary.add(row)
        results.path.replace(output)
    return summary


def predict_stream(
    scorer: SoundScorer,
    blocks: Iterator[np.ndarray],
    output: Path,
    machine: str,
    section: str,
    *,
    window_seconds: float,
    hop_seconds: float,
    report: Callable[[str], None],
) -> SoundSummary:
    """Score sound as it comes into a table, row by row, until it ends, or Ctrl-C or SIGTERM.

    The table is there whatever ends the stream. (There is nothing to go on with: other sound has come
    meanwhile.) Without a single window there is none, and an older one stays.

    Args:
        scorer, blocks, machine, section, window_seconds, hop_seconds: of ``stream_rows``.
        output: as of ``predict_sound``.
        report: called with a line for every row.

    Raises:
        UserError: training never saw the section; the output cannot be written there; the sound cannot
            be read on, or ends before a window is full.
        OSError: the disk is full.
    """
    scorer.find(machine, section)
    summary, kind = SoundSummary(), format_of(output)
    with going_on(output, COLUMNS, (), ("stream", scorer.mark), kind=kind) as (results, _):
        heard = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal heard
            for block in blocks:
                heard += len(block)
                yield block

        rows = stream_rows(
            *(scorer, counted(), machine, section),
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
        )
        try:
            for row in rows:
                results.append([row])
                summary.add(row)
                report(f"{row['path']} {row['error'] or format(row['score'], '.3f')}")
            _check_heard(summary, heard / scorer.front.audio.rate, window_seconds)
        except KeyboardInterrupt:
            if not summary.rows:
                results.path.unlink()
            _check_heard(summary, heard / scorer.front.audio.rate, window_seconds)
        except BaseException:
            # An older table is not replaced by an empty one.
            if not summary.rows:
                results.path.unlink()
                raise
            results.path.replace(output)
            raise
        results.path.replace(output)
    return summary


def _check_heard(summary: SoundSummary, seconds: float, window_seconds: float) -> None:
    """Refuse a stream of which nothing was scored: its recorder may never have started."""
    if not summary.rows:
        raise UserError(
            f"the stream ended after {seconds:g} s of sound, before a window of {window_seconds:g} s was full: "
            "nothing was scored. Look whether the recorder started, or give a shorter --window"
        )
