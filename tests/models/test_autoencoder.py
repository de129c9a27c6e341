"""The official baseline's autoencoder against its description, exported, trained."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.models.autoencoder import DenseAutoencoder, reconstruction_errors
from mindspore_dpus.models.weights import get_state, set_state
from tests.models.exported import run_exported


def small():
    """Without a weight or statistic that is 0 or 1."""
    net = DenseAutoencoder(6, (5, 2, 5))
    rng = np.random.default_rng(0)
    state = {
        n: (v + rng.uniform(0.1, 0.5, v.shape)).astype(np.float32) for n, v in get_state(net).items()
    }
    set_state(net, state)
    return net.set_train(False)


def inputs(n, width=6):
    return np.random.default_rng(n).standard_normal((n, width)).astype(np.float32)


def test_has_the_baselines_layers():
    widths = [
        cell.weight.shape
        for _, cell in DenseAutoencoder().cells_and_names()
        if isinstance(cell, nn.Dense)
    ]
    between = [(128, 128)] * 3
    assert widths == [(128, 640), *between, (8, 128), (128, 8), *between, (640, 128)]
    # What Keras counts for the baseline's model, moving statistics included.
    assert sum(p.size for p in DenseAutoencoder().get_parameters()) == 269_992


def test_equals_its_formula():
    net, x = small(), inputs(4)
    state, expected = get_state(net), x.astype(np.float64)
    for i in (0, 3, 6):
        expected = expected @ state[f"layers.{i}.weight"].T + state[f"layers.{i}.bias"]
        gamma, beta, mean, variance = (
            state[f"layers.{i + 1}.norm.{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        expected = np.maximum((expected - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
    expected = expected @ state["layers.9.weight"].T + state["layers.9.bias"]
    outputs = net(Tensor(x))
    np.testing.assert_allclose(outputs.asnumpy(), expected, rtol=1e-5)
    errors = ((expected - x) ** 2).mean(axis=1)
    found = reconstruction_errors(outputs, Tensor(x)).asnumpy()
    np.testing.assert_allclose(found, errors, rtol=1e-5)


def test_moving_statistics_follow_as_in_keras():
    net, x = DenseAutoencoder(6, (5,)), inputs(50)
    net.set_train(True)(Tensor(x))
    state = get_state(net)
    hidden = x @ state["layers.0.weight"].T + state["layers.0.bias"]
    np.testing.assert_allclose(state["layers.1.norm.moving_mean"], 0.01 * hidden.mean(axis=0), atol=1e-6)


def test_the_exported_graph_is_equal_for_any_batch(tmp_path):
    net, x = small(), inputs(3)
    np.testing.assert_allclose(run_exported(net, x, tmp_path), net(Tensor(x)).asnumpy(), rtol=1e-4)


def test_learns_to_reconstruct():
    net, x = DenseAutoencoder(6, (16, 3, 16)), Tensor(inputs(64) @ inputs(6)[:, :2] @ inputs(2))
    net.set_train(True)
    optimizer = nn.Adam(net.trainable_params(), 1e-2)
    step = ms.value_and_grad(lambda: reconstruction_errors(net(x), x).mean(), None, optimizer.parameters)
    losses = []
    for _ in range(30):
        loss, gradients = step()
        optimizer(gradients)
        losses.append(float(loss.asnumpy()))
    assert losses[-1] < 0.5 * losses[0]
