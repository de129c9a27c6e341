"""Every network that the configs of configs/waste and configs/chest_xray name: built, filled from a
checkpoint with mindcv's names, trained for a step, exported. Minutes of time and 10 GB of memory:

python -m pytest -m slow tests/models/test_every_backbone.py -v
"""

import mindspore as ms
import numpy as np
import pytest
import yaml
from mindspore import Tensor

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.export.graph import Members
from mindspore_dpus.export.mindir import read_mindir, write_mindir
from mindspore_dpus.losses import create_loss
from mindspore_dpus.losses.settings import LossSettings
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import phases, set_train
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.models.weights import classifier_name
from mindspore_dpus.training.optimizers import create_optimizer
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.step import create_step
from tests.experiments.grids import REPOSITORY

pytestmark = pytest.mark.slow
CHEST_XRAY = (
    "efficientnet_b4",
    "efficientnet_b7",
    "resnet101",
    "resnet152",
    "densenet169",
    "densenet201",
    "vgg19_bn",
    "mobilenet_v2",
)
WASTE = ("resnext50_32x4d", "vgg16", "xception", "alexnet")
# mindcv has none of these: their checkpoints have torchvision's names.
NOT_IN_MINDCV = ("vgg19_bn", "alexnet")
OTHER_NAMES = {"mobilenet_v2": "mobilenet_v2_100"}
SIZE, CLASSES = 64, 3


@pytest.fixture(autouse=True, scope="module")
def device():
    return configure(DeviceSettings(target="CPU", fast_depthwise=False))


def test_the_configs_name_these_networks():
    for folder, backbones in (("chest_xray", CHEST_XRAY), ("waste", ("mobilenet_v2", *WASTE))):
        grid = yaml.safe_load((REPOSITORY / "configs" / folder / "compare.yaml").read_text())
        named = {keys["model.backbone"] for keys in grid["axes"]["network"].values()}
        assert named == set(backbones)


@pytest.mark.parametrize("backbone", [*CHEST_XRAY, *WASTE])
def test_takes_mindcvs_names_learns_and_is_exported(backbone, device, tmp_path):
    import mindcv

    checkpoint, theirs = None, OTHER_NAMES.get(backbone, backbone)
    assert (theirs in mindcv.list_models()) == (backbone not in NOT_IN_MINDCV)
    if backbone not in NOT_IN_MINDCV:
        theirs = mindcv.create_model(theirs, num_classes=1000)
        checkpoint = tmp_path / f"{backbone}.ckpt"
        ms.save_checkpoint(theirs, str(checkpoint))
        expected = {p.name: p.asnumpy().copy() for p in theirs.get_parameters()}
        del theirs
    # Strict: a name that is missing, unexpected or of another shape raises.
    net = create_model(backbone, CLASSES, pretrained=checkpoint, device=device)
    head = f"{classifier_name(net)}."
    own = {p.name: p for p in net.get_parameters()}
    if checkpoint:
        checkpoint.unlink()
        assert set(own) == set(expected)
        same = [name for name, p in own.items() if not name.startswith(head)]
        assert all(np.array_equal(own[name].asnumpy(), expected[name]) for name in same)
    for way in ("shallow", "gradual"):
        phases(net, ModelSettings(backbone=backbone, fine_tuning=way))

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.uint8), [0, 1, 2, 0]
    optimizer = create_optimizer(net, TrainingSettings(optimizer="radam", learning_rate=1e-3))
    step = create_step(net, create_loss(LossSettings(label_smoothing=0.1), (2, 1, 1)), optimizer, device)
    before = own[f"{head}weight"].asnumpy().copy()
    set_train(net, True)
    loss, logits = step(Tensor(normalise(images)), Tensor(labels, ms.int32))
    assert np.isfinite(loss.asnumpy())
    assert logits.shape == (4, CLASSES)
    assert not np.array_equal(before, own[f"{head}weight"].asnumpy())

    net.set_train(False)
    logits = net(Tensor(normalise(images))).asnumpy()
    members = Members({"00": net}, ImageSettings(size=SIZE, channels=3), CLASSES)
    shares = ms.ops.softmax(Tensor(logits), axis=1).asnumpy()
    write_mindir(members, tmp_path / "net.mindir")
    fused, _ = read_mindir(tmp_path / "net.mindir")(images)
    np.testing.assert_allclose(fused, shares, atol=1e-4)
    (tmp_path / "net.mindir").unlink()
    print(f"{backbone}: mindir, {_onnx(members, tmp_path, images, shares)}")


def _onnx(members, folder, images, shares):
    """Whether MindSpore can write it as ONNX, too; if it can, the graph agrees."""
    onnx_graph = pytest.importorskip("mindspore_dpus.export.onnx_graph")
    try:
        onnx_graph.write_onnx(members, folder / "net.onnx")
    except UserError:
        return "no onnx"
    fused, _ = onnx_graph.read_onnx(folder / "net.onnx")(images)
    np.testing.assert_allclose(fused, shares, atol=1e-4)
    return "onnx"
