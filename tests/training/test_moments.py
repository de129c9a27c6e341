"""Our optimisers against torch's and their published algorithms in float64; resumed; compiled."""

from functools import partial

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from mindspore_dpus.models.weights import assign
from mindspore_dpus.training.moments import Adam, Adamax, MomentumSGD, NAdam, RAdam
from mindspore_dpus.training.optimizers import create_optimizer
from mindspore_dpus.training.settings import OPTIMIZERS as TABLE
from mindspore_dpus.training.settings import TrainingSettings

OPTIMIZERS = {
    "adam": Adam,
    "adamw": partial(Adam, decoupled=True),
    "adamax": Adamax,
    "nadam": NAdam,
    "radam": RAdam,
    "sgd": MomentumSGD,
}

# Else threads that wait for each other spin, which is slow where tests run side by side.
ms.runtime.launch_blocking()

# Weights as large as those of networks, and gradients as different as those of their layers.
SHAPES = {"weight": (3, 4), "bias": (3,)}
SCALES = (1.0, 1e-4)
RATE = 1e-2
TORCH = {"adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "nadam": "NAdam", "radam": "RAdam"}


def gradients(step):
    rng = np.random.default_rng([7, step])
    return [
        (rng.normal(size=shape) * scale).astype(np.float32)
        for shape, scale in zip(SHAPES.values(), SCALES, strict=True)
    ]


def start():
    rng = np.random.default_rng(3)
    return {n: (0.2 * rng.normal(size=shape)).astype(np.float32) for n, shape in SHAPES.items()}


def parameters():
    return [Parameter(Tensor(value), name=name) for name, value in start().items()]


def values(parameters):
    return [p.asnumpy().copy() for p in parameters]


def apply(optimizer, step):
    optimizer(tuple(Tensor(g) for g in gradients(step)))


def momentum_of(step, cycles):
    return 0.95 - 0.005 * step if cycles else 0.9


def rate_of(step):
    return RATE if step < 10 else 0.3 * RATE


def by_algorithm(name, weight_decay, steps, cycles):
    """The published update of one array after the other, in float64; rates and momenta as above."""
    results = []
    for i, p in enumerate(start().values()):
        p = p.astype(np.float64)
        m, v, u, product = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p), 1.0
        for step in range(steps):
            t, rate, b1, b2 = step + 1, rate_of(step), momentum_of(step, cycles), 0.999
            g = gradients(step)[i].astype(np.float64)
            if name == "adamw":
                p = p - rate * weight_decay * p
            else:
                g = g + weight_decay * p
            if name == "sgd":
                m = b1 * m + g
                p = p - rate * m
                continue
            m, v, u = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2, np.maximum(b2 * u, np.abs(g))
            m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
            if name in ("adam", "adamw"):
                p = p - rate * m_hat / (np.sqrt(v_hat) + 1e-8)
            elif name == "adamax":
                p = p - rate * m_hat / (u + 1e-8)
            elif name == "radam":
                rho_inf = 2 / (1 - b2) - 1
                rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
                if rho > 5:
                    r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
                    p = p - rate * r * m_hat * np.sqrt(1 - b2**t) / (np.sqrt(v) + 1e-8)
                else:
                    p = p - rate * m_hat
            else:
                mu, ahead = (b1 * (1 - 0.5 * 0.96 ** (s * 4e-3)) for s in (t, t + 1))
                product *= mu
                look = ahead * m / (1 - product * ahead) + (1 - mu) * g / (1 - product)
                p = p - rate * look / (np.sqrt(v_hat) + 1e-8)
        results.append(p)
    return results


