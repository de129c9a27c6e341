"""frames -> proposal network -> proposals of every frame, and how many signs they find."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import file_hash, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.deploy.anchors import anchor_grid, anchor_shapes, grid_size
from mindspore_dpus.deploy.proposals import Maps, propose
from mindspore_dpus.deploy.stopwatch import Stopwatch
from mindspore_dpus.metrics.proposal_recall import proposal_recall
from mindspore_dpus.models.pretrained import weights_file
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.frame_training import train_on_frames
from mindspore_dpus.systems.traffic_signs.proposal_sweep import (
    best_overlaps,
    read_maps,
    sweep,
    sweep_rows,
    write_maps,
)
from mindspore_dpus.systems.traffic_signs.run_data import (
    FrameRows,
    RunFrames,
    data_root,
    read_frame,
    read_run_frames,
)
from mindspore_dpus.systems.traffic_signs.settings import ProposalSettings
from mindspore_dpus.systems.traffic_signs.training_crops import CropTargets, draw_crop

logger = logging.getLogger(__name__)

FOLDER = "proposals"
# Of a crop, so many of the best proposals count in its recall.
CROP_PROPOSALS = 100
RECALL_AT = 0.7


@dataclass(frozen=True)
class Proposing:
    """Rows -> the ``Task`` of a proposal network.

    Args:
        settings: the section.
        stride: of the network.
        max_pixels: of a frame.
        seed: of the validation crops.
    """

    settings: ProposalSettings
    stride: int
    max_pixels: int
    seed: int

    def __call__(self, rows: FrameRows):
        from mindspore_dpus.training.proposal_task import ProposalTask

        s = self.settings
        shapes = anchor_shapes(s.sizes, s.ratios)
        grid = anchor_grid(shapes, *grid_size(s.crop, s.crop, self.stride), self.stride)
        crop = {
            "size": s.crop,
            "sign_share": s.sign_share,
            "scales": (1 / s.scale, s.scale),
        }
        targets = {
            "positive_from": s.positive_from,
            "negative_below": s.negative_below,
            "size": s.anchors_per_crop,
            "positive_share": s.positive_share,
        }

        def read(frame: int) -> np.ndarray:
            return read_frame(rows.root / rows.paths[frame], self.max_pixels)

        def recalled(frame: int, seed, scores: np.ndarray, deltas: np.ndarray) -> tuple[int, int]:
            # The same crop again: it is drawn from the same numbers.
            made = draw_crop(read(frame), rows.boxes[frame], np.random.default_rng(seed), **crop)
            found = propose(
                Maps(scores, deltas, s.crop, s.crop),
                grid,
                pre_nms_top_k=s.pre_nms_top_k,
                post_nms_top_k=CROP_PROPOSALS,
                nms_threshold=s.nms_threshold,
            )
            overlaps = best_overlaps(found.boxes, made.boxes)
            return int((overlaps >= RECALL_AT).sum()), len(overlaps)

        return ProposalTask(
            CropTargets(read, rows.boxes, grid, crop=crop, targets=targets),
            rows.train,
            rows.val,
            s.crops_per_frame,
            s.training.batch_size,
            s.box_weight,
            recalled,
            # Not a seed of any epoch: those are the run's, the member's and the epoch's.
            (self.seed, 0, 0, 0),
        )


@dataclass(frozen=True)
class ProposalTraining:
    """All that a proposal network depends on besides its data.

    Args:
        settings, device: the sections.
        seed: of the run.
        max_pixels: of a frame.
    """

    settings: ProposalSettings
    device: DeviceSettings
    seed: int
    max_pixels: int

    def weights(self) -> Path | None:
        """The pretrained checkpoint; None: random weights."""
        s = self.settings
        found = weights_file(s.pretrained, s.backbone, s.weights_dirs, s.options)
        return found and found.absolute()

    def learnt(self) -> list:
        """What the weights depend on, as JSON values."""
        left_out = ("pre_nms_top_k", "post_nms_top_k", "nms_threshold", "min_size", "keep_maps")
        section = {k: v for k, v in results(self.settings).items() if k not in left_out}
        weights = self.weights()
        return [section, file_hash(weights) if weights else None, self.seed]

    def network(self, trained: bool = False):
        """The ``training.members.Network``; ``trained``: its checkpoint replaces the pretrained one."""
        from mindspore_dpus.models.proposal_network import ProposalNetwork

        s = self.settings
        return ProposalNetwork(
            backbone=s.backbone,
            layer=s.layer,
            n_anchors=len(s.sizes) * len(s.ratios),
            channels=s.channels,
            options=s.options,
            weights=None if trained else self.weights(),
            rotate=s.rotate,
            allow_fresh=s.allow_fresh,
            freeze=s.freeze,
        )


def proposal_training(config: Configuration) -> ProposalTraining:
    """The sections that a run's proposal network depends on."""
    return ProposalTraining(config.proposals, config.device, config.seed, config.data.max_pixels)


