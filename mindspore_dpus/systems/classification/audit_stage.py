"""samples -> audit.csv: what is wrong with the images, before anything is computed from them."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError, one_line
from mindspore_dpus.core.files import digest, file_hash
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.cache import unusable
from mindspore_dpus.data.findings import ERROR, UNREADABLE, WARNING, describe, summarise
from mindspore_dpus.data.images.findings import audit
from mindspore_dpus.data.images.frames import split_frame
from mindspore_dpus.data.images.measures import (
    VERSION,
    Measures,
    load_measures,
    measure_images,
    save_measures,
)
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.samples import find_samples
from mindspore_dpus.data.settings import AuditSettings, DataSettings, SplitSettings
from mindspore_dpus.data.source import Source
from mindspore_dpus.data.splits import assign_splits
from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.stages.subsets import check_draws
from mindspore_dpus.systems.classification.decision_stage import flaw_sizes

logger = logging.getLogger(__name__)


def make_audit(folder: Path, source: Source, thresholds: AuditSettings) -> None:
    """``audit.csv``: a row for each finding; allowed errors are warnings there.

    Args:
        folder: with ``samples.csv``.
        source: where the images lie.
        thresholds: the section.

    Raises:
        UserError: unreadable images, or leaks between splits that ``audit.allow`` does not name.
    """
    samples = read_table(folder / "samples.csv")
    findings = audit(samples, _measures(source, samples), thresholds)
    write_table(findings, folder / "audit.csv")
    summary = summarise(findings)
    for row in summary[summary["severity"] == WARNING].itertuples():
        logger.info("  note: %s %s, such as %s", row.number, row.kind, row.example)
    _stop_at_errors(findings, len(samples), folder / "audit.csv")


def audit_folder(
    data: DataSettings,
    thresholds: AuditSettings,
    images: ImageSettings,
    output: str | None,
    split: SplitSettings | None = None,
    sampling: SamplingSettings | None = None,
    size_columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Audit a data set as it lies there, without a run.

    Args:
        data: names the data set. Splits count as far as it names them.
        thresholds: of the audit.
        images: how training would read them: what it would refuse is an error.
        output: folder for ``audit.csv``; None: nothing is written.
        split: how training would split them: what it would refuse is an error. Default: its defaults.
        sampling: likewise, how it would draw from them.
        size_columns: likewise, ``decision.size_columns``.

    Returns:
        The findings.

    Raises:
        UserError: no such data set, or a manifest that cannot be used.
    """
    refused: list[str] = []
    samples, root = find_samples(data, check=False, refused=refused), Path(data.root)
    measures = measure_images(samples["path"], root, images)
    if not refused:
        contents = _contents(samples["path"], root, measures)

        def split_and_draw() -> None:
            # Parted groups are a finding of their own.
            dealt = assign_splits(samples, split or SplitSettings(), 0, contents, True)
            check_draws(dealt, sampling or SamplingSettings(), data.majority)

        def read_sizes() -> None:
            if samples["label"].nunique() == 2:
                flaw_sizes(samples, size_columns, data.positive)

        for step in (split_and_draw, read_sizes):
            try:
                step()
            except UserError as error:
                refused.append(str(error))
    findings = audit(samples, measures, thresholds, refused)
    # Names that are not UTF-8 cannot stand in tables.
    texts = ["path", "other", "detail"]
    findings[texts] = findings[texts].map(lambda text: text.encode(errors="backslashreplace").decode())
    if output is not None:
        write_table(findings, Path(output, "audit.csv"))
    return findings


def _contents(paths: pd.Series, root: Path, measures: Measures) -> list[str]:
    """Equal for equal files, as training deals them; only files of equal pixels can be."""
    repeated = measures.table["pixels"].duplicated(keep=False) & (measures.table["error"] == "")
    return [
        file_hash(split_frame(root / path)[0]) if again else ""
        for path, again in zip(paths, repeated, strict=True)
    ]


def audit_lines(findings: pd.DataFrame) -> list[str]:
    """Findings for a terminal: the class counts, then a line for each other kind."""
    lines = findings["detail"][findings["kind"] == "class_count"].tolist()
    summary = summarise(findings)
    lines += [
        f"{row.severity:8}{row.number:6} {row.kind}, such as {row.example}"
        for row in summary.itertuples()
    ]
    lines = [one_line(line) for line in lines]
    return lines if len(summary) else [*lines, "nothing found"]


def _measures(source: Source, samples: pd.DataFrame) -> Measures:
    """Of all images, remembered beside the runs: another seed or split decodes nothing.

    Not where an image cannot be read: what is missing may be a library, or ``images.max_pixels``.
    """
    # What an image may be depends on these; what is measured does not, but for a file without errors.
    rules = source.reader.bits, source.reader.value_range
    identity = digest(source.fingerprint(samples["path"]), VERSION, *rules)
    path = source.cache / f"measures-{identity}.npz"
    if path.exists():
        return load_measures(path)
    measures = measure_images(samples["path"], source.root, source.reader)
    if (measures.table["error"] == "").all():
        save_measures(measures, path)
    return measures


def _stop_at_errors(findings: pd.DataFrame, n_images: int, path: Path) -> None:
    errors = findings[findings["severity"] == ERROR]
    if errors.empty:
        return
    kind, first = errors["kind"].iloc[0], describe(errors.iloc[0])
    count = int((errors["kind"] == kind).sum())
    if kind == UNREADABLE:
        raise unusable(first, count, n_images, path)
    numbers = errors["kind"].value_counts(sort=False)
    others = ", ".join(f"{number} {name}" for name, number in numbers.items() if name != kind)
    also = f" (also {others})" if others else ""
    raise UserError(
        f"audit: {count} {kind}{also}, the first: {first}; all are in {path}. Give them "
        "one split or one group, remove them, or allow this with "
        f"audit.allow [{', '.join(numbers.index)}]"
    )
