"""ONNX: each member as MindSpore writes it, and around them a graph of our own.

MindSpore's exporter knows few operators, writes nodes in an order that ONNX forbids where outputs are
stacked, and fixes the batch. So it gets the bare members only.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np

# MindSpore's old generated files bear protobuf's Python implementation only, which they ask for when
# they are the first to load it: the order of these imports matters.
import onnx
from mindspore import Tensor, nn
from onnx import TensorProto, compose, helper, numpy_helper

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.export.graph import Members

# Of the file: older programs refuse a newer one. ONNX Runtime reads it since 1.10.
IR_VERSION = 8


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
    nodes = [
        helper.make_node("Cast", ["images"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "shift"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["x"], perm=[0, 3, 1, 2]),
    ]
    names = list(members.nets)
    for name, net in members.nets.items():
        member = _export_member(net, (1, spec.channels, spec.size, spec.size))
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
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="mindspore_dpus",
    )
    onnx.save(model, path)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _unfit(error) from None


def read_onnx(path: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Run a written graph in onnxruntime: images -> fused (N, C), members (N, t, C)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: tuple(session.run(["probabilities", "members"], {"images": images}))


def _export_member(net: nn.Cell, shape: tuple[int, ...]) -> onnx.ModelProto:
    images = Tensor(np.random.default_rng(0).standard_normal(shape), ms.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "member.onnx")
        try:
            ms.onnx.export(
                net, images, file_name=str(path), input_names=["images"], output_names=["logits"]
            )
            return onnx.load(path)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise _unfit(error) from None


def _unfit(error: Exception) -> UserError:
    return UserError(
        f"MindSpore {ms.__version__} cannot write this backbone as ONNX: {str(error).splitlines()[0]} "
        "Use the format mindir, or train resnet18, resnet34 or a mobilenet_v2"
    )
