"""Which systems make an ensemble, and what they say together: sections 2.4 and 2.5 of the DCASE 2022 report."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL, TARGET
from mindspore_dpus.detectors.domains import mean_logit, target_probability
from mindspore_dpus.detectors.pseudo_anomalies import pseudo_table
from mindspore_dpus.detectors.selection import Selection, select_systems
from mindspore_dpus.detectors.systems import BOTH, LEARNT, System, domain_weighted, learnt
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.detect_stage import CLIP

# Of an ensemble: domain whose normals its systems learn from -> which are chosen.
Chosen = dict[str, Selection]


def choose(
    config: Configuration,
    approach: str,
    systems: list[System],
    scores: pd.DataFrame,
    pseudo: pd.DataFrame,
) -> Chosen:
    """The best systems of an approach: with ``specialised``, of each domain by themselves, by what they reach
    in that domain.

    Args:
        config: the configuration.
        approach: one of ``DOMAINS``.
        systems: those that could be fitted.
        scores: of ``system_scores.csv``.
        pseudo: of ``pseudo_scores.csv``.

    Returns:
        Domain -> selection; without those domains that no system is of.

    Raises:
        UserError: as ``select_systems``; or test labels are to choose, and no test clip has one.
    """
    found = {}
    for domain in LEARNT[approach]:
        mine = [s for s in systems if s.model.domain == domain]
        if mine:
            found[domain] = _selected(config, mine, domain, scores, pseudo)
    return found


def _selected(
    config: Configuration,
    systems: list[System],
    domain: str,
    scores: pd.DataFrame,
    pseudo: pd.DataFrame,
) -> Selection:
    """The best systems; with ``each_vectors``, so many of every kind of vectors."""
    if not config.ensemble.each_vectors:
        return _select(config, systems, domain, scores, pseudo)
    kinds = dict.fromkeys(system.model.vectors for system in systems)
    parts = [
        _select(config, [s for s in systems if s.model.vectors == kind], domain, scores, pseudo)
        for kind in kinds
    ]
    values = pd.concat([part.values for part in parts])
    members = {}
    for machine in parts[0].members:
        # Whatever the kind of vectors, systems of a domain are there in the same sections.
        chosen = [name for part in parts for name in part.members[machine]]
        # The best first, whatever kind it is of; equal ones in the order of their kinds.
        members[machine] = tuple(sorted(chosen, key=lambda name, m=machine: -values.loc[name, m]))
    arbitrary = {m: sum(part.arbitrary[m] for part in parts) for m in members}
    return parts[0]._replace(members=members, values=values, arbitrary=arbitrary)


def _select(
    config: Configuration,
    systems: list[System],
    domain: str,
    scores: pd.DataFrame,
    pseudo: pd.DataFrame,
) -> Selection:
    ensemble = config.ensemble
    if ensemble.select_by == "pseudo":
        tables = {}
        for system in systems:
            part = pseudo[pseudo["vectors"] == system.model.vectors]
            part = part[[*CLIP, system.name]].rename(columns={system.name: "score"})
            normal, other = (part[part["label"] == label] for label in (NORMAL, ANOMALY))
            normal, other = limited(normal, other, domain)
            tables[system.name] = pseudo_table(
                *(rows.astype({"score": float}) for rows in (normal, other))
            )
    else:
        labelled = scores[scores["label"].isin((NORMAL, ANOMALY))]
        labelled = labelled[of_domain(labelled, domain)]
        tables = {}
        for system in systems:
            # Empty where a section has no normals of the domain.
            there = labelled[labelled[system.name].astype(str) != ""]
            tables[system.name] = there[CLIP].assign(score=there[system.name].astype(float))
        if any(table.empty for table in tables.values()):
            whose = "" if domain == BOTH else f" of the {domain} domain"
            raise UserError(f"ensemble.select_by is test_labels, and no test clip{whose} is labelled")
    return select_systems(
        tables,
        min(ensemble.size or len(systems), len(systems)),
        scope=ensemble.scope,
        select_by=ensemble.select_by,
        max_fpr=config.evaluation.max_fpr,
    )


def with_scope(config: Configuration, scope: str) -> Configuration:
    """The configuration with another ``ensemble.scope``."""
    return dataclasses.replace(config, ensemble=dataclasses.replace(config.ensemble, scope=scope))


def of_domain(table: pd.DataFrame, domain: str) -> np.ndarray:
    """(N,) bool: clips whose domain is that of a model."""
    return learnt(domain, (table["domain"] == TARGET).to_numpy())


def limited(normal: pd.DataFrame, other: pd.DataFrame, domain: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Held-out normals of a domain, and what stands for its anomalies: normals of that domain of other sections
    (or machines); where there is none for a section, those of the other domain.

    Args:
        normal: rows of a section's normals.
        other: rows of what stands for its anomalies, with its own domain.
        domain: of the systems that are compared.
    """
    if domain == BOTH:
        return normal, other
    normal = normal[of_domain(normal, domain)]
    keys = ["machine", "section"]
    there = set(zip(*(normal[key] for key in keys), strict=True))
    other = other[[key in there for key in zip(*(other[key] for key in keys), strict=True)]]
    own = pd.Series(of_domain(other, domain), index=other.index)
    has_own = own.groupby([other[key] for key in keys]).transform("any")
    return normal, other[own | ~has_own]