def check_network(training: ProposalTraining) -> None:
    """Build the network once, before anything long is computed.

    Raises:
        UserError: backbone, layer, checkpoint, what is frozen or the crop cannot be used.
    """
    from mindspore_dpus.core.device import configure

    network = training.network()
    net = network.build(configure(training.device))
    network.phases(net)
    if training.settings.crop % net.stride:
        raise UserError(
            f"proposals.crop is {training.settings.crop}; it must be a multiple of the stride of "
            f"{training.settings.layer}, {net.stride}"
        )


def make_network(run: RunFolder, config: Configuration, key: str) -> None:
    """``proposals/members/proposals/``: best and last checkpoint, history."""
    from mindspore_dpus.core.device import configure

    training, p = proposal_training(config), config.proposals
    network = training.network()
    stride = network.build(configure(config.device)).stride

    def n_samples(rows: FrameRows) -> int:
        return len(rows.train) * p.crops_per_frame

    task = Proposing(p, stride, config.data.max_pixels, config.seed)
    train_on_frames(run, config, FOLDER, network, task, p.training, n_samples, key)


def make_proposals(run: RunFolder, config: Configuration, key: str) -> None:
    """``proposals.csv`` (path, x1, y1, x2, y2, score), ``recall.json``, maps where they are kept.

    Args:
        run, config: the run.
        key: what the network's checkpoint belongs to.
    """
    from mindspore_dpus.systems.traffic_signs.trained_detector import proposal_detector

    frames = read_run_frames(run)
    detector = proposal_detector(run, config, key)
    root, tables = data_root(run, config), []
    watch = Stopwatch()
    for place, path in enumerate(frames.paths):
        image = read_frame(root / path, config.data.max_pixels)
        with watch.of("proposal_network"):
            maps = detector.maps(image)
        with watch.of("proposal_boxes"):
            found = detector.proposals(maps)
        if config.proposals.keep_maps:
            write_maps(maps, maps_file(run, place))
        table = pd.DataFrame(found.boxes.round(2), columns=EDGES)
        tables.append(table.assign(score=found.scores.round(4)).assign(path=path))
    table = pd.concat(tables, ignore_index=True)[["path", *EDGES, "score"]]
    write_table(table, run / FOLDER / "proposals.csv")
    found = read_proposals(run, frames)
    numbers = {}
    for split in ("train", "val", "test"):
        rows = frames.of(split)
        best = np.concatenate([best_overlaps(found[i], frames.boxes[i]) for i in rows])
        at_50, at_70 = proposal_recall(best[np.newaxis])[:, 0].tolist()
        numbers[split] = {
            "recall_50": at_50,
            "recall_70": at_70,
            "boxes": len(best),
            "proposals_per_frame": float(np.mean([len(found[i]) for i in rows])),
        }
    per_frame = watch.ms(("proposal_network", "proposal_boxes"), len(frames.paths))
    write_json(run / FOLDER / "recall.json", numbers | {"ms_per_frame": per_frame})
    logger.info(
        "  recall of proposals on test: %.4f at 0.5, %.4f at 0.7",
        numbers["test"]["recall_50"],
        numbers["test"]["recall_70"],
    )


def maps_file(run: RunFolder, frame: int) -> Path:
    """Where the maps of a frame are kept."""
    return run / FOLDER / "maps" / f"{frame:06d}.npz"


def read_proposals(run: RunFolder, frames: RunFrames) -> list[np.ndarray]:
    """(P, 4) proposals of every frame."""
    from mindspore_dpus.core.tables import read_table

    table = read_table(run / FOLDER / "proposals.csv")
    by_path = {path: part[EDGES].to_numpy(float) for path, part in table.groupby("path")}
    return [by_path.get(path, np.empty((0, 4))) for path in frames.paths]


def make_sweep(run: RunFolder, config: Configuration, stride: int) -> None:
    """``table5.csv``: recall of other proposals from the same maps, on train and test."""
    frames, s, p = read_run_frames(run), config.sweep, config.proposals

    def lists(texts: tuple[str, ...], default: tuple[float, ...], name: str) -> list[list[float]]:
        try:
            return [[float(v) for v in text.split(",")] for text in texts] or [list(default)]
        except ValueError:
            raise UserError(f"sweep.{name} holds {texts}; write lists of numbers, as 32, 64") from None

    rows = sweep_rows(
        lists(s.ratios, p.ratios, "ratios"),
        lists(s.sizes, p.sizes, "sizes"),
        *(s.pre_nms_top_k, s.post_nms_top_k, s.nms_thresholds),
    )
    tables = []
    for split in ("train", "test"):
        places = {frames.paths[i]: int(i) for i in frames.of(split)}
        truth = {path: frames.boxes[i] for path, i in places.items()}
        try:
            table = sweep(
                rows,
                list(places),
                lambda path, places=places: read_maps(maps_file(run, places[path])),
                truth,
                sizes=p.sizes,
                ratios=p.ratios,
                stride=stride,
                min_size=p.min_size,
            )
        except ValueError as error:
            raise UserError(f"sweep: {error}") from None
        for name in ("anchor_ratios", "anchor_sizes"):
            table[name] = [", ".join(f"{v:g}" for v in values) for values in table[name]]
        tables.append(table.assign(split=split))
    write_table(pd.concat(tables), run / FOLDER / "table5.csv")
