"""What ONNX files of ours have in common: a bare network as MindSpore writes it, and the file itself."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import mindspore as ms
import numpy as np

# MindSpore's old generated files bear protobuf's Python implementation only, which they ask for when
# they are the first to load it: the order of these imports matters.
import onnx
from mindspore import Tensor, nn
from onnx import NodeProto, TensorProto, helper

from mindspore_dpus.core.errors import UserError

# Of the file: older programs refuse a newer one. ONNX Runtime reads it since 1.10.
IR_VERSION = 8


def bare_network(
    net: nn.Cell,
    shape: Sequence[int],
    name: str,
    outputs: Sequence[str],
    what: str,
    advice: str = "",
) -> onnx.ModelProto:
    """A network as MindSpore writes it, its input's shape fixed.

    Args:
        net: in evaluation, in PyNative mode and without kernels of our own.
        shape: of its input, float32.
        name: of its input.
        outputs: their names.
        what, advice: of ``unfit``.

    Raises:
        UserError: MindSpore cannot write it.
    """
    images = Tensor(np.random.default_rng(0).standard_normal(shape), ms.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.onnx")
        try:
            ms.onnx.export(
                net,
                images,
                file_name=str(path),
                input_names=[name],
                output_names=list(outputs),
            )
            return onnx.load(path)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise unfit(error, what, advice) from None


def unfit(error: Exception, what: str, advice: str = "") -> UserError:
    """What stands against a graph, in one line.

    Args:
        error: of MindSpore or ONNX.
        what: cannot be written, such as ``backbone``.
        advice: what to do instead.
    """
    said = f"MindSpore {ms.__version__} cannot write this {what} as ONNX: {str(error).splitlines()[0]}"
    return UserError(f"{said} {advice}".rstrip())


def normalisation(name: str) -> list[NodeProto]:
    """Nodes from images ``name`` (N, H, W, C) of whole numbers to ``x`` (N, C, H, W) float32, by the
    constants ``scale`` and ``shift`` (C,)."""
    return [
        helper.make_node("Cast", [name], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "shift"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["x"], perm=[0, 3, 1, 2]),
    ]


def write_model(graph: onnx.GraphProto, opset: int, path: Path, what: str, advice: str = "") -> None:
    """Write a graph of ours.

    Args:
        graph: the graph.
        opset: version of its operators.
        path: a ``.onnx`` file.
        what, advice: of ``unfit``.

    Raises:
        UserError: it is not valid.
    """
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="mindspore_dpus",
    )
    save_checked(model, path, what, advice)


def save_checked(model: onnx.ModelProto, path: Path, what: str, advice: str = "") -> None:
    """Write a model, and have the file checked.

    Args:
        model: the model.
        path: a ``.onnx`` file.
        what, advice: of ``unfit``.

    Raises:
        UserError: it is not valid.
    """
    onnx.save(model, path)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise unfit(error, what, advice) from None
