"""From waveforms of normals to anomaly scores: the stages of a machine-sound run, in order.

samples -> audit -> simple -> (extractors -> embeddings) -> scores -> ensemble -> metrics -> report
                 -> (baselines) ------------------------------------> ensemble
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mindspore_dpus import __version__
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.stages import Stage
from mindspore_dpus.data.audio.measures import VERSION as MEASURES_VERSION
from mindspore_dpus.data.simulate.machines import simulate_machines
from mindspore_dpus.data.source import Source
from mindspore_dpus.stages.describe import describe, write_config
from mindspore_dpus.systems.machine_sound.audit_stage import make_audit
from mindspore_dpus.systems.machine_sound.baseline_stage import (
    baseline_artefacts,
    baseline_settings,
    check_baseline,
    make_baseline,
)
from mindspore_dpus.systems.machine_sound.configuration import Configuration, check_configuration
from mindspore_dpus.systems.machine_sound.detect_stage import make_scores
from mindspore_dpus.systems.machine_sound.ensemble_stage import make_ensemble
from mindspore_dpus.systems.machine_sound.extractor_stage import (
    check_extractor,
    extractor_artefacts,
    make_embeddings,
    make_extractors,
)
from mindspore_dpus.systems.machine_sound.measures import MEASURES
from mindspore_dpus.systems.machine_sound.metrics_stage import (
    challenge_artefacts,
    make_metrics,
    paper_artefacts,
)
from mindspore_dpus.systems.machine_sound.paper_tables import repeats_earlier
from mindspore_dpus.systems.machine_sound.planning import planned_seconds
from mindspore_dpus.systems.machine_sound.report import write_report
from mindspore_dpus.systems.machine_sound.run_data import Found, source_of
from mindspore_dpus.systems.machine_sound.summary import summary
from mindspore_dpus.systems.machine_sound.vectors import feature_sets, make_simple, vector_artefacts

__all__ = [
    "MEASURES",
    "Configuration",
    "check_configuration",
    "describe",
    "leading",
    "planned_seconds",
    "stages",
    "summary",
    "write_config",
]


@contextmanager
def leading(config: Configuration) -> Iterator[bool]:
    """Whether this process is to train: always (``device.data_parallel`` is refused)."""
    yield True


def stages(config: Configuration, run: RunFolder) -> list[Stage]:
    """The graph of a run.

    Args:
        config: the checked configuration.
        run: the run folder that it will fill.
    """
    source = source_of(run, config)
    folder = run.path
    graph = _samples(config, run, source)
    audited = ("audit",) if config.audit.enabled else ()
    kind = config.ensemble.pseudo_anomalies
    graph.append(
        Stage(
            "simple",
            lambda key: make_simple(folder, source, config.audio, kind, config.simple.sets),
            needs=("samples",),
            after=audited,
            settings=[results(config.audio), kind, feature_sets(config.simple.sets)],
            artefacts=lambda: [
                path
                for name in feature_sets(config.simple.sets)
                for path in vector_artefacts(folder, name)
            ],
        )
    )
    graph += _extractors(config, run, source, audited)
    graph += _baselines(config, run, source, audited)
    baselines = tuple(f"{name}.baseline" for name in config.baselines.names)
    vectors = ("simple", *(f"{name}.embeddings" for name in config.extractors.networks))
    graph.append(
        Stage(
            "scores",
            lambda key: make_scores(folder, config),
            needs=("samples", *vectors),
            settings=[
                *(results(config.detectors), results(config.simple), results(config.standardise)),
                *(list(config.extractors.networks), kind, config.seed),
            ],
            artefacts=(
                *("systems.csv", "system_scores.csv", "pseudo_scores.csv"),
                *("domains.csv", "moments.json"),
            ),
        )
    )
    graph.append(
        Stage(
            "ensemble",
            lambda key: make_ensemble(folder, config),
            needs=("samples", *vectors, *baselines, "scores"),
            settings=[
                *(results(config.ensemble), results(config.decision)),
                *(config.evaluation.max_fpr, config.evaluation.paper),
            ],
            artefacts=(
                *("selection.json", "rows.csv", "scores.csv"),
                *("detectors.npz", "scaling.npz", "scorer.json"),
            ),
        )
    )
    product, scope, earlier = config.ensemble.product, config.ensemble.scope, repeats_earlier(config)
    graph.append(
        Stage(
            "metrics",
            lambda key: make_metrics(folder, config.evaluation, product, scope, config.seed, earlier),
            needs=("samples", "scores", "ensemble"),
            settings=[results(config.evaluation), product, config.seed, earlier],
            artefacts=lambda: [
                *("metrics.json", "results.csv", "domain_auc.csv", "decisions.csv"),
                *challenge_artefacts(folder),
                *paper_artefacts(config.evaluation.paper),
            ],
        )
    )
    graph.append(
        Stage(
            "report",
            lambda key: write_report(folder, source, config),
            needs=tuple(stage.name for stage in graph),
            settings=[__version__],
            artefacts=("report.html",),
        )
    )
    return graph


def _samples(config: Configuration, run: RunFolder, source: Source) -> list[Stage]:
    """simulate, samples, audit: as far as the configuration wants them."""
    graph = []
    simulated = ("simulate",) if config.simulate.enabled else ()
    if simulated:
        values = {k: v for k, v in vars(config.simulate).items() if k != "enabled"}

        def simulate(key: str) -> None:
            simulate_machines(source.root, seed=config.seed, rate=config.audio.rate, **values)

        graph.append(
            Stage(
                "simulate",
                simulate,
                settings=[results(config.simulate), config.audio.rate, config.seed],
                artefacts=("data/manifest.csv",),
            )
        )
    found = Found(run, config, source)
    sections = [results(config.data), results(config.parts), config.seed]
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
        audio = config.audio
        graph.append(
            Stage(
                "audit",
                lambda key: make_audit(run.path, source, audio, config.audit),
                needs=("samples",),
                settings=[
                    results(config.audit),
                    *(audio.rate, audio.channel, audio.max_seconds, audio.segment_seconds),
                ],
                artefacts=("audit.csv",),
                version=MEASURES_VERSION,
            )
        )
    return graph


def _extractors(config: Configuration, run: RunFolder, source: Source, audited) -> list[Stage]:
    """Two stages for each network: its training, and the embeddings."""
    graph, folder = [], run.path
    sections = [results(config.audio), results(config.extractors), results(config.training), config.seed]
    for name in config.extractors.networks:

        def train(key: str, name=name) -> None:
            make_extractors(folder, source, config, name, key)

        def embed(key: str, name=name) -> None:
            make_embeddings(folder, source, config, name, run.finished(f"{name}.extractors")["key"])

        extractors = config.extractors
        own = [{**sections[1], "networks": [name], "options": extractors.options.get(name, {})}]
        graph.append(
            Stage(
                f"{name}.extractors",
                train,
                needs=("samples",),
                after=audited,
                settings=[sections[0], *own, *sections[2:]],
                artefacts=partial(extractor_artefacts, folder, name),
                check=partial(check_extractor, folder, config, name),
                check_after=("samples",),
            )
        )
        graph.append(
            Stage(
                f"{name}.embeddings",
                embed,
                needs=("samples", f"{name}.extractors"),
                settings=[results(config.audio), config.ensemble.pseudo_anomalies],
                artefacts=partial(vector_artefacts, folder, name),
            )
        )
    return graph


def _baselines(config: Configuration, run: RunFolder, source: Source, audited) -> list[Stage]:
    """A stage for each official baseline."""
    graph, folder = [], run.path
    for name in config.baselines.names:

        def make(key: str, name=name) -> None:
            make_baseline(folder, source, config, name, key)

        graph.append(
            Stage(
                f"{name}.baseline",
                make,
                needs=("samples",),
                after=audited,
                settings=baseline_settings(config, name),
                artefacts=partial(baseline_artefacts, folder, name),
                check=partial(check_baseline, folder, config, name),
                check_after=("samples",),
            )
        )
    return graph
