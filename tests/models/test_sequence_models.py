"""Transformer and Conformer against torch's functions, exported, trained."""

import numpy as np
import pytest
from mindspore import Tensor

from mindspore_dpus.models.attention import sinusoids
from mindspore_dpus.models.conformer import Conformer, ConvolutionModule
from mindspore_dpus.models.transformer import Transformer
from mindspore_dpus.models.weights import get_state, set_state
from tests.models.exported import losses_of_training, run_exported

BANDS, FRAMES, WIDTH, HEADS = 10, 12, 16, 2
SIZES = {
    "embedding_size": 6,
    "mel_bands": BANDS,
    "frames": FRAMES,
    "width": WIDTH,
    "n_blocks": 2,
    "n_heads": HEADS,
    "hidden": 8,
}
KINDS = {"transformer": (Transformer, {}), "conformer": (Conformer, {"kernel_size": 5})}


@pytest.fixture(params=KINDS)
def net(request):
    """A small network none of whose weights, biases and statistics is 0 or 1."""
    kind, settings = KINDS[request.param]
    made = kind(**SIZES, **settings)
    rng = np.random.default_rng(0)
    state = {
        name: (value + rng.uniform(0.1, 0.4, value.shape)).astype(np.float32)
        for name, value in get_state(made).items()
    }
    set_state(made, state)
    return made.set_train(False)


def log_mels(n):
    return np.random.default_rng(n).standard_normal((n, 1, BANDS, FRAMES)).astype(np.float32)


def reference(net, x):
    """The published formulas, step by step, with torch's functions in float64."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    functional = torch.nn.functional
    weights = {n: torch.tensor(v, dtype=torch.float64) for n, v in get_state(net).items()}

    def dense(name, values):
        return functional.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name, values):
        scale, shift = weights[f"{name}.gamma"], weights[f"{name}.beta"]
        return functional.layer_norm(values, (WIDTH,), scale, shift, 1e-5)

    def attention(name, values):
        parts = ("query", "key", "value")
        seen, _ = functional.multi_head_attention_forward(
            *(values.transpose(0, 1),) * 3,
            WIDTH,
            HEADS,
            torch.cat([weights[f"{name}.{part}.weight"] for part in parts]),
            torch.cat([weights[f"{name}.{part}.bias"] for part in parts]),
            None,
            None,
            False,
            0.0,
            weights[f"{name}.output.weight"],
            weights[f"{name}.output.bias"],
            need_weights=False,
        )
        return seen.transpose(0, 1)

    def feed_forward(name, values, activation):
        return dense(f"{name}.dense2", activation(dense(f"{name}.dense1", values)))

    def convolution(name, values):
        values = norm(f"{name}.norm", values)
        both = [dense(f"{name}.{part}", values) for part in ("pointwise1", "gate")]
        values = functional.glu(torch.cat(both, dim=-1), dim=-1).transpose(1, 2)
        kernel = weights[f"{name}.depthwise.weight"][:, :, 0]
        values = functional.conv1d(values, kernel, padding="same", groups=WIDTH)
        statistics = [weights[f"{name}.batch_norm.moving_{part}"] for part in ("mean", "variance")]
        affine = [weights[f"{name}.batch_norm.{part}"] for part in ("gamma", "beta")]
        values = functional.silu(functional.batch_norm(values, *statistics, *affine, eps=1e-5))
        return dense(f"{name}.pointwise2", values.transpose(1, 2))

    frames = torch.tensor(x, dtype=torch.float64)[:, 0].transpose(1, 2)
    values = dense("frames_in.projection", frames) + torch.tensor(sinusoids(FRAMES, WIDTH))
    for block in (f"blocks.{i}" for i in range(SIZES["n_blocks"])):
        if isinstance(net, Transformer):
            values = values + attention(f"{block}.attention", norm(f"{block}.norm1", values))
            values = values + feed_forward(
                f"{block}.feed_forward", norm(f"{block}.norm2", values), functional.relu
            )
        else:
            values = values + 0.5 * feed_forward(
                f"{block}.feed_forward1", norm(f"{block}.norm1", values), functional.silu
            )
            values = values + attention(f"{block}.attention", norm(f"{block}.norm2", values))
            values = values + convolution(f"{block}.convolution", values)
            values = values + 0.5 * feed_forward(
                f"{block}.feed_forward2", norm(f"{block}.norm3", values), functional.silu
            )
            values = norm(f"{block}.norm4", values)
    if isinstance(net, Transformer):
        values = norm("norm", values)
    return dense("embedding", values.mean(dim=1)).numpy()


def test_equals_the_published_formulas(net):
    x = log_mels(3)
    expected = reference(net, x)
    assert np.ptp(expected, axis=0).max() > 1e-2
    np.testing.assert_allclose(net(Tensor(x)).asnumpy(), expected, rtol=0, atol=2e-5)


def test_the_exported_graph_is_equal_for_any_batch(net, tmp_path):
    x = log_mels(3)
    np.testing.assert_allclose(
        run_exported(net, x, tmp_path), net(Tensor(x)).asnumpy(), rtol=0, atol=1e-4
    )


def test_samples_do_not_see_each_other(net):
    x = log_mels(3)
    together = net(Tensor(x)).asnumpy()
    alone = net(Tensor(x[1:2])).asnumpy()
    np.testing.assert_allclose(together[1:2], alone, rtol=0, atol=1e-5)


def test_the_cells_in_a_row_are_the_network(net):
    x = Tensor(log_mels(2))
    out = x
    for cell in net.sequence():
        out = cell(out)
    assert np.array_equal(out.asnumpy(), net(x).asnumpy())


@pytest.mark.parametrize("kind", KINDS)
def test_learns(kind):
    make, settings = KINDS[kind]
    net = make(**SIZES, **settings, dropout=0.0)
    losses = losses_of_training(net, log_mels(8), np.eye(8, 6, dtype=np.float32), 10)
    assert losses[-1] < 0.6 * losses[0]


def test_positions_are_those_of_the_paper():
    table = sinusoids(5, 4)
    assert np.array_equal(table[0], [0, 1, 0, 1])
    np.testing.assert_allclose(table[3], [np.sin(3), np.cos(3), np.sin(0.03), np.cos(0.03)], atol=1e-7)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="width 16 is not a multiple of 3 heads"):
        Transformer(**SIZES | {"n_heads": 3})
    with pytest.raises(ValueError, match="kernel_size 4 is even"):
        ConvolutionModule(FRAMES, WIDTH, 4, 0.0)
