"""Frames in colour from images, folders and videos, one after the other. Needs NumPy and OpenCV only.

The frames of a video are named as those of a file of several images: ``drive.mp4#3`` is the third.
"""

import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.printed import listening
from mindspore_dpus.data.images.decoded import MAX_PIXELS, Decoded, ImageError, check_size
from mindspore_dpus.data.images.folders import is_image
from mindspore_dpus.data.images.formats import EXTENSIONS
from mindspore_dpus.data.images.frames import name_frames, split_frame
from mindspore_dpus.data.images.inputs import find_input
from mindspore_dpus.data.images.reading import read_image

logger = logging.getLogger(__name__)

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
# Where a file does not say how many frames it has, OpenCV guesses the number from its length. It may be
# off by so many, or so large a share, with nothing missing.
_SLACK_FRAMES, _SLACK_SHARE = 2, 0.01
# A line of FFmpeg's, but for what it says of sound videos in the colours of JPEG.
_FFMPEG = re.compile(r"\[[^]]+ @ 0x[0-9a-f]+\] (?!deprecated pixel format)(.*)")


class Frame(NamedTuple):
    """One frame, or why there is none.

    Args:
        name: the file; of a video or a file of several frames with ``#`` and the frame's number, from 1.
        image: (H, W, 3) uint8 RGB, or None.
        error: one line, or None.
    """

    name: str
    image: np.ndarray | None
    error: str | None


def is_video(path: str | Path) -> bool:
    """Whether a file's name is that of a video."""
    return Path(path).suffix.lower() in VIDEO_EXTENSIONS


def _is_footage(file: Path) -> bool:
    return is_image(file) or (is_video(file) and not (file.name.startswith(".") or file.is_dir()))


def find_footage(inputs: Sequence[str]) -> list[Path]:
    """The image and video files that are meant.

    Args:
        inputs: files (also one that does not exist: its row will say so), one frame of a file
            (``drive.mp4#3``), folders (all images and videos below), glob patterns, or CSV files with a
            column ``path``, relative to the CSV.

    Returns:
        The files in the order given, each once; of an image file of several frames, every frame.

    Raises:
        UserError: an input that holds neither images nor videos, or a CSV that is none.
    """
    found: dict[Path, None] = {}
    for text in inputs:
        files = find_input(text, _is_footage)
        if not files:
            known = ", ".join((*EXTENSIONS, *VIDEO_EXTENSIONS))
            raise UserError(f"{text}: no images or videos there ({known})")
        found |= dict.fromkeys(Path(name) for file in files for name in _names(file))
    return list(found)


def _names(file: Path) -> list[str]:
    """A name for each frame of an image file; a video has too many to list."""
    if is_video(split_frame(file)[0]):
        return [str(file)]
    try:
        return name_frames(str(file), Path())
    except (UserError, OSError):
        # Whoever reads it says what is wrong, in its row.
        return [str(file)]


def read_frames(
    inputs: Sequence[str], *, every: int = 1, max_pixels: int = MAX_PIXELS
) -> Iterator[Frame]:
    """Decode frames one by one; no more than one is in memory.

    Args:
        inputs: as of ``find_footage``.
        every: of a video, the first frame and every so many after it.
        max_pixels: height times width of the largest frame that is decoded.

    Yields:
        A frame, or a row with an error: for an image that cannot be read, for a video that cannot be
        opened or a frame of it that cannot be decoded, and where a video ends before its time.

    Raises:
        UserError: before the first frame: an input that holds neither images nor videos, or ``every``
            below 1.
    """
    if every < 1:
        raise UserError(f"every {every}-th frame of a video cannot be taken; give 1 or more")
    files = find_footage(inputs)
    return (frame for file in files for frame in _read(file, every, max_pixels))


def _read(file: Path, every: int, max_pixels: int) -> Iterator[Frame]:
    path, number = split_frame(file)
    if is_video(path):
        yield from _read_video(path, number, every, max_pixels)
        return
    try:
        frame = Frame(str(file), to_rgb(read_image(file, max_pixels=max_pixels)), None)
    except ImageError as error:
        text = str(error)
        frame = Frame(str(file), None, text if text.startswith(str(file)) else f"{file}: {text}")
    yield frame


