"""EfficientNet-B0 against mindcv's, exported, trained."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.models.dropout import seed_dropout, use_seeded_dropout
from mindspore_dpus.models.efficientnet import DropPath, EfficientNet, Stage
from mindspore_dpus.models.weights import get_state, set_state
from tests.models.exported import losses_of_training, run_exported

TINY = (Stage(1, 3, 1, 8, 1), Stage(6, 5, 2, 16, 2), Stage(6, 3, 2, 16, 1))


def tiny(**settings):
    return EfficientNet(4, stem_channels=8, stages=TINY, **settings)


def log_mels(n, height=33, width=22):
    return np.random.default_rng(n).standard_normal((n, 1, height, width)).astype(np.float32)


@pytest.fixture(scope="module")
def pair():
    """Ours and mindcv's, with equal weights and batch statistics that are not 0 and 1."""
    mindcv = pytest.importorskip("mindcv", reason="mindcv is not installed")
    theirs = mindcv.create_model("efficientnet_b0", num_classes=128, in_channels=1)
    rng = np.random.default_rng(0)
    state = get_state(theirs)
    for name, value in state.items():
        if name.endswith(("gamma", "moving_variance")):
            state[name] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
        if name.endswith(("beta", "moving_mean")):
            state[name] = rng.normal(0, 0.2, value.shape).astype(np.float32)
    set_state(theirs, state)
    ours = EfficientNet(128)
    set_state(ours, state)
    return ours, theirs


def test_has_mindcvs_parameters_and_no_others(pair):
    ours, theirs = pair
    assert {p.name: p.shape for p in ours.get_parameters()} == {
        p.name: p.shape for p in theirs.get_parameters()
    }


# Log-mels of two seconds, and sizes that are odd on the way.
@pytest.mark.parametrize(("height", "width"), [(224, 126), (65, 47)])
def test_equals_mindcv_with_its_weights(pair, height, width):
    x = Tensor(log_mels(2, height, width))
    found, expected = (net.set_train(False)(x).asnumpy() for net in pair)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_steps_of_drop_path_are_those_of_mindcv(pair):
    ours, theirs = pair
    found = [cell.p for _, cell in ours.cells_and_names() if isinstance(cell, DropPath)]
    expected = [1 - c.keep_prob for _, c in theirs.cells_and_names() if type(c).__name__ == "DropPath"]
    assert len(found) == 16
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_drop_path_drops_whole_samples_in_training_only():
    cell = DropPath(0.25)
    use_seeded_dropout(cell)
    seed_dropout(cell, [1])
    x = np.ones((400, 2, 1, 3), np.float32)
    assert np.array_equal(cell.set_train(False)(Tensor(x)).asnumpy(), x)
    found = cell.set_train(True)(Tensor(x)).asnumpy().reshape(400, -1)
    assert np.array_equal(found, np.repeat(found[:, :1], 6, axis=1))
    assert set(np.unique(found)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 70 <= (found[:, 0] == 0).sum() <= 130


def test_the_exported_graph_is_equal_for_any_batch(tmp_path):
    net, x = tiny(), log_mels(3)
    np.testing.assert_allclose(
        run_exported(net, x, tmp_path), net.set_train(False)(Tensor(x)).asnumpy(), rtol=0, atol=1e-4
    )


def test_the_cells_in_a_row_are_the_network():
    net, x = tiny().set_train(False), Tensor(log_mels(2))
    out = x
    for cell in net.sequence():
        out = cell(out)
    assert np.array_equal(out.asnumpy(), net(x).asnumpy())
    assert isinstance(dict(net.cells_and_names())[net.classifier_name], nn.Dense)


def test_learns():
    x = log_mels(8)
    losses = losses_of_training(tiny(dropout=0.0, drop_path=0.0), x, np.eye(8, 4, dtype=np.float32), 12)
    assert losses[-1] < 0.5 * losses[0]
