"""Images -> feature vectors: any named Cell of any backbone, averaged over height and width."""

import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.device import Device
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.loader import BatchSource, batches
from mindspore_dpus.models.weights import classifier_name


def feature_layer(net: nn.Cell, layer: str | None) -> str:
    """Check the name of a Cell, or find the last one before the classifier.

    Raises:
        UserError: the network has no such Cell.
    """
    cells = dict(net.cells_and_names())
    if layer is None:
        layer = getattr(net, "feature_layer", "pool")
    if layer not in cells or layer == "":
        top = ", ".join(name for name in cells if name and "." not in name)
        raise UserError(f"features.layer: the backbone has no Cell {layer!r}; its Cells are: {top}")
    return layer


def needed_parameters(net: nn.Cell, layer: str) -> list[str]:
    """Names of the parameters that the output of ``layer`` can depend on.

    Cells are taken to run in the order in which they were defined, which holds for our networks.
    For others, all parameters before the classifier are named.
    """
    needed = []
    seen = False
    for name, cell in net.cells_and_names():
        inside = name == layer or name.startswith(layer + ".")
        if seen and not inside and hasattr(net, "feature_layer"):
            break
        seen = seen or inside
        needed += [p.name for p in cell.parameters_dict(recurse=False).values()]
    head = f"{classifier_name(net)}."
    return [name for name in needed if not name.startswith(head)]


def extract(
    net: nn.Cell,
    layer: str,
    images: np.ndarray,
    rows: np.ndarray,
    batch_size: int,
    device: Device,
) -> np.ndarray:
    """Run images through a network and keep one Cell's output.

    Args:
        net: the backbone.
        layer: name of one of its Cells.
        images: (N, H, W, C) array of all cached images.
        rows: (M,) which of them.
        batch_size: images per forward pass.
        device: execution mode.

    Returns:
        (M, D) float32: maps (M, D, h, w) are averaged over h and w.

    Raises:
        UserError: the output has other than 2 or 4 dimensions.

    Source: paper, section 2.2.
    """
    net.set_train(False)
    source = BatchSource(images, rows, np.zeros(len(rows)), batch_size)
    vectors, done = None, 0
    for batch, _ in bar(batches(source), "features", len(source)):
        part = _vectors(net, layer, batch)
        if vectors is None:
            vectors = np.empty((len(rows), part.shape[1]), np.float32)
        vectors[done : done + len(part)] = part
        done += len(part)
        device.yield_to_workers()
    return vectors


def _vectors(net: nn.Cell, layer: str, batch: Tensor) -> np.ndarray:
    """(N, D) float32 of a batch."""
    in_one = getattr(net, "in_one", None)
    found = None if in_one is None else in_one.features(batch, layer)
    if found is not None:
        return found
    kept = []

    def keep(cell: nn.Cell, inputs: tuple, output: Tensor) -> None:
        if output.ndim not in (2, 4):
            raise UserError(
                f"features.layer {layer}: its output has the shape {output.shape}; choose a layer that "
                "gives vectors (N, D) or maps (N, D, h, w)"
            )
        kept.append(output.mean((2, 3)) if output.ndim == 4 else output)

    handle = dict(net.cells_and_names())[layer].register_forward_hook(keep)
    try:
        net(batch)
    finally:
        handle.remove()
    return kept[-1].asnumpy()
