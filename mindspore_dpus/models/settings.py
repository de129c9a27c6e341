"""The configuration's sections on networks and heatmaps. No MindSpore here."""

from dataclasses import dataclass
from typing import Any, Literal

from mindspore_dpus.core.settings import at_least, key


@dataclass(frozen=True)
class ModelSettings:
    """The classifier that every member trains (section 2.3)."""

    backbone: str = "mobilenet_v2"
    """resnet18 (34, 50, 101, 152), resnext50_32x4d, mobilenet_v2 (_140, _075, _050, _035), vgg16,
    vgg19_bn, alexnet, or any model name of mindcv."""
    options: dict[str, Any] = key(factory=dict)
    """Further options of the backbone, such as {width: 0.7} for mobilenet_v2. An unknown option is an
    error that lists the known ones."""
    pretrained: str | None = "imagenet"
    """imagenet, a checkpoint file, or null for random weights."""
    rotate: bool = False
    """Turn the checkpoint's kernels by 180 degrees: for weights that see the world upside down
    (docs/guide/weights.md)."""
    allow_fresh: tuple[str, ...] = ()
    """Patterns of parameters that the checkpoint may lack, such as layer4.*; they start at random."""
    freeze: tuple[str, ...] = ()
    """Patterns of parameters that are not trained; their batch norms stay in evaluation mode."""
    freeze_layers: int | None = key(None, at_least(0))
    """The first N layers are not trained. Every array of weights counts as one, in the network's order:
    a convolution is one, a batch norm two, the classifier two. MobileNetV2 has 158, ResNeXt50 161."""
    fine_tuning: Literal["deep", "shallow", "gradual"] = "deep"
    """deep: everything that is not frozen is trained; shallow: the classifier alone; gradual: the
    classifier first, then the layers before it, part by part."""
    unfreeze_every: int = key(1, at_least(1))
    """Epochs between two parts (fine_tuning: gradual). Each begins with a fresh optimiser state."""
    unfreeze_parts: int = key(4, at_least(1))
    """Parts of equally many layers (fine_tuning: gradual)."""
    weights_dirs: tuple[str, ...] = key(("weights",), changes_results=False)
    """Folders searched for {backbone}_imagenet*.safetensors before anything is downloaded; a
    download goes into the first."""


@dataclass(frozen=True)
class HeatmapSettings:
    """Where in an image the ensemble sees a class: of two the positive, of more the predicted one."""

    report: bool = True
    """Show heatmaps of the worst errors in the report."""
    layer: str | None = None
    """Cell whose map is shown, such as features.15 or layer4. Default: the last block or part of the
    backbone whose map has at least 7 x 7 places, which at 224 pixels is the one before the global
    average."""
    method: Literal["hires_cam", "grad_cam"] = "hires_cam"
    """hires_cam: each place of the map times its own gradient; grad_cam: times the gradient averaged
    over all places. Before the global average they are the same; in finer maps hires_cam found more
    of the flaws in castings."""
