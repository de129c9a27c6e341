"""Machine sound's files, or sound as it comes -> the table of scores. Needs NumPy, SciPy and soundfile."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic
from mindspore_dpus.data.audio.names import parse_name
from mindspore_dpus.data.audio.stream import WindowStream
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
    row = dict.fromkeys(COLUMNS, "") | {"path": str(path)}
    try:
        if machine is None or section is None:
            named = parse_name(path)
            machine, section = machine or named.machine, section or named.section
        row |= {"machine": machine, "section": section}
        scorer.find(machine, section)
        waveform, note = look(path)
        return row | _cells(scorer.score(waveform, machine, section)) | {"note": note}
    except Exception as error:
        # Whatever a decoder raises on a hostile file: the next file has its turn.
        return row | {"error": " ".join(str(error).split()) or type(error).__name__}


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


def write_rows(path: Path, rows: Sequence[dict]) -> None:
    """The rows as CSV."""
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
