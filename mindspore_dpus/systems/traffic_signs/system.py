"""From annotated frames to named signs: the stages of a traffic-sign run, in order.

frames -> proposal_network -> proposals -> place_filter -> regions -> background.*, signs.*
-> refinement_network -> region_scores -> detections -> metrics -> report
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mindspore_dpus import __version__
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.stages import Stage
from mindspore_dpus.data.simulate.streets import simulate_streets
from mindspore_dpus.stages import describe as described
from mindspore_dpus.stages.classifier_stages import ClassifierStages
from mindspore_dpus.stages.member_stages import check_training_of
from mindspore_dpus.systems.traffic_signs.classifier_tables import TABLES, make_classifier_tables
from mindspore_dpus.systems.traffic_signs.configuration import Configuration, check_configuration
from mindspore_dpus.systems.traffic_signs.detect_stage import make_detections, make_metrics
from mindspore_dpus.systems.traffic_signs.measures import MEASURES
from mindspore_dpus.systems.traffic_signs.proposal_stage import (
    ProposalTraining,
    check_network,
    make_network,
    make_proposals,
    make_sweep,
    proposal_training,
)
from mindspore_dpus.systems.traffic_signs.refinement_stage import (
    check_refinement,
    make_refinement,
    refinement_training,
)
from mindspore_dpus.systems.traffic_signs.region_mining import BACKGROUND
from mindspore_dpus.systems.traffic_signs.region_stage import (
    crops_identity,
    crops_of,
    make_place_filter,
    make_regions,
    train_background,
)
from mindspore_dpus.systems.traffic_signs.report import summary, write_report
from mindspore_dpus.systems.traffic_signs.run_data import FoundFrames, data_root, read_run_frames
from mindspore_dpus.systems.traffic_signs.score_stage import make_region_scores
from mindspore_dpus.systems.traffic_signs.trained_detector import (
    CLASSIFIERS,
    SIGN,
    section_of,
    source_of,
    training_of,
)

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


# Keys of the section ``data`` that name files and folders.
PLACES = ("root", "boxes", "cache_dir")
describe = partial(described.describe, places=PLACES)
write_config = partial(described.write_config, places=PLACES)


@contextmanager
def leading(config: Configuration) -> Iterator[bool]:
    """Whether this process is to train: always, as no two devices share this system's members."""
    yield True


def stages(config: Configuration, run: RunFolder) -> list[Stage]:
    """The graph of a run.

    Args:
        config: the checked configuration.
        run: the run folder that it will fill.
    """
    graph = [*_frames(config, run), *_proposals(config, run)]
    placed = ("place_filter",) if config.place.enabled else ()
    if placed:
        graph.append(
            Stage(
                "place_filter",
                lambda key: make_place_filter(run, config.place),
                needs=("frames", "proposals"),
                settings=results(config.place),
                artefacts=("place_filter.json",),
            )
        )
    graph.append(
        Stage(
            "regions",
            lambda key: make_regions(run, config),
            needs=("frames", "proposals", *placed),
            settings=lambda: [
                results(config.regions),
                train_background(config),
                config.seed,
                crops_identity(run, config),
            ],
            artefacts=[*(f"{name}/samples.csv" for name in CLASSIFIERS), "regions.csv"],
        )
    )
    for name in CLASSIFIERS:
        graph += _classifier(config, run, name).stages()
    members = [f"{name}.members" for name in CLASSIFIERS]
    if config.refinement.enabled:
        training = refinement_training(config)
        graph.append(
            Stage(
                "refinement_network",
                lambda key: make_refinement(run, config, key),
                needs=("frames",),
                settings=training.learnt,
                artefacts=("refinement/members/refinement/best.safetensors",),
            )
        )
        members.append("refinement_network")
    graph.append(
        Stage(
            "region_scores",
            lambda key: make_region_scores(run, config),
            needs=("frames", "proposals", *placed, "regions", *members),
            settings=[
                "ms of each step",  # What region_scores.json holds.
                min(config.cascade.background_thresholds),
                *([section_of(config, name).margin] for name in CLASSIFIERS),
                config.refinement.rounds if config.refinement.enabled else 0,
            ],
            artefacts=("region_scores.csv", "region_scores.json"),
        )
    )
    graph.append(
        Stage(
            "classifier_tables",
            lambda key: make_classifier_tables(run, config),
            needs=[f"{name}.{part}" for name in CLASSIFIERS for part in ("members", "predictions")],
            artefacts=tuple(TABLES.values()),
        )
    )
    files = ("thresholds.csv", "thresholds.json", "detections_val.csv", "detections_test.csv")
    graph.append(
        Stage(
            "detections",
            lambda key: make_detections(run, config),
            needs=("frames", "proposals", "regions", "region_scores"),
            settings=results(config.cascade),
            artefacts=(*files, "detections_test.json", "time.json"),
        )
    )
    graph.append(
        Stage(
            "metrics",
            lambda key: make_metrics(run, config),
            needs=("frames", "proposals", "detections"),
            settings=[results(config.evaluation), config.seed],
            artefacts=("metrics.json", "per_class_val.csv", "per_class_test.csv"),
        )
    )
    shown = [stage.name for stage in graph if not stage.on_request]
    graph.append(
        Stage(
            "report",
            lambda key: write_report(run, config),
            needs=tuple(shown),
            settings=[__version__],
            artefacts=("report.html",),
        )
    )
    return graph


