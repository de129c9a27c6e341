"""What the decoders print: nothing of it reaches standard error without a file's name, and it is heeded."""

import ctypes
import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mindspore_dpus.core.printed import can_listen, listening
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.reading import read_image
from tests.data.images.kinds import noise, smooth

REPOSITORY = Path(__file__).parents[3]
heard_here = pytest.mark.skipif(not can_listen(), reason="C's stderr cannot be exchanged on this system")


def print_in_c(text):
    library = ctypes.CDLL(None)
    library.fputs(text, ctypes.c_void_p.in_dll(library, "stderr"))


@heard_here
def test_lines_of_decoders_are_heard_and_those_of_others_passed_on(capfd):
    with listening() as heard:
        print_in_c(b"libpng warning: something\n")
        print_in_c(b"of another library\n")
        os.write(2, b"of Python\n")
    assert heard == ["libpng warning: something"]
    print_in_c(b"afterwards\n")
    assert capfd.readouterr().err == "of Python\nof another library\nafterwards\n"


@heard_here
def test_lines_of_ffmpeg_are_heard_in_the_colours_of_a_terminal_too(capfd):
    with listening() as heard:
        print_in_c(b"[mov,mp4 @ 0x55f0] moov atom not found\n")
        print_in_c(b"\x1b[0;33m[mpeg4 @ 0x55f1] \x1b[0m\x1b[1;31mheader damaged\n\x1b[0m")
        print_in_c(b"\n[a program @ home] of others\n")
    assert heard == ["[mov,mp4 @ 0x55f0] moov atom not found", "[mpeg4 @ 0x55f1] header damaged"]
    assert capfd.readouterr().err == "[a program @ home] of others\n"


@heard_here
def test_ends_of_lines_that_come_by_themselves_are_the_decoders(capfd):
    # libpng prints a line and its end one after the other, and here two threads did.
    with listening() as heard:
        for text in (b"libpng error: IDAT: CRC error", b"libpng error: of another", b"\n", b"\n"):
            print_in_c(text)
        print_in_c(b"of another library\n")
    assert heard == ["libpng error: IDAT: CRC errorlibpng error: of another"]
    assert capfd.readouterr().err == "of another library\n"


@pytest.mark.parametrize("asked", [{}, {"OPENCV_LOG_LEVEL": "ERROR"}])
def test_opencv_is_silent_also_where_it_was_imported_first_unless_asked(tmp_path, asked):
    (tmp_path / "a.bmp").write_bytes(
        cv2.imencode(".bmp", np.zeros((9, 9, 3), np.uint8))[1][:100].tobytes()
    )
    code = (
        "import cv2, numpy, mindspore_dpus; from pathlib import Path;"
        f"cv2.imdecode(numpy.frombuffer(Path({str(tmp_path / 'a.bmp')!r}).read_bytes(), 'u1'), -1)"
    )
    env = {k: v for k, v in os.environ.items() if k != "OPENCV_LOG_LEVEL"} | asked
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True
    )
    assert ("ERROR" in done.stderr) == bool(asked)


