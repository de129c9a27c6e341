"""Frames of images, folders and videos; what is broken is a row."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.printed import can_listen
from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.footage import Frame, find_footage, read_frames, to_rgb
from tests.support import logged

N = 12
GREYS = [20 * i for i in range(N)]


def write_video(path, greys=GREYS, size=(64, 48), noisy=False):
    """A video whose frames are told apart by their grey; the left half is red, or all is noise."""
    codec = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, size)
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {path.suffix}")
    for grey in greys:
        image = np.full((size[1], size[0], 3), grey, np.uint8)
        image[:, : size[0] // 2] = (0, 0, 200)
        if noisy:
            image = np.random.default_rng(grey).integers(0, 256, image.shape, np.uint8)
        writer.write(image)
    writer.release()
    return path


def write_image(path, value=(10, 20, 30)):
    image = np.full((6, 8, 3), value, np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes())
    return path


def read(*inputs, **options):
    return list(read_frames([str(i) for i in inputs], **options))


def numbers(frames):
    return [int(f.name.rpartition("#")[2]) for f in frames]


@pytest.mark.parametrize("ending", [".avi", ".mp4"])
def test_the_frames_of_a_video_come_in_order_and_in_rgb(tmp_path, ending):
    path = write_video(tmp_path / f"drive{ending}")
    frames = read(path)
    assert [f.name for f in frames] == [f"{path}#{i}" for i in range(1, N + 1)]
    for frame, grey in zip(frames, GREYS, strict=True):
        assert frame.error is None
        assert (frame.image.shape, frame.image.dtype) == ((48, 64, 3), np.uint8)
        assert frame.image[:, 40:].mean() == pytest.approx(grey, abs=4)
        np.testing.assert_allclose(frame.image[:, :24].mean(axis=(0, 1)), [200, 0, 0], atol=12)


def test_every_so_many_frames_or_a_single_one(tmp_path):
    path = write_video(tmp_path / "drive.avi")
    frames = read(path, every=5)
    assert numbers(frames) == [1, 6, 11]
    assert frames[1].image[:, 40:].mean() == pytest.approx(GREYS[5], abs=3)
    (frame,) = read(f"{path}#7", every=5)
    assert frame.name == f"{path}#7"
    assert frame.image[:, 40:].mean() == pytest.approx(GREYS[6], abs=3)
    (frame,) = read(f"{path}#13")
    assert frame == Frame(f"{path}#13", None, f"{path} holds 12 frames: there is no frame 13")
    with pytest.raises(UserError, match="every 0-th frame of a video cannot be taken"):
        read_frames([str(path)], every=0)


def test_a_torn_video_gives_what_it_has_and_a_row(tmp_path):
    path = write_video(tmp_path / "drive.avi", GREYS * 5)
    data = path.read_bytes()
    path.write_bytes(data[: int(0.7 * len(data))])
    *frames, last = read(path)
    assert 20 < len(frames) < 50
    assert all(frame.image is not None for frame in frames)
    assert last.name == f"{path}#{len(frames) + 1}"
    assert last.error == f"{path} ends after {len(frames)} of 60 frames: the rest is missing or broken"


@pytest.mark.parametrize("content", [b"", b"no video", b"RIFF\x00\x00\x00\x00AVI LIST"])
def test_what_is_no_video_is_one_row(tmp_path, content):
    path = tmp_path / "drive.avi"
    path.write_bytes(content)
    assert read(path) == [Frame(str(path), None, f"{path} is broken or not a video that OpenCV reads")]


@pytest.mark.skipif(not can_listen(), reason="C's stderr cannot be exchanged on this system")
def test_what_the_decoder_of_a_video_prints_is_one_line_with_the_files_name(tmp_path, capfd):
    path, sound = write_video(tmp_path / "drive.mp4", noisy=True), write_video(tmp_path / "sound.mp4")
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 60] = bytes(60)
    path.write_bytes(data)
    lines = []
    with logged(lines.append):
        read(path, sound)
        read(tmp_path / "drive.mp4", every=4)
    assert capfd.readouterr().err == ""
    assert len(lines) == 2
    assert re.fullmatch(
        rf"{path}: frames may be wrong from frame \d+ on: its decoder complained, first of: .+ "
        r"\(lines in all: \d+\)",
        lines[0],
    )
    assert "@ 0x" not in lines[0]


@pytest.mark.skipif(not can_listen(), reason="C's stderr cannot be exchanged on this system")
def test_what_is_no_video_prints_nothing(tmp_path, capfd):
    path = write_video(tmp_path / "drive.mp4")
    path.write_bytes(path.read_bytes()[:400])
    lines = []
    with logged(lines.append):
        assert read(path)[0].error == f"{path} is broken or not a video that OpenCV reads"
    assert (capfd.readouterr().err, lines) == ("", [])


def test_files_that_are_not_there_are_rows(tmp_path):
    (video, image) = read(tmp_path / "x.mp4", tmp_path / "x.png")
    assert video == Frame(f"{tmp_path}/x.mp4", None, f"{tmp_path}/x.mp4 does not exist")
    assert image == Frame(f"{tmp_path}/x.png", None, f"{tmp_path}/x.png does not exist")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert read(tmp_path / "pipe.mp4")[0].error.endswith("pipe.mp4 is not a regular file")


def test_addresses_and_numbered_images_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        write_image(tmp_path / f"shot{i}.png")
    for name in ("http://127.0.0.1:9/drive.mp4", "shot%d.mp4"):
        (row,) = read(name)
        assert row.error.endswith("does not exist")


def test_a_frame_larger_than_allowed_is_refused(tmp_path):
    path = write_video(tmp_path / "drive.avi")
    image = write_image(tmp_path / "a.png")
    for row in read(path, image, max_pixels=40):
        assert row.image is None
        assert "more than the key max_pixels (40) allows" in row.error
        assert row.error.startswith(row.name)


def test_a_folder_gives_images_and_videos_and_one_bad_file_stops_nothing(tmp_path):
    video = write_video(tmp_path / "b.avi", GREYS[:2])
    (tmp_path / "sub").mkdir()
    first, last = write_image(tmp_path / "a.png"), write_image(tmp_path / "sub" / "d.bmp", (1, 2, 3))
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8torn")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    frames = read(tmp_path)
    names = [str(first), f"{video}#1", f"{video}#2", str(tmp_path / "c.jpg"), str(last)]
    assert [f.name for f in frames] == names
    assert [f.error is None for f in frames] == [True, True, True, False, True]
    assert frames[3].error.startswith(f"{tmp_path / 'c.jpg'} ")
    assert (frames[0].image == (10, 20, 30)).all()
    assert (frames[4].image == (1, 2, 3)).all()
    assert find_footage([str(tmp_path), str(first)]) == [first, video, tmp_path / "c.jpg", last]


def test_a_folder_is_walked_as_one_of_images(tmp_path):
    """Links are followed, a broken one is a row, and what is passed over is counted."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    folder.mkdir()
    video = write_video(elsewhere / "b.avi", GREYS[:2])
    (folder / "linked").symlink_to(elsewhere)
    (folder / "lost.mp4").symlink_to("/not/mounted.mp4")
    (folder / "a.docx").write_bytes(b"x")
    (folder / "a.xml").write_text("x")
    lines = []
    with logged(lines.append):
        assert find_footage([str(folder)]) == [folder / "linked" / video.name, folder / "lost.mp4"]
        assert find_footage([f"{folder}/*"]) == [folder / "linked" / video.name, folder / "lost.mp4"]
    assert lines == [f"{folder}: passed over: 1 .docx", f"{folder}/*: passed over: 1 .docx"]
    assert [f.error is None for f in read(folder)] == [True, True, False]


