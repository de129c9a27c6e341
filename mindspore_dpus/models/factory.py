"""A backbone's name -> a network: ours, else mindcv's."""

import difflib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import mindspore as ms
from mindspore import nn
from mindspore.nn.utils import no_init_parameters

from mindspore_dpus.core.device import Device
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.cifar_cnn import CifarCnn
from mindspore_dpus.models.conv4 import Conv4
from mindspore_dpus.models.dropout import use_seeded_dropout
from mindspore_dpus.models.feed_forward import FeedForward
from mindspore_dpus.models.lenet import LeNet5
from mindspore_dpus.models.mobilenet_v2 import MobileNetV2
from mindspore_dpus.models.options import check_options, takes
from mindspore_dpus.models.plain import alexnet, vgg16, vgg19_bn
from mindspore_dpus.models.resnet import (
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
)
from mindspore_dpus.models.small_alexnet import SmallAlexNet
from mindspore_dpus.models.starting import use_kernels_of, zero_parameters
from mindspore_dpus.models.sync_norm import use_sync_norms
from mindspore_dpus.models.weights import load_weights

OURS = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "resnext50_32x4d": resnext50_32x4d,
    "vgg16": vgg16,
    "vgg19_bn": vgg19_bn,
    "alexnet": alexnet,
    "feed_forward": FeedForward,
    "lenet5": LeNet5,
    "small_alexnet": SmallAlexNet,
    "conv4": Conv4,
    "cifar_cnn": CifarCnn,
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v2_140": partial(MobileNetV2, width=1.4),
    "mobilenet_v2_075": partial(MobileNetV2, width=0.75),
    "mobilenet_v2_050": partial(MobileNetV2, width=0.5),
    "mobilenet_v2_035": partial(MobileNetV2, width=0.35),
}


def create_model(
    backbone: str,
    num_classes: int,
    in_channels: int = 3,
    pretrained: str | Path | None = None,
    seed: int = 0,
    allow_fresh: Sequence[str] = (),
    device: Device | None = None,
    random: bool = True,
    options: Mapping[str, object] | None = None,
    image_size: int | None = None,
) -> nn.Cell:
    """Build a network; its classifier is new, as in section 2.3 of the paper.

    Args:
        backbone: a name in ``OURS``, or any model name of mindcv.
        num_classes: C, width of the last layer.
        in_channels: channels of the input images.
        pretrained: checkpoint that fills all but the classifier (``models.pretrained.find_weights``);
            None: random weights.
        seed: equal seeds give equal random weights.
        allow_fresh: glob patterns of parameters that ``pretrained`` may lack.
        device: what it will run on. Where steps are not compiled, dropout then draws from a seed
            (``models.dropout``); a compiled one draws from a state that MindSpore cannot set back, and
            is not repeatable to the bit. On a CPU, some loops are ours; on one of several devices, batch
            norms see all of them. None: nothing of that.
        random: False: parameters are zero, for a network that is filled afterwards. Random numbers
            are nine tenths of the time that our networks take to build.
        options: what the backbone takes besides, such as {"width": 0.7}.
        image_size: height and width of the images, for networks that are made for one size.

    Returns:
        A Cell from images (N, in_channels, H, W) float32 to logits (N, num_classes) float32.

    Example:
        >>> from mindspore_dpus.models import create_model
        >>> net = create_model("lenet5", num_classes=2, in_channels=1, image_size=32)
        >>> net.classifier_name
        'classifier.6'

    Raises:
        UserError: nobody knows that name (the nearest ones are given), or the checkpoint does not fit.
    """
    ms.set_seed(seed)
    build = OURS.get(backbone) or partial(_create_mindcv, backbone)
    given = check_options(build, options or {}) if backbone in OURS else dict(options or {})
    if image_size is not None and backbone in OURS and takes(build, "image_size"):
        given["image_size"] = image_size
    with nullcontext() if random else no_init_parameters():
        net = build(num_classes=num_classes, in_channels=in_channels, **given)
    if random:
        # Cells draw their weights when asked; asking now ties them to the seed.
        net.init_parameters_data()
    else:
        zero_parameters(net)
    if pretrained is not None:
        load_weights(net, Path(pretrained), allow_fresh, fresh_classifier=True)
    if device is not None and not device.jit:
        use_seeded_dropout(net, device.rank, device.n_devices)
    if device is not None:
        use_kernels_of(device, net)
    # After our own, which see one device's part of a batch.
    if device is not None and device.n_devices > 1:
        use_sync_norms(net, device.n_devices)
    return net


def _create_mindcv(backbone: str, num_classes: int, in_channels: int, **options) -> nn.Cell:
    # Imported late: mindcv takes a second, and our own networks do not need it.
    import mindcv

    known = mindcv.list_models()
    if backbone not in known:
        near = difflib.get_close_matches(backbone, {*OURS, *known}, n=3, cutoff=0.4)
        raise UserError(
            f"unknown backbone {backbone!r}: use {', '.join(near) or ', '.join(OURS)}, or another "
            "model name of mindcv"
        )
    return mindcv.create_model(backbone, num_classes=num_classes, in_channels=in_channels, **options)
