"""samples -> audit.csv: what is wrong with the images, before anything is computed from them."""

from pathlib import Path

import pandas as pd

from mindspore_dpus.config import AuditConfig, Config, DataConfig
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder, digest
from mindspore_dpus.data.cache import unusable
from mindspore_dpus.data.findings import ERROR, UNREADABLE, WARNING, audit, describe, summarise
from mindspore_dpus.data.images.measures import (
    VERSION,
    Measures,
    load_measures,
    measure_images,
    save_measures,
)
from mindspore_dpus.data.images.preparing import ImageSpec
from mindspore_dpus.data.samples import find_samples, write_table
from mindspore_dpus.systems.classification.prepare import (
    cache_dir,
    data_fingerprint,
    read_samples,
    settings,
)


def make_audit(run: RunFolder, config: Config, root: Path) -> None:
    """``audit.csv``: a row for each finding (``data.audit.audit``); allowed errors are warnings there.

    Raises:
        UserError: unreadable images, or leaks between splits that ``audit.allow`` does not name.
    """
    if not config.audit.enabled:
        run.forget("audit", ["audit.csv"])
        return

    def make() -> None:
        samples, _, _ = read_samples(run)
        findings = audit(samples, _measures(run, config, root, samples), config.audit)
        write_table(findings, run / "audit.csv")
        summary = summarise(findings)
        for row in summary[summary["severity"] == WARNING].itertuples():
            run.report(f"  note: {row.number} {row.kind}, such as {row.example}")
        _stop_at_errors(findings, len(samples), run / "audit.csv")

    # Equal findings let everything after them stand: thresholds re-run no training.
    # An image that training would refuse is an error, so what it may be counts too.
    key = settings(config.audit) | {"bits": config.data.bits, "value_range": config.data.value_range}
    run.stage("audit", key, ["audit.csv"], make, version=VERSION, aside=True)


def audit_folder(data: DataConfig, thresholds: AuditConfig, output: str | None) -> pd.DataFrame:
    """Audit a data set as it lies there, without a run.

    Args:
        data: names the data set. Splits count as far as it names them.
        thresholds: of the audit.
        output: folder for ``audit.csv``; None: nothing is written.

    Returns:
        The findings.

    Raises:
        UserError: no such data set, or a manifest that cannot be used.
    """
    samples = find_samples(data, check=False)
    measures = measure_images(samples["path"], Path(data.root), ImageSpec.from_config(data))
    findings = audit(samples, measures, thresholds)
    if output is not None:
        write_table(findings, Path(output, "audit.csv"))
    return findings


def audit_lines(findings: pd.DataFrame) -> list[str]:
    """Findings for a terminal: the class counts, then a line for each other kind."""
    lines = findings["detail"][findings["kind"] == "class_count"].tolist()
    summary = summarise(findings)
    lines += [
        f"{row.severity:8}{row.number:6} {row.kind}, such as {row.example}"
        for row in summary.itertuples()
    ]
    return lines if len(summary) else [*lines, "nothing found"]


def _measures(run: RunFolder, config: Config, root: Path, samples: pd.DataFrame) -> Measures:
    """Of all images, remembered beside the runs: another seed or split decodes nothing.

    Not where an image cannot be read: what is missing may be a library, or ``data.max_pixels``.
    """
    # What an image may be depends on these; what is measured does not, but for a file without errors.
    spec = ImageSpec.from_config(config.data)
    rules = spec.bits, spec.value_range
    identity = digest(data_fingerprint(run, config, root, samples["path"]), VERSION, *rules)
    path = cache_dir(run, config) / f"measures-{identity}.npz"
    if path.exists():
        return load_measures(path)
    measures = measure_images(samples["path"], root, spec)
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
        f"--audit.allow '[{', '.join(numbers.index)}]'"
    )
