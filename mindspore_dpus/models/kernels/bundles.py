"""Grouped convolutions as ones of fewer groups, each of whole blocks of channels, as oneDNN's kernels want
them: neighbouring groups are put into a bundle, whose weights are zero from one group to another."""

import numpy as np


def count_bundles(groups: int, in_channels: int, out_channels: int, block: int) -> int:
    """How many bundles have whole blocks of channels; 1 where none but all groups together may do, after
    their channels have been filled up.

    Args:
        groups: of the convolution.
        in_channels, out_channels: of all groups.
        block: channels that lie together.
    """
    for bundles in range(groups, 1, -1):
        if (
            groups % bundles == 0
            and in_channels % (bundles * block) == out_channels % (bundles * block) == 0
        ):
            return bundles
    return 1


def bundled(weights: np.ndarray, groups: int, bundles: int) -> np.ndarray:
    """The weights of the bundles.

    Args:
        weights: (O, I / groups, H, W).
        groups: of the convolution.
        bundles: a divisor of ``groups``.

    Returns:
        (bundles, O / bundles, I / bundles, H, W); (O, I, H, W) of one bundle.
    """
    if groups == 1:
        return weights
    outputs, inputs, height, width = weights.shape
    own, members = outputs // groups, groups // bundles
    out = np.zeros((bundles, members, own, members, inputs, height, width), weights.dtype)
    parts = weights.reshape(bundles, members, own, inputs, height, width)
    for i in range(members):
        out[:, i, :, i] = parts[:, i]
    shape = outputs // bundles, members * inputs, height, width
    return out.reshape(shape if bundles == 1 else (bundles, *shape))


def unbundled(gradient: np.ndarray, groups: int, bundles: int) -> np.ndarray:
    """The gradient of a convolution's weights, (O, I / groups, H, W), out of that of ``bundled``."""
    if groups == 1:
        return gradient
    *_, outputs, inputs, height, width = gradient.shape
    members = groups // bundles
    own = outputs // members
    parts = gradient.reshape(bundles, members, own, members, inputs // members, height, width)
    found = np.stack([parts[:, i, :, i] for i in range(members)], axis=1)
    return found.reshape(bundles * outputs, inputs // members, height, width)
