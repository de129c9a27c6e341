"""Simulated streets: boxes just where the signs are; files byte for byte; signs told apart."""

import errno

import cv2
import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.boxes.arithmetic import iou
from mindspore_dpus.data.boxes.registry import read_boxes
from mindspore_dpus.data.simulate import streets
from mindspore_dpus.data.simulate.sign_drawings import DISTRACTORS, SIDE, SIGNS, drawn, seen
from mindspore_dpus.data.simulate.streets import simulate_streets, street

SETTINGS = {
    "train": 6,
    "val": 2,
    "test": 2,
    "width": 160,
    "height": 100,
    "sign_size": (10, 24),
    "classes": list(SIGNS),
    "signs": (0, 2),
    "distractors": (0, 3),
    "noise": 3.0,
    "file_format": "png",
    "random_state": 0,
}


def simulated(folder, **changes):
    return simulate_streets(folder, **(SETTINGS | changes))


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streets")
    assert simulated(folder) == folder / "boxes.csv"
    return folder


def one(seed, **changes):
    options = {"width": 320, "height": 200, "sign_size": (12, 40), "classes": list(SIGNS), "noise": 0.0}
    options |= {"n_signs": 3, "n_distractors": 2} | changes
    return street(np.random.default_rng(seed), **options)


def test_equal_seeds_give_equal_files_and_others_do_not(data, tmp_path):
    simulated(tmp_path / "again")
    simulated(tmp_path / "other", random_state=1)
    assert files(tmp_path / "again") == files(data)
    frames = [name for name in files(data) if name.suffix == ".png"]
    other = files(tmp_path / "other")
    assert len(frames) == 10
    assert all(files(data)[name] != other[name] for name in frames)


def test_the_tables_describe_every_file(data):
    found = read_boxes(data / "boxes.csv")
    assert set(found.frames["path"]) == {f.relative_to(data).as_posix() for f in data.rglob("*.png")}
    assert found.frames["split"].tolist() == ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    assert (found.frames["path"].str.split("/").str[0] == found.frames["split"]).all()
    assert found.classes == {name: i for i, name in enumerate(SIGNS)}
    assert set(found.boxes["label"]) <= set(SIGNS)
    assert 0 < len(found.boxes) <= 20
    assert set(found.frames["path"]) - set(found.boxes["path"])
    for path in found.frames["path"]:
        image = cv2.imread(str(data / path), cv2.IMREAD_UNCHANGED)
        assert (image.shape, image.dtype) == ((100, 160, 3), np.uint8)


@pytest.fixture
def plain_world(monkeypatch):
    """Nothing but signs, black on white, and no camera: what is dark is a sign."""

    class Nothing(streets.Street):
        def __init__(self, rng, width, height):
            self.width, self.height = width, height
            self.horizon, self.vanishing = 0.55 * height, 0.5 * width
            self.image = np.full((height, width, 3), 255, np.uint8)

    def black(rng, draw, size):
        image, cover = seen(rng, draw, size)
        return 0 * image, cover

    monkeypatch.setattr(streets, "Street", Nothing)
    monkeypatch.setattr(streets, "seen", black)
    monkeypatch.setattr(streets, "_pole", lambda *_: None)
    monkeypatch.setattr(streets, "_expose", lambda rng, frame, noise: np.rint(frame).astype(np.uint8))


@pytest.mark.parametrize("seed", range(8))
def test_a_box_is_just_where_the_sign_is(plain_world, seed):
    frame, signs = one(seed, n_signs=4, n_distractors=0)
    assert len(signs) == 4
    dark = (frame[..., 0] <= 255 * (1 - 0.3)).astype(np.uint8)
    boxes = np.array([sign[:4] for sign in signs])
    for x1, y1, x2, y2 in boxes:
        rows, columns = np.nonzero(dark[y1:y2, x1:x2])
        assert (rows.min(), columns.min()) == (0, 0)
        assert (rows.max() + 1, columns.max() + 1) == (y2 - y1, x2 - x1)
        dark[y1:y2, x1:x2] = 0
    assert not dark.any()


@pytest.mark.parametrize("seed", range(8))
def test_distractors_have_no_box_and_signs_keep_apart(plain_world, seed):
    frame, signs = one(seed)
    assert 0 < len(signs) <= 3
    dark = frame[..., 0] < 128
    for x1, y1, x2, y2, _ in signs:
        dark[y1:y2, x1:x2] = False
    assert dark.any()
    boxes = np.array([sign[:4] for sign in signs])
    assert (iou(boxes, boxes) - np.eye(len(boxes))).max() == 0


def test_sizes_are_those_asked_for():
    sides = [max(s.x2 - s.x1, s.y2 - s.y1) for seed in range(20) for s in one(seed)[1]]
    assert min(sides) >= 12 * np.cos(0.6) - 1
    assert max(sides) <= 40 * 1.3
    assert 16 < np.median(sides) < 30


