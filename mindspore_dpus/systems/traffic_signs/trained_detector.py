"""The trained networks of a run as a detector (``deploy.detector``)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mindspore_dpus.core.files import digest, read_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.images.regions import Regions
from mindspore_dpus.data.sample_table import class_names
from mindspore_dpus.data.source import Source
from mindspore_dpus.deploy.detector import Detector, DetectorSettings
from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.stages.member_stages import ClassifierTraining, load_ensemble
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.proposal_stage import (
    FOLDER,
    proposal_training,
)
from mindspore_dpus.systems.traffic_signs.refinement_stage import FOLDER as REFINEMENT
from mindspore_dpus.systems.traffic_signs.refinement_stage import refinement_training
from mindspore_dpus.systems.traffic_signs.run_data import cache_of, data_root, read_run_frames
from mindspore_dpus.systems.traffic_signs.settings import StageNetwork

CLASSIFIERS = ("background", "signs")
SIGN = "sign"
# Regions that go through a network at a time. The background network sees hundreds in a frame; the others
# see what it lets pass, some twenty.
BATCH = {"background": 64, "refinement": 16, "signs": 16}


def section_of(config: Configuration, name: str) -> StageNetwork:
    """The section of a classifier."""
    return {"background": config.background, "signs": config.signs}[name]


def source_of(run: RunFolder, config: Configuration, name: str) -> Source:
    """Where a classifier's regions lie, and how they are read."""
    section = section_of(config, name)
    images = replace(section.images, max_pixels=config.data.max_pixels)
    reader, root = Regions(images, section.margin), data_root(run, config)
    return Source(root, reader, cache_of(run, config), run / name / "unreadable.csv")


def training_of(config: Configuration, name: str) -> ClassifierTraining:
    """The sections that a classifier depends on."""
    section = section_of(config, name)
    return ClassifierTraining(section.model, section.loss, section.training, config.device, config.seed)


