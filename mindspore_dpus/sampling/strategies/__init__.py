"""The ways to turn an imbalanced training set into the members' training sets, one file each.

A file's ``draw`` takes class labels (N,), whitened features (N, D) where the strategy needs them, the
section ``sampling`` and a seed, and returns ``Drawn``. No MindSpore here.
"""

from mindspore_dpus.core.choices import load
from mindspore_dpus.sampling.settings import STRATEGIES, SamplingSettings
from mindspore_dpus.sampling.strategies.common import Drawn, drawn_classes

__all__ = ["STRATEGIES", "Drawn", "draw_subsets", "drawn_classes"]


def draw_subsets(labels, features, sampling: SamplingSettings, random_state: int) -> Drawn:
    """Draw by the strategy that the section names.

    Args:
        labels: (N,) classes of the training samples.
        features: (N, D) whitened; None where the strategy's row does not need them.
        sampling: the section.
        random_state: seed.

    Raises:
        ValueError: features are missing, or a proportion draws nothing.
    """
    row = STRATEGIES[sampling.strategy]
    if row.needs_features and features is None:
        raise ValueError(f"strategy {sampling.strategy} needs features")
    return load(row.draw)(labels, features, sampling, random_state)
