"""frames -> refinement network: shaken boxes of signs, and where the signs are."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.files import file_hash
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import results
from mindspore_dpus.data.boxes.arithmetic import decode, paired_iou
from mindspore_dpus.data.images.augment import AugmentSettings
from mindspore_dpus.deploy.refinement import WEIGHTS
from mindspore_dpus.models.pretrained import weights_file
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.frame_training import train_on_frames
from mindspore_dpus.systems.traffic_signs.run_data import FrameRows, read_frame
from mindspore_dpus.systems.traffic_signs.settings import RefinementSettings
from mindspore_dpus.systems.traffic_signs.shaken_boxes import ShakenBoxes, read_patches

FOLDER = "refinement"
MEASURE = "overlap"


@dataclass(frozen=True)
class Refining:
    """Rows -> the ``Task`` of a refinement network.

    Args:
        settings: the section.
        max_pixels: of a frame.
        seed: of the validation boxes, which are the same in every epoch.
    """

    settings: RefinementSettings
    max_pixels: int
    seed: int

    def __call__(self, rows: FrameRows):
        from mindspore_dpus.training.regression_task import RegressionTask

        s = self.settings

        def signs(frames: np.ndarray, augment: AugmentSettings | None) -> ShakenBoxes:
            def read(i: int) -> np.ndarray:
                return read_frame(rows.root / rows.paths[i], self.max_pixels)

            found = read_patches(read, rows.boxes, frames)
            images = replace(s.images, max_pixels=self.max_pixels)
            shaken = s.margin, s.shift, s.scale, s.overlap_from
            return ShakenBoxes(found, images, *shaken, augment)

        train, val = signs(rows.train, s.training.augment), signs(rows.val, None)
        # Not a seed of any epoch: those are the run's, the member's and the epoch's.
        drawn = [
            val(i, np.random.default_rng((self.seed, 0, 0, 0, i, j)))
            for i in range(len(val.signs))
            for j in range(s.boxes_per_sign)
        ]
        targets = np.stack([target for _, target in drawn])
        # An overlap is the same in any units: here the window is one wide and one high.
        unit = np.broadcast_to([0.0, 0.0, 1.0, 1.0], (len(drawn), 4))
        truth = decode(targets, unit, WEIGHTS)

        def overlap(outputs: np.ndarray) -> float:
            return float(paired_iou(decode(outputs, unit, WEIGHTS), truth).mean())

        return RegressionTask(
            train,
            len(train.signs),
            s.boxes_per_sign,
            s.training.batch_size,
            np.stack([image for image, _ in drawn]),
            targets,
            overlap,
            MEASURE,
        )


@dataclass(frozen=True)
class RefinementTraining:
    """All that a refinement network depends on besides its data.

    Args:
        settings, device: the sections.
        seed: of the run.
        max_pixels: of a frame.
    """

    settings: RefinementSettings
    device: DeviceSettings
    seed: int
    max_pixels: int

    def weights(self) -> Path | None:
        """The pretrained checkpoint; None: random weights."""
        m = self.settings.model
        return weights_file(m.pretrained, m.backbone, m.weights_dirs, m.options)

    def learnt(self) -> list:
        """What the weights depend on, as JSON values."""
        section = {k: v for k, v in results(self.settings).items() if k != "rounds"}
        weights = self.weights()
        return [section, file_hash(weights) if weights else None, self.seed]

    def network(self, trained: bool = False):
        """The ``training.members.Network``; ``trained``: its checkpoint replaces the pretrained one."""
        from mindspore_dpus.models.classifier import Classifier

        weights = None if trained else self.weights()
        s = self.settings
        # A classifier's network; its four outputs are no classes.
        return Classifier(s.model, 4, s.images.channels, weights and weights.absolute(), s.images.size)


def refinement_training(config: Configuration) -> RefinementTraining:
    """The sections that a run's refinement network depends on."""
    return RefinementTraining(config.refinement, config.device, config.seed, config.data.max_pixels)


def check_refinement(training: RefinementTraining) -> None:
    """Build the network once, before anything long is computed.

    Raises:
        UserError: backbone, options, checkpoint or what is frozen cannot be used.
    """
    from mindspore_dpus.core.device import configure

    network = training.network()
    network.phases(network.build(configure(training.device)))


def make_refinement(run: RunFolder, config: Configuration, key: str) -> None:
    """``refinement/members/refinement/``: best and last checkpoint, history."""
    training = refinement_training(config)
    s = training.settings

    def n_samples(rows: FrameRows) -> int:
        return sum(len(rows.boxes[i]) for i in rows.train) * s.boxes_per_sign

    task = Refining(s, training.max_pixels, config.seed)
    train_on_frames(run, config, FOLDER, training.network(), task, s.training, n_samples, key)
