"""Options of a network, checked by the signature of its constructor."""

from collections.abc import Sequence
from functools import partial

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.factory import OURS
from mindspore_dpus.models.feed_forward import FeedForward
from mindspore_dpus.models.mobilenet_v2 import MobileNetV2
from mindspore_dpus.models.options import check_options, option_names, takes
from mindspore_dpus.models.plain import vgg16
from mindspore_dpus.models.widths import MINDCV_NAMES, PUBLISHED, published_name


def network(
    num_classes: int,
    in_channels: int = 3,
    *,
    depth: int = 1,
    share: float | None = None,
    fast: bool = False,
    widths: Sequence[int] = (1,),
    names: list[str] | None = None,
):
    """A constructor with options of all types."""
    return depth, share, fast, widths, names


def test_what_a_configuration_may_set():
    assert option_names(network) == ["depth", "share", "fast", "widths", "names"]
    assert option_names(FeedForward) == ["layers", "activation", "dropout"]
    assert option_names(MobileNetV2) == ["width", "dropout"]
    assert option_names(partial(MobileNetV2, width=0.5)) == ["dropout"]
    assert option_names(vgg16) == []
    assert takes(FeedForward, "image_size")
    assert not takes(MobileNetV2, "image_size")


def test_good_options_are_what_the_constructor_gets():
    given = {"depth": 3, "share": 1, "fast": True, "widths": [30, 20], "names": ["a"]}
    checked = check_options(network, given)
    assert checked == {"depth": 3, "share": 1, "fast": True, "widths": (30, 20), "names": ("a",)}
    assert network(2, **checked) == (3, 1, True, (30, 20), ("a",))
    assert check_options(network, {"share": None}) == {"share": None}
    assert check_options(network, {}) == {}
    assert check_options(MobileNetV2, {"width": 0.7}) == {"width": 0.7}
    assert check_options(partial(MobileNetV2, width=0.5), {"dropout": 0.2}) == {"dropout": 0.2}


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (FeedForward, {"layer": [3]}, "no option 'layer'; it takes layers, activation, dropout$"),
        (vgg16, {"dropout": 0.1}, "no option 'dropout'; it takes none$"),
        (network, {"num_classes": 3}, "no option 'num_classes'; it takes depth, "),
        (partial(MobileNetV2, width=0.5), {"width": 0.7}, "no option 'width'; it takes dropout$"),
        (network, {"depth": 1.0}, "depth is 1.0; it must be a whole number$"),
        (network, {"depth": True}, "depth is True; it must be a whole number$"),
        (network, {"depth": None}, "depth is None; it must be a whole number$"),
        (network, {"share": "0.5"}, "share is '0.5'; it must be a number or null$"),
        (network, {"share": float("nan")}, "share is nan; it must be a number or null$"),
        (network, {"fast": 1}, "fast is 1; it must be true or false$"),
        (network, {"widths": 3}, "widths is 3; it must be a list, each a whole number$"),
        (
            network,
            {"widths": [3, 0.5]},
            r"widths is \[3, 0.5\]; it must be a list, each a whole number$",
        ),
        (network, {"names": "ab"}, "names is 'ab'; it must be a list, each text or null$"),
    ],
)
def test_bad_options_are_named(build, options, message):
    with pytest.raises(UserError, match=f"^model.options: .*{message}"):
        check_options(build, options)


def test_every_option_of_our_networks_can_be_checked():
    for build in OURS.values():
        for name in option_names(build):
            with pytest.raises(UserError, match=f"{name} is "):
                check_options(build, {name: {}})


def test_widths_with_published_weights_are_mindcvs():
    from mindcv.models import mobilenetv2

    theirs = {name for name, cfg in mobilenetv2.default_cfgs.items() if cfg["url"]}
    assert {*PUBLISHED.values(), *MINDCV_NAMES.values()} == theirs
    assert published_name("mobilenet_v2", {"width": 0.75}) == "mobilenet_v2_075"
    for options in ({}, {"width": 1}, {"dropout": 0.1}):
        assert published_name("mobilenet_v2", options) == "mobilenet_v2"
    assert published_name("resnet18", {"width": 0.7}) == "resnet18"
    with pytest.raises(UserError, match="mobilenet_v2 with width 0.7, only of 0.75, 1, 1.4"):
        published_name("mobilenet_v2", {"width": 0.7})


@pytest.mark.parametrize("width", [0.35, 0.5, 0.7, 0.75, 1.0, 1.3, 1.4])
def test_any_width_has_the_shapes_of_mindcvs_network(width):
    from mindcv.models import mobilenetv2
    from mindspore.nn.utils import no_init_parameters

    with no_init_parameters():
        theirs = mobilenetv2.MobileNetV2(alpha=width, num_classes=5)
        ours = MobileNetV2(5, width=width)
    shapes = {p.name: p.shape for p in ours.get_parameters()}
    assert shapes == {p.name: p.shape for p in theirs.get_parameters()}
