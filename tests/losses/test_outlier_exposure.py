"""Losses of outlier exposure against the formulas in float64, term by term, and torch; gradients too."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from mindspore_dpus.losses.outlier_exposure import (
    OutlierExposure,
    cross_entropies,
    domain_loss,
    machine_loss,
    section_loss,
)

N, K = 12, 6


@pytest.fixture
def batch():
    """Logits and soft targets of 12 sounds, two of which are wholly another machine's."""
    rng = np.random.default_rng(0)
    logits = [rng.normal(0, 3, shape).astype(np.float32) for shape in ((N, K), N, N)]
    ratios = rng.beta(0.2, 0.2, N)
    ratios[:2], ratios[2:5] = 0, 1
    sections = np.eye(K)[rng.integers(0, K, N)] * ratios[:, None]
    domains = ratios * rng.integers(0, 2, N)
    targets = [array.astype(np.float32) for array in (sections, ratios, domains)]
    return logits, targets


def term(z, t):
    """A summand of the paper's equations, from the sigmoid itself."""
    p = 1 / (1 + np.exp(-np.float64(z)))
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def eq1(logits, y, t):
    total = sum(t[i] * term(logits[i, k], y[i, k]) for i in range(N) for k in range(K))
    return total / (K * t.sum(dtype=np.float64))


def eq2(logits, t):
    return sum(term(logits[i], t[i]) for i in range(N)) / N


def eq5(logits, d, t):
    return sum(t[i] * term(logits[i], d[i]) for i in range(N)) / t.sum(dtype=np.float64)


def numeric_gradient(function, values, step=1e-4):
    values = values.astype(np.float64)
    result = np.zeros_like(values)
    for place in np.ndindex(*values.shape):
        moved = [values.copy(), values.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        result[place] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return result


def tensors(arrays):
    return tuple(Tensor(array) for array in arrays)


def check(loss, formula, logits, *targets):
    """Equal values, and a gradient that is that of the formula."""
    inputs = tensors((logits, *targets))
    assert float(loss(*inputs).asnumpy()) == pytest.approx(formula(logits, *targets), rel=1e-6)
    expected = numeric_gradient(lambda moved: formula(moved, *targets), logits)
    np.testing.assert_allclose(ms.grad(loss)(*inputs).asnumpy(), expected, rtol=0, atol=1e-6)


def test_sections_are_eq_1(batch):
    (logits, _, _), (y, t, _) = batch
    check(section_loss, eq1, logits, y, t)


def test_machine_is_eq_2(batch):
    (_, logits, _), (_, t, _) = batch
    check(machine_loss, eq2, logits, t)


def test_domain_is_eq_5(batch):
    (_, _, logits), (_, t, d) = batch
    check(domain_loss, eq5, logits, d, t)


def test_sounds_of_other_machines_count_for_the_machine_only(batch):
    (logits, _, domain_logits), (y, t, d) = batch
    gradient = ms.grad(section_loss)(*tensors((logits, y, t))).asnumpy()
    assert not gradient[:2].any()
    assert gradient[2:].all()
    assert not ms.grad(domain_loss)(*tensors((domain_logits, d, t))).asnumpy()[:2].any()


@pytest.mark.parametrize("domain_weight", [None, 0.7])
def test_the_whole_is_eq_3_or_eq_6(batch, domain_weight):
    logits, (y, t, d) = batch
    expected = eq2(logits[1], t) + 10 * eq1(logits[0], y, t)
    if domain_weight is not None:
        expected += domain_weight * eq5(logits[2], d, t)
    heads = 2 if domain_weight is None else 3
    loss = OutlierExposure(10.0, domain_weight)
    value = loss(tensors(logits[:heads]), tensors((y, t, d)[:heads]))
    assert float(value.asnumpy()) == pytest.approx(expected, rel=1e-6)


def test_equals_torchs_function(batch):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    (logits, _, _), (y, _, _) = batch
    z = torch.tensor(logits, requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(y), reduction="none")
    loss.sum().backward()
    found = cross_entropies(*tensors((logits, y))).asnumpy()
    np.testing.assert_allclose(found, loss.detach().numpy(), rtol=1e-6, atol=1e-6)
    gradient = ms.grad(lambda a, b: cross_entropies(a, b).sum())(*tensors((logits, y))).asnumpy()
    np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=0, atol=1e-6)


def test_large_logits_and_zero_are_exact():
    z, t = np.array([-100, 0, 100], np.float32), np.full(3, 0.3, np.float32)
    np.testing.assert_allclose(
        cross_entropies(*tensors((z, t))).asnumpy(), [30, np.log(2), 70], rtol=1e-6
    )
    gradient = ms.grad(lambda a, b: cross_entropies(a, b).sum())(*tensors((z, t))).asnumpy()
    np.testing.assert_allclose(gradient, [-0.3, 0.2, 0.7], atol=1e-6)
