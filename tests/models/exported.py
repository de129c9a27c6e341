"""A network as ONNX Runtime sees it, exported as ``export.onnx_graph`` exports its members."""

import mindspore as ms
import numpy as np
import onnx
import onnxruntime
from mindspore import Tensor, nn

# Else threads that wait for each other spin, which is slow where tests run side by side.
ms.runtime.launch_blocking()


def run_exported(net: nn.Cell, x: np.ndarray, folder) -> np.ndarray:
    """What the graph, exported for one sample and its batch left open, makes of several.

    Args:
        net: with one input and one output.
        x: (N, ...) float32.
        folder: for the file.
    """
    net.set_train(False)
    path = folder / "net.onnx"
    ms.onnx.export(net, Tensor(x[:1]), file_name=str(path), input_names=["x"], output_names=["y"])
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        if value.name in ("x", "y"):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


def losses_of_training(net: nn.Cell, x: np.ndarray, targets: np.ndarray, steps: int) -> list[float]:
    """Mean squared errors before each step of Adam."""
    net.set_train(True)
    optimizer = nn.Adam(net.trainable_params(), 3e-3)
    x, targets = Tensor(x), Tensor(targets)

    def forward():
        return ((net(x) - targets) ** 2).mean()

    step = ms.value_and_grad(forward, None, optimizer.parameters)
    losses = []
    for _ in range(steps):
        loss, gradients = step()
        optimizer(gradients)
        losses.append(float(loss.asnumpy()))
    return losses
