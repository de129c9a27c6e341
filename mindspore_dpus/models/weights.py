"""Weights on disk -> parameters of a network; nothing missing is passed over in silence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mindspore_dpus.errors import UserError
from mindspore_dpus.models.factory import classifier_name, stem_name

BATCH_NORM_SUFFIXES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


@dataclass
class LoadReport:
    """What a checkpoint filled.

    Args:
        loaded: names of parameters taken from the checkpoint.
        fresh: names of parameters that kept their random start.
    """

    loaded: list[str]
    fresh: list[str]


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Read the parameters of a ``.safetensors`` or MindSpore ``.ckpt`` file.

    Raises:
        UserError: the file is torn or of another kind.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return {name: value.asnumpy() for name, value in ms.load_checkpoint(str(path)).items()}
    except (SafetensorError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a readable checkpoint: {reason}") from None


def rename(parameters: dict[str, np.ndarray], net: nn.Cell) -> dict[str, np.ndarray]:
    """Give a checkpoint's parameters the names that ``net`` uses.

    Understands our own names, torchvision's (batch norms: weight, bias, running_mean, running_var) and,
    for the networks that we define, mindcv's. Names it cannot place stay as they are.
    """
    wanted = {p.name for p in net.get_parameters()}
    batch_norms = {name.rpartition(".")[0] for name in parameters if name.endswith(".running_mean")}
    renamed = {}
    for name, value in parameters.items():
        cell, _, suffix = name.rpartition(".")
        if cell in batch_norms:
            name = f"{cell}.{BATCH_NORM_SUFFIXES.get(suffix, suffix)}"
        if name not in wanted:
            name = _from_mindcv(name, net)
        renamed[name] = value
    return renamed


def _from_mindcv(name: str, net: nn.Cell) -> str:
    """mindcv's name of a parameter in the name of our Cell."""
    if type(net).__name__ == "ResNet18":
        return name.replace("down_sample", "downsample").replace("classifier.", "fc.")
    match = re.fullmatch(r"features\.(\d+)\.(?:layers\.(\d+)\.)?(\w+)", name)
    if type(net).__name__ != "MobileNetV2" or match is None:
        return name
    # mindcv counts convolution, batch norm and activation as three Cells; torchvision as one.
    index, inner, suffix = int(match[1]), match[2], match[3]
    if inner is None:
        block, part = (0, index) if index < 3 else (18, index - 20)
        return f"features.{block}.{part}.{suffix}"
    block = index - 2
    # Triples of convolution, norm and ReLU6 come first; the projecting pair comes last.
    triple, part = divmod(int(inner), 3)
    n_triples = 1 if block == 1 else 2
    place = f"{triple}.{part}" if triple < n_triples else f"{n_triples + part}"
    return f"features.{block}.conv.{place}.{suffix}"


def adapt_stem(weight: np.ndarray, in_channels: int) -> np.ndarray:
    """A first convolution (O, 3, k, k) for grey images: (O, 1, k, k), kernels summed over colours.

    Exact for a grey image repeated to three equal channels (see ``data.loader``).
    """
    if in_channels == 1 and weight.shape[1] == 3:
        return weight.sum(axis=1, keepdims=True)
    return weight


def load_weights(
    net: nn.Cell, path: Path, partial: bool = False, needed: Sequence[str] | None = None
) -> LoadReport:
    """Fill a network from a checkpoint; the classifier is filled only where its shape fits.

    Args:
        net: the network.
        path: ``.safetensors`` or ``.ckpt``.
        partial: allow missing parameters.
        needed: names that must be there; default: all but the classifier's.

    Returns:
        Which parameters were loaded, and which stayed fresh.

    Raises:
        UserError: parameters are missing and ``partial`` is false, shapes differ, or nothing fits.
    """
    parameters = rename(read_checkpoint(path), net)
    own = {p.name: p for p in net.get_parameters()}
    head = classifier_name(net) + "."
    stem = stem_name(net) + ".weight"
    loaded = []
    for name, parameter in own.items():
        if name not in parameters:
            continue
        value = parameters[name]
        if name == stem:
            value = adapt_stem(value, parameter.shape[1])
        if value.shape != parameter.shape:
            if name.startswith(head):
                continue
            raise UserError(
                f"{path} is of another network: {name} is {value.shape}, wanted {parameter.shape}"
            )
        assign(parameter, value)
        loaded.append(name)
    fresh = [name for name in own if name not in set(loaded)]
    if needed is None:
        needed = [name for name in own if not name.startswith(head)]
    missing = [name for name in needed if name in set(fresh)]
    if not loaded:
        raise UserError(f"{path} is of another network: none of its parameters fits")
    if missing and not partial:
        raise UserError(
            f"{path} lacks {len(missing)} parameters ({missing[0]} ...): take a complete checkpoint, "
            "allow it with --model.partial true (they start at random), or for features choose an "
            "earlier --features.layer"
        )
    return LoadReport(loaded, fresh)


def assign(parameter: Parameter, value: np.ndarray | float) -> None:
    """Write a value into a parameter, in place.

    ``Parameter.set_data`` would give it other memory, while an optimiser that has made a step goes on
    with the old: the network would never learn again (MindSpore 2.8).
    """
    ops.assign(parameter, Tensor(value, parameter.dtype))


def get_state(net: nn.Cell) -> dict[str, np.ndarray]:
    """A copy of all parameters, name -> array."""
    return {p.name: p.asnumpy().copy() for p in net.get_parameters()}


def set_state(net: nn.Cell, state: dict[str, np.ndarray]) -> None:
    """Put parameters back that ``get_state`` took from a network of the same kind.

    Raises:
        UserError: names or shapes differ.
    """
    own: dict[str, Parameter] = {p.name: p for p in net.get_parameters()}
    for name, parameter in own.items():
        if name not in state or state[name].shape != parameter.shape:
            raise UserError(
                f"these weights are of another network: {name} {tuple(parameter.shape)} is not in them"
            )
        assign(parameter, state[name])
