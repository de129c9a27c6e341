"""What the report's sections on an ensemble of classifiers read of a run folder, each file once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.sample_table import class_names
from mindspore_dpus.metrics.fusion import BASELINE, FUSED
from mindspore_dpus.metrics.predictions import positive_index, read_predictions
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.report.thumbnails import Thumbnails


@dataclass
class ClassifierRun:
    """A run folder, filled up to ``metrics.json``.

    Args:
        path: the folder.
        root: the data root, for example images.
        images: how images are read.
        evaluation: the section.
        positive: the positive of two classes.
        heatmap_method: what its heatmaps are made by.
    """

    path: Path
    root: Path
    images: ImageSettings
    evaluation: EvaluationSettings
    positive: str
    heatmap_method: str

    @cached_property
    def samples(self) -> pd.DataFrame:
        """``samples.csv``."""
        return read_table(self.path / "samples.csv")

    @cached_property
    def subsets(self) -> pd.DataFrame:
        """``subsets.csv``."""
        return read_table(self.path / "subsets.csv")

    @cached_property
    def metrics(self) -> dict:
        """``metrics.json``."""
        return read_json(self.path / "metrics.json")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """``predictions_test.csv``."""
        return read_table(self.path / "predictions_test.csv")

    @cached_property
    def outputs(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Test labels (N,), and outputs (N, C) of every model."""
        return read_predictions(self.path / "predictions_test.csv", self.classes)

    @cached_property
    def thumbnail(self) -> Thumbnails:
        """Makes an example image of a path and a caption."""
        return Thumbnails(self.root, self.images)

    @property
    def classes(self) -> list[str]:
        """Names in the order of the outputs."""
        return class_names(self.samples)

    @property
    def positive_index(self) -> int | None:
        """Of the positive class; None with more than two."""
        return positive_index(self.classes, self.positive)

    @property
    def models(self) -> dict:
        """Model -> its metrics on test."""
        return self.metrics["test"]["models"]

    @property
    def members(self) -> list[str]:
        """Names of the ensemble's members."""
        return [name for name in self.models if name not in (FUSED, BASELINE)]