def test_large_signs_stand_farther_out_and_higher():
    """As they come nearer, they move away from where the road vanishes."""
    (out, row), (far_out, high) = (
        np.mean(
            [
                (abs(s.x1 + s.x2 - 320) / 2, (s.y1 + s.y2) / 2)
                for seed in range(15)
                for s in one(seed, sign_size=size)[1]
            ],
            axis=0,
        )
        for size in ((12, 13), (36, 40))
    )
    assert far_out > 1.3 * out
    assert high < row - 15


def test_frames_have_light_of_many_kinds():
    means = [one(seed)[0].mean() for seed in range(12)]
    assert max(means) > 1.4 * min(means)


def test_noise_is_that_asked_for():
    clean, noisy = (one(3, noise=noise)[0].astype(float) for noise in (0.0, 8.0))
    inside = (clean > 40) & (clean < 215)
    assert (noisy - clean)[inside].std() == pytest.approx(8, rel=0.05)


def test_signs_can_be_told_apart_in_a_small_picture():
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)

    def crops(number):
        images, labels = [], []
        for i, draw in enumerate(SIGNS.values()):
            for _ in range(number):
                image, cover = seen(rng, draw, rng.uniform(20, 40))
                image = image * cover[..., None] + 120 * (1 - cover[..., None])
                small = cv2.resize(image, (12, 12), interpolation=cv2.INTER_AREA)
                # Whatever the light is.
                images.append(((small - small.mean()) / small.std()).ravel())
                labels.append(i)
        return np.array(images), np.array(labels)

    assert KNeighborsClassifier(1).fit(*crops(30)).score(*crops(10)) > 0.88


@pytest.mark.parametrize("draw", [*SIGNS.values(), *DISTRACTORS])
def test_a_drawing_is_whole_and_fills_its_square(draw):
    shape = drawn(draw).shape
    rows, columns = np.nonzero(shape > 127)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.95 * SIDE
    assert not drawn(draw).image[shape == 0].any()


@pytest.mark.parametrize("size", [10, 40.5, 300])
def test_nothing_of_a_sign_is_cut_off(size):
    for seed in range(10):
        image, cover = seen(np.random.default_rng(seed), SIGNS["stop"], size)
        assert image.shape == (*cover.shape, 3)
        for edge in (cover[0], cover[-1], cover[:, 0], cover[:, -1]):
            assert edge.max() < 0.3
        assert cover.max() == pytest.approx(1)


def test_jpeg_is_written_where_asked_for(tmp_path):
    simulated(tmp_path, train=1, val=0, test=0, file_format="jpg")
    assert (tmp_path / "train" / "00000.jpg").read_bytes().startswith(b"\xff\xd8")
    assert list(read_boxes(tmp_path / "boxes.csv").frames["path"]) == ["train/00000.jpg"]


def test_a_folder_filled_again_holds_the_new_tables(tmp_path):
    simulated(tmp_path, train=2)
    (tmp_path / "boxes.csv").unlink()
    (tmp_path / "train" / ".00001.77.tmp.png").write_bytes(b"torn")
    simulated(tmp_path, train=1, val=0, test=0, signs=(0, 0))
    found = read_boxes(tmp_path / "boxes.csv")
    assert len(found.frames) == 1
    assert found.boxes[EDGES].empty


@pytest.mark.parametrize("name", ["notes.txt", "train/mine.png", "manifest.csv"])
def test_other_files_are_not_touched(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"holds {name}, which no simulation has written"):
        simulated(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    with pytest.raises(UserError, match="is a file; choose an empty folder"):
        simulated(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"train": 0, "val": 0, "test": 0}, "train, val, test"),
        ({"width": 20}, "width and height"),
        ({"sign_size": (4, 20)}, "sign_size: from 10 pixels to a third of the height .33."),
        ({"sign_size": (30, 20)}, "sign_size"),
        ({"sign_size": (10, 50)}, "sign_size"),
        ({"classes": ["stop"]}, "classes: two or more"),
        ({"classes": ["stop", "stop"]}, "classes: two or more"),
        ({"classes": ["stop", "yield"]}, "classes: of speed limit 30"),
        ({"signs": (3, 1)}, "signs, distractors"),
        ({"distractors": (-1, 1)}, "signs, distractors"),
        ({"noise": -1.0}, "noise"),
        ({"file_format": "gif"}, "file_format: png or jpg"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path, changes, rule):
    with pytest.raises(UserError, match=f"simulated streets: .*; {rule}"):
        simulated(tmp_path / "x", **changes)
    assert not (tmp_path / "x").exists()


def test_a_full_disk_is_an_error_and_leaves_no_torn_table(small_disk):
    with pytest.raises(OSError, match=r"disk|space") as caught:
        simulated(small_disk / "data")
    assert caught.value.errno == errno.ENOSPC
    assert not (small_disk / "data/boxes.csv").exists()
