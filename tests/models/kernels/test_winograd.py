"""Convolutions by Winograd's algorithm, against torch's in float64 and oneDNN's direct ones."""

import numpy as np
import pytest

from mindspore_dpus.models.kernels import machine_code, winograd, winograd_loops
from mindspore_dpus.models.kernels.onednn.library import from_blocks, to_blocks
from mindspore_dpus.models.kernels.onednn.memory import aligned
from mindspore_dpus.models.kernels.onednn.primitives import Geometry
from mindspore_dpus.models.kernels.winograd import (
    FEWEST_FOR_WEIGHTS,
    WinogradBackwardData,
    WinogradBackwardWeights,
    WinogradForward,
    suits_winograd,
)
from tests.models.kernels.onednn.test_primitives import compute as compute_directly
from tests.models.kernels.onednn.test_primitives import dnn, numbers, reference  # noqa: F401


def plain(n, in_channels, out_channels, height, width):
    return Geometry(n, in_channels, out_channels, height, width, (3, 3), (1, 1), (1, 1, 1, 1))


SHAPES = [plain(*shape) for shape in ((3, 32, 48, 9, 12), (1, 16, 16, 1, 1), (2, 48, 16, 2, 7))]
SHAPES += [plain(4, 64, 32, 17, 16), plain(2, 16, 64, 1, 20), plain(5, 16, 16, 3, 2)]


def compute(dnn, geometry):  # noqa: F811
    """Result, source's gradient and weights' gradient."""
    source, gradient = (
        to_blocks(numbers(shape, seed), dnn.block)
        for shape, seed in ((geometry.source, 0), (geometry.result, 1))
    )
    weights = numbers(geometry.weights, 2)
    out, grad_source = (np.full_like(array, np.nan) for array in (gradient, source))
    grad_weights = np.full_like(weights, np.nan)
    forward, back = WinogradForward(dnn, geometry), WinogradBackwardData(dnn, geometry)
    back_weights = WinogradBackwardWeights(dnn, geometry)
    forward.load(weights)
    back.load(weights)
    forward(source, out)
    back(gradient, grad_source)
    own = aligned((back_weights.size,))
    back_weights(source, gradient, own)
    back_weights.unload(own, grad_weights)
    return from_blocks(out), from_blocks(grad_source), grad_weights


def errors(found, geometry):
    arrays = numbers(geometry.source), numbers(geometry.weights, 2), numbers(geometry.result, 1)
    expected = reference(geometry, *arrays)
    return [
        np.sqrt(np.mean((one - right) ** 2) / np.mean(right**2))
        for one, right in zip(found, expected, strict=True)
    ]


@pytest.mark.parametrize("group", [1, 3000, winograd.GROUP])
@pytest.mark.parametrize("geometry", SHAPES, ids=str)
def test_it_is_torchs_convolution_however_tiles_are_grouped(dnn, geometry, group, monkeypatch):  # noqa: F811
    monkeypatch.setattr(winograd, "GROUP", group)
    found = compute(dnn, geometry)
    assert max(errors(found, geometry)) < 1e-6
    for one, other in zip(found, compute(dnn, geometry), strict=True):
        assert one.tobytes() == other.tobytes()


def test_it_is_nearly_as_exact_as_a_direct_convolution(dnn):  # noqa: F811
    geometry = plain(2, 64, 64, 30, 28)
    found = errors(compute(dnn, geometry), geometry)
    direct = errors(compute_directly(dnn, geometry), geometry)
    # oneDNN's own, with larger tiles: 4 to 5 times as far from float64 as the direct one.
    assert max(one / other for one, other in zip(found, direct, strict=True)) < 2, (found, direct)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_visible(dnn, value):  # noqa: F811
    geometry = plain(2, 16, 32, 8, 9)
    forward = WinogradForward(dnn, geometry)
    forward.load(numbers(geometry.weights, 2))
    source = to_blocks(numbers(geometry.source), dnn.block)
    source[1, 0, 4, 5, 2] = value
    out = np.empty((2, 32 // dnn.block, 8, 9, dnn.block), np.float32)
    forward(source, out)
    assert np.isfinite(out[0]).all()
    assert not np.isfinite(out[1, :, 3:6, 4:7]).any()


def test_all_loops_are_compiled_as_expected(dnn):  # noqa: F811
    compute(dnn, SHAPES[0])
    for name, signature in winograd_loops.EXPECTED.items():
        assert machine_code._kernels[name].signatures == [signature], name


def test_other_shapes_are_not_for_it():
    assert suits_winograd(plain(2, 32, 32, 20, 19))
    assert not suits_winograd(plain(2, 32, 32, 20, 18))
    assert suits_winograd(plain(2, 32, 32, 20, 18), FEWEST_FOR_WEIGHTS)
    others = [{"kernel": (1, 1), "padding": (0,) * 4}, {"stride": (2, 2)}, {"dilation": (2, 2)}]
    others += [{"padding": (0,) * 4}, {"groups": 32}, {"plain_source": True}]
    for change in others:
        whole = {"kernel": (3, 3), "padding": (1,) * 4} | change
        assert not suits_winograd(Geometry(9, 32, 32, 14, 14, **whole)), change
