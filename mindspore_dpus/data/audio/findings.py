"""What is wrong, or worth knowing, about a set of clips before anything learns from it."""

from collections.abc import Collection, Iterator
from pathlib import PurePath

import numpy as np
import pandas as pd

from mindspore_dpus.data.audio.clips import OUTLIER
from mindspore_dpus.data.audio.names import NORMAL
from mindspore_dpus.data.findings import COLUMNS, ERROR, NOTE, UNREADABLE, WARNING
from mindspore_dpus.data.samples import SPLITS, UNUSED

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
Finding = tuple[str, str, str, str]


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
    findings: list[Finding] = [
        (UNREADABLE, path, "", error)
        for path, error in everything.loc[everything["error"] != "", ["path", "error"]].to_numpy()
    ]
    used = everything[(everything["error"] == "") & (everything["split"] != UNUSED)]
    # In the order of the splits, so that of two clips the held-out one is the later one.
    order = used["split"].map({"": 0, **{name: i for i, name in enumerate(SPLITS)}})
    used = used.assign(part=order).sort_values("part", kind="stable")
    findings += _parted_groups(used)
    constant = used["low"] == used["high"]
    for row in used[constant].itertuples():
        findings.append(("constant_clip", row.path, "", f"every sample is {row.low:g}"))
    # Silent clips are equal without being copies of each other.
    varied = used[~constant]
    findings += _exact_duplicates(varied)
    findings += _levels(varied, clipped_share, silent_share)
    findings += _lengths(used, segment_seconds)
    findings += _formats(used, rate)
    findings += _untrained_sections(used)
    findings += _class_counts(samples)
    rank = {kind: i for i, kind in enumerate(SEVERITY)}
    findings.sort(key=lambda finding: rank[finding[0]])
    severity = SEVERITY | {kind: WARNING for kind in allow if SEVERITY[kind] == ERROR}
    rows = [(kind, severity[kind], *rest) for kind, *rest in findings]
    return pd.DataFrame(rows, columns=COLUMNS)


def _parted_groups(used: pd.DataFrame) -> Iterator[Finding]:
    # One group for all is no group, as for the splits.
    if used["group"].nunique() < 2:
        return
    for group, rows in used[used["group"] != ""].groupby("group", sort=False):
        first = rows.iloc[0]
        for _, other in rows[rows["part"] > first["part"]].drop_duplicates("part").iterrows():
            counts = " and ".join(
                f"{(rows['split'] == row['split']).sum()} clips in {row['split'] or 'no split'}"
                for row in (first, other)
            )
            yield "groups_across_splits", other["path"], first["path"], f"group {group}: {counts}"


def _exact_duplicates(varied: pd.DataFrame) -> Iterator[Finding]:
    repeated = varied[varied["content"].duplicated(keep=False)]
    for _, rows in repeated.groupby("content", sort=False):
        first = rows.iloc[0]
        for number, part in rows.groupby("part", sort=False):
            # Against the other split once, against its own split for each further copy.
            head = part.iloc[0]
            split = head["split"] or "no split"
            if number != first["part"]:
                detail = f"equal samples in {first['split'] or 'no split'} and {split}"
                yield "exact_duplicates_across_splits", head["path"], first["path"], detail
            for path in part["path"].iloc[1:]:
                yield "exact_duplicates", path, head["path"], f"equal samples in {split}"
        meant = [_meaning(row) for _, row in rows.iterrows()]
        for path, meaning in zip(rows["path"], meant, strict=True):
            if meaning != meant[0]:
                detail = f"equal samples, but {meaning} and {meant[0]}"
                yield "conflicting_labels", path, first["path"], detail


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
    for kind, column, unit in (
        ("channels_outlier", "channels", " channels"),
        ("depth_outlier", "subtype", ""),
    ):
        counts = used[column].value_counts()
        for row in used[used[column] != counts.index[0]].itertuples() if len(counts) > 1 else ():
            value = getattr(row, column)
            detail = f"{value}{unit}; {counts.iloc[0]} of {len(used)} clips have {counts.index[0]}"
            yield kind, row.path, "", detail
    for row in used.itertuples():
        if PurePath(row.path).suffix.lower() != f".{row.kind.lower()}":
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
