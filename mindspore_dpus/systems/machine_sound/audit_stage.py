"""samples -> audit.csv: what is wrong with the clips, before anything is computed from them."""

import logging
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.audio.findings import audit_clips
from mindspore_dpus.data.audio.measures import measure_clips
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.data.findings import ERROR, WARNING, describe, summarise
from mindspore_dpus.data.source import Source
from mindspore_dpus.systems.machine_sound.run_data import read_clips
from mindspore_dpus.systems.machine_sound.settings import SoundAuditSettings

logger = logging.getLogger(__name__)


def make_audit(
    folder: Path, source: Source, audio: AudioSettings, thresholds: SoundAuditSettings
) -> None:
    """``audit.csv``: a row for each finding; allowed errors are warnings there.

    Raises:
        UserError: clips that cannot be used, or leaks between splits that ``audit.allow`` does not name.
    """
    samples = read_clips(folder)
    measures = measure_clips(
        samples["path"], source.root, channel=audio.channel, max_seconds=audio.max_seconds
    )
    findings = audit_clips(
        samples,
        measures,
        rate=audio.rate,
        segment_seconds=audio.segment_seconds,
        clipped_share=thresholds.clipped_share,
        silent_share=thresholds.silent_share,
        allow=thresholds.allow,
    )
    write_table(findings, folder / "audit.csv")
    summary = summarise(findings)
    for row in summary[summary["severity"] == WARNING].itertuples():
        logger.info("  note: %s %s, such as %s", row.number, row.kind, row.example)
    errors = findings[findings["severity"] == ERROR]
    if errors.empty:
        return
    kinds = errors["kind"].value_counts(sort=False)
    first = describe(errors.iloc[0])
    also = ", ".join(f"{number} {name}" for name, number in kinds.iloc[1:].items())
    leaks = [kind for kind in kinds.index if kind.endswith("across_splits")]
    allow = f", or allow this with audit.allow [{', '.join(leaks)}]" if leaks else ""
    raise UserError(
        f"audit: {kinds.iloc[0]} {kinds.index[0]}{also and f' (also {also})'}, the first: {first}; all are "
        f"in {folder / 'audit.csv'}. Repair or remove these clips{allow}"
    )
