"""rows.csv, scores.csv -> metrics.json, results.csv, challenge files."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import read_json, write_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL, SOURCE, TARGET, UNKNOWN
from mindspore_dpus.detectors.domains import mean_logit
from mindspore_dpus.detectors.systems import SPECIALISED
from mindspore_dpus.metrics.anomaly import auc, harmonic_means, section_results
from mindspore_dpus.metrics.anomaly_decisions import decision_results
from mindspore_dpus.metrics.anomaly_intervals import mean_intervals
from mindspore_dpus.systems.machine_sound.challenge import write_challenge_files
from mindspore_dpus.systems.machine_sound.detect_stage import CLIP
from mindspore_dpus.systems.machine_sound.leaks import find_row, leaking
from mindspore_dpus.systems.machine_sound.paper_tables import (
    PAPER,
    paper_tables,
    write_paper_tables,
)
from mindspore_dpus.systems.machine_sound.settings import SoundEvaluationSettings

logger = logging.getLogger(__name__)

# Name of a number -> definition, and which of its cells (columns and their values).
NUMBERS = {
    "official": ("official", {}),
    "source": ("domain", {"domain": "source"}),
    "target": ("domain", {"domain": "target"}),
    "both": ("together", {}),
    "auc": ("together", {"metric": "auc"}),
    "pauc": ("together", {"metric": "pauc"}),
}
FUSED = "fused"
# Of ``domain_auc``: by all kinds of vectors that the ensemble's systems see.
ENSEMBLE = "ensemble"


def metric_of(table: pd.DataFrame, evaluation: SoundEvaluationSettings, seed: int) -> dict:
    """Every number of a table of scores, harmonic means with their intervals.

    Args:
        table: ``metrics.anomaly``'s, perhaps with ``group``.
        evaluation: the section.
        seed: of the bootstrap.

    Returns:
        Name (``NUMBERS``) -> value, low, high; None where it is undefined.
    """
    grouped = "group" in table and (table["group"] != "").any()
    found: dict[str, dict] = {}
    for name, (definition, wanted) in NUMBERS.items():
        found[name] = {"value": None, "low": None, "high": None}
        if definition != "together" and (table["domain"] == UNKNOWN).any():
            continue
        options = {
            "by": list(wanted),
            "max_fpr": evaluation.max_fpr,
            "n_bootstrap": evaluation.n_bootstrap,
            "random_state": seed,
            "group_column": "group" if grouped else None,
        }
        if evaluation.n_bootstrap:
            means = mean_intervals(table, definition, confidence=evaluation.confidence, **options)
        else:
            means = harmonic_means(
                section_results(table, definition, evaluation.max_fpr), list(wanted)
            ).assign(low=np.nan, high=np.nan)
        for column, value in wanted.items():
            means = means[means[column] == value]
        if len(means):
            row = means.iloc[0]
            found[name] = {key: _number(row[key]) for key in ("value", "low", "high")}
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def per_machine(table: pd.DataFrame, max_fpr: float) -> pd.DataFrame:
    """Every section's cells, and each machine's harmonic means, of all definitions.

    Returns:
        ``definition, machine, section, domain, metric, value``; a machine's mean of a domain has an
        empty section, and the metric ``mean`` (of AUC and pAUC), as the paper's tables have it.
    """
    parts = []
    for definition in ("domain", "together", "official"):
        if definition != "together" and (table["domain"] == UNKNOWN).any():
            continue
        cells = section_results(table, definition, max_fpr)
        parts.append(cells.assign(definition=definition))
        means = harmonic_means(cells, ["machine", "domain"])
        parts.append(means.assign(section="", metric="mean", definition=definition))
    columns = ["definition", "machine", "section", "domain", "metric", "value"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def domain_aucs(domains: pd.DataFrame) -> pd.DataFrame:
    """AUC of telling the test clips' domains apart, by section (Table 4)."""
    rows = []
    for key, part in domains.groupby(["vectors", "machine", "section"]):
        known = part[part["domain"].isin((SOURCE, TARGET))]
        logits = known["logit"].to_numpy(float)
        if not len(known) or not np.isfinite(logits).all():
            continue
        value = auc((known["domain"] == TARGET).to_numpy(), logits)
        rows.append((*key, value))
    return pd.DataFrame(rows, columns=["vectors", "machine", "section", "auc"])


def ensemble_domains(domains: pd.DataFrame, selection: Mapping) -> pd.DataFrame:
    """The logit by which an ensemble tells the domains apart, as rows ``ensemble``.

    Args:
        domains: of ``domains.csv``.
        selection: of ``selection.json``, of one approach: domain -> what is chosen.
    """
    parts = []
    for machine, part in domains.groupby("machine"):
        chosen = [kind for s in selection.values() for kind in s["vectors"].get(machine, ())]
        own = {kind: part[part["vectors"] == kind] for kind in dict.fromkeys(chosen)}
        first = next(iter(own.values()))
        logits = [table.set_index("path")["logit"].loc[first["path"]] for table in own.values()]
        logit = mean_logit([values.astype(float) for values in logits])
        parts.append(first.assign(vectors=ENSEMBLE, logit=logit))
    return pd.concat(parts) if parts else domains


