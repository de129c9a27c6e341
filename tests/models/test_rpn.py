"""The proposal network: where it cuts the backbone, what it computes, how it starts."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.losses.rpn import RPNLoss
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.rpn import RPN, cut_at
from mindspore_dpus.models.weights import get_state, set_state


class Chain(nn.Cell):
    """Cells in a row; ``swapped`` applies them in another order than they are defined in."""

    def __init__(self, swapped=False):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, pad_mode="pad", padding=1, weight_init="normal")
        self.second = nn.SequentialCell(
            nn.Conv2d(4, 4, 3, 2, pad_mode="pad", padding=1, weight_init="normal"),
            nn.Tanh(),
            nn.Conv2d(4, 5, 1, weight_init="normal"),
        )
        self.dense = nn.Dense(5, 2)
        self.swapped = swapped

    def construct(self, x):
        x = self.second(-self.first(x) if self.swapped else self.first(x))
        return self.dense(x.mean((2, 3)))


def picture(n=1, size=48, seed=0):
    return Tensor(np.random.default_rng(seed).normal(size=(n, 3, size, size)).astype(np.float32))


@pytest.mark.parametrize(
    ("backbone", "layer", "stride", "channels"),
    [
        ("resnet18", "layer2", 8, 128),
        ("resnet18", "layer2.0", 8, 128),
        ("resnet18", "max_pool", 4, 64),
        ("mobilenet_v2_035", "features.8", 8, 16),
        ("mobilenet_v2_035", "features", 32, 1280),
    ],
)
def test_the_trunk_computes_what_the_backbone_has_at_its_layer(backbone, layer, stride, channels):
    net = create_model(backbone, 2).set_train(False)
    kept = []
    cell = dict(net.cells_and_names())[layer]
    handle = cell.register_forward_hook(lambda cell, inputs, output: kept.append(output.asnumpy()))
    net(picture())
    handle.remove()
    cells, found_channels, found_stride = cut_at(net, layer)
    assert (found_channels, found_stride) == (channels, stride)
    x = picture()
    for cell in cells:
        x = cell(x)
    np.testing.assert_allclose(x.asnumpy(), kept[0], rtol=0, atol=1e-5)


def test_a_head_for_images_of_another_size_is_no_obstacle():
    cells, channels, stride = cut_at(create_model("conv4", 2, image_size=32), "features.6")
    assert (len(cells), channels, stride) == (7, 32, 2)


def test_an_error_before_the_layer_is_told_in_the_backbones_words():
    class Picky(nn.Cell):
        def construct(self, x):
            raise ValueError("only images of 512 pixels")

    net = nn.SequentialCell(nn.Conv2d(3, 4, 3), Picky(), nn.Conv2d(4, 4, 3))
    with pytest.raises(UserError, match="an image of 64 x 64 pixels: only images of 512 pixels"):
        cut_at(net, "2")


def test_a_network_that_does_not_name_its_sequence():
    cells, channels, stride = cut_at(Chain(), "second.1")
    assert (len(cells), channels, stride) == (3, 4, 4)


def test_maps_have_a_score_and_four_numbers_for_every_anchor():
    net = RPN(create_model("resnet18", 2), "layer2", 6, channels=32)
    scores, deltas = net(picture(2, size=50))
    assert net.stride == 8
    assert scores.shape == (2, 6, 7, 7)
    assert deltas.shape == (2, 24, 7, 7)


def test_heads_start_small_and_without_a_bias():
    net = RPN(Chain(), "second", 6, channels=256)
    state = get_state(net)
    for name in ("conv", "objectness", "deltas"):
        weight = state[f"{name}.weight"]
        assert weight.std() == pytest.approx(0.01, rel=0.1)
        assert abs(weight.mean()) < 1e-3
        assert (state[f"{name}.bias"] == 0).all()


def test_the_head_against_numpy():
    net = RPN(Chain(), "second", 2, channels=3)
    rng = np.random.default_rng(1)
    head = {
        n: rng.normal(size=v.shape).astype(np.float32)
        for n, v in get_state(net).items()
        if not n.startswith("trunk")
    }
    set_state(net, get_state(net) | head)
    x = picture(size=20)
    features = net.trunk(x).asnumpy().astype(np.float64)[0]
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1)))
    rows, columns = features.shape[1:]
    scores, deltas = (out.asnumpy()[0] for out in net(x))
    for row in range(rows):
        for column in range(columns):
            window = padded[:, row : row + 3, column : column + 3]
            hidden = np.maximum((head["conv.weight"] * window).sum((1, 2, 3)) + head["conv.bias"], 0)
            for name, out in (("objectness", scores), ("deltas", deltas)):
                expected = head[f"{name}.weight"][:, :, 0, 0] @ hidden + head[f"{name}.bias"]
                np.testing.assert_allclose(out[:, row, column], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("jit", [False, True])
def test_gradients_of_the_whole_network_against_torch(jit):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    net = RPN(Chain(), "second", 2, channels=3)
    rng = np.random.default_rng(2)
    state = {n: rng.normal(0, 0.4, v.shape).astype(np.float32) for n, v in get_state(net).items()}
    set_state(net, state)
    x = picture(2, size=20)
    shape = (2, 2, 5, 5)
    labels = (rng.random(shape) < 0.4).astype(np.float32)
    sampled = (rng.random(shape) < 0.7).astype(np.float32)
    targets = rng.normal(size=(2, 8, 5, 5)).astype(np.float32)
    loss = RPNLoss()

    def forward(*batch):
        return loss(*net(batch[0]), *batch[1:])

    parameters = net.trainable_params()
    step = ms.value_and_grad(forward, None, ms.ParameterTuple(parameters))
    step = ms.jit(step) if jit else step
    value, gradients = step(x, *map(Tensor, (labels, sampled, targets)))

    w = {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in state.items()}
    conv = torch.nn.functional.conv2d
    h = conv(torch.tensor(x.asnumpy()).double(), w["trunk.0.weight"], stride=2, padding=1)
    h = torch.tanh(conv(h, w["trunk.1.0.weight"], stride=2, padding=1))
    h = conv(h, w["trunk.1.2.weight"])
    h = torch.relu(conv(h, w["conv.weight"], w["conv.bias"], padding=1))
    scores = conv(h, w["objectness.weight"], w["objectness.bias"])
    deltas = conv(h, w["deltas.weight"], w["deltas.bias"])
    labels, sampled, targets = (torch.tensor(v).double() for v in (labels, sampled, targets))
    functional = torch.nn.functional
    entropy = functional.binary_cross_entropy_with_logits(scores, labels, sampled, reduction="sum")
    mask = (labels * sampled).repeat_interleave(4, dim=1).bool()
    boxes = functional.smooth_l1_loss(deltas[mask], targets[mask], reduction="sum", beta=1 / 9)
    expected = (entropy + boxes) / sampled.sum()
    expected.backward()
    assert float(value.asnumpy()) == pytest.approx(expected.item(), rel=1e-5)
    assert len(parameters) == len(w)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        reference = w[parameter.name].grad.numpy()
        limit = 1e-4 * np.abs(reference).max()  # Of float32.
        np.testing.assert_allclose(gradient.asnumpy(), reference, rtol=0, atol=limit)


def test_names_are_stable_and_a_state_comes_back():
    one, other = (RPN(create_model("resnet18", 2, seed=s), "layer2", 3) for s in (1, 2))
    assert not any(name.startswith(("layer3", "layer4", "classifier")) for name in get_state(one))
    set_state(other, get_state(one))
    for net in (one, other):
        net.set_train(False)
    for a, b in zip(one(picture()), other(picture()), strict=True):
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def test_the_backbone_keeps_its_statistics_and_mode():
    net = create_model("resnet18", 2).set_train(True)
    before = get_state(net)
    cut_at(net, "layer2")
    assert net.training
    for name, value in get_state(net).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("layer9", "no Cell 'layer9'; its Cells are: conv1"),
        ("", "no Cell ''"),
        ("layer1.0.bn1", "layer1.0.bn1"),
        ("classifier", r"classifier gives \(1, 2\)"),
    ],
)
def test_a_layer_that_is_no_map_or_not_there(layer, message):
    with pytest.raises(UserError, match=message):
        RPN(create_model("resnet18", 2), layer, 3)


def test_a_backbone_that_is_no_chain_is_refused():
    with pytest.raises(UserError, match="Cells that follow one another"):
        RPN(Chain(swapped=True), "second", 3)


def test_there_is_at_least_one_anchor():
    with pytest.raises(ValueError, match="n_anchors is 0"):
        RPN(Chain(), "second", 0)
