"""Convolutions through oneDNN, against torch's in float64."""

import gc
import threading

import numpy as np
import pytest

from mindspore_dpus.models.kernels.blocked_depthwise import DepthwiseBackwardWeights
from mindspore_dpus.models.kernels.onednn.interface import Interface, OneDnnError, Owned
from mindspore_dpus.models.kernels.onednn.library import (
    checked,
    from_blocks,
    one_dnn,
    to_blocks,
)
from mindspore_dpus.models.kernels.onednn.memory import aligned
from mindspore_dpus.models.kernels.onednn.primitives import (
    BackwardData,
    BackwardWeights,
    Forward,
    Geometry,
)

torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")

# n, in, out, height, width, kernel, stride, padding, dilation, groups, plain source
SHAPES = [
    Geometry(2, 32, 48, 9, 11, (3, 3), (1, 1), (1, 1, 1, 1)),
    Geometry(1, 16, 32, 7, 6, (1, 1), (2, 2)),
    Geometry(3, 16, 16, 15, 12, (3, 3), (2, 2), (1, 1, 1, 1)),
    Geometry(2, 32, 16, 10, 13, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),
    Geometry(2, 16, 16, 12, 9, (5, 3), (2, 1), (2, 2, 1, 1)),
    Geometry(2, 48, 32, 15, 17, (3, 3), (1, 1), (1, 1, 1, 1)),  # Winograd's algorithm
    Geometry(2, 1, 64, 21, 18, (7, 7), (2, 2), (3, 3, 3, 3), plain_source=True),
    Geometry(2, 3, 32, 16, 16, (3, 3), (2, 2), (1, 1, 1, 1), plain_source=True),
]
DEPTHWISE = [
    Geometry(2, 48, 48, 9, 8, (3, 3), (1, 1), (1, 1, 1, 1), groups=48),
    Geometry(3, 32, 32, 7, 10, (3, 3), (2, 2), (1, 1, 1, 1), groups=32),
    Geometry(1, 16, 16, 6, 1, (3, 3), (2, 2), (1, 1, 1, 1), groups=16),
    Geometry(1, 16, 16, 1, 1, (3, 3), (1, 1), (1, 1, 1, 1), groups=16),
    Geometry(2, 32, 32, 9, 8, (5, 5), (1, 1), (2, 2, 2, 2), groups=32),
    Geometry(2, 32, 32, 2, 3, (5, 5), (1, 1), (2, 2, 2, 2), groups=32),
    # Padded more behind, as at stride 2 to half the size.
    Geometry(2, 48, 48, 10, 9, (5, 5), (2, 2), (1, 2, 2, 2), groups=48),
    Geometry(2, 32, 32, 8, 6, (3, 3), (2, 2), (0, 1, 0, 1), groups=32),
]


@pytest.fixture(scope="module")
def dnn():
    found = one_dnn()
    if found is None:
        pytest.skip("no oneDNN that can be used here")
    return found


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def reference(geometry, x, weights, gradient):
    x, weights = (torch.tensor(a, dtype=torch.double, requires_grad=True) for a in (x, weights))
    own = weights.reshape(geometry.out_channels, -1, *geometry.kernel)
    top, bottom, left, right = geometry.padding
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    out = torch.nn.functional.conv2d(
        padded, own, None, geometry.stride, 0, geometry.dilation, geometry.groups
    )
    out.backward(torch.tensor(gradient).double())
    return tuple(a.detach().numpy() for a in (out, x.grad, weights.grad))


def laid(x, geometry, block):
    return x if geometry.plain_source else to_blocks(x, block)


