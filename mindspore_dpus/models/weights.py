"""Weights on disk -> parameters of a network; nothing missing is passed over in silence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mindspore_dpus.core.errors import UserError

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


def classifier_name(net: nn.Cell) -> str | None:
    """Name of the last fully connected Cell, the one that is new for every task; None without one."""
    if hasattr(net, "classifier_name"):
        return net.classifier_name
    dense = [name for name, cell in net.cells_and_names() if isinstance(cell, nn.Dense)]
    return dense[-1] if dense else None


def stem_name(net: nn.Cell) -> str:
    """Name of the first convolution, the one that sees the image."""
    if hasattr(net, "stem_name"):
        return net.stem_name
    return next(name for name, cell in net.cells_and_names() if isinstance(cell, nn.Conv2d))


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Read the parameters of a ``.safetensors``, MindSpore ``.ckpt`` or (with torch) ``.pth`` file.

    Raises:
        UserError: the file is damaged, of another kind, or a ``.pth`` without torch to read it.
    """
    try:
        if path.suffix == ".safetensors":
            return _numbers(load_file(path))
        if path.suffix in (".pth", ".pt"):
            return _read_torch(path)
        if path.suffix == ".ckpt":
            return _read_mindspore(path)
    except (SafetensorError, ValueError, TypeError, OSError) as error:  # Type: numpy has no bfloat16
        raise _unreadable(path, error) from None
    raise UserError(f"{path} is not a readable checkpoint: .safetensors, .ckpt or .pth is read")


