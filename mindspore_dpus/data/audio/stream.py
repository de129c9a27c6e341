"""Sound that comes in blocks -> windows of one length, one every hop, as they fill."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from mindspore_dpus.core.errors import UserError

# Name -> type, and what full scale is: as libsndfile scales them.
FORMATS = {
    "s16le": (np.dtype("<i2"), 2.0**15),
    "s32le": (np.dtype("<i4"), 2.0**31),
    "f32le": (np.dtype("<f4"), 1.0),
}


class WindowStream:
    """A ring of the newest samples that gives a window every hop.

    Window k begins at sample k * hop and comes with the block that brings its last sample.

    Args:
        length: samples of a window.
        hop: samples from one window's start to the next; larger than ``length`` leaves samples out.

    Attributes:
        n_samples: how many have come.

    Raises:
        UserError: a length or hop below 1.
    """

    def __init__(self, length: int, hop: int) -> None:
        if length < 1 or hop < 1:
            raise UserError(f"a window of {length} samples every {hop}: both must be at least 1")
        self.length, self.hop = length, hop
        self.n_samples = 0
        self._ring = np.zeros(length, np.float32)
        self._next_end = length

    def push(self, block: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Take samples in.

        Args:
            block: (n,) float32; any n, also 0.

        Returns:
            Of each window that is full with them: its first sample's number, and the samples, (length,)
            float32, a copy.

        Raises:
            TypeError, ValueError: another type or shape.
        """
        if block.dtype != np.float32:
            raise TypeError(f"a block is {block.dtype}, not float32")
        if block.ndim != 1:
            raise ValueError(f"a block has the shape {block.shape}, not (n,): mix its channels first")
        full = []
        while len(block):
            piece, block = np.split(block, [self._next_end - self.n_samples])
            self._keep(piece)
            if self.n_samples == self._next_end:
                place = self.n_samples % self.length
                start = self._next_end - self.length
                self._next_end += self.hop
                full.append((start, np.concatenate([self._ring[place:], self._ring[:place]])))
        return full

    def _keep(self, piece: np.ndarray) -> None:
        """Overwrite the oldest samples."""
        self.n_samples += len(piece)
        newest = piece[-self.length :]
        place = (self.n_samples - len(newest)) % self.length
        first = min(len(newest), self.length - place)
        self._ring[place : place + first] = newest[:first]
        self._ring[: len(newest) - first] = newest[first:]


def windows(samples: np.ndarray, length: int, hop: int) -> np.ndarray:
    """All windows of a whole waveform: those that a stream of it gives, in its order.

    Args:
        samples: (n,).
        length, hop: as of ``WindowStream``.

    Returns:
        (W, length), a view that cannot be written to; none where the waveform is shorter than a window.
    """
    if len(samples) < length:
        return np.empty((0, length), samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


def pcm_blocks(source: BinaryIO, *, sample_format: str, block: int) -> Iterator[np.ndarray]:
    """Raw samples of one channel, as standard input or a recorder's pipe brings them.

    Args:
        source: a binary stream.
        sample_format: a key of ``FORMATS`` (ffmpeg and arecord use the same words).
        block: samples that are waited for at a time; the last block may be shorter.

    Yields:
        (n,) float32, integers with full scale -1 to 1.

    Raises:
        UserError: an unknown format, the stream ends within a sample, or a sample is not a number.
    """
    if sample_format not in FORMATS:
        raise UserError(
            f"the sample format {sample_format!r} is unknown; there are {', '.join(FORMATS)}"
        )
    dtype, full_scale = FORMATS[sample_format]
    count = 0
    while data := _read_fully(source, block * dtype.itemsize):
        if len(data) % dtype.itemsize:
            raise UserError(
                f"the stream ends within a sample, after {count} whole ones: it is cut, or not "
                f"{sample_format}"
            )
        samples = (np.frombuffer(data, dtype) / full_scale).astype(np.float32)
        if not np.isfinite(samples).all():
            raise UserError(f"the stream has samples that are not numbers: is it {sample_format}?")
        count += len(samples)
        yield samples


def _read_fully(source: BinaryIO, n_bytes: int) -> bytes:
    """So many bytes, fewer only at the end: an unbuffered pipe gives what it has."""
    pieces = []
    while n_bytes and (piece := source.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)


MICROPHONE = "microphone"


def microphone_blocks(*, rate: int, block: int) -> Iterator[np.ndarray]:
    """What the default microphone hears, until Ctrl-C (extra ``microphone``: sounddevice).

    Args:
        rate: samples per second.
        block: samples that are waited for at a time.

    Yields:
        (block,) float32.

    Raises:
        UserError: sounddevice is not installed, there is no microphone, it does not go at that rate, or
            samples were lost because scoring was slower than the sound.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise UserError(
            f"a microphone needs sounddevice and PortAudio ({error}): pip install sounddevice, or pipe the "
            "sound of a recorder into --stream s16le"
        ) from None
    try:
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32") as stream:
            while True:
                samples, lost = stream.read(block)
                if lost:
                    raise UserError(
                        "samples of the microphone were lost: scoring is slower than the sound; give a longer "
                        "--hop"
                    )
                yield np.ascontiguousarray(samples[:, 0])
    except sounddevice.PortAudioError as error:
        raise UserError(f"the microphone cannot be used: {error}") from None
