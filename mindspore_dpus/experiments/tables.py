"""Results of a grid -> tables (CSV, Markdown, LaTeX), paired differences, a figure."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.data.samples import class_names, read_table, write_table
from mindspore_dpus.evaluation import plots
from mindspore_dpus.evaluation.metrics import roc_auc
from mindspore_dpus.evaluation.predictions import read_predictions
from mindspore_dpus.experiments.grid import Case, Experiment
from mindspore_dpus.experiments.runner import is_done
from mindspore_dpus.run import read_json, write_text

BOOTSTRAPS = 1000


def write_results(experiment: Experiment, cases: list[Case], output: Path) -> pd.DataFrame:
    """Write every table and figure of an experiment.

    Args:
        experiment: the grid.
        cases: its runs; those that are not done are left out.
        output: where to: ``results.csv`` (a row a run), ``table.csv``, ``table.md``, ``table.tex``
            (mean and standard deviation over the seeds), ``figure.svg``.

    Returns:
        The table: a row a cell; ``runs``; for each metric ``<metric>_mean`` and ``_sd`` (over seeds);
        and, with a reference, ``difference``, ``difference_low``, ``difference_high`` of the AUC.
    """
    done = [case for case in cases if is_done(case)]
    axes = list(experiment.axes)
    results = pd.DataFrame(
        [{**case.cell, "seed": case.seed, **_metrics(case, experiment.metrics)} for case in done],
        columns=[*axes, "seed", *experiment.metrics],
    )
    write_table(results, output / "results.csv")
    rows = []
    for cell in dict.fromkeys(tuple(case.cell.values()) for case in done):
        part = results[(results[axes] == list(cell)).all(axis=1)]
        row = {**dict(zip(axes, cell, strict=True)), "runs": len(part)}
        for metric in experiment.metrics:
            row[f"{metric}_mean"] = part[metric].mean()
            row[f"{metric}_sd"] = part[metric].std(ddof=1)
        if experiment.reference:
            row |= _difference(dict(zip(axes, cell, strict=True)), experiment, done)
        rows.append(row)
    table = pd.DataFrame(rows)
    write_table(table.round(4), output / "table.csv")
    readable = _readable(table, axes, experiment.metrics)
    write_text(output / "table.md", _markdown(readable))
    write_text(output / "table.tex", _latex(readable))
    if len(table):
        write_text(output / "figure.svg", plots.grid(table, axes, experiment.x))
    return table


def _metrics(case: Case, names: list[str]) -> dict[str, float]:
    fused = read_json(Path(case.config.output) / "metrics.json")["test"]["models"]["fused"]
    return {n: np.nan if fused[n]["value"] is None else fused[n]["value"] for n in names}


def _difference(cell: dict[str, str], experiment: Experiment, done: list[Case]) -> dict:
    """AUC of a cell minus that of its reference: mean over shared seeds, and a bootstrap interval."""
    other = cell | experiment.reference
    if other == cell:
        return {}
    own = {case.seed: case for case in done if case.cell == cell}
    reference = {case.seed: case for case in done if case.cell == other}
    seeds = sorted(set(own) & set(reference))
    if not seeds:
        return {}
    pairs = [(_test_scores(own[s]), _test_scores(reference[s])) for s in seeds]
    mean, low, high = paired_difference(pairs)
    return {"difference": mean, "difference_low": low, "difference_high": high}


def _test_scores(case: Case) -> tuple[np.ndarray, np.ndarray]:
    folder = Path(case.config.output)
    classes = class_names(read_table(folder / "samples.csv"))
    labels, outputs = read_predictions(folder / "predictions_test.csv", classes)
    return labels, outputs[plots.FUSED]


def paired_difference(
    pairs: list[tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]],
    n_bootstrap: int = BOOTSTRAPS,
    random_state: int = 0,
) -> tuple[float, float, float]:
    """Mean difference of AUC between two methods, with a 95 % interval over seeds and images.

    Args:
        pairs: for each seed, (labels, probabilities) of the one method and of the other, on the same
            images in the same order.
        n_bootstrap: replicates; each draws seeds with repetition and, for each, images within their
            class, the same ones for both methods.
        random_state: seed.

    Returns:
        Mean, low, high.
    """
    rng = np.random.default_rng(random_state)
    mean = np.mean([roc_auc(*one) - roc_auc(*other) for one, other in pairs])
    replicates = []
    for _ in range(n_bootstrap):
        differences = []
        for i in rng.integers(len(pairs), size=len(pairs)):
            (labels, one), (_, other) = pairs[i]
            rows = [np.flatnonzero(labels == c) for c in np.unique(labels)]
            sample = np.concatenate([rng.choice(r, len(r)) for r in rows])
            drawn = labels[sample]
            differences.append(roc_auc(drawn, one[sample]) - roc_auc(drawn, other[sample]))
        replicates.append(np.mean(differences))
    low, high = np.quantile(replicates, [0.025, 0.975])
    return float(mean), float(low), float(high)


def _readable(table: pd.DataFrame, axes: list[str], metrics: list[str]) -> pd.DataFrame:
    """The table with ``mean ± sd`` in one cell, as in the paper's Table 2."""
    readable = table[[*axes, "runs"]].astype(str) if len(table) else pd.DataFrame(columns=axes)
    for metric in metrics if len(table) else []:
        pairs = zip(table[f"{metric}_mean"], table[f"{metric}_sd"], strict=True)
        readable[metric] = [f"{m:.4f}" + (f" ± {s:.4f}" if np.isfinite(s) else "") for m, s in pairs]
    if "difference" in table:
        columns = ["difference", "difference_low", "difference_high"]
        readable["AUC difference"] = [
            f"{d:+.4f} [{low:+.4f}, {high:+.4f}]" if np.isfinite(d) else "reference"
            for d, low, high in table[columns].to_numpy()
        ]
    return readable


def _markdown(table: pd.DataFrame) -> str:
    lines = [" | ".join(table.columns), " | ".join("---" for _ in table.columns)]
    lines += [" | ".join(row) for row in table.to_numpy().tolist()]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _latex(table: pd.DataFrame) -> str:
    def escape(text: str) -> str:
        for character in "&%_#":
            text = text.replace(character, "\\" + character)
        return text.replace("±", "$\\pm$")

    rows = [table.columns.tolist(), *table.to_numpy().tolist()]
    body = [" & ".join(escape(cell) for cell in row) + r" \\" for row in rows]
    head = [rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}", r"\toprule", body[0], r"\midrule"]
    return "\n".join([*head, *body[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"
