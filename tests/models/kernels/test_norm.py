"""The length of all gradients together, against float64."""

import numpy as np
import pytest
from mindspore import Tensor

from mindspore_dpus.models.kernels.norm import BLOCK, euclidean_norm


@pytest.mark.parametrize("sizes", [[1], [BLOCK], [BLOCK + 1, 3], [3 * BLOCK - 1, 1, 7]])
def test_it_is_float64s_to_the_last_digits(sizes):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=n).astype(np.float32) for n in sizes]
    expected = np.linalg.norm(np.concatenate(arrays).astype(np.float64))
    found = euclidean_norm([Tensor(a) for a in arrays])
    assert found.shape == ()
    assert float(found) == pytest.approx(expected, rel=1e-6)
    again = euclidean_norm([Tensor(a) for a in arrays])
    assert found.asnumpy().tobytes() == again.asnumpy().tobytes()


def test_shapes_do_not_matter_and_sizes_differ():
    gradients = [Tensor(np.full((2, 3, 2), 2, np.float32)), Tensor(np.float32(1))]
    assert float(euclidean_norm(gradients)) == 7.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_visible(value):
    values = np.ones(2 * BLOCK, np.float32)
    values[BLOCK + 5] = value
    assert not np.isfinite(float(euclidean_norm([Tensor(values)])))
