"""Rectified Adam against torch's, against its formula, compiled, and resumed."""

import math

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from mindspore_dpus.models.weights import assign
from mindspore_dpus.training.optimizers import RectifiedAdam, create_optimizer
from mindspore_dpus.training.settings import TrainingSettings

SHAPES = {"weight": (3, 4), "bias": (3,)}


def gradients(step):
    rng = np.random.default_rng([7, step])
    # Sizes as different as those of a network's layers.
    return [
        (rng.normal(size=shape) * scale).astype(np.float32)
        for shape, scale in zip(SHAPES.values(), (1.0, 1e-4), strict=True)
    ]


def start():
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def parameters():
    return [Parameter(Tensor(value), name=name) for name, value in start().items()]


def values(parameters):
    return [p.asnumpy().copy() for p in parameters]


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_equals_torch_over_forty_steps(weight_decay):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    ours = parameters()
    theirs = [torch.nn.Parameter(torch.tensor(value)) for value in start().values()]
    settings = {"weight_decay": weight_decay}
    optimizer = RectifiedAdam(ours, 1e-2, **settings)
    reference = torch.optim.RAdam(theirs, lr=1e-2, **settings)
    for step in range(40):
        if step == 20:
            assign(optimizer.learning_rate, 3e-3)
            reference.param_groups[0]["lr"] = 3e-3
        optimizer(tuple(Tensor(g) for g in gradients(step)))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = torch.tensor(gradient)
        reference.step()
        for own, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(own.asnumpy(), other.detach().numpy(), rtol=0, atol=1e-6)
    assert np.abs(ours[0].asnumpy() - start()["weight"]).max() > 0.03


@pytest.mark.parametrize("step", [1, 5, 6, 7, 50, 3000, 10**6])
def test_factors_are_those_of_the_formula(step):
    beta1, beta2 = 0.9, 0.999
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * step * beta2**step / (1 - beta2**step)
    debiased = 1 / (1 - beta1**step)
    if rho > 5:
        r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        expected = r * math.sqrt(1 - beta2**step) * debiased, 0.0
    else:
        expected = 0.0, debiased
    found = RectifiedAdam(parameters(), 1.0).factors(Tensor(step, ms.float64))
    np.testing.assert_allclose([float(f.asnumpy()) for f in found], expected, rtol=1e-9)
    assert (expected[0] > 0) == (step > 5)


def test_a_compiled_step_is_the_same():
    eager, compiled = parameters(), parameters()
    plain = RectifiedAdam(eager, 1e-2)
    graph = RectifiedAdam(compiled, 1e-2)

    @ms.jit
    def step(gradients):
        return graph(gradients)

    for i in range(8):
        plain(tuple(Tensor(g) for g in gradients(i)))
        step(tuple(Tensor(g) for g in gradients(i)))
    for own, other in zip(values(eager), values(compiled), strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-7)


def test_its_state_put_back_goes_on_to_the_bit():
    first = parameters()
    optimizer = RectifiedAdam(first, 1e-2)
    for i in range(9):
        optimizer(tuple(Tensor(g) for g in gradients(i)))
        if i == 5:
            kept = values(first)
            state = [p.asnumpy().copy() for p in optimizer.get_parameters()]
    second = parameters()
    other = RectifiedAdam(second, 1e-2)
    other(tuple(Tensor(g) for g in gradients(99)))
    for parameter, value in zip(other.get_parameters(), state, strict=True):
        assign(parameter, value)
    for parameter, value in zip(second, kept, strict=True):
        assign(parameter, value)
    for i in range(6, 9):
        other(tuple(Tensor(g) for g in gradients(i)))
    assert all(np.array_equal(a, b) for a, b in zip(values(first), values(second), strict=True))


@pytest.mark.parametrize(("name", "kind"), [("adam", nn.Adam), ("radam", RectifiedAdam)])
def test_the_configuration_names_it(name, kind):
    net = nn.Dense(4, 2)
    net.bias.requires_grad = False
    made = create_optimizer(net, TrainingSettings(optimizer=name, learning_rate=0.5, weight_decay=0.1))
    assert type(made) is kind
    assert [p.name for p in made.parameters] == ["weight"]
    assert float(made.learning_rate.asnumpy()) == 0.5