@pytest.mark.parametrize("cycles", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_its_published_algorithm(name, weight_decay, cycles):
    ours = parameters()
    optimizer = OPTIMIZERS[name](ours, RATE, weight_decay)
    for step in range(20):
        assign(optimizer.learning_rate, rate_of(step))
        assign(optimizer.momentum, momentum_of(step, cycles))
        apply(optimizer, step)
    for own, expected in zip(values(ours), by_algorithm(name, weight_decay, 20, cycles), strict=True):
        # A kernel whose 1 - beta2 is that of float32 would be 5e-7 to 8e-7 off.
        np.testing.assert_allclose(own, expected, rtol=0, atol=3e-7)
    assert np.abs(ours[0].asnumpy() - start()["weight"]).max() > 0.02


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_torchs(name, weight_decay):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    ours, theirs = parameters(), [torch.nn.Parameter(torch.tensor(v)) for v in start().values()]
    optimizer = OPTIMIZERS[name](ours, RATE, weight_decay)
    options = {"momentum": 0.9} if name == "sgd" else {}
    kind = getattr(torch.optim, TORCH.get(name, "SGD"))
    reference = kind(theirs, lr=RATE, weight_decay=weight_decay, **options)
    for step in range(20):
        assign(optimizer.learning_rate, rate_of(step))
        reference.param_groups[0]["lr"] = rate_of(step)
        apply(optimizer, step)
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = torch.tensor(gradient)
        reference.step()
        for own, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(own.asnumpy(), other.detach().numpy(), rtol=0, atol=1e-6)


def test_options_reach_the_optimiser():
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    for name, options, kind, theirs in (
        ("sgd", {"momentum": 0.8}, "SGD", {"momentum": 0.8}),
        (
            "adam",
            {"momentum": 0.7, "beta2": 0.9, "epsilon": 0.1},
            "Adam",
            {"betas": (0.7, 0.9), "eps": 0.1},
        ),
        ("nadam", {"momentum_decay": 0.3}, "NAdam", {"momentum_decay": 0.3}),
    ):
        ours, others = parameters(), [torch.nn.Parameter(torch.tensor(v)) for v in start().values()]
        optimizer = OPTIMIZERS[name](ours, RATE, 0.0, **options)
        reference = getattr(torch.optim, kind)(others, lr=RATE, **theirs)
        for step in range(4):
            apply(optimizer, step)
            for parameter, gradient in zip(others, gradients(step), strict=True):
                parameter.grad = torch.tensor(gradient)
            reference.step()
        for own, other in zip(ours, others, strict=True):
            np.testing.assert_allclose(own.asnumpy(), other.detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_norms_do_not_decay(name):
    net = nn.SequentialCell(nn.Dense(2, 2), nn.BatchNorm2d(2), nn.LayerNorm((2,)))
    optimizer = OPTIMIZERS[name](net.trainable_params(), RATE, 0.5)
    before = {p.name: p.asnumpy().copy() for p in optimizer.parameters}
    before["0.bias"] += 1
    assign(optimizer.parameters[1], before["0.bias"])
    optimizer(tuple(Tensor(np.zeros(p.shape, np.float32)) for p in optimizer.parameters))
    moved = {p.name for p in optimizer.parameters if not np.array_equal(p.asnumpy(), before[p.name])}
    assert moved == {"0.weight", "0.bias"}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_rate_moves_nothing_and_no_momentum_is_allowed(name, momentum):
    ours = parameters()
    optimizer = OPTIMIZERS[name](ours, 0.0, 0.01, momentum=momentum)
    apply(optimizer, 0)
    assert all(np.array_equal(a, b) for a, b in zip(values(ours), start().values(), strict=True))
    assign(optimizer.learning_rate, RATE)
    apply(optimizer, 1)
    assert np.isfinite(np.concatenate([v.ravel() for v in values(ours)])).all()
    assert not np.array_equal(ours[0].asnumpy(), start()["weight"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_state_put_back_goes_on_to_the_bit(name):
    first, second = parameters(), parameters()
    optimizer, other = (OPTIMIZERS[name](p, RATE, 0.01) for p in (first, second))
    for step in range(9):
        assign(optimizer.momentum, momentum_of(step, True))
        apply(optimizer, step)
        if step == 5:
            kept = [p.asnumpy().copy() for p in optimizer.get_parameters()]
    apply(other, 99)
    for parameter, value in zip(other.get_parameters(), kept, strict=True):
        assign(parameter, value)
    for step in range(6, 9):
        assign(other.momentum, momentum_of(step, True))
        apply(other, step)
    assert all(np.array_equal(a, b) for a, b in zip(values(first), values(second), strict=True))


@pytest.mark.parametrize("name", ["adamw", "radam"])
def test_a_compiled_step_is_the_same(name):
    eager, compiled = parameters(), parameters()
    plain, graph = (OPTIMIZERS[name](p, RATE, 0.01) for p in (eager, compiled))

    @ms.jit
    def step(gradients):
        return graph(gradients)

    for i in range(8):
        for optimizer in (plain, graph):
            assign(optimizer.momentum, momentum_of(i, True))
        apply(plain, i)
        step(tuple(Tensor(g) for g in gradients(i)))
    for own, other in zip(values(eager), values(compiled), strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-7)


@pytest.mark.parametrize("step", [1, 5, 6, 50, 10**6])
def test_rectified_factors_are_those_of_the_formula(step):
    b1, b2 = 0.9, 0.999
    rho_inf = 2 / (1 - b2) - 1
    rho = rho_inf - 2 * step * b2**step / (1 - b2**step)
    expected = 0.0, 1 / (1 - b1**step)
    if rho > 5:
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        expected = r * np.sqrt(1 - b2**step) / (1 - b1**step), 0.0
    found = RAdam(parameters(), 1.0).factors(Tensor(step, ms.float64))
    np.testing.assert_allclose([float(f.asnumpy()) for f in found], expected, rtol=1e-9)
    assert (expected[0] > 0) == (step > 5)


@pytest.mark.parametrize("name", TABLE)
def test_the_configuration_names_it(name):
    net = nn.Dense(3, 2)
    settings = TrainingSettings(optimizer=name, learning_rate=0.25, weight_decay=0.5)
    optimizer = create_optimizer(net, settings)
    assert optimizer.learning_rate.asnumpy() == 0.25
    assert [p.name for p in optimizer.parameters] == [p.name for p in net.trainable_params()]
    if TABLE[name].options:
        options = TrainingSettings(optimizer=name, optimizer_options={"momentum": 0.5})
        assert create_optimizer(net, options).momentum.asnumpy() == 0.5
