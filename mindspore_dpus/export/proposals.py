"""ONNX of a proposal network: frames of any size in, maps out."""

from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from onnx import TensorProto, compose, helper, numpy_helper

from mindspore_dpus.data.loader import IMAGENET_MEAN, IMAGENET_STD
from mindspore_dpus.export.graph import pad_before_pooling
from mindspore_dpus.export.network import bare_network, normalisation, write_model


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
    shape = (1, 3, 64, 96)
    pad_before_pooling(net, Tensor(np.random.default_rng(0).standard_normal(shape), ms.float32))
    model = bare_network(net, shape, "images", ["scores", "deltas"], "backbone")
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
    nodes = [*normalisation("frames"), *inner.node]
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
    write_model(graph, opset, path, "backbone")
