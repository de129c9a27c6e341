"""Whose published ImageNet weights fill a network: of MobileNetV2, those of its width."""

from collections.abc import Mapping

from mindspore_dpus.core.errors import UserError

# mindcv's names of the networks that we define ourselves.
MINDCV_NAMES = {"mobilenet_v2": "mobilenet_v2_100"}
# Width of MobileNetV2 -> mindcv's name of the network whose ImageNet weights it publishes (mindcv 0.3). It
# knows 0.35, 0.5 and 1.3 as well, but has no weights for them. Keras has weights for all six.
PUBLISHED = {1.4: "mobilenet_v2_140", 0.75: "mobilenet_v2_075"}


def published_name(backbone: str, options: Mapping[str, object]) -> str:
    """The name under which the ImageNet weights of a backbone are found.

    Args:
        backbone: its name in the configuration.
        options: of the backbone.

    Raises:
        UserError: it is a MobileNetV2 of a width of which mindcv publishes no weights.
    """
    width = options.get("width", 1.0)
    if backbone != "mobilenet_v2" or width == 1.0:
        return backbone
    if width not in PUBLISHED:
        widths = ", ".join(f"{known:g}" for known in sorted([*PUBLISHED, 1.0]))
        raise UserError(
            f"mindcv publishes no ImageNet weights of mobilenet_v2 with width {width:g}, only of {widths}: "
            "give a checkpoint file as pretrained, or null for random weights"
        )
    return PUBLISHED[width]
