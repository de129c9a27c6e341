"""A backbone's name -> a network: ours, else mindcv's."""

import difflib

import mindspore as ms
from mindspore import nn

from mindspore_dpus.errors import UserError
from mindspore_dpus.models.mobilenet_v2 import MobileNetV2
from mindspore_dpus.models.resnet import ResNet18

OURS = {"resnet18": ResNet18, "mobilenet_v2": MobileNetV2}


def create_model(backbone: str, num_classes: int, in_channels: int = 3, seed: int = 0) -> nn.Cell:
    """Build a network with random weights.

    Args:
        backbone: ``resnet18``, ``mobilenet_v2``, or any model name of mindcv.
        num_classes: C, width of the last layer.
        in_channels: channels of the input images.
        seed: equal seeds give equal weights. (Dropout inside some of mindcv's networks draws from a
            state that MindSpore cannot set back: their training is not repeatable to the bit.)

    Returns:
        A Cell from images (N, in_channels, H, W) float32 to logits (N, num_classes) float32.

    Raises:
        UserError: nobody knows that name; the nearest ones are given.
    """
    ms.set_seed(seed)
    if backbone in OURS:
        net = OURS[backbone](num_classes=num_classes, in_channels=in_channels)
    else:
        net = _create_mindcv(backbone, num_classes, in_channels)
    # Cells draw their weights when asked; asking now ties them to the seed.
    net.init_parameters_data()
    return net


def _create_mindcv(backbone: str, num_classes: int, in_channels: int) -> nn.Cell:
    # Imported late: mindcv takes a second, and the paper's two networks do not need it.
    import mindcv

    known = mindcv.list_models()
    if backbone not in known:
        near = difflib.get_close_matches(backbone, [*OURS, *known], n=3, cutoff=0.4)
        raise UserError(
            f"unknown backbone {backbone!r}: use {', '.join(near) or ', '.join(OURS)}, or another "
            "model name of mindcv"
        )
    net = mindcv.create_model(backbone, num_classes=num_classes, in_channels=in_channels)
    return net


def classifier_name(net: nn.Cell) -> str:
    """Name of the last fully connected Cell, the one that is new for every task."""
    if hasattr(net, "classifier_name"):
        return net.classifier_name
    dense = [name for name, cell in net.cells_and_names() if isinstance(cell, nn.Dense)]
    return dense[-1]


def stem_name(net: nn.Cell) -> str:
    """Name of the first convolution, the one that sees the image."""
    if hasattr(net, "stem_name"):
        return net.stem_name
    return next(name for name, cell in net.cells_and_names() if isinstance(cell, nn.Conv2d))
