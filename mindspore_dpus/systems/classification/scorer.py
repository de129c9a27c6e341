"""A finished run as a scorer (``deploy.scoring``): images in, outputs of all its models out."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.cache import list_unusable
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.deploy.scoring import score_files
from mindspore_dpus.metrics.fusion import BASELINE, with_fused
from mindspore_dpus.metrics.predictions import positive_index
from mindspore_dpus.stages.member_stages import ClassifierTraining, load_ensemble
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.systems.classification.decision_stage import read_decision
from mindspore_dpus.systems.classification.run_data import source_of


def training_of(config: Configuration) -> ClassifierTraining:
    """The sections that the members of a run depend on."""
    return ClassifierTraining(config.model, config.loss, config.training, config.device, config.seed)


class RunScorer:
    """The models of a finished run on the configured device.

    Args:
        run: the run.
        config: its configuration.
        baseline: whether the baseline's outputs are given as well; it has no part in the fused one.

    Raises:
        UserError: the run is not finished, or a checkpoint is not its own.
    """

    # MindSpore's data pipeline takes its time to start.
    batch_size = 256

    def __init__(self, run: RunFolder, config: Configuration, baseline: bool = True) -> None:
        self.config = config
        self.identity = self.members = run.finished("members")["key"]
        source = source_of(run, config)
        self.ensemble = load_ensemble(run.path, source, training_of(config), self.members)
        if not baseline:
            self.ensemble.nets.pop(BASELINE, None)
        _, self.classes, _ = read_samples(run / "samples.csv")
        self.spec = config.images
        self.positive = positive_index(self.classes, config.data.positive)
        self.decision = read_decision(run)
        self.threshold = self.decision.threshold if self.decision else config.evaluation.threshold
        self.tiles = self.decision.tiles if self.decision else None
        self.models = ["fused", *self.ensemble.nets]

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Softmax outputs.

        Args:
            images: (N, H, W, C) prepared images.

        Returns:
            ``fused`` and each model -> (N, classes) float32.
        """
        return with_fused(self.ensemble.predict(images, np.arange(len(images))))


def score_frames(scorer: RunScorer, paths: pd.Series, root: Path, folder: Path) -> dict[str, np.ndarray]:
    """Score frames tile by tile, and keep what every tile got.

    Args:
        scorer: with ``tiles``.
        paths: the frames, relative to ``root``.
        root: the data root.
        folder: for ``tiles.csv``: path, x, y, width, height, score, a row for every tile.

    Returns:
        ``fused`` and each model -> (N, classes), pooled for each frame.

    Raises:
        UserError: a frame cannot be read, or its outputs are not numbers.
    """
    rows = [row for batch in score_files(scorer, [root / path for path in paths]) for row in batch]
    errors = [(path, row["error"]) for path, row in zip(paths, rows, strict=False) if row["error"]]
    if errors:
        raise list_unusable(errors, len(paths), folder / "unreadable.csv")
    tiles = [[path, *tile] for path, row in zip(paths, rows, strict=True) for tile in row["tiles"]]
    names = ["path", "x", "y", "width", "height", "score"]
    write_table(pd.DataFrame(tiles, columns=names), folder / "tiles.csv")
    return {
        model: np.array([[row[f"{model}:{name}"] for name in scorer.classes] for row in rows])
        for model in scorer.models
    }