def to_rgb(image: Decoded) -> np.ndarray:
    """An image as a camera for the eye writes it.

    Args:
        image: as ``read_image`` returns it: of 8 bits, or with the values that are black and white.

    Returns:
        (H, W, 3) uint8; grey is the same three times.

    Raises:
        ImageError: floating-point values without a range.
    """
    values = image.values
    if image.limits is None:
        raise ImageError("floating-point pixels do not say what is white: convert the image to 8 bits")
    low, high = image.limits
    if values.dtype != np.uint8 or (low, high) != (0, 255):
        share = (values.astype(np.float32) - low) / max(high - low, np.finfo(np.float32).tiny)
        values = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    values = 255 - values if image.inverted else values
    return np.ascontiguousarray(np.dstack([values] * 3) if values.ndim == 2 else values)


def _read_video(path: Path, number: int | None, every: int, max_pixels: int) -> Iterator[Frame]:
    """The frames of a video; ``number``: that one only."""
    # By name, OpenCV would also open addresses, devices and numbered images: a file is meant.
    if not path.is_file():
        reason = "does not exist" if not path.exists() else "is not a regular file"
        yield Frame(_named(path, number), None, f"{path} {reason}")
        return
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # OpenCV would end the process.
        yield Frame(_named(path, number), None, f"{path} has a name that is not UTF-8: rename it")
        return
    capture = _Capture(path)
    try:
        yield from _decode(capture, path, number, every, max_pixels)
    finally:
        capture.release()
        if capture.said:
            logger.warning(
                f"{path}: frames may be wrong from frame {capture.first} on: its decoder complained, "
                f"first of: {next(iter(capture.said))} (lines in all: {sum(capture.said.values())})"
            )


class _Capture:
    """OpenCV's capture of a file; what its decoder prints meanwhile is kept.

    Attributes:
        said: line -> how often it was printed.
        first: the number of the frame after which, from 1.
    """

    def __init__(self, path: Path) -> None:
        self.said: Counter[str] = Counter()
        self.first = self.frames = 0
        with self._listening():
            if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG):
                # One thread: others would print while nobody listens.
                self.capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
            else:
                self.capture = cv2.VideoCapture(str(path))

    @contextmanager
    def _listening(self) -> Iterator[None]:
        with listening() as heard:
            yield
        lines = [match[1] for match in map(_FFMPEG.match, heard) if match]
        if lines and not self.said:
            self.first = self.frames + 1
        self.said.update(lines)

    def opened(self) -> bool:
        return self.capture.isOpened()

    def get(self, what: int) -> float:
        return self.capture.get(what)

    def grab(self) -> bool:
        """Go to the next frame."""
        with self._listening():
            grabbed = self.capture.grab()
        self.frames += grabbed
        return grabbed

    def retrieve(self) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB of the frame that was gone to; None: it cannot be decoded."""
        try:
            with self._listening():
                read, image = self.capture.retrieve()
            return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if read else None
        except cv2.error:
            return None

    def release(self) -> None:
        with self._listening():
            self.capture.release()


def _decode(
    capture: _Capture, path: Path, number: int | None, every: int, max_pixels: int
) -> Iterator[Frame]:
    if not capture.opened():
        capture.said.clear()
        yield Frame(_named(path, number), None, f"{path} is broken or not a video that OpenCV reads")
        return
    promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    size = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    try:
        check_size(*size, max_pixels)
    except ImageError as error:
        yield Frame(_named(path, number), None, f"{path} {error}")
        return
    i = 0
    while (number is None or i < number) and capture.grab():
        i += 1
        if (i - 1) % every if number is None else i != number:
            continue
        image = capture.retrieve()
        error = f"{path}: frame {i} cannot be decoded" if image is None else None
        yield Frame(_named(path, i), image, error)
    if number is not None and i < number:
        yield Frame(_named(path, number), None, f"{path} holds {i} frames: there is no frame {number}")
    elif number is None and _is_short(i, promised):
        missing = f"{path} ends after {i} of {int(promised)} frames: the rest is missing or broken"
        yield Frame(_named(path, i + 1), None, missing)


def _is_short(read: int, promised: float) -> bool:
    if read == 0:
        return True
    if not math.isfinite(promised):
        return False
    return read < promised - max(_SLACK_FRAMES, _SLACK_SHARE * promised)


def _named(path: Path, number: int | None) -> str:
    return str(path) if number is None else f"{path}#{number}"
