"""What is wrong, or worth knowing, about a set of clips before anything learns from it."""

from collections.abc import Collection, Iterator
from pathlib import PurePath

import numpy as np
import pandas as pd

from mindspore_dpus.data.audio.clips import OUTLIER
from mindspore_dpus.data.audio.names import NORMAL
from mindspore_dpus.data.audio.reading import ENDINGS
from mindspore_dpus.data.findings import (
    ERROR,
    NOTE,
    UNREADABLE,
    WARNING,
    Finding,
    as_table,
    begin,
    exact_duplicates,
    parted_groups,
    rare_values,
)
from mindspore_dpus.data.sample_table import SPLITS, UNUSED

SEVERITY = {
    UNREADABLE: ERROR,
    "exact_duplicates_across_splits": ERROR,
    "groups_across_splits": ERROR,
    "constant_clip": ERROR,
    "too_short": ERROR,
    "untrained_section": WARNING,
    "conflicting_labels": WARNING,
    "exact_duplicates": WARNING,
    "clipped": WARNING,
    "silent": WARNING,
    "sample_rate": WARNING,
    "length_outlier": WARNING,
    "channels_outlier": WARNING,
    "depth_outlier": NOTE,
    "wrong_ending": NOTE,
    "class_count": NOTE,
}


def audit_clips(
    samples: pd.DataFrame,
    measures: pd.DataFrame,
    *,
    rate: int,
    segment_seconds: float,
    clipped_share: float = 1e-3,
    silent_share: float = 0.5,
    allow: Collection[str] = (),
) -> pd.DataFrame:
    """Look through a set of clips.

    Clips whose split is ``unused`` need only be readable. Clips without a split are compared as if they
    were one split of their own.

    Args:
        samples: the sample table (``clips``).
        measures: of its clips, in the same order (``measures``).
        rate: samples per second that they will be brought to.
        segment_seconds: the shortest length that can be used.
        clipped_share, silent_share: from which share of a clip on these are found.
        allow: kinds of errors that are warnings.

    Returns:
        A row for each finding, the gravest kinds first: ``kind`` (a key of ``SEVERITY``), ``severity``
        (``error``, ``warning``, ``note``), ``path``, ``other`` (the clip that it is compared with, or
        empty), ``detail`` (a sentence).

    Raises:
        ValueError: ``allow`` names an unknown kind.
    """
    unknown = set(allow) - set(SEVERITY)
    if unknown:
        raise ValueError(f"allow names {sorted(unknown)[0]!r}; there are {', '.join(SEVERITY)}")
    columns = ["path", "machine", "section", "domain", "label", "split", "group"]
    everything = pd.concat([samples[columns].reset_index(drop=True), measures], axis=1)
    findings, used = begin(everything)
    for group, *places in parted_groups(used):
        counts = " and ".join(
            f"{number} clips in {clip['split'] or 'no split'}" for clip, number in places
        )
        (first, _), (other, _) = places
        detail = f"group {group}: {counts}"
        findings.append(("groups_across_splits", other["path"], first["path"], detail))
    constant = used["low"] == used["high"]
    for row in used[constant].itertuples():
        findings.append(("constant_clip", row.path, "", f"every sample is {row.low:g}"))
    # Silent clips are equal without being copies of each other.
    varied = used[~constant]
    # The word that a finding has for it.
    named = varied.rename(columns={"content": "samples"})
    findings += exact_duplicates(named, "samples", named.apply(_meaning, axis=1))
    findings += _levels(varied, clipped_share, silent_share)
    findings += _lengths(used, segment_seconds)
    findings += _formats(used, rate)
    findings += _untrained_sections(used)
    findings += _class_counts(samples)
    return as_table(findings, SEVERITY, allow)


def _meaning(row: pd.Series) -> str:
    return " ".join(row[name] for name in ("machine", "section", "label") if row[name])


def _levels(varied: pd.DataFrame, clipped_share: float, silent_share: float) -> Iterator[Finding]:
    for row in varied[varied["share_clipped"] >= clipped_share].itertuples():
        detail = f"{row.share_clipped:.2%} of the samples are cut off at {row.low:.3g} or {row.high:.3g}"
        yield "clipped", row.path, "", detail
    for row in varied[varied["share_silent"] >= silent_share].itertuples():
        yield "silent", row.path, "", f"{row.share_silent:.0%} of the clip is silent"


def _lengths(used: pd.DataFrame, segment_seconds: float) -> Iterator[Finding]:
    for row in used[used["seconds"] < segment_seconds].itertuples():
        detail = f"{row.seconds:g} s; a segment is {segment_seconds:g} s long"
        yield "too_short", row.path, "", detail
    # Machines may differ; a machine's clips are cut alike.
    for machine, rows in used[used["machine"] != OUTLIER].groupby("machine", sort=False):
        median = float(np.median(rows["seconds"]))
        for row in rows[np.abs(np.log2(rows["seconds"] / median)) >= 1].itertuples():
            detail = f"{row.seconds:g} s; the median of {machine} is {median:g} s"
            yield "length_outlier", row.path, "", detail


def _formats(used: pd.DataFrame, rate: int) -> Iterator[Finding]:
    for row in used[used["rate"] != rate].itertuples():
        detail = f"{row.rate} samples per second where {rate} are needed: it is resampled"
        if row.rate < rate:
            detail += f", and has nothing above {row.rate / 2:g} Hz"
        yield "sample_rate", row.path, "", detail
    yield from rare_values(used, "channels", "channels_outlier", "clips", " channels")
    yield from rare_values(used, "subtype", "depth_outlier", "clips")
    for row in used.itertuples():
        if PurePath(row.path).suffix.lower() not in ENDINGS[row.kind]:
            yield "wrong_ending", row.path, "", f"its content is {row.kind}"


def _untrained_sections(used: pd.DataFrame) -> Iterator[Finding]:
    """Sections with something to judge and no normal clip to learn from."""
    for (machine, section), rows in used[used["machine"] != OUTLIER].groupby(["machine", "section"]):
        trained = (rows["split"] == "train") & (rows["label"] == NORMAL)
        # Without a split, who splits the clips will give some of the normal ones to the training.
        trained |= (rows["split"] == "") & (rows["label"] == NORMAL)
        if not trained.any():
            detail = (
                f"{machine} section {section}: {len(rows)} clips, none of them normal and for training"
            )
            yield "untrained_section", rows.iloc[0]["path"], "", detail


def _class_counts(samples: pd.DataFrame) -> Iterator[Finding]:
    names = ["split", "machine", "section", "domain", "label"]
    counts = samples.groupby(names).size()
    for split in (*SPLITS, UNUSED, ""):
        if split in counts.index.get_level_values("split"):
            for key, number in counts[split].items():
                what = " ".join(word for word in key if word)
                yield "class_count", "", "", f"{split or 'no split'}: {number} {what}"
