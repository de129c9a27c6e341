"""ONNX of a proposal network: frames of any size in, maps out."""

import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor, nn
from onnx import TensorProto, compose, helper, numpy_helper

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.loader import IMAGENET_MEAN, IMAGENET_STD
from mindspore_dpus.export.graph import _pad_before_pooling
from mindspore_dpus.export.onnx_graph import IR_VERSION


def write_proposals(net: nn.Cell, path: Path) -> None:
    """Write a proposal network with its normalisation.

    Args:
        net: an ``RPN`` of PyNative mode without kernels of our own.
        path: a ``.onnx`` file. Input ``frames`` (N, H, W, 3) uint8; outputs ``scores`` (N, A, h, w) and
            ``deltas`` (N, 4 A, h, w) float32.

    Raises:
        UserError: MindSpore cannot write this backbone.
    """
    net.set_train(False)
    images = Tensor(np.random.default_rng(0).standard_normal((1, 3, 64, 96)), ms.float32)
    _pad_before_pooling(net, images)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "net.onnx")
        try:
            ms.onnx.export(
                net,
                images,
                file_name=str(file),
                input_names=["images"],
                output_names=["scores", "deltas"],
            )
            model = onnx.load(file)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"MindSpore {ms.__version__} cannot write this backbone as ONNX: "
                f"{str(error).splitlines()[0]}"
            ) from None
    opset = model.opset_import[0].version
    inner = compose.add_prefix(model, "net/").graph
    for node in inner.node:
        node.input[:] = ["x" if i == "net/images" else i for i in node.input]
        node.output[:] = [
            {"net/scores": "scores", "net/deltas": "deltas"}.get(o, o) for o in node.output
        ]
    std = np.array(IMAGENET_STD[3], np.float32)
    shift = np.array(IMAGENET_MEAN[3], np.float32) / std
    constants = [
        numpy_helper.from_array(1.0 / (std * np.float32(255)), "scale"),
        numpy_helper.from_array(shift, "shift"),
    ]
    nodes = [
        helper.make_node("Cast", ["frames"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "shift"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["x"], perm=[0, 3, 1, 2]),
        *inner.node,
    ]
    sizes = {o.name: o.type.tensor_type.shape.dim[1].dim_value for o in inner.output}
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["batch", sizes[f"net/{name}"], "rows", "columns"]
        )
        for name in ("scores", "deltas")
    ]
    graph = helper.make_graph(
        nodes,
        "proposals",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", "height", "width", 3])],
        outputs,
        [*constants, *inner.initializer],
    )
    written = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="mindspore_dpus",
    )
    onnx.save(written, path)