def compute(dnn, geometry):
    """Result, source's gradient (None for a plain source) and weights' gradient of a shape."""
    x, gradient = numbers(geometry.source), to_blocks(numbers(geometry.result, 1), dnn.block)
    weights = numbers(geometry.weights, 2)
    source, told = laid(x, geometry, dnn.block), (dnn.interface, dnn.block)
    forward = Forward(*told, geometry, training=True)
    forward.load(weights)
    out = np.full_like(gradient, np.nan)
    forward(source, out)
    grad_x = None
    if not geometry.plain_source:
        back = BackwardData(*told, geometry)
        back.load(weights)
        grad_x = np.full_like(source, np.nan)
        back(gradient, grad_x)
        grad_x = from_blocks(grad_x)
    if geometry.groups > 1:
        back_weights = DepthwiseBackwardWeights(dnn.block, geometry)
    else:
        back_weights = BackwardWeights(*told, geometry)
    own, grad_weights = aligned((back_weights.size,)), np.full_like(weights, np.nan)
    back_weights(source, gradient, own)
    back_weights.unload(own, grad_weights)
    return from_blocks(out), grad_x, grad_weights


@pytest.mark.parametrize("geometry", [*SHAPES, *DEPTHWISE], ids=str)
def test_a_convolution_and_its_gradients_are_torchs(dnn, geometry):
    arrays = numbers(geometry.source), numbers(geometry.weights, 2), numbers(geometry.result, 1)
    expected = reference(geometry, *arrays)
    assert geometry.result[2:] == expected[0].shape[2:]
    for found, right in zip(compute(dnn, geometry), expected, strict=True):
        if found is not None:
            np.testing.assert_allclose(found, right, rtol=0, atol=2e-5 * np.abs(right).max())


