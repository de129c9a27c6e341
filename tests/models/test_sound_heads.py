"""The heads of outlier exposure against their formulas."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.losses.outlier_exposure import OutlierExposure
from mindspore_dpus.models.sound_heads import OutlierExposureNet, SoundHeads
from mindspore_dpus.models.transformer import Transformer
from mindspore_dpus.models.weights import assign, get_state
from mindspore_dpus.training.optimizers import create_optimizer
from mindspore_dpus.training.settings import TrainingSettings

ms.runtime.launch_blocking()

EMBEDDINGS = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)


def test_section_and_domain_are_linear():
    heads = SoundHeads(8, 3, with_domain=True)
    sections, _, domain = (out.asnumpy() for out in heads(Tensor(EMBEDDINGS)))
    state = get_state(heads)
    np.testing.assert_allclose(sections, EMBEDDINGS @ state["section.weight"].T, atol=1e-6)
    np.testing.assert_allclose(domain, EMBEDDINGS @ state["domain.weight"][0], atol=1e-6)


def test_machine_is_affine_in_the_squared_norm():
    heads = SoundHeads(8, 3, with_domain=False)
    assign(heads.machine.weight, np.array([[2.5]]))
    assign(heads.machine.bias, np.array([-0.7]))
    _, machine = heads(Tensor(EMBEDDINGS))
    expected = 2.5 / 8 * (EMBEDDINGS**2).sum(axis=1) - 0.7
    np.testing.assert_allclose(machine.asnumpy(), expected, atol=1e-5)


def test_the_machines_logit_starts_by_growing_with_the_norm():
    machine = SoundHeads(8, 3, with_domain=False)(Tensor(np.stack([EMBEDDINGS[0], 2 * EMBEDDINGS[0]])))[
        1
    ]
    near, far = machine.asnumpy()
    assert far > near


@pytest.mark.parametrize("with_domain", [False, True])
def test_the_net_gives_the_embedding_and_all_logits(with_domain):
    extractor = nn.SequentialCell(nn.Flatten(), nn.Dense(12, 8))
    extractor.embedding_size = 8
    net = OutlierExposureNet(extractor, 3, with_domain)
    x = Tensor(np.random.default_rng(1).standard_normal((5, 1, 4, 3)).astype(np.float32))
    embedding, *logits = net(x)
    assert np.array_equal(embedding.asnumpy(), extractor(x).asnumpy())
    assert [out.shape for out in logits] == [(5, 3), (5,), (5,)][: 2 + with_domain]
    names = {p.name.partition(".")[0] for p in net.get_parameters()}
    assert names == {"extractor", "heads"}


@pytest.mark.parametrize("with_domain", [False, True])
def test_net_loss_and_optimiser_learn_together(with_domain):
    rng = np.random.default_rng(2)
    extractor = Transformer(
        8, mel_bands=6, frames=5, width=8, n_blocks=1, n_heads=2, hidden=8, dropout=0
    )
    net = OutlierExposureNet(extractor, 3, with_domain).set_train(True)
    loss = OutlierExposure(10.0, 1.0 if with_domain else None)
    x = Tensor(rng.standard_normal((12, 1, 6, 5)).astype(np.float32))
    machine = np.repeat([1, 0], 6).astype(np.float32)
    sections = np.eye(3, dtype=np.float32)[np.arange(12) % 3] * machine[:, None]
    domains = np.arange(12) % 2 * machine
    targets = tuple(
        Tensor(t.astype(np.float32)) for t in (sections, machine, domains)[: 2 + with_domain]
    )
    settings = TrainingSettings(optimizer="adamw", learning_rate=1e-2, weight_decay=0.01)
    optimizer = create_optimizer(net, settings)
    step = ms.value_and_grad(lambda: loss(net(x)[1:], targets), None, optimizer.parameters)
    losses = []
    for _ in range(25):
        value, gradients = step()
        optimizer(gradients)
        losses.append(float(value.asnumpy()))
    assert losses[-1] < 0.5 * losses[0]
