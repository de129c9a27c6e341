"""The oneDNN that this process uses: found, checked, and its block of channels."""

import functools
import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindspore_dpus.core.device import are_convolutions_slow
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.kernels.onednn.interface import (
    SEQUENTIAL,
    THREADPOOL,
    Interface,
    OneDnnError,
)
from mindspore_dpus.models.kernels.onednn.memory import aligned
from mindspore_dpus.models.kernels.onednn.primitives import (
    BackwardData,
    BackwardWeights,
    Forward,
    Geometry,
    Reorder,
)

# Channels that lie together: AVX-512, then AVX2.
BLOCKS = (16, 8)
# Of the largest number: float32 rounding, and no wrong layout stays below.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class OneDnn:
    """A library that has been checked.

    Args:
        interface: its functions.
        block: channels that lie together in a blocked array.
    """

    interface: Interface
    block: int

    def __deepcopy__(self, memo: dict) -> "OneDnn":
        # It is loaded once a process, and copies of networks share it.
        return self


@functools.cache
def one_dnn() -> OneDnn | None:
    """MindSpore's own oneDNN, or None where it cannot be used; the log then says why, once.

    Intel's wheels would be another source. ``onednn`` (2026.1) needs the SYCL and OpenCL runtimes, some
    hundred MB; ``onednn-cpu-gomp`` ended in 2023; and neither has Winograd's algorithm in float32, with
    which MindSpore's 2.2 takes half the time of both for a 3x3 convolution forward. All others are
    equally fast.

    Raises:
        UserError: it cannot be used, and MindSpore's own convolutions are unbearably slow.
    """
    try:
        return checked(_mindspores_own())
    except (OSError, AttributeError, OneDnnError) as error:
        if are_convolutions_slow():
            raise UserError(
                f"oneDNN cannot be used ({error}), and without it this MindSpore's convolutions are 100 "
                "times slower than those of 2.8: pip install 'mindspore>=2.7,<2.9'"
            ) from None
        logging.getLogger(__name__).warning(
            "oneDNN cannot be used, convolutions are MindSpore's own: %s", error
        )
        return None


def _mindspores_own() -> Path:
    spec = importlib.util.find_spec("mindspore")
    folder = Path(spec.origin).parent / "lib" if spec and spec.origin else Path()
    found = sorted(folder.glob("libdnnl.so.*"))
    if len(found) != 1:
        raise OSError(f"{folder} has {len(found)} files libdnnl.so.*, expected one")
    return found[0]


def checked(path: Path) -> OneDnn:
    """Load a library, and let it compute what is known.

    Raises:
        OSError, AttributeError, OneDnnError: it cannot be loaded, is no version that we know, or
            computes otherwise than expected.
    """
    interface = Interface(path)
    if interface.runtime not in (SEQUENTIAL, THREADPOOL):
        raise OneDnnError(f"its threads are its own (runtime {interface.runtime})")
    reasons = []
    for block in BLOCKS:
        try:
            _check_numbers(interface, block)
        except OneDnnError as error:
            reasons.append(f"blocks of {block}: {error}")
            continue
        return OneDnn(interface, block)
    raise OneDnnError("; ".join(reasons))


def _check_numbers(interface: Interface, block: int) -> None:
    """Compare the layouts, and a convolution with its gradients, with NumPy's."""
    n, channels, height, width = 2, 2 * block, 5, 6
    geometry = Geometry(n, channels, channels, height, width, (3, 3), (1, 1), (1, 1, 1, 1))
    rng = np.random.default_rng(0)
    x, gradient = (rng.standard_normal(geometry.source).astype(np.float32) for _ in range(2))
    weights = rng.standard_normal(geometry.weights).astype(np.float32)
    plain, blocked = interface.layout(geometry.source, 0), interface.layout(geometry.source, block)
    laid = aligned((n, channels // block, height, width, block))
    Reorder(interface, plain.handle, blocked.handle, (plain, blocked))(x, laid)
    if not np.array_equal(laid, to_blocks(x, block)):
        raise OneDnnError("a layout is not what its name says")
    forward, back = (
        Forward(interface, block, geometry, training=True),
        BackwardData(interface, block, geometry),
    )
    back_weights = BackwardWeights(interface, block, geometry)
    out, grad_x = np.empty_like(laid), np.empty_like(laid)
    grad_weights, own = np.empty_like(weights), aligned((back_weights.size,))
    forward.load(weights)
    back.load(weights)
    forward(laid, out)
    laid_gradient = to_blocks(gradient, block)
    back(laid_gradient, grad_x)
    back_weights(laid, laid_gradient, own)
    back_weights.unload(own, grad_weights)
    expected = _convolved(x, weights, gradient)
    found = from_blocks(out), from_blocks(grad_x), grad_weights
    for one, other in zip(found, expected, strict=True):
        if not np.abs(one - other).max() <= TOLERANCE * np.abs(other).max():
            raise OneDnnError("a convolution is not what it should be")


def to_blocks(maps: np.ndarray, block: int) -> np.ndarray:
    """(N, C, H, W) -> (N, C / block, H, W, block), channels filled up with zeros."""
    n, channels, height, width = maps.shape
    groups = -(-channels // block)
    out = aligned((n, groups, height, width, block), maps.dtype.type)
    full = channels // block
    inner = maps[:, : full * block].reshape(n, full, block, height, width)
    out[:, :full] = inner.transpose(0, 1, 3, 4, 2)
    if groups > full:
        out[:, full] = 0
        out[:, full, ..., : channels - full * block] = maps[:, full * block :].transpose(0, 2, 3, 1)
    return out


def from_blocks(blocked: np.ndarray) -> np.ndarray:
    """The inverse of ``to_blocks``, for whole blocks."""
    n, groups, height, width, block = blocked.shape
    return np.ascontiguousarray(blocked.transpose(0, 1, 4, 2, 3)).reshape(
        n, groups * block, height, width
    )


def _convolved(
    x: np.ndarray, weights: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A 3x3 convolution padded by 1 in float64, and its gradients."""
    height, width = x.shape[2:]
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    out, grad_padded = np.zeros(x.shape), np.zeros(padded.shape)
    grad_weights = np.zeros(weights.shape)
    for i in range(3):
        for j in range(3):
            here = np.s_[:, :, i : i + height, j : j + width]
            out += np.einsum("oc,nchw->nohw", weights[:, :, i, j], padded[here])
            grad_padded[here] += np.einsum("oc,nohw->nchw", weights[:, :, i, j], gradient)
            grad_weights[:, :, i, j] = np.einsum("nohw,nchw->oc", gradient, padded[here])
    return out, grad_padded[:, :, 1:-1, 1:-1], grad_weights
