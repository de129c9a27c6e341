"""The configuration's section on detectors of images: models of normals alone. No MindSpore here."""

from dataclasses import dataclass
from typing import Literal

from mindspore_dpus.core.settings import at_least, key
from mindspore_dpus.detectors import DETECTORS

# What an image becomes -> what the names of its rows begin with (frozen was there before there was another).
EMBEDDINGS = {"frozen": "", "members": "members/"}


@dataclass(frozen=True)
class OneClassSettings:
    """Models of normal images alone, on their features, beside the ensemble (not in the castings paper)."""

    detectors: tuple[Literal[tuple(DETECTORS)], ...] = ()
    """Which. None: the comparison is left out."""
    embeddings: tuple[Literal[tuple(EMBEDDINGS)], ...] = ("frozen",)
    """What they see of an image: frozen, the features of the section features; members, those of the trained
    members. Each is a row of its own for every detector: knn-4, members/knn-4."""
    sizes: tuple[int, ...] = key((1, 4), at_least(1))
    """Neighbours, or components of the mixture; each detector that has a size is fitted with every one."""
    n_components: int = key(64, at_least(1))
    """Principal components that the features are whitened to; fewer where there are fewer normals."""
