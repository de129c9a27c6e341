"""Inputs that our own code cannot compute with, and gradients of gradients."""

import copy

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.common.api import _pynative_executor

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.attention import Swap
from mindspore_dpus.models.conformer import FrameConvolution
from mindspore_dpus.models.kernels.install import use_fast_kernels
from mindspore_dpus.models.kernels.onednn.library import one_dnn
from mindspore_dpus.models.mobilenet_v2 import InvertedResidual

# What a Cell is -> how it is made, and an input that it takes.
CELLS = {
    "dense": (lambda: nn.Conv2d(16, 16, 3), (2, 16, 6, 5)),
    "depthwise": (lambda: nn.Conv2d(16, 16, 3, pad_mode="pad", padding=1, group=16), (2, 16, 6, 5)),
    "batch norm": (lambda: nn.BatchNorm2d(16), (2, 16, 6, 5)),
    "block": (lambda: InvertedResidual(16, 16, 1, 2), (2, 16, 6, 5)),
    "layer norm": (lambda: nn.LayerNorm((16,)), (2, 3, 16)),
    "softmax": (lambda: nn.Softmax(), (2, 3, 16)),
    "frames": (lambda: FrameConvolution(6, 16, 3), (12, 16)),
    "swap": (Swap, (2, 3, 16)),
}
every_cell = pytest.mark.parametrize("name", CELLS)
# What is wrong, or only another type, of a sound input.
OTHERS = {
    "too few": lambda x: x[:, :8] if x.ndim != 3 else x[..., :8],
    "too many": lambda x: np.concatenate([x, x], 1 if x.ndim != 3 else 2),
    "half": lambda x: x.astype(np.float16),
    "double": lambda x: x.astype(np.float64),
    "an axis less": lambda x: x[0],
    "empty": lambda x: x[:0],
}


@pytest.fixture(scope="module", autouse=True)
def device():
    configure(DeviceSettings(target="CPU", fast_kernels="onednn"))
    if one_dnn() is None:
        pytest.skip("no oneDNN that can be used here")


@pytest.fixture(autouse=True)
def nothing_is_left():
    """MindSpore goes on recording after an error in a function that was to be differentiated."""
    yield
    _pynative_executor.clear_res()
    assert not _pynative_executor.grad_flag()


def made(name, fast):
    create, shape = CELLS[name]
    ms.set_seed(1)
    net = nn.SequentialCell(create()).set_train()
    if fast:
        assert use_fast_kernels(net, "onednn") > 0
    return net, np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def outcome(net, x):
    """The result, the gradient and what a step has moved, or the type and the text of the error."""
    try:
        out = net(Tensor(x)).asnumpy()
        gradient = ms.grad(lambda x: (net(x) ** 2).sum())(Tensor(x)).asnumpy()
    except Exception as error:
        return type(error), str(error).strip().splitlines()[0]
    return out, gradient, *(p.asnumpy() for p in net.get_parameters())


@every_cell
@pytest.mark.parametrize("other", OTHERS)
def test_other_inputs_go_to_mindspore(name, other):
    (fast, x), (plain, _) = made(name, True), made(name, False)
    x = OTHERS[other](x)
    found, expected = outcome(fast, x), outcome(plain, x)
    if isinstance(expected[0], type):
        assert found == expected
        return
    for one, own in zip(found, expected, strict=True):
        assert one.dtype == own.dtype
        assert one.shape == own.shape
        if x.size:  # Of none, MindSpore's batch norm moves its statistics to whatever is in memory.
            np.testing.assert_allclose(one, own, rtol=1e-3, atol=1e-3)


@every_cell
def test_a_gradient_of_a_gradient_is_refused(name):
    net, x = made(name, True)
    inner = ms.grad(lambda x: (net(x) ** 2).sum())
    with pytest.raises(UserError, match="no gradient of a gradient"):
        ms.grad(lambda x: (inner(x) ** 2).sum())(Tensor(x))
    # The next step is none.
    assert np.isfinite(inner(Tensor(x)).asnumpy()).all()


@every_cell
def test_after_an_error_the_next_step_is_taken(name):
    net, x = made(name, True)

    def stumble(x):
        net(x)
        raise ValueError("in the loss")

    def step(x):
        return (net(x) ** 2).sum()

    expected = ms.grad(step)(Tensor(x)).asnumpy()
    with pytest.raises(ValueError, match="in the loss"):
        ms.grad(stumble)(Tensor(x))
    assert _pynative_executor.grad_flag()
    assert (ms.grad(step)(Tensor(x)).asnumpy() == expected).all()


@every_cell
def test_a_copy_computes_the_same(name):
    net, x = made(name, True)
    net(Tensor(x))
    copied = copy.deepcopy(net)
    assert {type(cell) for _, cell in copied.cells_and_names()} == {
        type(cell) for _, cell in net.cells_and_names()
    }
    for one, other in zip(outcome(copied, x), outcome(net, x), strict=True):
        assert one.tobytes() == other.tobytes()
