"""A row a frame: names, counts, and the tables and paths in which they stand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.frames import count_frames, name_frames, split_frame
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.samples import find_samples
from mindspore_dpus.data.settings import DataSettings

PAGES = np.random.default_rng(0).integers(0, 2**16, (3, 9, 7)).astype(np.uint16)


def write_tiff(path, pages=PAGES):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwritemulti(str(path), list(pages))
    return path


@pytest.mark.parametrize(
    ("name", "file", "frame"),
    [
        ("a.tif", "a.tif", None),
        ("a.tif#3", "a.tif", 3),
        ("b/IM001#12", "b/IM001", 12),
        ("a#3.tif", "a#3.tif", None),
        ("a.tif#0", "a.tif#0", None),
        ("a.tif#x", "a.tif#x", None),
        ("a.tif#2#3", "a.tif#2", 3),
    ],
)
def test_a_name_and_its_frame(name, file, frame):
    assert split_frame(name) == (Path(file), frame)


def test_a_file_of_that_name_is_meant_by_it(tmp_path):
    (tmp_path / "part#2").write_bytes(b"x")
    assert split_frame(tmp_path / "part#2") == (tmp_path / "part#2", None)


def test_each_page_is_read(tmp_path):
    path = write_tiff(tmp_path / "a.tif")
    assert count_frames(path) == 3
    for i, page in enumerate(PAGES):
        assert np.array_equal(read_image(f"{path}#{i + 1}").values, page)
    with pytest.raises(ImageError, match=r"a\.tif#4 holds 3 frames: there is no frame 4"):
        read_image(f"{path}#4")
    with pytest.raises(ImageError, match=r"a\.tif holds 3 frames: add #1 to #3 to its name"):
        read_image(path)


def test_a_single_frame_has_the_number_one(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), PAGES[0])
    assert np.array_equal(read_image(f"{path}#1").values, PAGES[0])
    with pytest.raises(ImageError, match="holds 1 frames: there is no frame 2"):
        read_image(f"{path}#2")


def test_thumbnails_are_no_frames(tmp_path):
    path = write_tiff(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    # The second directory's tag 254 (NewSubfileType) becomes "reduced copy".
    first = int.from_bytes(data[4:8], "little")
    at = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    second = int.from_bytes(data[at : at + 4], "little")
    tags = range(second + 2, second + 2 + 12 * data[second], 12)
    (entry,) = [at for at in tags if int.from_bytes(data[at : at + 2], "little") == 254]
    data[entry + 8] = 1
    path.write_bytes(data)
    assert count_frames(path) == 2
    assert np.array_equal(read_image(f"{path}#2").values, PAGES[2])


def test_frames_of_dicom_are_counted_as_far_as_there_are_bytes_for_them(tmp_path):
    files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
    path = files.write_dicom(tmp_path / "a.dcm", PAGES)
    assert count_frames(path) == 3
    files.write_dicom(path, PAGES, NumberOfFrames=2_000_000_000, PixelData=PAGES.tobytes())
    assert count_frames(path) == 1
    with pytest.raises(ImageError, match=r"it names 2000000000 frames and holds \d+ at most"):
        read_image(path)
    dataset = files.make_dicom(PAGES)
    dataset.compress(files.pydicom.uid.RLELossless, encoding_plugin="pydicom")
    dataset.save_as(path, enforce_file_format=True)
    assert count_frames(path) == 3
    dataset.NumberOfFrames = 4
    dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(ImageError, match="it names 4 frames and holds 3 at most"):
        read_image(path)


@pytest.mark.parametrize(
    "content", [None, b"", b"x", b"II*\0", b"II*\0\x08\0\0\0", b"\0" * 128 + b"DICM"]
)
def test_what_cannot_be_counted_is_one_row(tmp_path, content):
    if content is not None:
        (tmp_path / "a.tif").write_bytes(content)
    assert count_frames(tmp_path / "a.tif") == 1


def test_a_torn_stack_is_one_row_that_says_so(tmp_path):
    path = write_tiff(tmp_path / "a.tif")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert expand_paths([str(path)]) == [path]
    with pytest.raises(ImageError, match=r"a\.tif is truncated or broken: its page 2 cannot be found"):
        read_image(path)


def test_pages_in_a_ring_end(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0")
    with pytest.raises(ImageError, match=r"a\.tif is "):
        read_image(path)


def test_folders_give_a_row_a_frame_and_keep_a_file_together(tmp_path):
    write_tiff(tmp_path / "normal/a.tif")
    write_tiff(tmp_path / "normal/b.tif", PAGES[:1])
    write_tiff(tmp_path / "defect/c.tif", PAGES[:2])
    table = find_samples(DataSettings(root=str(tmp_path)))
    assert table[["path", "label", "group"]].to_numpy().tolist() == [
        ["defect/c.tif#1", "defect", "defect/c.tif"],
        ["defect/c.tif#2", "defect", "defect/c.tif"],
        ["normal/a.tif#1", "normal", "normal/a.tif"],
        ["normal/a.tif#2", "normal", "normal/a.tif"],
        ["normal/a.tif#3", "normal", "normal/a.tif"],
        ["normal/b.tif", "normal", ""],
    ]


def test_a_manifest_names_a_file_or_a_frame(tmp_path):
    write_tiff(tmp_path / "a.tif")
    write_tiff(tmp_path / "b.tif")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "path,label,group,note\na.tif,normal,,x\nb.tif#3,defect,7,y\nb.tif#1,normal,,z\n"
    )
    table = find_samples(DataSettings(root=str(tmp_path)))
    assert table[["path", "label", "group", "note"]].to_numpy().tolist() == [
        *([f"a.tif#{i}", "normal", "a.tif", "x"] for i in (1, 2, 3)),
        ["b.tif#3", "defect", "7", "y"],
        ["b.tif#1", "normal", "b.tif", "z"],
    ]
    manifest.write_text("path,label\na.tif,normal\na.tif#2,defect\n")
    with pytest.raises(UserError, match=r"a\.tif#2 is named more than once"):
        find_samples(DataSettings(root=str(tmp_path)))


def test_inputs_give_a_row_a_frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiff(Path("deep/a.tif"))
    write_tiff(Path("deep/IM001.tif")).rename("deep/IM001")
    Path("list.csv").write_text("path\ndeep/a.tif#2\ndeep/a.tif\n")
    every = [Path(f"deep/a.tif#{i}") for i in (1, 2, 3)]
    without_ending = [Path(f"deep/IM001#{i}") for i in (1, 2, 3)]
    assert expand_paths(["deep"]) == expand_paths(["deep/*"]) == without_ending + every
    assert expand_paths(["deep/a.tif"]) == every
    assert expand_paths(["list.csv"]) == [every[1], every[0], every[2]]
    assert expand_paths(["deep/a.tif#3", "deep/a.tif#9"]) == [every[2], Path("deep/a.tif#9")]
    assert expand_paths(["deep/IM001"]) == without_ending


def test_a_name_that_no_table_can_hold_is_refused(tmp_path):
    path = tmp_path / "a\udcff.tif"
    path.write_bytes(b"x")
    with pytest.raises(UserError, match=rf"^{tmp_path}/a\\udcff\.tif has a name that is not UTF-8"):
        name_frames(path.name, tmp_path)
    with pytest.raises(ImageError, match="has a name that is not UTF-8"):
        read_image(path)
