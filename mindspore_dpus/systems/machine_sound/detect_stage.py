"""vectors -> scores: every system on every section, standardised; and on what stands for anomalies."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL, TARGET
from mindspore_dpus.detectors import DETECTORS
from mindspore_dpus.detectors.base import Detector
from mindspore_dpus.detectors.domain_classifier import DomainClassifier
from mindspore_dpus.detectors.domains import target_probability
from mindspore_dpus.detectors.pseudo_anomalies import pseudo_anomaly_rows
from mindspore_dpus.detectors.standardise import Moments
from mindspore_dpus.detectors.systems import (
    Fitting,
    Model,
    System,
    Vectors,
    clip_scores,
    combined,
    moments_of,
)
from mindspore_dpus.features.simple_sound import FEATURE_SETS, SIMPLE, Projection
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.run_data import (
    HELD_OUT,
    TEST,
    machines,
    read_clips,
    train_normals,
    unusable_sections,
)
from mindspore_dpus.systems.machine_sound.vectors import pseudo_kind, read_vectors, used

logger = logging.getLogger(__name__)

CLIP = ["path", "machine", "section", "domain", "label"]


def all_models(config: Configuration) -> list[Model]:
    """Every model of the configuration; the one of the row "simple features" is among them."""
    detectors = config.detectors
    models = [
        Model(vectors, name, size, domains)
        for vectors in (*config.simple.sets, *config.extractors.networks)
        for name in detectors.names
        for size in (detectors.sizes if DETECTORS[name].size else (None,))
        for domains in detectors.domains
    ]
    return list(dict.fromkeys([*models, simple_system(config).model]))


def all_systems(config: Configuration) -> list[System]:
    """Every system; that of the row "simple features" is among them."""
    systems = [
        System(model, aggregator)
        for model in all_models(config)
        for aggregator in config.detectors.aggregators
    ]
    return list(dict.fromkeys([*systems, simple_system(config)]))


def simple_system(config: Configuration) -> System:
    """The row "simple features" of every table."""
    model = Model(SIMPLE, "knn", config.simple.size, "generalised")
    return System(model, config.simple.aggregator)


def fitting_of(config: Configuration) -> Fitting:
    """What models are fitted with."""
    detectors = config.detectors
    return Fitting(detectors.pseudo_normals, detectors.target_size, detectors.folds, config.seed)


@dataclass
class SectionVectors:
    """A section's vectors of one kind, scaled by its normals, and who its clips are.

    Args:
        vectors: of all clips of the machine, and perhaps others.
        normals: (M,) clips that the detectors learn from.
        is_target: clip -> whether it is of the target domain, (N,) bool by clip number.
        projection: of simple features; None: vectors are used as they are.
        domain: classifier of simple features; None: none, or a network's head.
        logits: (n,) of the segments, by a network's head; None: none.
        kappa: of Eq. 7.
    """

    vectors: Vectors
    normals: np.ndarray
    is_target: np.ndarray
    projection: Projection | None
    domain: DomainClassifier | None
    logits: np.ndarray | None
    kappa: float

    def logit(self, clips: np.ndarray) -> np.ndarray:
        """(C,) domain logits of clips; minus infinity where the section has no target domain."""
        own = self.vectors.of(clips)
        if self.logits is not None and self.is_target[self.normals].any():
            values = self.logits[np.isin(self.vectors.clips, clips)]
            return np.array([values[own.clips == clip].mean() for clip in clips])
        if self.domain is None:
            return np.full(len(clips), -np.inf)
        return self.domain.logits(np.stack([own.X[own.clips == clip].mean(axis=0) for clip in clips]))

    def probability(self, clips: np.ndarray) -> np.ndarray:
        """(C,) of the target domain (Eq. 7)."""
        logits = self.logit(clips)
        known = np.isfinite(logits)
        found = np.zeros(len(clips))
        found[known] = target_probability(logits[known], self.kappa)
        return found


def section_vectors(
    config: Configuration, folder: Path, table: pd.DataFrame, name: str, machine: str, section: str
) -> SectionVectors:
    """What a section's detectors learn from and score.

    Args:
        config: the configuration.
        folder: of the run.
        table: of ``used`` clips.
        name: of the vectors.
        machine, section: whose.
    """
    vectors, logits = read_vectors(folder, name, machine)
    return scaled_vectors(config, table, name, machine, section, vectors, logits)


def scaled_vectors(
    config: Configuration,
    table: pd.DataFrame,
    name: str,
    machine: str,
    section: str,
    vectors: Vectors,
    logits: np.ndarray | None,
) -> SectionVectors:
    """As ``section_vectors``, for vectors that were read before."""
    inside = train_normals(table) & (table["machine"] == machine).to_numpy()
    inside &= (table["section"] == section).to_numpy()
    if name not in FEATURE_SETS and config.detectors.fit_on == HELD_OUT:
        inside &= (table["part"] == HELD_OUT).to_numpy()
    normals = np.flatnonzero(inside)
    is_target = (table["domain"] == TARGET).to_numpy()
    if name not in FEATURE_SETS:
        return SectionVectors(vectors, normals, is_target, None, None, logits, config.detectors.kappa)
    own = vectors.of(normals)
    projection = Projection(config.simple.components, config.simple.scaled).fit(own.X)
    domain = None
    if is_target[normals].any() and not is_target[normals].all():
        means = np.stack([own.X[own.clips == clip].mean(axis=0) for clip in normals])
        domain = DomainClassifier().fit(projection.transform(means), is_target[normals])
    vectors = Vectors(projection.transform(vectors.X), vectors.clips)
    return SectionVectors(vectors, normals, is_target, projection, domain, None, config.detectors.kappa)


@dataclass(frozen=True)
class SectionScores:
    """What a model's system says of a section.

    Args:
        moments: role -> of held-out scores of normals.
        normal: (M,) standardised held-out scores of its normals.
        test, pseudo: standardised scores of test clips and of what stands for anomalies.
    """

    moments: dict[str, Moments]
    normal: np.ndarray
    test: np.ndarray
    pseudo: np.ndarray


def score_section(
    data: SectionVectors,
    model: Model,
    aggregators: list[str],
    fitting: Fitting,
    test: np.ndarray,
    pseudo: np.ndarray,
    by: str,
) -> dict[str, SectionScores]:
    """Fit a model on a section and score with it.

    Args:
        data: the section's vectors.
        model: which.
        aggregators: of its systems.
        fitting: what it is fitted with.
        test, pseudo: clips.
        by: ``standardise.by``.

    Returns:
        Aggregator -> scores.

    Raises:
        UserError: the section has too few normals for the model.
    """
    own = data.vectors.of(data.normals)
    is_target = data.is_target[own.clips]
    held = fitting.held_out(model, own, is_target)
    detectors = fitting.fit(model, own.X, is_target)
    wanted = data.vectors.of(np.concatenate([data.normals, test, pseudo]))
    roles = {role: detector.score(wanted.X) for role, detector in detectors.items()}
    for role, (scores, clips) in held.items():
        # A normal's own score must not come from a detector that has seen it.
        roles[role] = roles[role].copy()
        roles[role][np.isin(wanted.clips, clips)] = scores
    probability = data.probability(np.unique(wanted.clips))
    found = {}
    for aggregator in aggregators:
        system = System(model, aggregator)
        clips, aggregated = clip_scores(system, roles, wanted.clips)
        place = {int(clip): i for i, clip in enumerate(clips)}
        order = np.array([place[int(clip)] for clip in np.unique(wanted.clips)])
        aggregated = {role: scores[order] for role, scores in aggregated.items()}
        clips = np.unique(wanted.clips)
        moments = {}
        for role, (_, of_role) in held.items():
            inside = np.isin(clips, of_role)
            moments[role] = moments_of(aggregated[role][inside], f"{role} domain")
        used_moments = moments
        if by == "test":
            inside = np.isin(clips, test)
            used_moments = {r: moments_of(s[inside], "test") for r, s in aggregated.items()}
        scores = combined(aggregated, moments, probability)
        leaked = combined(aggregated, used_moments, probability)
        index = {int(clip): i for i, clip in enumerate(clips)}

        def pick(values: np.ndarray, chosen: np.ndarray, index=index) -> np.ndarray:
            return values[[index[int(clip)] for clip in chosen]]

        found[aggregator] = SectionScores(
            used_moments, pick(scores, data.normals), pick(leaked, test), pick(scores, pseudo)
        )
    return found


def usable(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(machine, section) of every usable section."""
    unusable = unusable_sections(table)
    for machine in machines(table):
        for section in sorted(table.loc[table["machine"] == machine, "section"].unique()):
            if (machine, section) not in unusable:
                yield machine, section