def test_patterns_and_tables_name_files(tmp_path):
    video, image = write_video(tmp_path / "b.avi"), write_image(tmp_path / "a.png")
    write_image(tmp_path / "odd[1].png")
    assert find_footage([f"{tmp_path}/*.a*", f"{tmp_path}/a*"]) == [video, image]
    assert find_footage([f"{tmp_path}/odd[1].png"]) == [tmp_path / "odd[1].png"]
    (tmp_path / "list.csv").write_text("path\nb.avi#2\na.png\n")
    assert [f.name for f in read(tmp_path / "list.csv")] == [f"{video}#2", str(image)]
    (tmp_path / "list.csv").write_text("path\nodd[2].png\na.png\n")
    assert [f.error is None for f in read(tmp_path / "list.csv")] == [False, True]
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", f"{tmp_path}/*.gif"):
        with pytest.raises(UserError, match="no images or videos there"):
            read_frames([str(nothing)])


def test_pages_of_an_image_file_are_frames(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(
        path, np.stack([np.full((5, 6), v, np.uint8) for v in (3, 200)]), photometric="minisblack"
    )
    frames = read(path)
    assert [f.name for f in frames] == [f"{path}#1", f"{path}#2"]
    assert [f.image.mean() for f in frames] == [3, 200]
    assert frames[0].image.shape == (5, 6, 3)


def test_every_depth_becomes_eight_bits():
    grey = np.array([[0, 128 * 257, 65535]], np.uint16)
    expected = np.array([[[0] * 3, [128] * 3, [255] * 3]], np.uint8)
    np.testing.assert_array_equal(to_rgb(Decoded.of(grey)), expected)
    inverted = Decoded(grey, (0.0, 65535.0), 16, inverted=True)
    np.testing.assert_array_equal(to_rgb(inverted), 255 - expected)
    colour = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(to_rgb(Decoded.of(colour)), colour)
    with pytest.raises(ImageError, match="floating-point pixels do not say what is white"):
        to_rgb(Decoded(np.zeros((2, 2), np.float32)))


def test_a_floating_point_image_is_a_row_that_names_it(tmp_path):
    path = tmp_path / "float.tif"
    tifffile.imwrite(path, np.zeros((5, 6), np.float32))
    (row,) = read(path)
    assert row.error.startswith(f"{path}: floating-point pixels do not say what is white")


def test_no_more_than_one_frame_is_decoded_ahead(tmp_path):
    path = write_video(tmp_path / "drive.avi")
    frames = read_frames([str(path), str(tmp_path / "missing.png")])
    assert next(frames).name == f"{path}#1"
    path.unlink()
    assert len(list(frames)) == N


def test_it_needs_neither_pandas_nor_mindspore():
    code = (
        "import sys, mindspore_dpus.data.images.footage;"
        "print(sorted({'pandas', 'mindspore', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert run.stdout.strip() == "[]"