def make_metrics(
    folder: Path,
    evaluation: SoundEvaluationSettings,
    product: str,
    scope: str,
    seed: int,
    earlier: bool = False,
) -> None:
    """``metrics.json``: for every row of the tables its numbers, the product's as ``fused``; ``leaks``:
    which of them saw the test clips' labels or scores; ``results.csv``: all cells of all rows;
    ``domain_auc.csv``; ``decisions.csv``; ``challenge/``; with ``evaluation.paper`` ``tables/``.

    Args:
        folder: with ``rows.csv``, ``scores.csv`` and ``domains.csv``.
        evaluation: the section.
        product: the row that is the product.
        scope: of the ensembles.
        seed: of the bootstrap.
        earlier: whether the run repeats the system that the report improves (its reference [5]).
    """
    samples = read_table(folder / "samples.csv").set_index("path")
    rows, scores = read_table(folder / "rows.csv"), read_table(folder / "scores.csv")
    rows = rows.assign(group=samples["group"].reindex(rows["path"]).to_numpy())
    labelled = rows[rows["label"].isin((NORMAL, ANOMALY))].reset_index(drop=True)
    names = [name for name in rows if name not in (*CLIP, "group")]
    models, cells = {}, []
    for name in names:
        table = labelled[[*CLIP, "group"]].assign(score=labelled[name].astype(float))
        if table.empty:
            continue
        models[name] = metric_of(table, evaluation, seed)
        cells.append(per_machine(table, evaluation.max_fpr).assign(row=name))
    if not models:
        logger.info("  note: no test clip is labelled; there are scores, and no metrics")
    domains, chosen = read_table(folder / "domains.csv"), read_json(folder / "selection.json")
    # Where there are systems of each domain, that is what weighs them.
    of_ensemble = ensemble_domains(domains, chosen.get(SPECIALISED, chosen[product]))
    domain = domain_aucs(pd.concat([domains, of_ensemble]))
    write_table(domain, folder / "domain_auc.csv")
    n_clips, without = len(scores), int((scores["error"] != "").sum())
    fused = find_row(names, f"{product}, ensemble")
    ordered = {FUSED: models[fused]} | models if fused in models else models
    means = domain.groupby("vectors")["auc"].mean() if len(domain) else {}
    if FUSED in ordered and ENSEMBLE in means:
        value = float(means[ENSEMBLE])
        ordered[FUSED] = ordered[FUSED] | {"domain_auc": {"value": value, "low": None, "high": None}}
    leaks = leaking(models)
    write_json(
        folder / "metrics.json",
        {
            "test": {
                "models": ordered,
                "leaks": [FUSED, *leaks] if fused in leaks else leaks,
                "domain_auc": {name: float(value) for name, value in dict(means).items()},
                "clips": n_clips,
                "without_score": without,
            }
        },
    )
    columns = ["row", "definition", "machine", "section", "domain", "metric", "value"]
    results = pd.concat(cells)[columns] if cells else pd.DataFrame(columns=columns)
    write_table(results, folder / "results.csv")
    if evaluation.paper:
        write_paper_tables(folder / "tables", paper_tables(results, domain, scope, earlier))
    good = scores[scores["error"] == ""].astype({"score": float, "decision": int})
    known = good[good["label"].isin((NORMAL, ANOMALY))]
    decided = decision_results(known) if len(known) else pd.DataFrame(columns=["machine"])
    write_table(decided, folder / "decisions.csv")
    write_challenge(folder / "challenge", good)


def write_challenge(folder: Path, scores: pd.DataFrame) -> None:
    """The challenge's files, of those sections whose names can stand in such files; a note on others."""
    named = scores["machine"].map(lambda m: bool(re.fullmatch(r"[A-Za-z0-9-]+", m)))
    named &= scores["section"].map(lambda s: bool(re.fullmatch(r"[0-9]{2}", s)))
    if not named.all():
        row = scores[~named].iloc[0]
        logger.info(
            "  note: no challenge file for %s section %s: its name does not fit",
            row["machine"],
            row["section"],
        )
    table = scores[named]
    table = table.assign(name=table["path"].map(lambda path: Path(path).name))
    if len(table):
        write_challenge_files(table, folder)


def challenge_artefacts(folder: Path) -> list[str]:
    """The challenge files that are there."""
    return sorted(f"challenge/{path.name}" for path in (folder / "challenge").glob("*.csv"))


def paper_artefacts(paper: bool) -> list[str]:
    """The files of the paper's tables, where they are wanted."""
    return [f"tables/{name}.{kind}" for name in PAPER for kind in ("csv", "md")] if paper else []
