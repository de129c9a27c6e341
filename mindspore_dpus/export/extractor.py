"""An extractor of embeddings as ONNX, for one segment at a time."""

import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor, nn

from mindspore_dpus.core.errors import UserError


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
    x = Tensor(np.random.default_rng(0).standard_normal((1, 1, *shape)), ms.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "extractor.onnx")
        try:
            ms.onnx.export(
                extractor, x, file_name=str(file), input_names=["x"], output_names=["embedding"]
            )
            model = onnx.load(file)
            onnx.checker.check_model(model, full_check=True)
        except (
            *(RuntimeError, ValueError, TypeError, AttributeError),
            *(onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
        ) as error:
            raise UserError(
                f"MindSpore {ms.__version__} cannot write this extractor as ONNX: "
                f"{str(error).splitlines()[0]}"
            ) from None
    onnx.save(model, path)
