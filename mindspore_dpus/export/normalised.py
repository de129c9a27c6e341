"""ONNX of one network as it is, behind its normalisation: colour images in, its outputs out."""

from collections.abc import Mapping
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from onnx import TensorProto, compose, helper, numpy_helper

from mindspore_dpus.data.loader import IMAGENET_MEAN, IMAGENET_STD
from mindspore_dpus.export.graph import pad_before_pooling
from mindspore_dpus.export.network import bare_network, normalisation, write_model


def write_normalised(
    net: nn.Cell,
    path: Path,
    size: tuple[int, int],
    name: str,
    outputs: Mapping[str, tuple[str, ...]],
) -> None:
    """Write a network with its normalisation.

    Args:
        net: of PyNative mode and without kernels of our own.
        path: a ``.onnx`` file.
        size: height and width of images that the network takes.
        name: of the input, (N, H, W, 3) uint8.
        outputs: names -> what their sides behind batch and channels are called, for float32 (N, K, ...).

    Raises:
        UserError: MindSpore cannot write this backbone.
    """
    net.set_train(False)
    shape = (1, 3, *size)
    pad_before_pooling(net, Tensor(np.random.default_rng(0).standard_normal(shape), ms.float32))
    model = bare_network(net, shape, "images", list(outputs), "backbone")
    opset = model.opset_import[0].version
    inner = compose.add_prefix(model, "net/").graph
    for node in inner.node:
        node.input[:] = ["x" if i == "net/images" else i for i in node.input]
        node.output[:] = [{f"net/{o}": o for o in outputs}.get(o, o) for o in node.output]
    std = np.array(IMAGENET_STD[3], np.float32)
    shift = np.array(IMAGENET_MEAN[3], np.float32) / std
    constants = [
        numpy_helper.from_array(1.0 / (std * np.float32(255)), "scale"),
        numpy_helper.from_array(shift, "shift"),
    ]
    nodes = [*normalisation(name), *inner.node]
    widths = {o.name: o.type.tensor_type.shape.dim[1].dim_value for o in inner.output}
    described = [
        helper.make_tensor_value_info(
            output, TensorProto.FLOAT, ["batch", widths[f"net/{output}"], *sides]
        )
        for output, sides in outputs.items()
    ]
    graph = helper.make_graph(
        nodes,
        "normalised",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", "height", "width", 3])],
        described,
        [*constants, *inner.initializer],
    )
    write_model(graph, opset, path, "backbone")
