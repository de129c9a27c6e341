"""Fusion is the mean over the members."""

import numpy as np
import pytest

from mindspore_dpus.metrics.fusion import fuse


def softmax(shape):
    exponentials = np.exp(np.random.default_rng(0).normal(size=shape))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("members", [1, 2, 5])
def test_fused_outputs_are_means_and_still_probabilities(members):
    outputs = softmax((members, 7, 3))
    fused = fuse(outputs)
    assert np.allclose(fused, sum(outputs) / members, rtol=0, atol=1e-15)
    assert np.allclose(fused.sum(axis=1), 1)


def test_means_in_exact_numbers():
    fused = fuse([[[0.5, 0.5], [1.0, 0.0]], [[0.25, 0.75], [0.5, 0.5]]])
    assert fused.tolist() == [[0.375, 0.625], [0.75, 0.25]]


def test_images_are_ranked_as_by_the_sum_of_equation_three():
    outputs = softmax((5, 50, 2))
    assert np.array_equal(np.argsort(fuse(outputs)[:, 1]), np.argsort(outputs.sum(axis=0)[:, 1]))