def kinds_of(chosen: Chosen, systems: list[System], machine: str, n: int | None = None) -> list[str]:
    """The kinds of vectors that an ensemble's systems see: they say of which domain a clip is.

    Args:
        chosen: the ensemble.
        systems: all of them.
        machine: whose.
        n: only the n best systems of each domain.
    """
    vectors_of = {system.name: system.model.vectors for system in systems}
    names = [name for s in chosen.values() for name in s.members.get(machine, ())[:n]]
    return list(dict.fromkeys(vectors_of[name] for name in names))


def together(
    chosen: Chosen,
    machine: str,
    scores: pd.DataFrame,
    logit: np.ndarray,
    kappa: float,
    n: int | None = None,
) -> np.ndarray:
    """The score of an ensemble on clips of one section.

    Args:
        chosen: the ensemble.
        machine: whose section.
        scores: a row a clip, a column a system; empty where the section has no normals of its domain.
        logit: (N,) of the domain (``mean_logit``).
        kappa: of Eq. 7.
        n: of the n best systems of each domain; None: of all that are chosen.
    """
    means = {}
    for domain, selection in chosen.items():
        names = list(selection.members.get(machine, ())[:n])
        if names and not (scores[names[0]].astype(str) == "").any():
            means[domain] = scores[names].to_numpy(float).mean(axis=1)
    return domain_weighted(means, target_probability(logit, kappa))


def scores_of_test(
    chosen: Chosen,
    systems: list[System],
    scores: pd.DataFrame,
    logits: Mapping[str, np.ndarray],
    kappa: float,
    n: int | None = None,
) -> np.ndarray:
    """(N,) score of an ensemble of every test clip.

    Args:
        chosen: the ensemble.
        systems: all of them.
        scores: of ``system_scores.csv``, N rows.
        logits: kind of vectors -> (N,) of the domain.
        kappa: of Eq. 7.
        n: as in ``together``.
    """
    values = np.full(len(scores), np.nan)
    for (machine, _), rows in scores.groupby(["machine", "section"]).indices.items():
        kinds = kinds_of(chosen, systems, machine, n)
        logit = mean_logit([logits[kind][rows] for kind in kinds])
        values[rows] = together(chosen, machine, scores.iloc[rows], logit, kappa, n)
    return values


def scores_of_normals(
    chosen: Chosen, systems: list[System], pseudo: pd.DataFrame, kappa: float
) -> pd.DataFrame:
    """Held-out score of normals by an ensemble: of those clips that all kinds of vectors among its systems have
    held out.

    Args:
        chosen: the ensemble.
        systems: all of them.
        pseudo: of ``pseudo_scores.csv``.
        kappa: of Eq. 7.

    Returns:
        ``machine, section, score``.
    """
    parts = []
    for (machine, section), part in pseudo[pseudo["label"] == NORMAL].groupby(["machine", "section"]):
        kinds = kinds_of(chosen, systems, machine)
        tables = []
        for kind in kinds:
            own = part[part["vectors"] == kind].set_index("path")
            names = [s.name for s in systems if s.model.vectors == kind]
            tables.append(own[names].assign(**{f"logit {kind}": own["logit"].astype(float)}))
        wide = pd.concat(tables, axis=1, join="inner")
        logit = mean_logit([wide[f"logit {kind}"] for kind in kinds])
        score = together(chosen, machine, wide, logit, kappa)
        parts.append(pd.DataFrame({"machine": machine, "section": section, "score": score}))
    return pd.concat(parts, ignore_index=True)
