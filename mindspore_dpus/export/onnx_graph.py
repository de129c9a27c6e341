"""ONNX: each member as MindSpore writes it, and around them a graph of our own.

MindSpore's exporter knows few operators, writes nodes in an order that ONNX forbids where outputs are
stacked, and fixes the batch. So it gets the bare members only.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

# Before ``onnx`` itself: it loads MindSpore first (see there).
from mindspore_dpus.export.network import bare_network, normalisation, write_model  # isort: skip
from onnx import TensorProto, compose, helper, numpy_helper

from mindspore_dpus.export.graph import Members

UNFIT = ("backbone", "Use the format mindir, or train resnet18, resnet34 or a mobilenet_v2")


def write_onnx(members: Members, path: Path) -> None:
    """Write one graph, its batch left open.

    Args:
        members: the trained networks.
        path: a ``.onnx`` file.

    Raises:
        UserError: MindSpore cannot write this backbone, or not as a valid graph.
    """
    spec = members.spec
    kind = TensorProto.UINT8 if spec.bits == 8 else TensorProto.UINT16
    constants = [
        numpy_helper.from_array(members.scale, "scale"),
        numpy_helper.from_array(members.shift, "shift"),
        numpy_helper.from_array(np.array([-1, 1, members.n_classes], np.int64), "one_member"),
    ]
    nodes = normalisation("images")
    names = list(members.nets)
    for name, net in members.nets.items():
        member = bare_network(
            net, (1, spec.channels, spec.size, spec.size), "images", ["logits"], *UNFIT
        )
        opset = member.opset_import[0].version
        graph = compose.add_prefix(member, f"{name}/").graph
        for node in graph.node:
            node.input[:] = ["x" if i == f"{name}/images" else i for i in node.input]
        constants += graph.initializer
        nodes += [
            *graph.node,
            helper.make_node("Softmax", [f"{name}/logits"], [f"{name}/probabilities"], axis=1),
            helper.make_node("Reshape", [f"{name}/probabilities", "one_member"], [f"{name}/row"]),
        ]
    nodes += [
        helper.make_node("Mean", [f"{name}/probabilities" for name in names], ["probabilities"]),
        helper.make_node("Concat", [f"{name}/row" for name in names], ["members"], axis=1),
    ]
    n_classes = members.n_classes
    graph = helper.make_graph(
        nodes,
        "fused_ensemble",
        [helper.make_tensor_value_info("images", kind, ["batch", *spec.shape])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", n_classes]),
            helper.make_tensor_value_info(
                "members", TensorProto.FLOAT, ["batch", len(names), n_classes]
            ),
        ],
        constants,
    )
    write_model(graph, opset, path, *UNFIT)


def read_onnx(path: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Run a written graph in onnxruntime: images -> fused (N, C), members (N, t, C)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: tuple(session.run(["probabilities", "members"], {"images": images}))
