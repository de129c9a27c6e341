"""The configuration's section on features. No MindSpore here."""

from dataclasses import dataclass

from mindspore_dpus.core.settings import at_least, key

# Where there are fewer, nobody is told: nobody chose it.
DEFAULT_COMPONENTS = 128


@dataclass(frozen=True)
class FeatureSettings:
    """Features by which the majority class is clustered (section 2.2)."""

    backbone: str = "resnet18"
    """Any name that model.backbone may have."""
    layer: str | None = None
    """Cell whose output, averaged over height and width, is the feature vector. Default: the last
    one before the classifier."""
    pretrained: str | None = "imagenet"
    """imagenet, a checkpoint file, or null for random weights."""
    n_components: int | None = key(DEFAULT_COMPONENTS, at_least(1))
    """PCA dimensions before whitening and L2 normalisation, at most one for 10 samples (the paper has no
    such limit); null clusters the features as they are."""
    batch_size: int = key(64, at_least(1))
    """Samples per forward pass."""
