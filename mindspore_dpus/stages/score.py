"""A finished run as a scorer (``deploy.scoring``): images in, outputs of all its models out."""

import numpy as np

from mindspore_dpus.config import Config
from mindspore_dpus.data.images import ImageSpec
from mindspore_dpus.evaluation.predictions import positive_index
from mindspore_dpus.run import RunFolder, digest
from mindspore_dpus.sampling.strategies import BASELINE
from mindspore_dpus.stages import learn
from mindspore_dpus.stages.decide import read_decision
from mindspore_dpus.stages.prepare import read_samples


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

    def __init__(self, run: RunFolder, config: Config, baseline: bool = True) -> None:
        self.ensemble = learn.load_ensemble(run, config)
        if not baseline:
            self.ensemble.nets.pop(BASELINE, None)
        _, self.classes, _ = read_samples(run)
        self.spec = ImageSpec.from_config(config.data)
        self.positive = positive_index(self.classes, config)
        self.decision = read_decision(run)
        self.threshold = self.decision.threshold if self.decision else config.evaluation.threshold
        self.models = ["fused", *self.ensemble.nets]
        self.identity = digest(
            run.finished("members")["key"], self.decision.to_json() if self.decision else None
        )

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Softmax outputs.

        Args:
            images: (N, H, W, C) prepared images.

        Returns:
            ``fused`` and each model -> (N, classes) float32.
        """
        return learn.with_fused(self.ensemble.predict(images, np.arange(len(images))))
