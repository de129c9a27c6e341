"""What is wrong, or worth knowing, about a data set before anything learns from it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mindspore_dpus.data.images.measures import Measures
from mindspore_dpus.data.images.phash import BITS, near_duplicates
from mindspore_dpus.data.samples import SPLITS, UNUSED
from mindspore_dpus.data.settings import AuditSettings

COLUMNS = ["kind", "severity", "path", "other", "detail"]
ERROR, WARNING, NOTE = "error", "warning", "note"
UNREADABLE = "unreadable"
# Two exposures of one design look alike and yet may differ in a flaw of a few pixels, so near duplicates
# are no proof of anything; equal pixels and a parted group are.
SEVERITY = {
    UNREADABLE: ERROR,
    "exact_duplicates_across_splits": ERROR,
    "groups_across_splits": ERROR,
    "near_duplicates_across_splits": WARNING,
    "conflicting_labels": WARNING,
    "exact_duplicates": WARNING,
    "constant_image": WARNING,
    "size_outlier": WARNING,
    "bit_depth_outlier": WARNING,
    "channels_outlier": WARNING,
    "near_duplicates": NOTE,
    "saturated": NOTE,
    "class_count": NOTE,
}
Finding = tuple[str, str, str, str]


def audit(samples: pd.DataFrame, measures: Measures, config: AuditSettings) -> pd.DataFrame:
    """Look through a data set.

    Images whose split is ``unused`` need only be readable. Images without a split are compared as if
    they were one split of their own.

    Args:
        samples: the sample table.
        measures: of its images, in the same order.
        config: thresholds; errors that it allows are warnings.

    Returns:
        A row for each finding, the gravest kinds first: ``kind`` (a key of ``SEVERITY``), ``severity``
        (``error``, ``warning``, ``note``), ``path``, ``other`` (the image that it is compared with, or
        empty), ``detail`` (a sentence).
    """
    table = samples[["path", "label", "split", "group"]].reset_index(drop=True)
    everything = pd.concat([table, measures.table], axis=1)
    findings = [
        (UNREADABLE, path, "", error)
        for path, error in everything.loc[everything["error"] != "", ["path", "error"]].to_numpy()
    ]
    used = everything[(everything["error"] == "") & (everything["split"] != UNUSED)]
    # In the order of the splits, so that of two images the held-out one is the later one.
    order = used["split"].map({"": 0, **{name: i for i, name in enumerate(SPLITS)}})
    used = used.assign(part=order).sort_values("part", kind="stable")
    findings += _parted_groups(used)
    findings += _constant(used)
    # Blank images are equal without being copies of each other.
    varied = used[used["low"] < used["high"]]
    findings += _exact_duplicates(varied)
    if config.near_distance is not None:
        findings += _near_duplicates(varied, measures.coefficients, config.near_distance)
    findings += _sizes(used)
    findings += _formats(used)
    findings += _saturated(varied, config.saturation)
    findings += _class_counts(samples)
    rank = {kind: i for i, kind in enumerate(SEVERITY)}
    findings.sort(key=lambda finding: rank[finding[0]])
    severity = SEVERITY | dict.fromkeys(config.allow, WARNING)
    rows = [(kind, severity[kind], *rest) for kind, *rest in findings]
    return pd.DataFrame(rows, columns=COLUMNS)


def summarise(findings: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind found, but for the class counts: ``kind, severity, number, example``."""
    rows = []
    for (kind, severity), part in findings.groupby(["kind", "severity"], sort=False):
        if kind != "class_count":
            rows.append((kind, severity, len(part), describe(part.iloc[0])))
    return pd.DataFrame(rows, columns=["kind", "severity", "number", "example"])


def describe(finding: pd.Series) -> str:
    """A finding in words: its images and its detail."""
    if finding["kind"] == UNREADABLE:
        return finding["detail"]
    places = " and ".join(name for name in (finding["path"], finding["other"]) if name)
    return f"{places}: {finding['detail']}" if places else finding["detail"]


def _parted_groups(used: pd.DataFrame) -> Iterator[Finding]:
    # One group for all is no group, as for the splits.
    if used["group"].nunique() < 2:
        return
    for group, rows in used[used["group"] != ""].groupby("group", sort=False):
        first = rows.iloc[0]
        for _, other in rows[rows["part"] > first["part"]].drop_duplicates("part").iterrows():
            numbers = [(rows["split"] == row["split"]).sum() for row in (first, other)]
            yield (
                "groups_across_splits",
                other["path"],
                first["path"],
                f"group {group}: {numbers[0]} images in {first['split'] or 'no split'}, "
                f"{numbers[1]} in {other['split']}",
            )


