"""scores of all systems -> ensembles -> scores.csv, rows of the tables, and the product's detectors."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, read_json, write_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.arrays import save_arrays
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL
from mindspore_dpus.decision.gamma import gamma_threshold
from mindspore_dpus.detectors.archive import save_detectors
from mindspore_dpus.detectors.pseudo_anomalies import pseudo_table
from mindspore_dpus.detectors.selection import Selection, select_systems
from mindspore_dpus.detectors.systems import System
from mindspore_dpus.systems.machine_sound.baseline_stage import baseline_scores
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.detect_stage import (
    CLIP,
    fitting_of,
    kept_systems,
    simple_system,
    usable,
)
from mindspore_dpus.systems.machine_sound.run_data import (
    TEST,
    machines,
    read_clips,
    unusable_sections,
)
from mindspore_dpus.systems.machine_sound.section_scores import fitted, section_vectors
from mindspore_dpus.systems.machine_sound.settings import SoundDecisionSettings
from mindspore_dpus.systems.machine_sound.vectors import used

SIMPLE_ROW = "simple features"
BASELINE_ROWS = {"autoencoder": "autoencoder baseline", "mobilenet_v2": "MobileNetV2 baseline"}
# Behind the name of a row whose numbers saw the test clips' labels or scores.
LEAKS = " (test data leak in)"


def leaks(config: Configuration, selected: bool) -> str:
    """The mark of a row; ``selected``: whether systems were chosen for it."""
    by_labels = selected and config.ensemble.select_by == "test_labels"
    return LEAKS if by_labels or config.standardise.by == "test" else ""


def make_ensemble(folder: Path, config: Configuration) -> None:
    """``selection.json``; ``rows.csv``: a row a test clip, a column a row of the tables; ``scores.csv``:
    the product's score and decision of each; ``detectors.npz``, ``scaling.npz``, ``scorer.json``: all
    that scoring a clip needs.

    Raises:
        UserError: as ``select_systems``; or a threshold cannot be fitted.
    """
    systems = kept_systems(folder, config)
    scores, pseudo = read_table(folder / "system_scores.csv"), read_table(folder / "pseudo_scores.csv")
    rows = {}
    for name in config.baselines.names:
        rows[BASELINE_ROWS[name]] = baseline_scores(folder, name, scores["path"])
    simple = simple_system(config)
    if simple in systems:
        rows[SIMPLE_ROW + leaks(config, False)] = scores[simple.name].to_numpy()
    selections: dict[str, Selection] = {}
    for domains in config.detectors.domains:
        mine = [s for s in systems if s.model.domains == domains]
        if not mine:
            continue
        selection = _selected(config, mine, scores, pseudo)
        selections[domains] = selection
        mark = leaks(config, True)
        rows[f"{domains}, best one{mark}"] = _mean(scores, selection, 1)
        rows[f"{domains}, ensemble{mark}"] = _mean(scores, selection, None)
    product = config.ensemble.product
    if product not in selections:
        raise UserError(
            f"ensemble.product is {product}, and no {product} system can be fitted (systems.csv says "
            "why); give more normals, or smaller detectors.sizes"
        )
    write_json(
        folder / "selection.json",
        {
            domains: {
                "leaks": s.leaks,
                "members": {m: list(names) for m, names in s.members.items()},
                "arbitrary": s.arbitrary,
                "values": {m: s.values[m].to_dict() for m in s.values.columns},
            }
            for domains, s in selections.items()
        },
    )
    write_table(pd.concat([scores[CLIP], pd.DataFrame(rows)], axis=1), folder / "rows.csv")
    normals = _held_out(pseudo, systems, selections[product])
    thresholds = _thresholds(normals, config.decision)
    mark = f"{product}, ensemble{leaks(config, True)}"
    _write_scores(folder, scores[CLIP].assign(score=rows[mark]), thresholds)
    _write_product(folder, config, systems, selections[product], thresholds)


def _selected(
    config: Configuration, systems: list[System], scores: pd.DataFrame, pseudo: pd.DataFrame
) -> Selection:
    """The best systems; with ``each_vectors``, so many of every kind of vectors."""
    if not config.ensemble.each_vectors:
        return _select(config, systems, scores, pseudo)
    kinds = dict.fromkeys(system.model.vectors for system in systems)
    parts = [
        _select(config, [s for s in systems if s.model.vectors == kind], scores, pseudo)
        for kind in kinds
    ]
    values = pd.concat([part.values for part in parts])
    members = {}
    for machine in parts[0].members:
        chosen = [name for part in parts for name in part.members[machine]]
        # The best first, whatever kind it is of; equal ones in the order of their kinds.
        members[machine] = tuple(sorted(chosen, key=lambda name, m=machine: -values.loc[name, m]))
    arbitrary = {m: sum(part.arbitrary[m] for part in parts) for m in members}
    return parts[0]._replace(members=members, values=values, arbitrary=arbitrary)


def _select(
    config: Configuration, systems: list[System], scores: pd.DataFrame, pseudo: pd.DataFrame
) -> Selection:
    ensemble = config.ensemble
    if ensemble.select_by == "pseudo":
        tables = {}
        for system in systems:
            part = pseudo[pseudo["vectors"] == system.model.vectors]
            part = part[[*CLIP, system.name]].rename(columns={system.name: "score"})
            part = part.astype({"score": float})
            normal, other = (part[part["label"] == label] for label in (NORMAL, ANOMALY))
            tables[system.name] = pseudo_table(normal, other)
    else:
        labelled = scores[scores["label"].isin((NORMAL, ANOMALY))]
        tables = {s.name: labelled[CLIP].assign(score=labelled[s.name]) for s in systems}
        if labelled.empty:
            raise UserError("ensemble.select_by is test_labels, and no test clip is labelled")
    return select_systems(
        tables,
        min(ensemble.size or len(systems), len(systems)),
        scope=ensemble.scope,
        select_by=ensemble.select_by,
        max_fpr=config.evaluation.max_fpr,
    )


def _mean(scores: pd.DataFrame, selection: Selection, n: int | None) -> np.ndarray:
    """(N,) mean of the n best systems of each clip's machine; None: of all that are chosen."""
    values = np.full(len(scores), np.nan)
    machine_of = scores["machine"].to_numpy()
    for machine, names in selection.members.items():
        rows = machine_of == machine
        values[rows] = scores.loc[rows, list(names[:n])].to_numpy(float).mean(axis=1)
    return values