def check_networks(run: RunFolder, config: Configuration, training: ProposalTraining) -> None:
    """Refuse networks that cannot be built, weights that cannot be had and crops that cannot be used, before
    the first network is trained.

    Raises:
        UserError: says which, and of which section.
    """
    frames, crops = read_run_frames(run), crops_of(run, config)
    if crops:
        crops.check(frames)
    with _of_section("proposals"):
        check_network(training)
    # As many signs as the data name; those that no training frame shows will be fewer outputs.
    for name, n_classes in zip(CLASSIFIERS, (2, max(2, len(frames.classes))), strict=True):
        with _of_section(name):
            shape = source_of(run, config, name).reader.shape
            check_training_of(training_of(config, name), shape, n_classes)
    if config.refinement.enabled:
        with _of_section("refinement"):
            check_refinement(refinement_training(config))


@contextmanager
def _of_section(name: str) -> Iterator[None]:
    """Errors about a network say whose it is: the rooms below know the keys of one network only."""
    try:
        yield
    except UserError as error:
        text = str(error)
        if text.startswith(f"{name}."):
            raise
        if name == "proposals":  # Its network's keys have no section of their own.
            text = text.replace("model.", "proposals.", 1) if text.startswith("model.") else text
        if text.startswith(("model.", "training.", "loss.")):
            text = f"{name}.{text}"
        raise UserError(text if text.startswith(f"{name}.") else f"{name}: {text}") from None


def _frames(config: Configuration, run: RunFolder) -> list[Stage]:
    """simulate, frames."""
    graph = []
    if config.simulate.enabled:
        values = {k: v for k, v in vars(config.simulate).items() if k != "enabled"}
        graph.append(
            Stage(
                "simulate",
                lambda key: simulate_streets(
                    data_root(run, config), **values, file_format="png", random_state=config.seed
                ),
                settings=[results(config.simulate), config.seed],
                artefacts=("data/boxes.csv",),
            )
        )
    found = FoundFrames(run, config)
    graph.append(
        Stage(
            "frames",
            found.make,
            needs=tuple(stage.name for stage in graph),
            settings=lambda: [results(config.data), config.seed, found.settings()],
            artefacts=("boxes.csv", "frames.csv", "classes.csv", "problems.csv"),
        )
    )
    return graph


def _proposals(config: Configuration, run: RunFolder) -> list[Stage]:
    """proposal_network, proposals, sweep."""
    training, p = proposal_training(config), config.proposals
    boxes = [p.pre_nms_top_k, p.post_nms_top_k, p.nms_threshold, p.min_size, p.keep_maps]
    graph = [
        Stage(
            "proposal_network",
            lambda key: make_network(run, config, key),
            needs=("frames",),
            settings=training.learnt,
            artefacts=("proposals/members/proposals/best.safetensors",),
            check=lambda: check_networks(run, config, training),
            check_after=("frames",),
        ),
        Stage(
            "proposals",
            lambda key: make_proposals(run, config, run.finished("proposal_network")["key"]),
            needs=("frames", "proposal_network"),
            settings=boxes,
            artefacts=("proposals/proposals.csv", "proposals/recall.json"),
        ),
    ]
    if config.sweep.enabled:

        def swept(key: str) -> None:
            from mindspore_dpus.core.device import configure

            stride = training.network(trained=True).build(configure(config.device)).stride
            make_sweep(run, config, stride)

        graph.append(
            Stage(
                "sweep",
                swept,
                needs=("frames", "proposals"),
                settings=results(config.sweep),
                artefacts=("proposals/table5.csv",),
            )
        )
    return graph


def _classifier(config: Configuration, run: RunFolder, name: str) -> ClassifierStages:
    """The ordinary training of the background or the sign network."""
    section = section_of(config, name)
    return ClassifierStages(
        run=run,
        source=source_of(run, config, name),
        features=section.features,
        sampling=section.sampling,
        classifier=training_of(config, name),
        evaluation=config.evaluation,
        positive=SIGN,
        majority=BACKGROUND,
        seed=config.seed,
        folder=name,
        samples="regions",
    )