def _numbers(parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Refuse arrays of raw bytes, also where a library has registered bfloat16 and the like with NumPy."""
    for name, value in parameters.items():
        if value.dtype.kind not in "fiub":
            raise ValueError(f"{name} is of {value.dtype}; save it as float32")
    return parameters


def _read_mindspore(path: Path) -> dict[str, np.ndarray]:
    try:
        found = ms.load_checkpoint(str(path))
    except Exception as error:  # MindSpore raises what its parser raises
        raise _unreadable(path, error) from None
    # Beside them, such a file may hold texts: whatever was appended to it.
    parameters = {name: p.asnumpy() for name, p in found.items() if isinstance(p, ms.Parameter)}
    if not parameters:
        raise ValueError("it holds no parameters")
    return _numbers(parameters)


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path}: reading .pth takes torch; install it, or convert the file to .safetensors"
        ) from None
    try:
        # weights_only: a pickle could run anything.
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: value.numpy() for name, value in state.items()}
    except Exception as error:  # torch raises what its unpickler raises
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{path} is not a readable checkpoint: {reason}")


def rename(parameters: dict[str, np.ndarray], net: nn.Cell) -> dict[str, np.ndarray]:
    """Give a checkpoint's parameters the names that ``net`` uses.

    mindcv's names stay. torchvision's are understood for the networks that we define; its counters
    ``num_batches_tracked`` are dropped. Names that cannot be placed stay as they are.
    """
    batch_norms = {name.rpartition(".")[0] for name in parameters if name.endswith(".running_mean")}
    renamed = {}
    for name, value in parameters.items():
        cell, _, suffix = name.rpartition(".")
        if suffix == "num_batches_tracked":
            continue
        if cell in batch_norms:
            suffix = BATCH_NORM_SUFFIXES.get(suffix, suffix)
        renamed[f"{_cell_from_torchvision(cell, net)}.{suffix}"] = value
    return renamed


def _cell_from_torchvision(cell: str, net: nn.Cell) -> str:
    kind = type(net).__name__
    if kind == "ResNet":
        return "classifier" if cell == "fc" else cell.replace("downsample", "down_sample")
    # torchvision nests convolution, norm and activation in one module; here each is a Cell.
    if kind == "MobileNetV2" and (match := re.fullmatch(r"features\.(0|18)\.([01])", cell)):
        return f"features.{int(match[2]) + (20 if match[1] == '18' else 0)}"
    if kind == "MobileNetV2" and (
        match := re.fullmatch(r"features\.(\d+)\.conv\.(\d)(?:\.([01]))?", cell)
    ):
        block, module = int(match[1]), int(match[2])
        # The first block does not expand, so it has one triple before the projection.
        triples = 1 if block == 1 else 2
        place = 3 * module + int(match[3]) if match[3] else 3 * triples + module - triples
        return f"features.{block + 2}.layers.{place}"
    return cell


def adapt_stem(weight: np.ndarray, in_channels: int) -> np.ndarray:
    """A first convolution (O, 3, k, k) for grey images: (O, 1, k, k), kernels summed over colours.

    Exact for a grey image repeated to three equal channels (see ``data.loader``).
    """
    if in_channels == 1 and weight.shape[1] == 3:
        return weight.sum(axis=1, keepdims=True)
    return weight


def load_weights(
    net: nn.Cell,
    path: str | Path,
    allow_fresh: Sequence[str] = (),
    needed: Sequence[str] | None = None,
    fresh_classifier: bool = False,
) -> LoadReport:
    """Fill a network from a checkpoint; a classifier of another size stays fresh.

    Args:
        net: the network.
        path: see ``read_checkpoint``.
        allow_fresh: glob patterns of parameters that may be missing, such as ``layer4.*``.
        needed: names that must be there; default: all.
        fresh_classifier: the classifier stays fresh, also where it would fit.

    Returns:
        Which parameters were loaded, and which stayed fresh.

    Example:
        >>> import tempfile
        >>> from safetensors.numpy import save_file
        >>> from mindspore_dpus.models import create_model, load_weights
        >>> net = create_model("lenet5", num_classes=2, in_channels=1, image_size=32)
        >>> weights = {p.name: p.asnumpy() for p in net.get_parameters()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file(weights, f"{folder}/weights.safetensors")
        ...     report = load_weights(net, f"{folder}/weights.safetensors")
        >>> report.fresh
        []

    Raises:
        UserError: names every parameter that is missing, unexpected or of another shape.
    """
    path = Path(path)
    parameters = rename(read_checkpoint(path), net)
    own = {p.name: p for p in net.get_parameters()}
    head = f"{classifier_name(net)}."
    stem = f"{stem_name(net)}.weight"
    if stem in parameters and stem in own:
        parameters[stem] = adapt_stem(parameters[stem], own[stem].shape[1])
    fits = {n for n, p in own.items() if n in parameters and parameters[n].shape == p.shape}
    if not fits:
        raise UserError(f"{path} is of another network: none of its parameters fits")
    if fresh_classifier:
        fits = {n for n in fits if not n.startswith(head)}
    needed = own if needed is None else needed
    missing = [
        n
        for n in needed
        if n not in parameters
        and not n.startswith(head)
        and not any(fnmatchcase(n, pattern) for pattern in allow_fresh)
    ]
    misshapen = [
        f"{n} {parameters[n].shape} instead of {p.shape}"
        for n, p in own.items()
        if n in parameters and n not in fits and not n.startswith(head)
    ]
    unexpected = [n for n in parameters if n not in own and not n.startswith(head)]
    faults = {"missing": missing, "of another shape": misshapen, "unexpected": unexpected}
    found = [f"{title}: {', '.join(names)}" for title, names in faults.items() if names]
    if found:
        raise UserError(
            f"{path} does not fit the backbone. {'; '.join(found)}. Take another checkpoint; let "
            "missing ones start at random with model.allow_fresh [layer4.*]; or, for features, "
            "choose an earlier features.layer"
        )
    for name in fits:
        assign(own[name], parameters[name])
    return LoadReport([n for n in own if n in fits], [n for n in own if n not in fits])


def assign(parameter: Parameter, value: np.ndarray | float) -> None:
    """Write a value into a parameter, in place.

    ``Parameter.set_data`` would give it other memory, while an optimiser that has made a step goes on
    with the old: the network would never learn again (MindSpore 2.8).
    """
    ops.assign(parameter, Tensor(value, parameter.dtype))


def get_state(net: nn.Cell) -> dict[str, np.ndarray]:
    """A copy of all parameters, name -> array."""
    return {name: value.copy() for name, value in look_at_state(net).items()}


def look_at_state(net: nn.Cell) -> dict[str, np.ndarray]:
    """All parameters, name -> array; to be read before the next step, which may change them."""
    return {p.name: p.asnumpy() for p in net.get_parameters()}


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
