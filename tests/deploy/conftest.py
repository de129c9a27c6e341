"""A graph small enough to compute by hand, in the form that ``tools/export.py`` writes."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mindspore_dpus.core.files import file_hash
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.deploy.bundle import Bundle

# In a process of its own: MindSpore cannot be imported any more once onnx has loaded protobuf.
MAKE = """
import sys
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
weights = {"00": 0.05, "01": 0.02}
nodes = [
    helper.make_node("Cast", ["images"], ["real"], to=TensorProto.FLOAT),
    helper.make_node("ReduceMean", ["real"], ["mean"], axes=[1, 2, 3], keepdims=0),
    helper.make_node("Sub", ["mean", "middle"], ["centred"]),
    helper.make_node("Reshape", ["centred", "column"], ["x"]),
]
constants = [
    numpy_helper.from_array(np.float32(127.5), "middle"),
    numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
    numpy_helper.from_array(np.array([-1, 1, 2], np.int64), "one_member"),
]
for name, weight in weights.items():
    constants.append(numpy_helper.from_array(np.float32([[weight, 0]]), f"{name}/w"))
    nodes += [
        helper.make_node("MatMul", ["x", f"{name}/w"], [f"{name}/logits"]),
        helper.make_node("Softmax", [f"{name}/logits"], [f"{name}/p"], axis=1),
        helper.make_node("Reshape", [f"{name}/p", "one_member"], [f"{name}/row"]),
    ]
nodes += [
    helper.make_node("Mean", [f"{name}/p" for name in weights], ["probabilities"]),
    helper.make_node("Concat", [f"{name}/row" for name in weights], ["members"], axis=1),
]
graph = helper.make_graph(
    nodes,
    "tiny",
    [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8, 1])],
    [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("members", TensorProto.FLOAT, ["batch", 2, 2]),
    ],
    constants,
)
onnx.save(
    helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 11)]), sys.argv[1]
)
"""


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A graph of two members: the brighter an image, the likelier a defect."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    made = subprocess.run([sys.executable, "-c", MAKE, path], capture_output=True, text=True)
    if "No module named 'onnx'" in made.stderr:
        pytest.skip("onnx is not installed")
    assert made.returncode == 0, made.stderr
    Bundle(
        sha256=file_hash(path),
        kind="onnx",
        spec=ImageSettings(size=8),
        classes=["defect", "normal"],
        positive="defect",
        threshold=0.5,
        decision=None,
        members=["00", "01"],
        normalisation={},
        prior={},
    ).save(path)
    return path


def expected_scores(grey: int) -> tuple[float, float, float]:
    """Fused score, and those of the two members, of an image of one grey value."""
    members = [1 / (1 + np.exp(-(grey - 127.5) * weight)) for weight in (0.05, 0.02)]
    return float(np.mean(members)), *members


def write_grey(path: Path, grey: int) -> Path:
    """An image of one grey value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((8, 8), grey, np.uint8))
    return path
