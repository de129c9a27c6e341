"""Layers that keep their pretrained values: by name, by depth, or until their turn comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mindspore import nn

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.models.weights import classifier_name


@dataclass(frozen=True)
class Phase:
    """A part of a member's training with the same layers frozen throughout.

    Args:
        first_epoch: from 1 on.
        frozen: names of the parameters that are not trained.
    """

    first_epoch: int
    frozen: frozenset[str]


def layers(net: nn.Cell) -> list[str]:
    """What ``freeze_layers`` counts: names of all weights in the order of the network.

    A convolution has one (two with a bias), a batch norm has two (scale and shift; its running mean and
    variance are no weights), a fully connected layer has two.

    Args:
        net: of which nothing is frozen.
    """
    return [p.name for p in net.get_parameters() if p.requires_grad]


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"model.freeze: no parameter of the backbone fits {pattern!r}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def phases(net: nn.Cell, config: ModelSettings) -> list[Phase]:
    """When which layers are frozen.

    Args:
        net: of which nothing is frozen.
        config: ``freeze``, ``freeze_layers``, ``fine_tuning``, ``unfreeze_every``, ``unfreeze_parts``.

    Returns:
        In the order of their epochs; the first begins with epoch 1.

    Raises:
        UserError: a pattern fits nothing, more layers are to be frozen than lie before the classifier,
            or nothing is left to train.
    """
    names = layers(net)
    matched = set(_matching([p.name for p in net.get_parameters()], config.freeze))
    head = f"{classifier_name(net)}."
    body = next((i for i, name in enumerate(names) if name.startswith(head)), len(names))
    first = config.freeze_layers or 0
    if first > body:
        raise UserError(
            f"model.freeze_layers is {first}; {config.backbone} has {body} layers before the classifier"
        )
    counts = {
        "deep": [first],
        "shallow": [body],
        # From the classifier downwards, in equal parts.
        "gradual": [
            round(body - (body - first) * i / config.unfreeze_parts)
            for i in range(config.unfreeze_parts + 1)
        ],
    }[config.fine_tuning]
    plan = [
        Phase(1 + i * config.unfreeze_every, frozenset([*names[:n], *(matched & set(names))]))
        for i, n in enumerate(counts)
    ]
    for phase in plan:
        if phase.frozen.issuperset(names):
            raise UserError(
                f"model.freeze: every parameter is frozen in epoch {phase.first_epoch}; leave at least "
                "the classifier"
            )
    return plan


def set_frozen(net: nn.Cell, frozen: frozenset[str], names: Sequence[str]) -> None:
    """Freeze some of the weights ``names``, and train the others."""
    for parameter in net.get_parameters():
        if parameter.name in names:
            parameter.requires_grad = parameter.name not in frozen


def set_train(net: nn.Cell, training: bool) -> None:
    """Switch to training or evaluation; batch norms whose scale is frozen stay in evaluation."""
    net.set_train(training)
    if training:
        for _, cell in net.cells_and_names():
            if isinstance(cell, nn.BatchNorm2d) and not cell.gamma.requires_grad:
                cell.set_train(False)


def frozen_start(net: nn.Cell) -> int:
    """How many of the Cells that a network begins with are fixed: equal images give equal outputs.

    Args:
        net: with a method ``sequence``: the Cells that it applies one after the other. Of one without
            it, nothing is known.

    Returns:
        A number of Cells; 0 where the very first weight is trained.
    """
    number = 0
    for cell in net.sequence() if hasattr(net, "sequence") else []:
        parts = [part for _, part in cell.cells_and_names()]
        if cell.trainable_params() or any(isinstance(part, nn.Dropout) for part in parts):
            break
        number += 1
    return number
