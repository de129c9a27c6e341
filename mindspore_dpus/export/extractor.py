"""An extractor of embeddings as ONNX, for one segment at a time."""

from pathlib import Path

from mindspore import nn

from mindspore_dpus.export.network import bare_network, save_checked


def write_extractor(extractor: nn.Cell, shape: tuple[int, int], path: Path) -> None:
    """Write a graph from ``x`` (1, 1, bands, frames) to ``embedding`` (1, D), float32.

    Args:
        extractor: trained, in PyNative mode and without kernels of our own.
        shape: bands and frames.
        path: a ``.onnx`` file.

    Raises:
        UserError: MindSpore cannot write it, or not as a valid graph.
    """
    extractor.set_train(False)
    model = bare_network(extractor, (1, 1, *shape), "x", ["embedding"], "extractor")
    save_checked(model, path, "extractor")