def _constant(used: pd.DataFrame) -> Iterator[Finding]:
    for row in used[used["low"] == used["high"]].itertuples():
        yield "constant_image", row.path, "", f"every pixel is {row.low:g}"


def _exact_duplicates(used: pd.DataFrame) -> Iterator[Finding]:
    repeated = used[used["pixels"].duplicated(keep=False)]
    for _, rows in repeated.groupby("pixels", sort=False):
        first = rows.iloc[0]
        for number, part in rows.groupby("part", sort=False):
            # Against the other split once, against its own split for each further copy.
            head = part.iloc[0]
            split = head["split"]
            if number != first["part"]:
                detail = f"equal pixels in {first['split'] or 'no split'} and {split}"
                yield "exact_duplicates_across_splits", head["path"], first["path"], detail
            for path in part["path"].iloc[1:]:
                yield "exact_duplicates", path, head["path"], f"equal pixels in {split or 'no split'}"
        for _, row in rows[rows["label"] != first["label"]].iterrows():
            detail = f"equal pixels, but {row['label']} and {first['label']}"
            yield "conflicting_labels", row["path"], first["path"], detail


def _near_duplicates(used: pd.DataFrame, coefficients: np.ndarray, distance: int) -> Iterator[Finding]:
    used = used.drop_duplicates("pixels")
    paths, labels, splits = (used[name].to_numpy() for name in ("path", "label", "split"))
    found = near_duplicates(coefficients[used.index], used["part"].to_numpy(), distance)
    for i, j, bits, across in found.itertuples(index=False):
        kind = "near_duplicates_across_splits" if across else "near_duplicates"
        names = " and ".join(f"{splits[row] or 'no split'} {labels[row]}" for row in (i, j))
        yield kind, paths[i], paths[j], f"{bits} of {BITS} bits differ; {names}"


def _sizes(used: pd.DataFrame) -> Iterator[Finding]:
    """A side at least twice or half the median, and 3.5 robust standard deviations from it."""
    sides = used[["height", "width"]].to_numpy(float)
    if not len(sides):
        return
    median = np.median(sides, axis=0)
    away = np.abs(np.log2(sides / median))
    limit = np.maximum(1.0, 3.5 * 1.4826 * np.median(away, axis=0))
    for row in used[(away >= limit).any(axis=1)].itertuples():
        detail = f"{row.height} x {row.width} pixels; the median is {median[0]:g} x {median[1]:g}"
        yield "size_outlier", row.path, "", detail


def _formats(used: pd.DataFrame) -> Iterator[Finding]:
    """Pixel types and numbers of channels other than the most frequent, and 8 bits in a 16-bit file."""
    for kind, column, unit in (
        ("bit_depth_outlier", "dtype", ""),
        ("channels_outlier", "channels", " channels"),
    ):
        counts = used[column].value_counts()
        for row in used[used[column] != counts.index[0]].itertuples() if len(counts) > 1 else ():
            value = getattr(row, column)
            detail = f"{value}{unit}; {counts.iloc[0]} of {len(used)} images have {counts.index[0]}"
            yield kind, row.path, "", detail
    deep = used[used["dtype"] == "uint16"]
    if (deep["high"] > 255).any():
        for row in deep[deep["high"] <= 255].itertuples():
            detail = f"16 bits, but no value above {row.high:g}; the others reach {deep['high'].max():g}"
            yield "bit_depth_outlier", row.path, "", detail


def _saturated(used: pd.DataFrame, share: float) -> Iterator[Finding]:
    # The image's own extremes: 12 bits in a 16-bit file end at 4095, a window wherever it was set.
    for row in used[used[["share_low", "share_high"]].max(axis=1) >= share].itertuples():
        smallest = row.share_low >= row.share_high
        part, value = (row.share_low, row.low) if smallest else (row.share_high, row.high)
        name = "smallest" if smallest else "largest"
        yield "saturated", row.path, "", f"{part:.0%} of the pixels have the {name} value, {value:g}"


def _class_counts(samples: pd.DataFrame) -> Iterator[Finding]:
    counts = samples.groupby(["split", "label"]).size()
    for split in (*SPLITS, UNUSED, ""):
        if split in counts.index.get_level_values("split"):
            for label, number in counts[split].items():
                yield "class_count", "", "", f"{split or 'no split'}: {number} {label}"
