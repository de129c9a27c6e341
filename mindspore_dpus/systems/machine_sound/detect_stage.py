"""vectors -> scores: every system on every section, standardised; and on what stands for anomalies."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL, TARGET
from mindspore_dpus.detectors import DETECTORS
from mindspore_dpus.detectors.pseudo_anomalies import pseudo_anomaly_rows
from mindspore_dpus.detectors.systems import BOTH, LEARNT, Fitting, Model, System, learnt
from mindspore_dpus.features.simple_sound import SIMPLE
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.run_data import (
    TEST,
    machines,
    read_clips,
    train_normals,
    unusable_sections,
)
from mindspore_dpus.systems.machine_sound.section_scores import (
    SectionScores,
    score_section,
    section_vectors,
)
from mindspore_dpus.systems.machine_sound.vectors import pseudo_kind, used

logger = logging.getLogger(__name__)

CLIP = ["path", "machine", "section", "domain", "label"]


def all_models(config: Configuration) -> list[Model]:
    """Every model of the configuration; the one of the row "simple features" is among them."""
    detectors = config.detectors
    models = [
        Model(vectors, name, size, domain)
        for vectors in (*config.simple.sets, *config.extractors.networks)
        for name in detectors.names
        for size in (detectors.sizes if DETECTORS[name].size else (None,))
        for domains in detectors.domains
        for domain in LEARNT[domains]
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
    model = Model(SIMPLE, "knn", config.simple.size, BOTH)
    return System(model, config.simple.aggregator)


def fitting_of(config: Configuration) -> Fitting:
    """What models are fitted with."""
    detectors = config.detectors
    options = {"knn": {"distance": detectors.knn_distance}}
    return Fitting(detectors.pseudo_normals, detectors.folds, config.seed, options)


def usable(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(machine, section) of every usable section."""
    unusable = unusable_sections(table)
    for machine in machines(table):
        for section in sorted(table.loc[table["machine"] == machine, "section"].unique()):
            if (machine, section) not in unusable:
                yield machine, section


def section_domains(table: pd.DataFrame, machine: str, section: str) -> np.ndarray:
    """(m,) bool: which of a section's training normals are of the target domain. Without one, it has no systems
    of that domain, whatever the vectors."""
    inside = train_normals(table) & (table["machine"] == machine).to_numpy()
    inside &= (table["section"] == section).to_numpy()
    return (table["domain"] == TARGET).to_numpy()[inside]


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
    """``system_scores.csv``: a row a test clip, a column a system, standardised; empty where the section has no
    normals of the target domain and the system learns from these. ``pseudo_scores.csv``: the same of held-out
    normals and of what stands for anomalies, and the domain's logit of the normals; ``systems.csv``: which
    systems there are, and why one was left out; ``moments.json``; ``domains.csv``: the domain's logit of test
    clips by each kind of vectors.

    Args:
        folder: with ``samples.csv`` and ``vectors``.
        config: the configuration.

    Raises:
        UserError: no system can be fitted in every section that has normals for it.
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
        is_target = section_domains(table, machine, section)
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
                if not mine or not learnt(model.domain, is_target).any():
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
            normals = table.iloc[data.normals][CLIP].assign(
                vectors=name, label=NORMAL, logit=data.logit(data.normals)
            )
            others = table.iloc[pseudo][CLIP].assign(
                vectors=name, label=ANOMALY, logit=np.nan, machine=machine, section=section
            )
            for rows, part in ((normals, "normal"), (others, "pseudo")):
                values = {c: getattr(columns[c], part) for c in columns_of}
                pseudos.append(pd.concat([rows.reset_index(drop=True), pd.DataFrame(values)], axis=1))
        moments.setdefault(machine, {})[section] = {
            name: list(scores.moments) for name, scores in columns.items()
        }
        values = {name: scores.test for name, scores in columns.items()}
        rows = table.iloc[tested][CLIP].reset_index(drop=True)
        tests.append(pd.concat([rows, pd.DataFrame(values)], axis=1))
    there = {name for part in tests for name in part}
    for system in systems:
        if system.name not in there:
            # Only those of a domain that no section has normals of.
            left_out.setdefault(
                system.name, f"no normal of the {system.model.domain} domain to learn from"
            )
    names = [s.name for s in systems if s.name not in left_out]
    if not names:
        raise UserError(f"no detector can be fitted: {next(iter(left_out.values()))}")
    _note(systems, left_out)
    write_table(
        pd.DataFrame({"system": [s.name for s in systems]}).assign(
            error=[left_out.get(s.name, "") for s in systems]
        ),
        folder / "systems.csv",
    )
    write_table(pd.concat(tests)[[*CLIP, *names]], folder / "system_scores.csv")
    pseudo = pd.concat(pseudos)
    write_table(pseudo[[*CLIP, "vectors", "logit", *names]], folder / "pseudo_scores.csv")
    write_table(pd.concat(domains), folder / "domains.csv")
    write_json(folder / "moments.json", moments)


def _note(systems: list[System], left_out: dict[str, str]) -> None:
    """A line for each domain of which systems are left out: how many, and the first reason."""
    for domain in dict.fromkeys(s.model.domain for s in systems):
        mine = [s.name for s in systems if s.model.domain == domain]
        reasons = [left_out[name] for name in mine if name in left_out]
        if reasons:
            whose = f"the {domain} domain" if domain != BOTH else "both domains together"
            logger.info(
                "  note: %d of %d systems of %s are left out (systems.csv says why), the first as %s",
                *(len(reasons), len(mine), whose, reasons[0]),
            )


def kept_systems(folder: Path, config: Configuration) -> list[System]:
    """Systems that could be fitted in every section that has normals for them."""
    table = read_table(folder / "systems.csv")
    kept = set(table.loc[table["error"] == "", "system"])
    return [system for system in all_systems(config) if system.name in kept]
