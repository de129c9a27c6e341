"""What is wrong, or worth knowing, about a data set: what a finding is, and those of any kind of data.

The kinds of images and of sounds are in ``data.images.findings`` and ``data.audio.findings``.
"""

from collections.abc import Collection, Iterator, Mapping

import pandas as pd

from mindspore_dpus.data.sample_table import SPLITS, UNUSED

COLUMNS = ["kind", "severity", "path", "other", "detail"]
ERROR, WARNING, NOTE = "error", "warning", "note"
UNREADABLE = "unreadable"
# Its kind, its sample, the one that it is compared with or empty, and a sentence.
Finding = tuple[str, str, str, str]


def begin(samples: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame]:
    """What cannot be read, and the samples that can and are used.

    Args:
        samples: ``path, split, error`` and more.

    Returns:
        A finding for each error; and the other rows but for the unused ones, with the number of their
        split as ``part``, in the order of the splits: of two samples, the held-out one is the later.
    """
    errors = samples.loc[samples["error"] != "", ["path", "error"]].to_numpy()
    findings = [(UNREADABLE, path, "", error) for path, error in errors]
    used = samples[(samples["error"] == "") & (samples["split"] != UNUSED)]
    order = used["split"].map({"": 0, **{name: i for i, name in enumerate(SPLITS)}})
    return findings, used.assign(part=order).sort_values("part", kind="stable")


def parted_groups(
    used: pd.DataFrame,
) -> Iterator[tuple[str, tuple[pd.Series, int], tuple[pd.Series, int]]]:
    """Groups that lie in several splits: the group, then the first sample and the number of samples of
    two of its splits.

    Args:
        used: of ``begin``, with ``group``.
    """
    # One group for all is no group, as for the splits.
    if used["group"].nunique() < 2:
        return
    for group, rows in used[used["group"] != ""].groupby("group", sort=False):
        first = rows.iloc[0]
        for _, other in rows[rows["part"] > first["part"]].drop_duplicates("part").iterrows():
            here, there = ((row, int((rows["split"] == row["split"]).sum())) for row in (first, other))
            yield group, here, there


def exact_duplicates(used: pd.DataFrame, content: str, meanings: pd.Series) -> Iterator[Finding]:
    """Equal samples in several splits, in one, and of several meanings.

    Args:
        used: of ``begin``, but for samples without anything in them.
        content: the column, and the word, of what is equal.
        meanings: what each of these samples stands for.
    """
    repeated = used[used[content].duplicated(keep=False)]
    for _, rows in repeated.groupby(content, sort=False):
        first = rows.iloc[0]
        for number, part in rows.groupby("part", sort=False):
            # Against the other split once, against its own split for each further copy.
            head = part.iloc[0]
            split = head["split"] or "no split"
            if number != first["part"]:
                detail = f"equal {content} in {first['split'] or 'no split'} and {split}"
                yield "exact_duplicates_across_splits", head["path"], first["path"], detail
            for path in part["path"].iloc[1:]:
                yield "exact_duplicates", path, head["path"], f"equal {content} in {split}"
        meant = meanings[rows.index]
        for path, meaning in zip(rows["path"], meant, strict=True):
            if meaning != meant.iloc[0]:
                detail = f"equal {content}, but {meaning} and {meant.iloc[0]}"
                yield "conflicting_labels", path, first["path"], detail


def rare_values(
    used: pd.DataFrame, column: str, kind: str, samples: str, unit: str = ""
) -> Iterator[Finding]:
    """Samples with another value than the most frequent one.

    Args:
        used: of ``begin``.
        column: of the value.
        kind: of the finding.
        samples: what the samples are called.
        unit: follows a value.
    """
    counts = used[column].value_counts()
    for row in used[used[column] != counts.index[0]].itertuples() if len(counts) > 1 else ():
        value = getattr(row, column)
        detail = f"{value}{unit}; {counts.iloc[0]} of {len(used)} {samples} have {counts.index[0]}"
        yield kind, row.path, "", detail


def as_table(
    findings: list[Finding], severity: Mapping[str, str], allow: Collection[str]
) -> pd.DataFrame:
    """Findings as rows of ``COLUMNS``, the gravest kinds first.

    Args:
        findings: in any order of kinds.
        severity: kind -> ``error``, ``warning`` or ``note``, the gravest first.
        allow: kinds of errors that are warnings.
    """
    rank = {kind: i for i, kind in enumerate(severity)}
    severity = {**severity, **dict.fromkeys((k for k in allow if severity[k] == ERROR), WARNING)}
    ordered = sorted(findings, key=lambda finding: rank[finding[0]])
    return pd.DataFrame([(kind, severity[kind], *rest) for kind, *rest in ordered], columns=COLUMNS)


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
