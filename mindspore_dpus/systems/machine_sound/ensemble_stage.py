"""scores of all systems -> ensembles -> scores.csv, rows of the tables, and the product's detectors."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, read_json, write_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.arrays import save_arrays
from mindspore_dpus.data.audio.names import TARGET
from mindspore_dpus.decision.gamma import gamma_threshold
from mindspore_dpus.detectors.archive import save_detectors
from mindspore_dpus.detectors.systems import LEARNT, System, learnt
from mindspore_dpus.features.simple_sound import SIMPLE
from mindspore_dpus.systems.machine_sound.baseline_stage import baseline_scores
from mindspore_dpus.systems.machine_sound.choosing import (
    Chosen,
    choose,
    kinds_of,
    scores_of_normals,
    scores_of_test,
    with_scope,
)
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.detect_stage import (
    CLIP,
    all_systems,
    fitting_of,
    kept_systems,
    section_domains,
    simple_system,
    usable,
)
from mindspore_dpus.systems.machine_sound.leaks import mark
from mindspore_dpus.systems.machine_sound.run_data import (
    TEST,
    machines,
    read_clips,
    train_normals,
    unusable_sections,
)
from mindspore_dpus.systems.machine_sound.section_scores import fitted, section_vectors
from mindspore_dpus.systems.machine_sound.settings import SoundDecisionSettings
from mindspore_dpus.systems.machine_sound.vectors import used

logger = logging.getLogger(__name__)

SIMPLE_ROW = "simple features"
BASELINE_ROWS = {"autoencoder": "autoencoder baseline", "mobilenet_v2": "MobileNetV2 baseline"}
# Of the ensembles of the other scope, behind their names.
SCOPES = {"common": "common", "per_machine": "per machine"}


def make_ensemble(folder: Path, config: Configuration) -> None:
    """``selection.json``; ``rows.csv``: a row a test clip, a column a row of the tables (with
    ``evaluation.paper`` also the ensembles of the other ``ensemble.scope``); ``scores.csv``:
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
        rows[SIMPLE_ROW + mark(config, False)] = scores[simple.name].to_numpy()
    logits = _logits(folder, scores["path"])
    kappa, leak = config.detectors.kappa, mark(config, True)
    # With an empty simple.sets, simple features are a row and no part of ensembles.
    members = systems if config.simple.sets else [s for s in systems if s.model.vectors != SIMPLE]
    ensembles: dict[str, Chosen] = {}
    for approach in config.detectors.domains:
        if reason := _missing(approach, config, members, folder):
            logger.info("  note: there are no rows %s: %s", approach, reason)
            continue
        chosen = ensembles[approach] = choose(config, approach, members, scores, pseudo)
        for name, n in (("best one", 1), ("ensemble", None)):
            values = scores_of_test(chosen, members, scores, logits, kappa, n)
            rows[f"{approach}, {name}{leak}"] = values
        if config.evaluation.paper and config.ensemble.size is not None:
            other = next(scope for scope in SCOPES if scope != config.ensemble.scope)
            chosen = choose(with_scope(config, other), approach, members, scores, pseudo)
            values = scores_of_test(chosen, members, scores, logits, kappa)
            rows[f"{approach}, ensemble, {SCOPES[other]}{leak}"] = values
    product = config.ensemble.product
    if product not in ensembles:
        raise UserError(
            f"ensemble.product is {product}, and no {product} system can be fitted (systems.csv says "
            "why); give more normals, or smaller detectors.sizes"
        )
    write_json(
        folder / "selection.json",
        {
            approach: {
                domain: {
                    "leaks": s.leaks,
                    "members": {m: list(names) for m, names in s.members.items()},
                    "vectors": {m: kinds_of({domain: s}, members, m) for m in s.members},
                    "arbitrary": s.arbitrary,
                    "values": {m: s.values[m].to_dict() for m in s.values.columns},
                }
                for domain, s in chosen.items()
            }
            for approach, chosen in ensembles.items()
        },
    )
    write_table(pd.concat([scores[CLIP], pd.DataFrame(rows)], axis=1), folder / "rows.csv")
    normals = scores_of_normals(ensembles[product], members, pseudo, kappa)
    thresholds = _thresholds(normals, config.decision)
    _write_scores(folder, scores[CLIP].assign(score=rows[f"{product}, ensemble{leak}"]), thresholds)
    _write_product(folder, config, members, ensembles[product], thresholds)


def _logits(folder: Path, paths: pd.Series) -> dict[str, np.ndarray]:
    """Kind of vectors -> (N,) logit of the domain of these test clips."""
    table = read_table(folder / "domains.csv")
    return {
        kind: part.set_index("path")["logit"].astype(float).loc[paths].to_numpy()
        for kind, part in table.groupby("vectors")
    }


def _missing(approach: str, config: Configuration, systems: list[System], folder: Path) -> str:
    """Why there is no ensemble of an approach; empty: there is one. Where training has no normal of a domain at
    all, the other domain's systems are the ensemble."""
    table = read_clips(folder)
    is_target = (table["domain"] == TARGET).to_numpy()[train_normals(table)]
    errors = read_table(folder / "systems.csv").set_index("system")["error"]
    for domain in LEARNT[approach]:
        if any(s.model.domain == domain for s in systems) or not learnt(domain, is_target).any():
            continue
        first = next(s.name for s in all_systems(config) if s.model.domain == domain)
        return f"no system of the {domain} domain can be fitted; of the first one, {errors[first]}"
    return ""


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
    folder: Path, config: Configuration, systems: list[System], chosen: Chosen, thresholds: dict
) -> None:
    """Fit the chosen models on all normals, and say how they are used."""
    table = used(read_clips(folder))
    moments = read_json(folder / "moments.json")
    by_name = {system.name: system for system in systems}
    members = {
        machine: [by_name[n] for s in chosen.values() for n in s.members.get(machine, ())]
        for machine in machines(table)
    }
    detectors, scaling, sections = {}, {}, {}
    for machine, section in usable(table):
        place = f"{machine}/{section}"
        # Without those of a domain that the section has no normals of.
        own = moments[machine][section]
        mine = [system for system in members[machine] if system.name in own]
        for name in dict.fromkeys(s.model.vectors for s in members[machine]):
            data = section_vectors(config, folder, table, name, machine, section)
            for kind, part in (("projection", data.projection), ("domain", data.domain)):
                if part is not None:
                    for key, value in part.to_arrays().items():
                        scaling[f"{place}/{name}/{kind}/{key}"] = value
            for model in dict.fromkeys(s.model for s in mine if s.model.vectors == name):
                detectors[f"{place}/{model.name}"] = fitted(data, model, fitting_of(config))
        sections.setdefault(machine, {})[section] = {
            "threshold": thresholds[machine, section],
            "has_target": bool(section_domains(table, machine, section).any()),
            "moments": {s.name: own[s.name] for s in mine},
        }
    save_detectors(folder / "detectors.npz", detectors)
    with atomic(folder / "scaling.npz") as temporary:
        save_arrays(temporary, scaling)
    write_json(
        folder / "scorer.json",
        {
            "kappa": config.detectors.kappa,
            "systems": {
                machine: [{**s.model._asdict(), "aggregator": s.aggregator} for s in mine]
                for machine, mine in members.items()
            },
            "sections": sections,
        },
    )
