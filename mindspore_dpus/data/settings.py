"""The configuration's sections on samples: where they are, how they are split, what the audit finds."""

from dataclasses import dataclass
from typing import Literal

from mindspore_dpus.core.settings import SHARE, above, between, key


@dataclass(frozen=True)
class DataSettings:
    """Where the samples are, and which classes are used."""

    root: str | None = key(None, changes_results=False)
    """Folder of the data: root/{train,val,test}/{class}/..., root/{class}/..., or with a manifest."""
    manifest: str | None = key(None, changes_results=False)
    """CSV with the columns path,label[,split][,group]; paths are relative to root. Default:
    root/manifest.csv where it exists, else class names come from the folders."""
    allow_outside_root: bool = key(False, changes_results=False)
    """Also read files that the manifest names by an absolute path, by .., or through a symbolic link
    that leads out of root."""
    classes: tuple[str | int, ...] | None = None
    """Only samples of these classes; the others are left out. Default: all."""
    positive: str | int = "defect"
    """The class whose probability is the score, when there are two classes."""
    majority: str | int = "normal"
    """The class that outnumbers the other and is drawn from, when there are two classes."""
    cache_dir: str | None = key(None, changes_results=False)
    """Folder of decoded samples and features, shared by runs. Default: cache beside the run."""

    def __post_init__(self) -> None:
        # A class named 1 is text everywhere; in YAML, without quotes, it is a number.
        for name in ("positive", "majority"):
            object.__setattr__(self, name, str(getattr(self, name)))
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(map(str, self.classes)))


@dataclass(frozen=True)
class SplitSettings:
    """How samples are divided into train, val and test. A split that the data names is used as it is."""

    val_size: float = key(0.15, above(0))
    """Share of the samples for validation where the data names no val split; a number above 1 counts
    samples. With balanced, it counts from the smallest class and holds for every class. Samples of one
    group stay together, so the share is only as exact as whole groups allow."""
    test_size: float = key(0.15, above(0))
    """The same for the test split."""
    balanced: bool = False
    """Val and test made here hold equally many samples of each class (as in Table 1)."""
    every_class: bool = True
    """Val and test must hold every class. False: one with too few samples may be missing there (AUC is
    then undefined), never in train."""
    minority_fraction: float = key(1.0, SHARE)
    """Keep only this share of the smallest class in train (Figure 5: 1/2, 1/4, 1/8, 1/16)."""


@dataclass(frozen=True)
class AuditSettings:
    """What is checked in the samples before anything is computed from them."""

    enabled: bool = True
    """Look for unreadable images, duplicates, leaks between splits, odd sizes and depths."""
    near_distance: int | None = key(20, between(0, 64))
    """Two images are near duplicates if at most this many of the 256 bits of their perceptual hashes
    differ; null: do not look for near duplicates."""
    saturation: float = key(0.3, SHARE)
    """An image is saturated when this share of its pixels has its smallest or its largest value."""
    allow: tuple[Literal["exact_duplicates_across_splits", "groups_across_splits"], ...] = ()
    """Leaks between splits that do not stop the run."""