@heard_here
def test_a_child_process_listens_for_itself():
    # In a process of its own: this one has threads.
    code = """
import os
from mindspore_dpus.core.printed import listening
from tests.data.images.test_printed_lines import print_in_c
with listening() as heard:
    print_in_c(b"libpng error: of the parent\\n")
    child = os.fork()
    if child == 0:
        with listening() as own:
            print_in_c(b"libpng error: of the child\\n")
        os._exit(0 if own == ["libpng error: of the child"] else 1)
    assert os.waitpid(child, 0)[1] == 0
assert heard == ["libpng error: of the parent"], heard
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@heard_here
def test_who_is_alone_hears_nobody_else():
    """A thread that prints again and again, while others listen alone and hear their own line only."""
    end, wrong = threading.Event(), []

    def noisy():
        while not end.is_set():
            with listening():
                print_in_c(b"libpng warning: noise\n")

    def alone(number):
        for _ in range(100):
            with listening(alone=True) as heard:
                print_in_c(b"libpng warning: %d\n" % number)
            if heard != [f"libpng warning: {number}"]:
                wrong.append(heard)

    threads = [threading.Thread(target=noisy)]
    threads += [threading.Thread(target=alone, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    end.set()
    threads[0].join()
    assert wrong == []


def jpeg(path, **options):
    Image.fromarray(smooth((64, 80, 3))).save(path, quality=90, **options)
    return path.read_bytes()


@heard_here
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_its_end_marker_only_is_read(tmp_path, progressive):
    path = tmp_path / "a.jpg"
    data = jpeg(path, progressive=progressive)
    whole = read_image(path).values
    path.write_bytes(data[:-2])
    assert np.array_equal(read_image(path).values, whole)
    for length in range(len(data) - 3, 300, -7):
        # The second is made as long as it will be, and half written.
        for content in (data[:length], data[:length] + bytes(len(data) - length)):
            path.write_bytes(content)
            with pytest.raises(ImageError, match=r"a\.jpg is truncated"):
                read_image(path)


@heard_here
def test_a_jpeg_that_was_cut_and_closed_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    data = jpeg(path)
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    with pytest.raises(ImageError, match=r"a\.jpg is damaged: premature end of data segment"):
        read_image(path)


@heard_here
def test_bytes_too_many_in_a_jpeg_are_no_damage(tmp_path):
    path = tmp_path / "a.jpg"
    data = jpeg(path)
    whole = read_image(path).values
    path.write_bytes(data[:-2] + b"abc" + data[-2:])
    assert np.array_equal(read_image(path).values, whole)


def chunk(name, body):
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


@heard_here
def test_a_png_whose_data_are_wrong_under_a_right_checksum_is_refused(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), noise("u1", (40, 50)))
    data = path.read_bytes()
    place = data.index(b"IDAT") - 4
    length = int.from_bytes(data[place : place + 4], "big")
    packed = bytearray(data[place + 8 : place + 8 + length])
    packed[length // 2 : length // 2 + 20] = bytes(20)
    head, tail = data[:place], data[place + 12 + length :]
    for body in (bytes(packed), bytes(packed[: length // 2])):
        path.write_bytes(head + chunk(b"IDAT", body) + tail)
        with pytest.raises(ImageError, match=r"a\.png is (?:damaged|broken)"):
            read_image(path)


def damaged_files(folder):
    """JPEG, PNG and TIFF of several kinds, each with bytes changed, left out and put in, everywhere."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(smooth((40, 60, 3)))
    kinds = {"a.jpg": {}, "progressive.jpg": {"progressive": True}, "a.png": {}}
    kinds |= {f"{name}.tif": {"compression": name} for name in ("tiff_lzw", "packbits", "jpeg", "zstd")}
    kinds |= {"deflate.tif": {"compression": "tiff_adobe_deflate"}}
    for name, options in kinds.items():
        picture.save(folder / name, **options)
        data = (folder / name).read_bytes()
        for i, place in enumerate(rng.integers(0, len(data), 30).tolist()):
            changed = bytearray(data)
            if i % 3 == 0:
                changed[place : place + 8] = rng.bytes(8)
            elif i % 3 == 1:
                del changed[place : place + 5]
            else:
                changed[place:place] = rng.bytes(3)
            (folder / f"{i:02d}-{name}").write_bytes(changed)
    # A profile that libpng warns of, and a chunk's checksum that is right.
    data = (folder / "a.png").read_bytes()
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200)))
    (folder / "profile.png").write_bytes(data[:33] + profile + data[33:])


READ_ALL = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.frames import count_frames
from mindspore_dpus.data.images.reading import read_image

def read(path):
    try:
        count_frames(path)
        read_image(path)
        return True
    except UserError as error:
        assert str(path) in str(error), error
        return False

with ThreadPoolExecutor(4) as pool:
    read = list(pool.map(read, sorted(Path(sys.argv[1]).iterdir())))
print(sum(read), len(read))
"""


@heard_here
def test_nothing_but_our_own_lines_is_printed_for_damaged_files(tmp_path):
    damaged_files(tmp_path)
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    assert done.returncode == 0
    good, number = map(int, done.stdout.split())
    assert 10 < good < number - 100