def _held_out(pseudo: pd.DataFrame, systems: list[System], selection: Selection) -> pd.DataFrame:
    """Mean held-out score of normals by the chosen systems, clip by clip: of those clips that all kinds
    of vectors among them have held out."""
    vectors_of = {system.name: system.model.vectors for system in systems}
    parts = []
    for (machine, section), part in pseudo[pseudo["label"] == NORMAL].groupby(["machine", "section"]):
        columns = []
        for name in selection.members[machine]:
            own = part[part["vectors"] == vectors_of[name]].set_index("path")[name]
            columns.append(own.astype(float))
        together = pd.concat(columns, axis=1, join="inner").mean(axis=1)
        parts.append(
            pd.DataFrame({"machine": machine, "section": section, "score": together.to_numpy()})
        )
    return pd.concat(parts, ignore_index=True)


def _thresholds(normals: pd.DataFrame, decision: SoundDecisionSettings) -> dict[tuple[str, str], float]:
    found = {}
    for key, part in normals.groupby(["machine", "section"]):
        scores = part["score"].to_numpy()
        if decision.rule == "quantile":
            found[key] = float(np.quantile(scores, decision.quantile))
            continue
        try:
            found[key] = gamma_threshold(scores, decision.quantile).threshold
        except UserError as error:
            machine, section = key
            raise UserError(
                f"{machine} section {section}: {error} (decision.rule quantile needs no fit)"
            ) from None
    return found


def _write_scores(folder: Path, scores: pd.DataFrame, thresholds: dict) -> None:
    """``scores.csv``: also of clips that have no score, and why."""
    limit = [thresholds[key] for key in zip(scores["machine"], scores["section"], strict=True)]
    scores = scores.assign(
        threshold=limit, decision=(scores["score"] > limit).astype(int).astype(object), error=""
    )
    table = used(read_clips(folder))
    unusable = unusable_sections(table)
    keys = list(zip(table["machine"], table["section"], strict=True))
    without = table[np.array([key in unusable for key in keys]) & (table["split"] == TEST).to_numpy()]
    if len(without):
        reasons = [unusable[key] for key in zip(without["machine"], without["section"], strict=True)]
        empty = without[CLIP].assign(score="", threshold="", decision="", error=reasons)
        scores = pd.concat([scores.astype(object), empty])
    write_table(scores, folder / "scores.csv")


def _write_product(
    folder: Path, config: Configuration, systems: list[System], selection: Selection, thresholds: dict
) -> None:
    """Fit the chosen models on all normals, and say how they are used."""
    table = used(read_clips(folder))
    moments = read_json(folder / "moments.json")
    by_name = {system.name: system for system in systems}
    detectors, scaling, sections = {}, {}, {}
    for machine, section in usable(table):
        place = f"{machine}/{section}"
        chosen = [by_name[name] for name in selection.members[machine]]
        for name in dict.fromkeys(s.model.vectors for s in chosen):
            data = section_vectors(config, folder, table, name, machine, section)
            for kind, part in (("projection", data.projection), ("domain", data.domain)):
                if part is not None:
                    for key, value in part.to_arrays().items():
                        scaling[f"{place}/{name}/{kind}/{key}"] = value
            for model in dict.fromkeys(s.model for s in chosen if s.model.vectors == name):
                for role, detector in fitted(data, model, fitting_of(config)).items():
                    detectors[f"{place}/{model.name}/{role}"] = detector
        sections.setdefault(machine, {})[section] = {
            "threshold": thresholds[machine, section],
            "has_target": bool(
                (
                    (table["machine"] == machine)
                    & (table["section"] == section)
                    & (table["split"] == "train")
                    & (table["domain"] == "target")
                ).any()
            ),
            "moments": {s.name: moments[machine][section][s.name] for s in chosen},
        }
    save_detectors(folder / "detectors.npz", detectors)
    with atomic(folder / "scaling.npz") as temporary:
        save_arrays(temporary, scaling)
    write_json(
        folder / "scorer.json",
        {
            "kappa": config.detectors.kappa,
            "systems": {
                machine: [
                    {**by_name[name].model._asdict(), "aggregator": by_name[name].aggregator}
                    for name in selection.members[machine]
                ]
                for machine in machines(table)
            },
            "sections": sections,
        },
    )