class RunNetworks:
    """The networks of a run with MindSpore (``deploy.detector.Networks``).

    Args:
        run, config: the run.
        key: of its proposal network.
        classifiers: keys of its classifiers; None: they are not trained yet.

    Raises:
        UserError: a checkpoint is missing, damaged, or of another run.
    """

    def __init__(
        self, run: RunFolder, config: Configuration, key: str, classifiers: dict[str, str] | None
    ) -> None:
        from mindspore_dpus.core.device import configure
        from mindspore_dpus.training.ensemble import load_member

        device = configure(config.device)
        self.net = proposal_training(config).network(trained=True).build(device)
        load_member(self.net, run / FOLDER / "members" / FOLDER, key)
        self.net.set_train(False)
        self.ensembles, self.sign = {}, 0
        for name, its_key in (classifiers or {}).items():
            source = source_of(run, config, name)
            self.ensembles[name] = load_ensemble(run / name, source, training_of(config, name), its_key)
        self.refining = None
        if classifiers and config.refinement.enabled:
            self.refining = refinement_training(config).network(trained=True).build(device)
            its_key = run.finished("refinement_network")["key"]
            load_member(self.refining, run / REFINEMENT / "members" / REFINEMENT, its_key)
            self.refining.set_train(False)
        if classifiers:
            for ensemble in self.ensembles.values():
                for net in ensemble.nets.values():
                    net.set_train(False)
            self.sign = class_names(read_table(run / "background" / "samples.csv")).index(SIGN)

    def maps(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See ``Networks``."""
        from mindspore import Tensor

        from mindspore_dpus.data.loader import normalise

        scores, deltas = self.net(Tensor(normalise(frame[None])))
        return scores.asnumpy()[0], deltas.asnumpy()[0]

    def background(self, regions: np.ndarray) -> np.ndarray:
        """See ``Networks``."""
        return _in_batches(self._fused("background"), regions, BATCH["background"])[:, self.sign]

    def refinement(self, regions: np.ndarray) -> np.ndarray:
        """See ``Networks``."""
        return _in_batches(lambda images: self.refining(images).asnumpy(), regions, BATCH["refinement"])

    def signs(self, regions: np.ndarray) -> np.ndarray:
        """See ``Networks``."""
        return _in_batches(self._fused("signs"), regions, BATCH["signs"])

    def _fused(self, name: str) -> Callable:
        """Images -> mean softmax of the members."""
        from mindspore import ops

        nets = [net for model, net in self.ensembles[name].nets.items() if model != BASELINE]
        return lambda images: np.mean(
            [ops.softmax(net(images), axis=1).asnumpy() for net in nets], axis=0
        )


def _in_batches(network: Callable, regions: np.ndarray, batch_size: int) -> np.ndarray:
    """Outputs for regions; no data pipeline, which would start anew for every frame."""
    from mindspore import Tensor

    from mindspore_dpus.data.loader import normalise

    outputs = []
    for first in range(0, len(regions), batch_size):
        part = regions[first : first + batch_size]
        # Always of one size: MindSpore prepares its operators for every new one.
        whole = np.zeros((batch_size, *regions.shape[1:]), regions.dtype)
        whole[: len(part)] = part
        outputs.append(network(Tensor(normalise(whole)))[: len(part)])
    return np.concatenate(outputs)


def _settings(run: RunFolder, config: Configuration, stride: int, classes) -> DetectorSettings:
    p, r = config.proposals, config.refinement
    filter_file, thresholds_file = run / "place_filter.json", run / "thresholds.json"
    place = None
    if classes and config.place.enabled:
        place = PlaceFilter.from_dict(read_json(filter_file)["filter"])
    numbers = read_run_frames(run).annotations.classes if classes else {}
    chosen = {}
    if classes and thresholds_file.exists():
        chosen = read_json(thresholds_file)
    return DetectorSettings(
        sizes=p.sizes,
        ratios=p.ratios,
        stride=stride,
        pre_nms_top_k=p.pre_nms_top_k,
        post_nms_top_k=p.post_nms_top_k,
        proposal_nms=p.nms_threshold,
        min_size=p.min_size,
        place_filter=place,
        background_images=source_of(run, config, "background").reader.images,
        background_margin=config.background.margin,
        refinement_images=replace(r.images, max_pixels=config.data.max_pixels),
        refinement_margin=r.margin,
        refinement_rounds=r.rounds if r.enabled else 0,
        sign_images=source_of(run, config, "signs").reader.images,
        sign_margin=config.signs.margin,
        classes=tuple(classes),
        limit=config.cascade.limit,
        vote_threshold=config.cascade.vote_threshold,
        max_pixels=config.data.max_pixels,
        class_numbers=tuple(numbers[name] for name in classes) if classes else None,
        **{
            name: chosen[name]
            for name in ("background_threshold", "sign_threshold", "nms_threshold")
            if name in chosen
        },
    )


def proposal_detector(run: RunFolder, config: Configuration, key: str) -> Detector:
    """A detector that only proposes."""
    networks = RunNetworks(run, config, key, None)
    return Detector(_settings(run, config, networks.net.stride, ()), networks, digest("run", key))


def run_detector(run: RunFolder, config: Configuration) -> Detector:
    """The detector of a run whose networks are trained; its thresholds where they are chosen.

    Raises:
        UserError: a stage is not finished.
    """
    keys = {name: run.finished(f"{name}.members")["key"] for name in CLASSIFIERS}
    key = run.finished("proposal_network")["key"]
    refining = run.finished("refinement_network")["key"] if config.refinement.enabled else None
    networks = RunNetworks(run, config, key, keys)
    classes = class_names(read_table(run / "signs" / "samples.csv"))
    settings = _settings(run, config, networks.net.stride, classes)
    return Detector(settings, networks, digest("run", key, keys, refining))
