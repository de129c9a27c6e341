"""MobileNetV2 of any width: which published weights fill it, if any."""

from mindspore_dpus.core.errors import UserError

# Width -> mindcv's name of the network whose ImageNet weights it publishes (mindcv 0.3). It knows 0.35,
# 0.5 and 1.3 as well, but has no weights for them. Keras has weights for all six.
PUBLISHED = {1.4: "mobilenet_v2_140", 1.0: "mobilenet_v2_100", 0.75: "mobilenet_v2_075"}


def published_name(width: float) -> str:
    """The mindcv name of the network with that width.

    Args:
        width: multiplier of MobileNetV2's channels.

    Raises:
        UserError: there are no published weights of that width.
    """
    if width not in PUBLISHED:
        widths = ", ".join(f"{known:g}" for known in sorted(PUBLISHED))
        raise UserError(
            f"nobody publishes ImageNet weights of mobilenet_v2 with width {width:g} for mindcv; it has "
            f"{widths}. Give a checkpoint file as model.pretrained, or start at random with null"
        )
    return PUBLISHED[width]
