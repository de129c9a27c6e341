"""Our convolutions over frames and swapped axes against torch, NumPy and MindSpore's own."""

import mindspore as ms
import numba
import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models.attention import SelfAttention, Swap
from mindspore_dpus.models.conformer import Conformer, ConvolutionModule, FrameConvolution
from mindspore_dpus.models.kernels import frame_convolution, frame_loops, machine_code, row_loops
from mindspore_dpus.models.kernels.frame_loops import (
    convolve_frames,
    convolve_frames_gradients,
    swap_frames,
    swap_vectors,
)
from mindspore_dpus.models.kernels.install import use_fast_kernels
from mindspore_dpus.models.transformer import Transformer

# Sequences, frames, width, kernel; the last ones look farther than there are frames.
SHAPES = [(3, 40, 24, 31), (2, 126, 33, 31), (1, 7, 5, 1), (2, 4, 8, 9), (1, 1, 3, 3)]


@pytest.fixture(scope="module", autouse=True)
def device():
    return configure(DeviceSettings(target="CPU"))


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolution_and_its_gradients_are_torchs(shape):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    n, length, width, taps = shape
    x, weight, gradient = normals(n, length, width), normals(taps, width), normals(n, width, length)
    a, b = (torch.tensor(v, dtype=torch.double, requires_grad=True) for v in (x, weight))
    out = torch.nn.functional.conv1d(a.transpose(1, 2), b.T[:, None], padding=taps // 2, groups=width)
    out.backward(torch.tensor(gradient).double())
    found = convolve_frames(x, weight), *convolve_frames_gradients(x, weight, gradient)
    for ours, right in zip(found, (out, a.grad, b.grad), strict=True):
        right = right.detach().numpy()
        np.testing.assert_allclose(ours, right, rtol=0, atol=2e-6 * np.abs(right).max())


@pytest.mark.parametrize("shape", [(2, 33, 70), (1, 1, 5), (3, 64, 32)])
def test_swapped_axes_are_numpys(shape):
    assert np.array_equal(swap_frames(normals(*shape)), normals(*shape).swapaxes(1, 2))
    x = normals(*shape, 6)
    assert np.array_equal(swap_vectors(x), x.swapaxes(1, 2))


def test_neither_threads_nor_repeating_change_a_bit():
    threads, found = numba.get_num_threads(), []
    x, weight, gradient = normals(5, 40, 24), normals(9, 24), normals(5, 24, 40)
    try:
        for number in (1, min(2, threads), threads):
            numba.set_num_threads(number)
            found.append((convolve_frames(x, weight), *convolve_frames_gradients(x, weight, gradient)))
    finally:
        numba.set_num_threads(threads)
    for first, *others in zip(*found, strict=True):
        assert all(first.tobytes() == other.tobytes() for other in others)


@pytest.mark.parametrize(
    ("create", "shape", "number"),
    [
        (lambda: Swap(), (2, 3, 5), 1),
        (lambda: Swap(), (2, 3, 5, 4), 1),
        (lambda: FrameConvolution(6, 8, 5), (12, 8), 2),
        (lambda: ConvolutionModule(6, 8, 5, 0.0), (12, 8), 3),
        (lambda: SelfAttention(6, 8, 2, 0.0), (12, 8), 1),
        (lambda: Conformer(4, 7, 6, 8, 1, 2, 8, 3, 0.0), (2, 1, 7, 6), 5),
        (lambda: Transformer(4, 7, 6, 8, 1, 2, 8, 0.0), (2, 1, 7, 6), 2),
    ],
    ids=["three axes", "four axes", "convolution", "module", "attention", "conformer", "transformer"],
)
def test_a_cell_does_the_same_as_mindspores(create, shape, number):
    x, found = Tensor(normals(*shape)), []
    for fast in (True, False):
        ms.set_seed(1)
        net = nn.SequentialCell(create())
        net.init_parameters_data()
        net.set_train(True)
        assert not fast or frame_convolution.use_fast_frames(net) == number
        weight = Tensor(normals(*net(x).shape, seed=1))
        step = ms.grad(lambda x, net=net, w=weight: (net(x) * w).sum(), 0, net.trainable_params())
        gradients = step(x)
        parts = [gradients] if isinstance(gradients, Tensor) else [gradients[0], *gradients[1]]
        found.append([net(x).asnumpy(), *(g.asnumpy() for g in parts)])
    largest = max(np.abs(array).max() for array in found[1])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * largest)


def test_they_are_put_in_with_the_other_loops():
    net = nn.SequentialCell(Swap())
    assert use_fast_kernels(net, "loops") == 1
    assert type(net[0].fast) is frame_convolution.FastSwap
    assert use_fast_kernels(nn.SequentialCell(Swap()), "none") == 0


def test_what_is_no_number_is_seen():
    x, weight = normals(2, 9, 4), normals(3, 4)
    x[1, 5, 2] = np.nan
    out = convolve_frames(x, weight)
    assert np.isnan(out[1, 2, 4:7]).all()
    assert np.isfinite(out[0]).all()
    assert np.isfinite(out[1, [0, 1, 3]]).all()


def test_all_loops_are_compiled_as_expected():
    net = Conformer(4, 7, 6, 8, 1, 2, 8, 3, 0.0)
    net.set_train(True)
    assert use_fast_kernels(net, "loops") > 0
    x = Tensor(normals(2, 1, 7, 6))
    ms.grad(lambda x: net(x).sum(), None, net.trainable_params())(x)
    for name, signature in (frame_loops.EXPECTED | row_loops.EXPECTED).items():
        assert machine_code._kernels[name].signatures == [signature], name
