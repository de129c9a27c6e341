"""Freezing by patterns, as a member does it."""

from collections.abc import Sequence

from mindspore import nn

from mindspore_dpus.models.freeze import layers, phases, set_frozen
from mindspore_dpus.models.settings import ModelSettings


def frozen(net: nn.Cell, patterns: Sequence[str]) -> nn.Cell:
    """The same network, without training of what fits one of the patterns."""
    names = layers(net)
    set_frozen(net, phases(net, ModelSettings(freeze=list(patterns)))[0].frozen, names)
    return net
