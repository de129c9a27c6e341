"""Parameters that keep their pretrained values."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from mindspore import nn

from mindspore_dpus.errors import UserError


def freeze(net: nn.Cell, patterns: Sequence[str]) -> list[str]:
    """Take parameters out of training.

    Args:
        net: the network.
        patterns: glob patterns of parameter names, such as ``layer1.*``.

    Returns:
        Names of the parameters frozen.

    Raises:
        UserError: a pattern fits nothing, or nothing is left to train.
    """
    parameters = list(net.get_parameters())
    for pattern in patterns:
        matched = [p for p in parameters if fnmatchcase(p.name, pattern)]
        if not matched:
            raise UserError(f"model.freeze: no parameter of the backbone fits {pattern!r}")
        for parameter in matched:
            parameter.requires_grad = False
    if patterns and not net.trainable_params():
        raise UserError("model.freeze: every parameter is frozen; leave at least the classifier")
    return [p.name for p in parameters if any(fnmatchcase(p.name, x) for x in patterns)]


def set_train(net: nn.Cell, training: bool) -> None:
    """Switch to training or evaluation; batch norms whose scale is frozen stay in evaluation."""
    net.set_train(training)
    if training:
        for _, cell in net.cells_and_names():
            if isinstance(cell, nn.BatchNorm2d) and not cell.gamma.requires_grad:
                cell.set_train(False)
