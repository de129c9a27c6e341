"""Every loss against an independent formula and, where it is installed, torch; values and gradients."""

import inspect

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from mindspore_dpus.core.choices import load
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.losses import create_loss
from mindspore_dpus.losses.cross_entropy import CrossEntropy
from mindspore_dpus.losses.focal import Focal
from mindspore_dpus.losses.seesaw import Seesaw
from mindspore_dpus.losses.settings import LOSSES
from mindspore_dpus.losses.weighted_cross_entropy import inverse_frequency_weights

WEIGHTS = (0.4, 1.0, 2.5, 0.1)


@pytest.fixture
def batch():
    """Logits of 20 samples of 4 classes, and their labels."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (20, 4)).astype(np.float32), rng.integers(0, 4, 20).astype(np.int32)


def value(loss, logits, labels):
    return float(loss(Tensor(logits), Tensor(labels)).asnumpy())


def gradient(loss, logits, labels):
    return ms.grad(loss)(Tensor(logits), Tensor(labels)).asnumpy()


def numeric_gradient(function, logits, step=1e-4):
    logits = logits.astype(np.float64)
    result = np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        moved = [logits.copy(), logits.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        result[place] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return result


def seesaw_by_loops(logits, labels, counts, p, q, scores=None):
    """Wang et al. 2021, Eq. 5 to 8, term by term; ``scores`` are held where no gradient flows."""
    scores = softmax(logits.astype(np.float64), axis=1) if scores is None else scores
    total = 0.0
    for z, s, i in zip(logits.astype(np.float64), scores, labels, strict=True):
        denominator = 0.0
        for j in range(len(z)):
            mitigation = (counts[j] / counts[i]) ** p if counts[i] > counts[j] else 1.0
            compensation = (s[j] / s[i]) ** q if s[j] > s[i] else 1.0
            denominator += (1.0 if i == j else mitigation * compensation) * np.exp(z[j])
        total -= np.log(np.exp(z[i]) / denominator)
    return total / len(labels)


def test_cross_entropy_equals_scikit_learn(batch):
    logits, labels = batch
    expected = log_loss(labels, softmax(logits.astype(np.float64), axis=1), labels=range(4))
    assert value(CrossEntropy(4), logits, labels) == pytest.approx(expected, abs=1e-5)


def test_weighted_cross_entropy_equals_scikit_learn(batch):
    logits, labels = batch
    p = softmax(logits.astype(np.float64), axis=1)
    expected = log_loss(labels, p, sample_weight=np.take(WEIGHTS, labels), labels=range(4))
    assert value(CrossEntropy(4, 0.0, WEIGHTS), logits, labels) == pytest.approx(expected, abs=1e-5)


def test_smoothing_mixes_in_the_uniform_distribution(batch):
    logits, labels = batch
    targets = 0.9 * np.eye(4)[labels] + 0.1 / 4
    expected = -(targets * log_softmax(logits.astype(np.float64), axis=1)).sum(1).mean()
    assert value(CrossEntropy(4, 0.1), logits, labels) == pytest.approx(expected, abs=1e-5)


def test_each_term_of_a_smoothed_target_has_its_own_class_weight(batch):
    logits, labels = batch
    targets = (0.9 * np.eye(4)[labels] + 0.1 / 4) * WEIGHTS
    terms = -(targets * log_softmax(logits.astype(np.float64), axis=1)).sum()
    expected = terms / np.take(WEIGHTS, labels).sum()
    assert value(CrossEntropy(4, 0.1, WEIGHTS), logits, labels) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("smoothing", "weights"), [(0.0, None), (0.1, None), (0.0, WEIGHTS), (0.1, WEIGHTS)]
)
def test_cross_entropy_equals_torch(batch, smoothing, weights):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    logits, labels = batch
    x = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        x,
        torch.tensor(labels, dtype=torch.long),
        weight=None if weights is None else torch.tensor(weights),
        label_smoothing=smoothing,
    )
    expected.backward()
    loss = CrossEntropy(4, smoothing, weights)
    assert value(loss, logits, labels) == pytest.approx(expected.item(), abs=1e-5)
    np.testing.assert_allclose(gradient(loss, logits, labels), x.grad.numpy(), atol=1e-6)


def test_inverse_frequencies_have_mean_one():
    np.testing.assert_allclose(inverse_frequency_weights([10, 30, 60]), [2, 2 / 3, 1 / 3])


def focal_by_formula(logits, labels, gamma, alpha):
    p = softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    return -(np.take(alpha, labels) * (1 - p) ** gamma * np.log(p)).mean()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_equals_its_formula_and_its_gradient(batch, gamma):
    logits, labels = batch
    loss = Focal(4, gamma, WEIGHTS)
    expected = focal_by_formula(logits, labels, gamma, WEIGHTS)
    assert value(loss, logits, labels) == pytest.approx(expected, abs=1e-5)
    slope = numeric_gradient(lambda z: focal_by_formula(z, labels, gamma, WEIGHTS), logits)
    np.testing.assert_allclose(gradient(loss, logits, labels), slope, atol=1e-5)


def test_focal_of_two_classes_is_the_sigmoid_focal_loss():
    # Lin et al. 2017, Eq. 5, written for one logit and labels +-1.
    x = np.array([-4.0, -0.5, 0.0, 1.0, 6.0], np.float32)
    labels = np.array([1, 0, 1, 1, 0], np.int32)
    p = 1 / (1 + np.exp(-x.astype(np.float64)))
    p_t, alpha_t = np.where(labels == 1, p, 1 - p), np.where(labels == 1, 0.25, 0.75)
    expected = -(alpha_t * (1 - p_t) ** 2 * np.log(p_t)).mean()
    logits = np.stack([np.zeros_like(x), x], axis=1)
    assert value(Focal(2, 2.0, (0.75, 0.25)), logits, labels) == pytest.approx(expected, abs=1e-5)


def test_seesaw_equals_its_formula_over_several_batches(batch):
    logits, labels = batch
    loss = Seesaw(4)
    counts = np.zeros(4)
    for rows in (slice(0, 7), slice(7, 15), slice(15, 20)):
        counts += np.bincount(labels[rows], minlength=4)
        expected = seesaw_by_loops(logits[rows], labels[rows], np.maximum(counts, 1), 0.8, 2.0)
        assert value(loss, logits[rows], labels[rows]) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert loss.counts.asnumpy().tolist() == np.bincount(labels).tolist()


def test_seesaw_gradient_does_not_flow_through_its_factors(batch):
    logits, labels = batch
    logits = logits / 3
    counts = np.bincount(labels, minlength=4)
    scores = softmax(logits.astype(np.float64), axis=1)
    slope = numeric_gradient(lambda z: seesaw_by_loops(z, labels, counts, 0.8, 2.0, scores), logits)
    np.testing.assert_allclose(gradient(Seesaw(4), logits, labels), slope, atol=1e-5)


def test_seesaw_without_exponents_is_cross_entropy(batch):
    expected = value(CrossEntropy(4), *batch)
    assert value(Seesaw(4, 0.0, 0.0), *batch) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_stays_finite_for_extreme_logits(name):
    loss = create_loss(name, (30, 10))
    logits = np.array([[80.0, -80.0], [80.0, -80.0], [0.0, 0.0]], np.float32)
    labels = np.array([1, 0, 1], np.int32)
    assert np.isfinite(value(loss, logits, labels))
    assert np.isfinite(gradient(loss, logits, labels)).all()


def test_weights_follow_the_counts_unless_given(batch):
    logits, labels = batch
    counts = (10, 20, 30, 40)
    loss = create_loss("weighted_cross_entropy", counts)
    expected = CrossEntropy(4, 0.0, inverse_frequency_weights(counts))
    assert value(loss, logits, labels) == value(expected, logits, labels)
    expected = value(CrossEntropy(4, 0.0, WEIGHTS), logits, labels)
    assert (
        value(create_loss("weighted_cross_entropy", counts, class_weights=list(WEIGHTS)), logits, labels)
        == expected
    )
    with pytest.raises(UserError, match="4 numbers for 2 classes"):
        create_loss("weighted_cross_entropy", (1, 2), class_weights=list(WEIGHTS))


def test_the_configuration_reaches_the_loss(batch):
    logits, labels = batch
    counts = np.bincount(labels, minlength=4)

    def configured(name, **options):
        return value(create_loss(name, counts, **options), logits, labels)

    # The first batch: its own counts are what seesaw has seen.
    expected = seesaw_by_loops(logits, labels, counts, p=0.3, q=1.5)
    assert configured(name="seesaw", p=0.3, q=1.5) == pytest.approx(expected, rel=1e-5)
    expected = focal_by_formula(logits, labels, 3.5, np.ones(4))
    assert configured(name="focal", gamma=3.5) == pytest.approx(expected, rel=1e-5)
    for weights in (None, WEIGHTS):
        name = "weighted_cross_entropy" if weights else "cross_entropy"
        expected = value(CrossEntropy(4, 0.2, weights), logits, labels)
        options = {"class_weights": list(weights)} if weights else {}
        found = configured(name, label_smoothing=0.2, **options)
        assert found == pytest.approx(expected, rel=1e-6)
        assert found != pytest.approx(value(CrossEntropy(4, 0.0, weights), logits, labels), rel=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_names_every_option_of_its_loss(name):
    _, *options = inspect.signature(load(LOSSES[name].create)).parameters
    assert options == list(LOSSES[name].options)
    assert set(LOSSES[name].spoiled_by) <= set(options)


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_says_whether_a_loss_is_the_mean_of_its_parts(name, batch):
    logits, labels = batch
    counts = np.bincount(labels, minlength=4)
    parts = [
        value(create_loss(name, counts), logits[rows], labels[rows])
        for rows in (slice(0, 10), slice(10, 20))
    ]
    whole = value(create_loss(name, counts), logits, labels)
    assert (abs(np.mean(parts) - whole) < 1e-5) == LOSSES[name].splits


def test_a_row_says_whether_all_classes_weigh_alike():
    counts, logits = (30, 10), np.zeros((40, 2), np.float32)
    labels = np.repeat([0, 1], counts).astype(np.int32)
    for name, row in LOSSES.items():
        pull = gradient(create_loss(name, counts), logits, labels).sum(axis=0)
        assert (abs(pull[0]) < 1e-6) == row.balances_classes, name


def test_unknown_losses_and_options_are_errors():
    with pytest.raises(UserError, match="loss.name is 'focel'; use focal"):
        create_loss("focel", (1, 1))
    with pytest.raises(UserError, match="loss.options.gama is no option of focal; it has gamma"):
        create_loss("focal", (1, 1), gama=2)
