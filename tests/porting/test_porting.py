"""The package against the method in plain NumPy (``reference.py``): the numbers of docs/porting.md."""

import numpy as np
import pytest
from mindspore import Tensor, nn
from sklearn.base import BaseEstimator

from mindspore_dpus.core.device import Device
from mindspore_dpus.features.extract import extract
from mindspore_dpus.features.whitening import whiten
from mindspore_dpus.losses import create_loss
from mindspore_dpus.metrics.classification import classification_metrics
from mindspore_dpus.metrics.fusion import fuse
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.layers import conv
from mindspore_dpus.models.weights import assign
from mindspore_dpus.sampling import DistributionPreservingUnderSampler
from mindspore_dpus.sampling.draws import draw_clusters
from mindspore_dpus.training.optimizers import create_optimizer
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.step import create_step
from tests.porting import reference


@pytest.fixture(scope="module")
def given():
    with np.load(reference.INPUT) as file:
        return dict(file)


@pytest.fixture(scope="module")
def expected():
    with np.load(reference.EXPECTED) as file:
        return dict(file)


def normals(given):
    return given["features"][given["labels"] == 0]


def with_signs_of(found, model):
    """The sign of a principal component is free."""
    return found * np.sign((found * model).sum(axis=0))


def sampler(**changes):
    settings = {
        "n_clusters": reference.N_CLUSTERS,
        "n_components": reference.N_COMPONENTS,
        "n_subsets": reference.N_SUBSETS,
        "proportion": "auto",
        "random_state": 0,
    }
    return DistributionPreservingUnderSampler(**settings | changes)


class Known(BaseEstimator):
    """A clusterer that knows the answer."""

    def __init__(self, labels=None):
        self.labels = labels

    def fit(self, X):
        self.labels_ = np.asarray(self.labels)
        return self


def test_the_files_are_what_the_script_makes(given, expected):
    for stored, made in (
        (given, reference.make_input()),
        (expected, reference.make_expected(given)),
    ):
        assert stored.keys() == made.keys()
        for name, value in made.items():
            if np.issubdtype(np.asarray(value).dtype, np.integer):
                assert np.array_equal(stored[name], value), name
            elif name == "whitened":
                np.testing.assert_allclose(with_signs_of(value, stored[name]), stored[name], atol=1e-9)
            else:
                np.testing.assert_allclose(stored[name], value, rtol=1e-9, atol=1e-9)


