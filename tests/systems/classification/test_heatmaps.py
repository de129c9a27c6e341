"""Maps of an ensemble are the mean of its members' maps; pictures have the radiographs' own shape."""

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from mindspore_dpus.core.device import Device
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.models.classifier import Classifier
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.gradcam import GradCam, NoMapError
from mindspore_dpus.models.settings import HeatmapSettings, ModelSettings
from mindspore_dpus.models.weights import get_state
from mindspore_dpus.report.overlays import overlay, peak, to_heatmap
from mindspore_dpus.systems.classification import heatmaps as module
from mindspore_dpus.systems.classification.heatmaps import evidence, write_heatmaps
from mindspore_dpus.training.checkpoint import save_checkpoint
from mindspore_dpus.training.ensemble import Ensemble

CLASSES = np.array([0, 1, 1])
HEATMAPS = HeatmapSettings()
READER = ImageSettings(size=32, bits=16, value_range="window", window=(1000, 5000))


@pytest.fixture(scope="module")
def open_ensemble(tmp_path_factory):
    """A function: names of members -> an ensemble of fresh networks, one a name."""
    folder = tmp_path_factory.mktemp("members")
    for seed, name in enumerate(("00", "01", "baseline")):
        state = get_state(create_model("conv4", 2, 1, seed=seed))
        save_checkpoint(folder / name / "best.safetensors", state, {"key": "key"})

    def open_members(*names):
        network = Classifier(ModelSettings(backbone="conv4", pretrained=None), 2, 1, None)
        device = Device("CPU", jit=False, idle_main_thread=False)
        return Ensemble(network, list(names), folder, "key", device)

    return open_members


@pytest.fixture(scope="module")
def whole(open_ensemble):
    return open_ensemble("00", "01", "baseline")


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory):
    """Three 16-bit radiographs, 48 x 20 pixels, one of them outside the folder of the others."""
    folder = tmp_path_factory.mktemp("radiographs")
    paths = ["a/1.png", "a/2.png", "../elsewhere_3.png"]
    rng = np.random.default_rng(0)
    for path in paths:
        (folder / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / path), rng.integers(0, 6000, (20, 48)).astype(np.uint16))
    return folder, paths


def prepared(radiographs):
    folder, paths = radiographs
    return np.stack([load_prepared(folder / path, READER) for path in paths])


def test_the_map_of_an_ensemble_is_the_mean_of_its_members(
    whole, open_ensemble, radiographs, monkeypatch
):
    images = prepared(radiographs)
    batch = Tensor(normalise(images))
    cams = {name: GradCam(net, batch[:1]) for name, net in whole.nets.items()}
    maps = {name: cam(batch, CLASSES) for name, cam in cams.items()}
    monkeypatch.setattr(module, "MAP_BATCH", 2)
    fused = evidence(whole, HEATMAPS, images, CLASSES)
    scale = np.abs(fused).max()
    assert fused.shape == (3, 8, 8)
    # The baseline has no part in it, and what speaks against the class counts.
    np.testing.assert_allclose(fused, (maps["00"] + maps["01"]) / 2, atol=1e-5 * scale)
    assert (fused < 0).any()
    alone = evidence(open_ensemble("01"), HEATMAPS, images, CLASSES)
    np.testing.assert_allclose(alone, maps["01"], atol=1e-5 * np.abs(alone).max())


def test_pictures_have_the_shape_of_the_stored_images(whole, radiographs, tmp_path):
    root, paths = radiographs
    images = prepared(radiographs)
    folder = tmp_path / "out" / "heat"
    table = write_heatmaps(whole, HEATMAPS, READER, images, CLASSES, paths, folder, root)
    assert table["path"].tolist() == paths
    assert table["heatmap"].tolist() == ["a/1.png.png", "a/2.png.png", "_/elsewhere_3.png.png"]
    written = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert written == sorted(f"out/heat/{name}" for name in table["heatmap"])
    for row, one in zip(table.itertuples(), evidence(whole, HEATMAPS, images, CLASSES), strict=True):
        stored = cv2.imread(str(root / row.path), cv2.IMREAD_UNCHANGED)
        unit = np.clip((stored.astype(np.float32) - 1000) / 4000, 0, 1)
        expected = overlay(unit, to_heatmap(one, 20, 48))
        picture = cv2.imread(str(folder / row.heatmap), cv2.IMREAD_UNCHANGED)[:, :, ::-1]
        assert (picture.shape, picture.dtype) == ((20, 48, 3), np.uint8)
        assert np.abs(picture.astype(int) - expected).max() <= 1
        assert (row.peak_x, row.peak_y) == peak(one, 20, 48)


def test_an_absolute_name_stays_below_the_folder(whole, radiographs, tmp_path):
    root, paths = radiographs
    absolute = str(root / paths[0])
    images = prepared(radiographs)[:1]
    table = write_heatmaps(whole, HEATMAPS, READER, images, CLASSES[:1], [absolute], tmp_path)
    assert table["heatmap"].tolist() == [absolute[1:] + ".png"]
    assert (tmp_path / table["heatmap"][0]).is_file()


def test_a_layer_without_a_map_is_one_line(open_ensemble, radiographs):
    ensemble, layer = open_ensemble("00"), HeatmapSettings(layer="classifier")
    with pytest.raises(NoMapError, match="heatmaps.layer: 'classifier' gives no map"):
        evidence(ensemble, layer, prepared(radiographs), CLASSES)