def test_rows(table: pd.DataFrame, machine: str, section: str) -> np.ndarray:
    """Test clips of a section."""
    inside = (table["machine"] == machine) & (table["section"] == section) & (table["split"] == TEST)
    return np.flatnonzero(inside.to_numpy())


def pseudo_rows(table: pd.DataFrame, machine: str, section: str, kind: str, there) -> np.ndarray:
    """Normals that stand for a section's anomalies; ``there``: clips that have vectors."""
    normals = np.flatnonzero(train_normals(table) & np.isin(np.arange(len(table)), there))
    kind = pseudo_kind(table, machine, kind)
    return normals[pseudo_anomaly_rows(table.iloc[normals], machine, section, kind)]


def make_scores(folder: Path, config: Configuration) -> None:
    """``system_scores.csv``: a row a test clip, a column a system, standardised; ``pseudo_scores.csv``:
    the same of held-out normals and of what stands for anomalies; ``systems.csv``: which systems there
    are, and why one was left out; ``moments.json``; ``domains.csv``: the domain's logit by each kind of
    vectors.

    Args:
        folder: with ``samples.csv`` and ``vectors``.
        config: the configuration.

    Raises:
        UserError: no system can be fitted everywhere.
    """
    table = used(read_clips(folder))
    systems, fitting = all_systems(config), fitting_of(config)
    left_out: dict[str, str] = {}
    moments: dict = {}
    tests, pseudos, domains = [], [], []
    for machine, section in usable(table):
        where = f"{machine} section {section}"
        kinds = {system.model.vectors for system in systems}
        tested = test_rows(table, machine, section)
        columns: dict[str, SectionScores] = {}
        for name in sorted(kinds):
            data = section_vectors(config, folder, table, name, machine, section)
            there = np.unique(data.vectors.clips)
            kind = config.ensemble.pseudo_anomalies
            pseudo = pseudo_rows(table, machine, section, kind, there)
            logit = data.logit(tested)
            domains.append(table.iloc[tested][CLIP].assign(vectors=name, logit=logit))
            for model in dict.fromkeys(s.model for s in systems if s.model.vectors == name):
                mine = [s for s in systems if s.model == model and s.name not in left_out]
                if not mine:
                    continue
                try:
                    scored = score_section(
                        *(data, model, [s.aggregator for s in mine], fitting, tested, pseudo),
                        config.standardise.by,
                    )
                except UserError as error:
                    left_out |= {s.name: f"{where}: {error}" for s in mine}
                    continue
                columns |= {s.name: scored[s.aggregator] for s in mine}
            # Held-out normals of the vectors that learn from fewest are there for all.
            columns_of = [s.name for s in systems if s.model.vectors == name and s.name in columns]
            normals = table.iloc[data.normals][CLIP].assign(vectors=name, label=NORMAL)
            others = table.iloc[pseudo][CLIP].assign(
                vectors=name, label=ANOMALY, machine=machine, section=section
            )
            for rows, part in ((normals, "normal"), (others, "pseudo")):
                values = {c: getattr(columns[c], part) for c in columns_of}
                pseudos.append(pd.concat([rows.reset_index(drop=True), pd.DataFrame(values)], axis=1))
        moments.setdefault(machine, {})[section] = {
            name: {role: list(m) for role, m in scores.moments.items()}
            for name, scores in columns.items()
        }
        values = {name: scores.test for name, scores in columns.items()}
        rows = table.iloc[tested][CLIP].reset_index(drop=True)
        tests.append(pd.concat([rows, pd.DataFrame(values)], axis=1))
    names = [s.name for s in systems if s.name not in left_out]
    if not names:
        raise UserError(f"no detector can be fitted: {next(iter(left_out.values()))}")
    for count, reason in _reasons(left_out):
        logger.info("  note: %d systems are left out, such as for %s", count, reason)
    write_table(
        pd.DataFrame({"system": [s.name for s in systems]}).assign(
            error=[left_out.get(s.name, "") for s in systems]
        ),
        folder / "systems.csv",
    )
    write_table(pd.concat(tests)[[*CLIP, *names]], folder / "system_scores.csv")
    pseudo = pd.concat(pseudos)
    write_table(pseudo[[*CLIP, "vectors", *names]], folder / "pseudo_scores.csv")
    write_table(pd.concat(domains), folder / "domains.csv")
    write_json(folder / "moments.json", moments)


def _reasons(left_out: dict[str, str]) -> list[tuple[int, str]]:
    return [(len(left_out), next(iter(left_out.values())))] if left_out else []


def kept_systems(folder: Path, config: Configuration) -> list[System]:
    """Systems that could be fitted everywhere."""
    table = read_table(folder / "systems.csv")
    kept = set(table.loc[table["error"] == "", "system"])
    return [system for system in all_systems(config) if system.name in kept]


def fitted(data: SectionVectors, model: Model, fitting: Fitting) -> dict[str, Detector]:
    """The detectors of a section, by role, fitted on all of its normals."""
    own = data.vectors.of(data.normals)
    return fitting.fit(model, own.X, data.is_target[own.clips])
