"""Tables 1 to 4 of the DCASE 2022 report: its numbers beside those of a run. No MindSpore here."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import write_text
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.leaks import unmarked

MACHINES = ("bearing", "fan", "gearbox", "slider", "valve", "ToyCar", "ToyTrain")
ALL = "all"
BASELINE_AE, BASELINE_MN = "Official autoencoder", "Official MobileNetV2"
EARLIER = "Kuroyanagi et al. [5]"
GENERALISED, SPECIALISED = "Domain generalization", "Domain specialization"
# Per cent, as printed: bearing, fan, gearbox, slider, valve, ToyCar, ToyTrain, all. In Tables 2 and 3 valve
# and ToyCar of the official MobileNetV2 share a number, so one of them must be a copy.
PAPER: dict[str, dict[str, tuple[float, ...]]] = {
    "table1": {
        BASELINE_AE: (54.42, 78.59, 68.93, 77.95, 52.01, 90.41, 76.32, 67.29),
        BASELINE_MN: (60.55, 70.75, 69.19, 65.05, 67.66, 67.66, 57.57, 63.04),
        EARLIER: (64.76, 70.78, 78.36, 93.08, 92.03, 63.40, 63.70, 73.36),
        GENERALISED: (69.46, 68.90, 78.98, 94.52, 92.33, 73.58, 72.46, 77.46),
        SPECIALISED: (68.16, 73.87, 79.44, 94.18, 92.18, 74.82, 79.08, 79.30),
        f"{GENERALISED} per machine": (84.99, 80.41, 86.10, 96.09, 96.28, 82.29, 76.59, 85.55),
        f"{SPECIALISED} per machine": (90.38, 84.21, 90.82, 96.66, 97.42, 91.03, 84.86, 90.52),
    },
    "table2": {
        BASELINE_AE: (58.38, 47.18, 62.64, 47.67, 49.46, 34.81, 23.35, 43.45),
        BASELINE_MN: (60.09, 48.22, 56.23, 38.40, 57.75, 57.75, 45.79, 50.90),
        EARLIER: (76.01, 61.07, 65.41, 68.58, 84.84, 54.42, 45.99, 62.89),
        GENERALISED: (88.43, 63.52, 66.61, 69.16, 83.16, 64.32, 50.19, 67.29),
        SPECIALISED: (85.91, 63.17, 68.48, 76.46, 88.52, 67.22, 53.27, 69.93),
        f"{GENERALISED} per machine": (91.66, 75.28, 81.21, 86.90, 91.30, 75.58, 61.55, 79.14),
        f"{SPECIALISED} per machine": (91.38, 78.49, 82.13, 90.38, 93.52, 80.24, 66.66, 82.28),
    },
    "table3": {
        BASELINE_AE: (54.07, 58.23, 61.86, 57.42, 50.53, 51.47, 58.59, 56.10),
        BASELINE_MN: (58.59, 57.15, 58.90, 51.31, 62.48, 62.48, 51.26, 56.31),
        EARLIER: (67.40, 65.06, 71.34, 73.96, 91.05, 59.60, 51.64, 66.75),
        GENERALISED: (73.25, 65.33, 72.50, 75.72, 91.21, 67.12, 54.18, 69.81),
        SPECIALISED: (71.38, 66.32, 73.34, 79.06, 92.43, 70.71, 57.18, 71.56),
        f"{GENERALISED} per machine": (86.87, 75.38, 82.46, 90.45, 94.94, 77.23, 65.40, 80.71),
        f"{SPECIALISED} per machine": (87.81, 78.15, 84.35, 89.34, 96.33, 79.03, 62.53, 81.15),
    },
    "table4": {
        "domain classifier": (77.45, 92.90, 65.30, 75.15, 70.38, 98.68, 99.82, 82.81),
    },
}
# Whose cells a table has: definition and domain of ``results.csv``.
CELLS = {
    "table1": ("domain", "source"),
    "table2": ("domain", "target"),
    "table3": ("together", "both"),
}
# Our rows that repeat one of the paper's, besides ensembles.
BASELINE_OURS = {"autoencoder baseline": BASELINE_AE, "MobileNetV2 baseline": BASELINE_MN}


def repeats_earlier(config: Configuration) -> bool:
    """Whether a run repeats the system of reference [5], which is that of section 2.1: EfficientNet-B0 by
    Eq. 3, without target-domain clips in every batch and without pseudo-normals."""
    extractors = config.extractors
    return (
        extractors.networks == ("efficientnet_b0",)
        and extractors.batches == "plain"
        and extractors.target_per_batch == 0
        and config.detectors.pseudo_normals == 0
    )


def row_of(name: str, scope: str, earlier: bool = False) -> str | None:
    """Which row of the paper's a row of a run's tables repeats; None: none.

    Args:
        name: of the run's row.
        scope: the run's ``ensemble.scope``.
        earlier: ``repeats_earlier``: such a run's best single system is row [5], and its ensembles are none of
            the paper's.
    """
    name = unmarked(name)
    if name in BASELINE_OURS:
        return BASELINE_OURS[name]
    if earlier:
        return EARLIER if name == "generalised, best one" else None
    approach, _, kind = name.partition(", ")
    titles = {"generalised": GENERALISED, "specialised": SPECIALISED}
    kinds = {"ensemble, common": "common", "ensemble, per machine": "per_machine", "ensemble": scope}
    if approach not in titles or kind not in kinds:
        return None
    return titles[approach] + ("" if kinds[kind] == "common" else " per machine")


def _ours(cells: pd.DataFrame) -> dict[str, float]:
    """Machine -> harmonic mean of its cells; ``all`` -> that of all cells. Per cent."""
    defined = cells[cells["value"].astype(float).notna()]
    values = defined["value"].astype(float)
    if (values <= 0).any():
        return {}
    inverse = 100 / (1 / values).groupby(defined["machine"]).mean()
    return dict(inverse) | {ALL: 100 / float((1 / values).mean())}


def paper_tables(
    results: pd.DataFrame, domains: pd.DataFrame, scope: str, earlier: bool = False
) -> dict[str, pd.DataFrame]:
    """The tables.

    Args:
        results: a run's ``results.csv``.
        domains: its ``domain_auc.csv``.
        scope: its ``ensemble.scope``.
        earlier: of ``row_of``.

    Returns:
        ``table1`` ... ``table4`` -> ``row``, ``whose`` (paper, ours), the machines (the paper's, then
        others of the run) and ``all``; per cent, nan where there is no number. The paper's rows come first;
        rows of ours that repeat one of them follow it, others stand at the end.
    """
    others = sorted(set(results["machine"]) | set(domains["machine"]))
    machines = [*MACHINES, *(m for m in others if m not in MACHINES)]
    found = {}
    for name, rows in PAPER.items():
        ours: dict[str, dict[str, float]] = {}
        if name in CELLS:
            definition, domain = CELLS[name]
            mine = results[(results["definition"] == definition) & (results["domain"] == domain)]
            # Empty sections are means already.
            mine = mine[mine["section"] != ""]
            ours = {row: _ours(part) for row, part in mine.groupby("row", sort=False)}
        else:
            for vectors, part in domains.groupby("vectors"):
                values = part["auc"].astype(float)
                means = 100 * values.groupby(part["machine"]).mean()
                ours[f"by {vectors}"] = dict(means) | {ALL: 100 * float(values.mean())}
        lines = []
        for title, numbers in rows.items():
            lines.append((title, "paper", dict(zip((*MACHINES, ALL), numbers, strict=True))))
            lines += [
                (row, "ours", v) for row, v in ours.items() if row_of(row, scope, earlier) == title
            ]
        lines += [(row, "ours", v) for row, v in ours.items() if row_of(row, scope, earlier) is None]
        found[name] = pd.DataFrame(
            [
                {"row": row, "whose": whose} | {m: v.get(m, np.nan) for m in (*machines, ALL)}
                for row, whose, v in lines
            ]
        )
    return found


def write_paper_tables(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """``table1.csv`` ... and the same as Markdown, to two decimals."""
    for name, table in tables.items():
        write_table(table.round(2), folder / f"{name}.csv")
        head = [str(column) for column in table]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for values in table.itertuples(index=False):
            cells = [v if isinstance(v, str) else ("" if np.isnan(v) else f"{v:.2f}") for v in values]
            lines.append("| " + " | ".join(cells) + " |")
        write_text(folder / f"{name}.md", "\n".join(lines) + "\n")
