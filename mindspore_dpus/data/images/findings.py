"""What is wrong, or worth knowing, about a set of images before anything learns from it."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

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
from mindspore_dpus.data.images.measures import Measures
from mindspore_dpus.data.images.phash import BITS, near_duplicates
from mindspore_dpus.data.sample_table import SPLITS, UNUSED
from mindspore_dpus.data.settings import AuditSettings

# Two exposures of one design look alike and yet may differ in a flaw of a few pixels, so near duplicates
# are no proof of anything; equal pixels and a parted group are.
UNTRAINABLE = "untrainable"
SEVERITY = {
    UNREADABLE: ERROR,
    UNTRAINABLE: ERROR,
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


def audit(
    samples: pd.DataFrame, measures: Measures, config: AuditSettings, refused: Sequence[str] = ()
) -> pd.DataFrame:
    """Look through a data set.

    Images whose split is ``unused`` need only be readable. Images without a split are compared as if
    they were one split of their own.

    Args:
        samples: the sample table.
        measures: of its images, in the same order.
        config: thresholds; errors that it allows are warnings.
        refused: why nothing can be learnt from the set.

    Returns:
        A row for each finding, the gravest kinds first: ``kind`` (a key of ``SEVERITY``), ``severity``
        (``error``, ``warning``, ``note``), ``path``, ``other`` (the image that it is compared with, or
        empty), ``detail`` (a sentence).
    """
    table = samples[["path", "label", "split", "group"]].reset_index(drop=True)
    everything = pd.concat([table, measures.table], axis=1)
    findings, used = begin(everything)
    findings += [(UNTRAINABLE, "", "", reason) for reason in refused]
    for group, (first, here), (other, there) in parted_groups(used):
        detail = f"group {group}: {here} images in {first['split'] or 'no split'}, {there} in {other['split']}"
        findings.append(("groups_across_splits", other["path"], first["path"], detail))
    findings += _constant(used)
    # Blank images are equal without being copies of each other.
    varied = used[used["low"] < used["high"]]
    findings += exact_duplicates(varied, "pixels", varied["label"])
    if config.near_distance is not None:
        findings += _near_duplicates(varied, measures.coefficients, config.near_distance)
    findings += _sizes(used)
    findings += _formats(used)
    findings += _saturated(varied, config.saturation)
    findings += _class_counts(samples)
    return as_table(findings, SEVERITY, config.allow)


def _constant(used: pd.DataFrame) -> Iterator[Finding]:
    for row in used[used["low"] == used["high"]].itertuples():
        yield "constant_image", row.path, "", f"every pixel is {row.low:g}"


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
    yield from rare_values(used, "dtype", "bit_depth_outlier", "images")
    yield from rare_values(used, "channels", "channels_outlier", "images", " channels")
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