def random_geometry(seed):
    rng = np.random.default_rng(seed)
    kernel, stride, dilation = (int(rng.choice(c)) for c in ((1, 3, 5, 7), (1, 2), (1, 1, 2)))
    padding = int(rng.choice([0, dilation * (kernel // 2)]))
    reach = dilation * (kernel - 1) + 1
    height, width = (int(max(reach - 2 * padding, 1) + rng.integers(0, 19)) for _ in range(2))
    channels = [16 * int(rng.integers(1, 6)) for _ in range(2)]
    shape = int(rng.integers(1, 6)), *channels, height, width
    pairs = (kernel,) * 2, (stride,) * 2, (padding,) * 4, (dilation,) * 2
    return Geometry(*shape, *pairs)


def test_random_shapes_are_right_or_refused(dnn):
    refused = []
    for seed in range(40):
        geometry = random_geometry(seed)
        try:
            found = compute(dnn, geometry)
        except OneDnnError:
            refused.append(geometry)
            continue
        arrays = numbers(geometry.source), numbers(geometry.weights, 2), numbers(geometry.result, 1)
        for one, right in zip(found, reference(geometry, *arrays), strict=True):
            error = np.abs(one - right).max()
            assert error <= 2e-5 * np.abs(right).max(), geometry
    # A network with such a layer runs Cell by Cell (dilated ones with a stride, most of them).
    assert len(refused) <= 15, refused


def test_every_shape_has_a_fast_kernel_and_winograds_where_it_is_asked_for(dnn):
    names = [
        Forward(dnn.interface, dnn.block, g).primitive.implementation for g in (*SHAPES, *DEPTHWISE)
    ]
    assert all("jit" in name and "gemm" not in name for name in names)
    if dnn.interface.major == 2 and dnn.block == 16:
        assert ["wino" in name for name in names] == [g.suits_winograd for g in (*SHAPES, *DEPTHWISE)]
        trained = Forward(dnn.interface, dnn.block, SHAPES[5], training=True)
        assert "wino" not in trained.primitive.implementation


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("geometry", [SHAPES[0], SHAPES[1], SHAPES[5], DEPTHWISE[0]], ids=str)
def test_what_a_convolution_does_besides(dnn, geometry, activation):
    x, weights, before = (numbers(s) for s in (geometry.source, geometry.weights, geometry.result))
    bias = numbers(geometry.out_channels, 3)
    expected, *_ = reference(geometry, x, weights, before)
    expected = expected + before + bias[:, None, None]
    if activation is not None:
        expected = expected.clip(0, 6 if activation == "relu6" else None)
        assert (expected == 0).any()
        assert (expected > 6).any() == (activation == "relu")
    forward = Forward(dnn.interface, dnn.block, geometry, bias=True, add=True, activation=activation)
    forward.load(weights, bias)
    out = to_blocks(before, dnn.block)
    forward(to_blocks(x, dnn.block), out)
    np.testing.assert_allclose(from_blocks(out), expected, rtol=0, atol=2e-4)


def test_threads_that_share_a_primitive_do_not_disturb_each_other(dnn):
    geometry = Geometry(4, 64, 64, 28, 28, (3, 3), (1, 1), (1, 1, 1, 1))
    told, weights = (dnn.interface, dnn.block), numbers(geometry.weights)
    forward, back = Forward(*told, geometry, training=True), BackwardWeights(*told, geometry)
    forward.load(weights)
    inputs = [to_blocks(numbers(geometry.source, seed), dnn.block) for seed in range(3)]

    def work(x, found):
        for _ in range(5):
            out, own = np.empty_like(x), aligned((back.size,))
            forward(x, out)
            back(x, out, own)
        found.append((out, own))

    alone, together = [], [[] for _ in inputs]
    for x in inputs:
        work(x, alone)
    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, together, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for expected, (found,) in zip(alone, together, strict=True):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_handles_are_given_back(dnn, monkeypatch):
    made, freed = [], []
    create, delete = Owned.__init__, Owned.__del__

    def counted(self, *args, **kwargs):
        create(self, *args, **kwargs)
        made.append(id(self))

    def uncounted(self):
        delete(self)
        freed.append(id(self))

    gc.collect()
    monkeypatch.setattr(Owned, "__init__", counted)
    monkeypatch.setattr(Owned, "__del__", uncounted)
    compute(dnn, SHAPES[0])
    gc.collect()
    assert len(made) > 20
    assert sorted(made) == sorted(freed)


def test_slow_kernels_are_refused(dnn):
    # Four channels a group: no block of them is whole.
    geometry = Geometry(2, 32, 32, 9, 9, (3, 3), (1, 1), (1, 1, 1, 1), groups=8)
    with pytest.raises(OneDnnError):
        Forward(dnn.interface, dnn.block, geometry)
    with pytest.raises(OneDnnError, match="depthwise"):
        DepthwiseBackwardWeights(dnn.block, Geometry(2, 32, 32, 9, 9, (5, 3), groups=32))


def test_blocks_are_filled_up_with_zeros():
    x = numbers((2, 11, 3, 4))
    blocked = to_blocks(x, 8)
    assert blocked.shape == (2, 2, 3, 4, 8)
    assert blocked.ctypes.data % 64 == 0
    assert blocked[1, 1, 2, 3, 2] == x[1, 10, 2, 3]
    np.testing.assert_array_equal(from_blocks(blocked)[:, :11], x)
    assert not from_blocks(blocked)[:, 11:].any()


def test_a_library_that_computes_otherwise_is_not_used(dnn, monkeypatch):
    from mindspore_dpus.models.kernels.onednn import library

    path = library._mindspores_own()
    assert checked(path).block == dnn.block
    monkeypatch.setattr(library, "_convolved", lambda x, w, g: (x, x, w))
    with pytest.raises(OneDnnError, match="not what it should be"):
        checked(path)


@pytest.mark.parametrize(
    ("told", "message"),
    [((2, 3, 0), "2.3.0 is not known"), ((4, 0, 0), "4.0.0 is not known")],
)
def test_unknown_versions_are_refused(dnn, monkeypatch, told, message):
    from mindspore_dpus.models.kernels.onednn import interface, library

    path = library._mindspores_own()
    monkeypatch.setattr(interface, "version_of", lambda short: (*told, 8))
    with pytest.raises(OneDnnError, match=message):
        Interface(path)
