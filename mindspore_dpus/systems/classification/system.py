"""From a configuration to a fused, evaluated ensemble: the stages of a classification run, in order.

samples -> audit -> features -> subsets -> members -> predictions -> metrics -> decision -> report
"""

from functools import partial
from pathlib import Path

from mindspore_dpus import __version__
from mindspore_dpus.core.files import file_hash
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.stages import Stage
from mindspore_dpus.data.images.measures import VERSION as MEASURES_VERSION
from mindspore_dpus.data.simulate.radiographs import simulate
from mindspore_dpus.data.source import Source
from mindspore_dpus.models.pretrained import weights_file
from mindspore_dpus.stages.classifier_stages import ClassifierStages
from mindspore_dpus.stages.describe import describe, write_config
from mindspore_dpus.systems.classification.audit_stage import make_audit
from mindspore_dpus.systems.classification.configuration import Configuration, check_configuration
from mindspore_dpus.systems.classification.decision_stage import (
    check_decision,
    decision_artefacts,
    make_decision,
)
from mindspore_dpus.systems.classification.embeddings import frozen, of_members
from mindspore_dpus.systems.classification.heatmap_stage import heatmap_artefacts, make_heatmaps
from mindspore_dpus.systems.classification.measures import MEASURES
from mindspore_dpus.systems.classification.one_class import FILE, make_one_class
from mindspore_dpus.systems.classification.report import write_report
from mindspore_dpus.systems.classification.run_data import Found, source_of
from mindspore_dpus.systems.classification.scorer import training_of
from mindspore_dpus.systems.classification.summary import summary
from mindspore_dpus.systems.classification.together import announce, leading

__all__ = [
    "MEASURES",
    "Configuration",
    "check_configuration",
    "describe",
    "leading",
    "stages",
    "summary",
    "write_config",
]


def stages(config: Configuration, run: RunFolder) -> list[Stage]:
    """The graph of a run.

    Args:
        config: the checked configuration.
        run: the run folder that it will fill.
    """
    source = source_of(run, config)
    graph = _samples(config, run, source)
    audited = ("audit",) if config.audit.enabled else ()
    classifier = ClassifierStages(
        run=run,
        source=source,
        features=config.features,
        sampling=config.sampling,
        classifier=training_of(config),
        evaluation=config.evaluation,
        positive=config.data.positive,
        majority=config.data.majority,
        seed=config.seed,
        after=audited,
        announce=partial(announce, run),
    )
    graph += classifier.stages()
    if config.one_class.detectors:
        graph.append(_one_class(config, run, source, audited))
    heatmaps = ("heatmaps",) if config.heatmaps.report else ()
    if heatmaps:
        graph.append(
            Stage(
                "heatmaps",
                lambda key: make_heatmaps(run, config, run.finished("members")["key"]),
                needs=("samples", "members", "predictions"),
                settings=results(config.heatmaps),
                artefacts=lambda: heatmap_artefacts(run),
            )
        )
    graph.append(
        Stage(
            "decision",
            lambda key: make_decision(run, config),
            needs=("samples", "members", "predictions"),
            settings=[results(config.decision), config.evaluation.confidence],
            artefacts=lambda: decision_artefacts(run),
            check=lambda: check_decision(run, config),
            check_after=("samples",),
        )
    )
    asked_for = {stage.name for stage in graph if stage.on_request}
    graph.append(
        Stage(
            "report",
            lambda key: write_report(run.path, source.root, config),
            needs=tuple(stage.name for stage in graph if stage.name not in asked_for),
            settings=[__version__],
            artefacts=("report.html",),
        )
    )
    return graph


def _one_class(config: Configuration, run: RunFolder, source: Source, audited: tuple[str, ...]) -> Stage:
    """Detectors of normals alone: on the same features as the clusters, on those of the members."""
    features, chosen = config.features, config.one_class.embeddings

    def weights() -> Path | None:
        return weights_file(features.pretrained, features.backbone, config.model.weights_dirs)

    def settings() -> list:
        file = weights() if "frozen" in chosen else None
        return [
            *(results(config.one_class), results(features), results(config.evaluation)),
            *(file_hash(file) if file else None, config.data.positive, config.seed),
        ]

    def make(key: str) -> None:
        extractors = {
            "frozen": frozen(source, config, weights),
            "members": of_members(run, source, config),
        }
        make_one_class(
            *(run.path, extractors, config.data.positive, config.one_class),
            *(config.evaluation, config.seed),
        )

    return Stage(
        "one_class",
        make,
        needs=("samples", "members") if "members" in chosen else ("samples",),
        after=audited,
        settings=settings,
        artefacts=(FILE,),
    )


def _samples(config: Configuration, run: RunFolder, source: Source) -> list[Stage]:
    """simulate, samples, audit: as far as the configuration wants them."""
    graph = []
    simulated = ("simulate",) if config.simulate.enabled else ()
    if simulated:
        graph.append(
            Stage(
                "simulate",
                lambda key: simulate(config.simulate, source.root, config.seed),
                settings=[results(config.simulate), config.seed],
                artefacts=("data/manifest.csv",),
            )
        )
    found = Found(run, config, source)
    sections = [results(config.data), results(config.images), results(config.split), config.seed]
    graph.append(
        Stage(
            "samples",
            found.make,
            needs=simulated,
            settings=lambda: [*sections, found.settings()],
            artefacts=("samples.csv",),
        )
    )
    if config.audit.enabled:
        graph.append(
            Stage(
                "audit",
                lambda key: make_audit(run.path, source, config.audit),
                needs=("samples",),
                # An image that training would refuse is an error, so what it may be counts too.
                settings=[results(config.audit), config.images.bits, config.images.value_range],
                artefacts=("audit.csv",),
                version=MEASURES_VERSION,
            )
        )
    return graph
