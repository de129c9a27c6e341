"""The loss of a proposal network against loops in float64, and torch; values and gradients."""

import math

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from mindspore_dpus.losses.rpn import RPNLoss

SHAPE = 2, 3, 4, 5  # N, A, H, W


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    n, a, h, w = SHAPE
    labels = (rng.random(SHAPE) < 0.3).astype(np.float32)
    return [
        rng.normal(0, 4, SHAPE).astype(np.float32),
        rng.normal(0, 0.3, (n, 4 * a, h, w)).astype(np.float32),
        labels,
        (rng.random(SHAPE) < 0.6).astype(np.float32),
        rng.normal(0, 0.3, (n, 4 * a, h, w)).astype(np.float32),
    ]


def by_loops(scores, deltas, labels, sampled, targets, box_weight, beta):
    entropy = boxes = number = 0.0
    for n, a, row, column in np.ndindex(scores.shape):
        if not sampled[n, a, row, column]:
            continue
        number += 1
        s = float(scores[n, a, row, column])
        positive = labels[n, a, row, column] == 1
        entropy += math.log1p(math.exp(-s if positive else s))
        if positive:
            for k in range(4):
                d = abs(float(deltas[n, 4 * a + k, row, column]) - targets[n, 4 * a + k, row, column])
                boxes += d * d / (2 * beta) if d < beta else d - beta / 2
    return (entropy + box_weight * boxes) / number


@pytest.mark.parametrize(("box_weight", "beta"), [(1.0, 1 / 9), (2.5, 0.5), (1.0, 0.0)])
def test_the_value_against_loops(batch, box_weight, beta):
    loss = RPNLoss(box_weight, beta)
    found = float(loss(*map(Tensor, batch)).asnumpy())
    assert found == pytest.approx(by_loops(*batch, box_weight, beta), rel=1e-5)


@pytest.mark.parametrize("beta", [1 / 9, 0.0])
@pytest.mark.parametrize("jit", [False, True])
def test_value_and_gradients_against_torch(batch, beta, jit):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    functional = torch.nn.functional
    scores, deltas, labels, sampled, targets = (torch.tensor(x, dtype=torch.float64) for x in batch)
    scores.requires_grad_()
    deltas.requires_grad_()
    entropy = functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")
    rows = (labels * sampled).repeat_interleave(4, dim=1).bool()
    boxes = functional.smooth_l1_loss(deltas[rows], targets[rows], reduction="sum", beta=beta)
    expected = ((entropy * sampled).sum() + 2 * boxes) / sampled.sum()
    expected.backward()
    step = ms.value_and_grad(RPNLoss(2.0, beta), (0, 1))
    value, gradients = (ms.jit(step) if jit else step)(*map(Tensor, batch))
    assert float(value.asnumpy()) == pytest.approx(expected.item(), rel=1e-5)
    for gradient, reference in zip(gradients, (scores.grad, deltas.grad), strict=True):
        np.testing.assert_allclose(gradient.asnumpy(), reference.numpy(), rtol=1e-4, atol=1e-7)


def test_what_is_not_sampled_has_no_gradient(batch):
    scores, deltas = ms.grad(RPNLoss(), (0, 1))(*map(Tensor, batch))
    labels, sampled = batch[2:4]
    assert (scores.asnumpy()[sampled == 0] == 0).all()
    assert (scores.asnumpy()[sampled == 1] != 0).all()
    positive = np.repeat(labels * sampled, 4, axis=1)
    assert (deltas.asnumpy()[positive == 0] == 0).all()
    assert (deltas.asnumpy()[positive == 1] != 0).all()


def test_without_a_sample_the_loss_is_zero(batch):
    batch[3] = np.zeros_like(batch[3])
    value, gradients = ms.value_and_grad(RPNLoss(), (0, 1))(*map(Tensor, batch))
    assert float(value.asnumpy()) == 0
    assert all((g.asnumpy() == 0).all() for g in gradients)


def test_huge_logits_stay_finite(batch):
    batch[0] *= 1e4
    value, gradients = ms.value_and_grad(RPNLoss(), (0, 1))(*map(Tensor, batch))
    assert np.isfinite(value.asnumpy())
    assert all(np.isfinite(g.asnumpy()).all() for g in gradients)


@pytest.mark.parametrize("arguments", [(-1.0, 0.1), (1.0, -0.1)])
def test_factors_below_zero_are_refused(arguments):
    with pytest.raises(ValueError, match="must not be below 0"):
        RPNLoss(*arguments)