def test_whitened_features(given, expected):
    found = whiten(normals(given), reference.N_COMPONENTS)
    np.testing.assert_allclose(
        with_signs_of(found, expected["whitened"]), expected["whitened"], atol=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_clusters(given, expected, seed):
    fitted = sampler(random_state=seed)
    fitted.fit_resample(given["features"], given["labels"])
    assert (fitted.labels_[given["labels"] == 1] == -1).all()
    found = reference.first_seen(fitted.labels_[given["labels"] == 0])
    assert np.array_equal(found, expected["clusters"])


def test_draws(expected):
    rng = np.random.default_rng(reference.DRAW_SEED)
    drawn = draw_clusters(
        expected["clusters"], reference.N_DRAWN, reference.N_SUBSETS, "independent", rng
    )
    assert np.array_equal(drawn, expected["draws"])
    counts = [np.bincount(expected["clusters"][rows]) for rows in drawn]
    assert np.array_equal(counts, expected["draw_counts"])


def test_subsets(given, expected, monkeypatch):
    """Eq. 1 and 2 from end to end, with the generator of the draws set to the reference's seed."""
    clusterer = Known(expected["clusters"])
    fitted = sampler(clusterer=clusterer)
    monkeypatch.setattr(
        "mindspore_dpus.sampling.dpus.check_random_state", lambda seed: _Fixed(reference.DRAW_SEED)
    )
    fitted.fit_resample(given["features"], given["labels"])
    assert fitted.sampling_strategy_ == {0: reference.N_DRAWN}
    assert np.array_equal(fitted.subsets_, expected["subsets"])


class _Fixed:
    def __init__(self, seed):
        self.seed = seed

    def randint(self, limit):
        return self.seed


@pytest.mark.parametrize(
    ("name", "options", "array"),
    [
        ("cross_entropy", {}, "loss_cross_entropy"),
        ("weighted_cross_entropy", {}, "loss_weighted"),
        ("focal", {"gamma": reference.GAMMA}, "loss_focal"),
        ("seesaw", {"p": reference.SEESAW_P, "q": reference.SEESAW_Q}, "loss_seesaw"),
    ],
)
def test_losses(given, expected, name, options, array):
    loss = create_loss(name, [72, 18], **options)
    targets = Tensor(given["targets"])
    found = float(loss(Tensor(given["logits"][0]), targets).asnumpy())
    assert found == pytest.approx(float(expected[array]), rel=1e-5)
    if name == "seesaw":
        # It counts the samples of every batch: the second one meets twice as many.
        again = float(loss(Tensor(given["logits"][1]), targets).asnumpy())
        assert again == pytest.approx(float(expected["loss_seesaw_second"]), rel=1e-5)


@pytest.fixture(scope="module")
def net():
    """MobileNetV2 with the weights of the formula."""
    net = create_model("mobilenet_v2_035", num_classes=2, in_channels=1)
    weights = reference.Weights()
    for _, cell in net.cells_and_names():
        kind = type(cell).__name__
        if isinstance(cell, type(conv(1, 1, 1))):
            arrays = {"weight": weights.conv(cell.weight.shape)}
        elif kind == "BatchNorm2d":
            names = ("gamma", "beta", "moving_mean", "moving_variance")
            arrays = dict(zip(names, weights.norm(cell.gamma.size), strict=True))
        elif kind == "Dense":
            arrays = dict(zip(("weight", "bias"), weights.dense(cell.weight.shape), strict=True))
        else:
            continue
        for name, value in arrays.items():
            assign(getattr(cell, name), value.astype(np.float32))
    return net.set_train(False)


def test_features_of_images(given, expected, net):
    device = Device("CPU", jit=False, idle_main_thread=False)
    images = given["pixels"][..., None]
    found = extract(net, "features", images, np.arange(2), 2, device)
    np.testing.assert_allclose(found, expected["image_features"], atol=1e-4)


def test_logits_of_a_network(given, expected, net):
    found = net(Tensor(given["image"][None])).asnumpy()[0]
    np.testing.assert_allclose(found, expected["network_logits"], atol=1e-4)


def test_steps_of_adam(given, expected):
    layer = nn.Dense(12, 2, weight_init="zeros", bias_init="zeros")
    optimizer = create_optimizer(layer, TrainingSettings())
    device = Device("CPU", jit=False, idle_main_thread=False)
    step = create_step(layer, create_loss("cross_entropy", [72, 18]), optimizer, device)
    for first in range(0, reference.N_STEPS * reference.BATCH, reference.BATCH):
        rows = slice(first, first + reference.BATCH)
        step(Tensor(given["features"][rows]), Tensor(given["labels"][rows]))
    np.testing.assert_allclose(layer.weight.asnumpy(), expected["adam_weight"], atol=1e-6)
    np.testing.assert_allclose(layer.bias.asnumpy(), expected["adam_bias"], atol=1e-6)


def test_fused_scores(given, expected):
    probabilities = np.exp(reference.log_softmax(given["logits"]))
    np.testing.assert_allclose(fuse(probabilities), expected["fused"], atol=1e-12)


def test_measures(given, expected):
    found = classification_metrics(given["targets"], expected["fused"], positive=1, threshold=0.5)
    for name in ("auc", "precision", "recall"):
        assert found[name] == pytest.approx(float(expected[name]), abs=1e-12), name
