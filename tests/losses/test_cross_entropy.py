"""Cross-entropy against scikit-learn and, where it is installed, torch."""

import numpy as np
import pytest
from mindspore import Tensor
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from mindspore_dpus.losses.cross_entropy import CrossEntropy


@pytest.fixture
def logits_and_labels():
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (20, 4)).astype(np.float32), rng.integers(0, 4, 20).astype(np.int32)


def value(loss, logits, labels):
    return float(loss(Tensor(logits), Tensor(labels)).asnumpy())


def test_equals_scikit_learn(logits_and_labels):
    logits, labels = logits_and_labels
    expected = log_loss(labels, softmax(logits.astype(np.float64), axis=1), labels=range(4))
    assert value(CrossEntropy(4), logits, labels) == pytest.approx(expected, abs=1e-5)


def test_smoothing_mixes_in_the_uniform_distribution(logits_and_labels):
    logits, labels = logits_and_labels
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    targets = 0.9 * np.eye(4)[labels] + 0.1 / 4
    expected = -(targets * log_p).sum(1).mean()
    assert value(CrossEntropy(4, 0.1), logits, labels) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_torch(logits_and_labels, smoothing):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    logits, labels = logits_and_labels
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor(labels, dtype=torch.long), label_smoothing=smoothing
    )
    assert value(CrossEntropy(4, smoothing), logits, labels) == pytest.approx(float(expected), abs=1e-5)


def test_stays_finite_for_extreme_logits():
    logits = np.array([[1000.0, -1000.0]], np.float32)
    assert value(CrossEntropy(2), logits, np.array([1], np.int32)) == pytest.approx(2000.0)
