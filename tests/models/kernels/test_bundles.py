"""Groups of channels in bundles, by hand and against the weights of all channels."""

import numpy as np
import pytest

from mindspore_dpus.models.kernels.bundles import bundled, count_bundles, unbundled


@pytest.mark.parametrize(
    ("groups", "inputs", "outputs", "block", "bundles"),
    [
        (32, 128, 128, 16, 8),  # ResNeXt50 32x4d: four groups of four channels
        (32, 1024, 1024, 16, 32),
        (32, 128, 128, 8, 16),
        (16, 16, 48, 16, 1),
        (4, 64, 32, 16, 2),
        (5, 15, 10, 16, 1),  # no divisor has whole blocks
        (1, 16, 16, 16, 1),
    ],
)
def test_a_bundle_has_whole_blocks(groups, inputs, outputs, block, bundles):
    assert count_bundles(groups, inputs, outputs, block) == bundles


def test_by_hand():
    # Four groups of one channel to one, 1 x 1, in two bundles.
    weights = np.array([1, 2, 3, 4], np.float32).reshape(4, 1, 1, 1)
    found = bundled(weights, 4, 2)
    assert found.shape == (2, 2, 2, 1, 1)
    assert found[..., 0, 0].tolist() == [[[1, 0], [0, 2]], [[3, 0], [0, 4]]]
    assert np.array_equal(unbundled(found, 4, 2), weights)


@pytest.mark.parametrize("bundles", [1, 2, 3, 6])
def test_all_bundles_hold_the_same_convolution(bundles):
    groups, outputs, inputs = 6, 3, 2  # of a group
    weights = np.random.default_rng(0).standard_normal((groups * outputs, inputs, 3, 2))
    # From every channel to every other: zero between groups.
    whole = np.zeros((groups * outputs, groups * inputs, 3, 2))
    for g in range(groups):
        rows = slice(g * outputs, (g + 1) * outputs)
        whole[rows, g * inputs : (g + 1) * inputs] = weights[rows]
    found = bundled(weights, groups, bundles)
    rows, columns = len(whole) // bundles, whole.shape[1] // bundles
    for b in range(bundles):
        part = whole[b * rows : (b + 1) * rows, b * columns : (b + 1) * columns]
        assert np.array_equal(found[b] if bundles > 1 else found, part)
    # What stands between groups has no part in the gradient.
    assert np.array_equal(unbundled(np.where(found == 0, 7.0, found), groups, bundles), weights)


def test_one_group_stays():
    weights = np.ones((3, 2, 1, 1))
    assert bundled(weights, 1, 1) is weights
    assert unbundled(weights, 1, 1) is weights
