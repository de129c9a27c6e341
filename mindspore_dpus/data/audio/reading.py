"""One sound file -> one decoded clip, or a line that says what is wrong with the file."""

import hashlib
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from mindspore_dpus.core.errors import UserError, explain, one_line
from mindspore_dpus.core.printed import listening
from mindspore_dpus.data.audio.decoded import AudioError, Clip, check_channel, mix
from mindspore_dpus.data.audio.resampling import resample
from mindspore_dpus.data.images.folders import leads_nowhere

# Libsndfile reads other formats, too, but says nothing where a file of them is cut.
ENDINGS = {"WAV": (".wav", ".wave"), "FLAC": (".flac",)}
EXTENSIONS = tuple(ending for endings in ENDINGS.values() for ending in endings)
# What libsndfile calls the containers that these endings stand for.
KINDS = {"WAV": "WAV", "WAVEX": "WAV", "RF64": "WAV", "FLAC": "FLAC"}
MAX_SECONDS = 3600.0
# What a WAV header says of its length while it is not known (``_is_unknown``), and what libsndfile then says
# for FLAC.
UNKNOWN_BYTES, UNKNOWN_SLACK, UNKNOWN_FRAMES = 2**32 - 1, 4096, 2**62
# Behind the samples of WAV: what is more sound, and what is none although it is no whole chunk.
SOUND_CHUNKS = (b"data", b"RIFF", b"RIFX", b"RF64")
HARMLESS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS", b"LIST", b"id3 ")
FEW_BYTES = 512
# Of a sample of FLAC.
FLAC_BYTES = {"PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}


def read_clip(
    path: str | Path,
    *,
    channel: int | str,
    rate: int | None,
    max_seconds: float = MAX_SECONDS,
) -> Clip:
    """Decode a WAV or FLAC file. Between these two, its content counts, not its name.

    Args:
        path: the file: integers of 8 to 32 bits, or floating point; any number of channels.
        channel: ``"mean"`` of all channels, or the number of one, from 0.
        rate: samples per second to have; another rate is resampled (``resampling``). None: as the
            file has it.
        max_seconds: a longer file is refused by its header, before memory is taken for it.

    Returns:
        The clip; ``channels`` and ``subtype`` are the file's.

    Raises:
        AudioError: the file is missing, empty, cut, too long, without samples, of another format, has
            values that are not numbers, or lacks the channel.
        UserError: the rate differs and soxr is not installed.
    """
    check_channel(channel)
    path = Path(path)
    with _named(path), _opened(path) as file:
        clip = _read(file, channel, max_seconds)
        if rate is None or rate == clip.rate:
            return clip
        samples = resample(clip.samples, clip.rate, rate, name=str(path))
        return Clip(samples, rate, clip.channels, clip.subtype, clip.kind)


def clip_length(path: str | Path) -> tuple[int, int, int, str]:
    """Samples of each channel, rate, number of channels and subtype of a file, by its header.

    Raises:
        AudioError: as ``read_clip``, as far as the header tells.
    """
    path = Path(path)
    with _named(path), _opened(path) as file, _sound(file) as sound:
        return sound.frames, sound.samplerate, sound.channels, sound.subtype


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Every error about a file names it."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{one_line(path)} {error}") from None
    except UserError:
        raise  # soxr is missing: no fault of the file
    except Exception as error:
        raise AudioError(f"{one_line(path)} {explain(error, path)}") from None


def is_clip(file: Path) -> bool:
    """Whether a file's name is that of a sound file, and it is neither hidden nor a folder. Whoever reads
    it says where a link leads nowhere, which may have been one to a folder, and what is no regular
    file."""
    if file.name.startswith(".") or file.is_dir():
        return False
    return file.suffix.lower() in EXTENSIONS or (not file.suffix and leads_nowhere(file))


def _opened(path: Path) -> BinaryIO:
    """The file, opened; refused where its name, kind or size says that there is no sound in it."""
    if path.suffix.lower() not in EXTENSIONS and not leads_nowhere(path):
        ending = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
        raise AudioError(f"{ending}: {', '.join(EXTENSIONS)} are read")
    try:
        status = path.stat()
    except ValueError:
        raise AudioError("has a name that cannot be: rename it") from None
    # A pipe would not open or not end.
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise AudioError("is not a regular file")
    if status.st_size == 0:
        raise AudioError("is empty (0 bytes)")
    return path.open("rb")


def _read(file: BinaryIO, channel: int | str, max_seconds: float) -> Clip:
    with _sound(file) as sound:
        rate, wanted = sound.samplerate, sound.frames
        if wanted > max_seconds * rate:
            raise AudioError(
                f"is {wanted / rate:g} s long, more than max_seconds ({max_seconds:g}) allows: cut it "
                "into clips"
            )
        try:
            # Where libsndfile cannot go to a place in a file (GSM 6.10, G.721), the number is needed.
            whole = sound.format == "FLAC"
            frames = sound.read(wanted, dtype="int32" if whole else "float32", always_2d=True)
        except soundfile.LibsndfileError:
            raise AudioError("is cut or damaged: it cannot be decoded to its end") from None
        if len(frames) < wanted:
            raise AudioError(f"is cut: {len(frames)} of {wanted} samples are there")
        if whole:
            _check_flac(file, frames, FLAC_BYTES[sound.subtype])
            frames = frames.astype(np.float32) / np.float32(2**31)
        samples = mix(frames, channel)
        if not np.isfinite(samples).all():
            raise AudioError("has samples that are not numbers (nan or infinite)")
        return Clip(samples, rate, sound.channels, sound.subtype, KINDS[sound.format])


def _check_flac(file: BinaryIO, frames: np.ndarray, width: int) -> None:
    """Refuse a FLAC file whose samples are not those that were encoded: in place of frames that it lacks,
    libsndfile reads zeros, and it does not notice that some have changed places.

    Args:
        file: opened.
        frames: (n, channels) int32, its samples, of full scale 2^31.
        width: bytes of a sample as it was encoded.
    """
    start = _after_tags(file)
    file.seek(start)
    head = file.read(42)
    # Of STREAMINFO, which comes first; zeros where the encoder did not know it.
    said = head[26:42]
    if head[:4] != b"fLaC" or not any(said):
        return
    values = (frames >> (32 - 8 * width)).astype("<i4").view(np.uint8)
    made = hashlib.md5(values.reshape(-1, 4)[:, :width].tobytes(), usedforsecurity=False)
    if made.digest() != said:
        raise AudioError(
            "is damaged: its samples are not those that were encoded (MD5 of the stream), as parts are missing "
            "or out of place"
        )


def _after_tags(file: BinaryIO) -> int:
    """Where the sound begins: behind ID3v2 tags, which some programs put before it."""
    start = 0
    while True:
        file.seek(start)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            return start
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte
        start += 10 + size + (10 if head[5] & 0x10 else 0)


def _sound(file: BinaryIO) -> soundfile.SoundFile:
    """The opened file as libsndfile sees it; refused where its header says that it is no good."""
    _check_wav_length(file)
    file.seek(0)
    try:
        with listening():  # of what is neither, libsndfile asks whether it is MP3
            sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError):
        raise AudioError("is broken or not a sound file: WAV and FLAC are read") from None
    trouble = _trouble(sound)
    if trouble:
        sound.close()
        raise AudioError(trouble)
    return sound


def _trouble(sound: soundfile.SoundFile) -> str:
    if sound.format not in KINDS:
        return f"is a file of the format {sound.format}, whatever its name: WAV and FLAC are read"
    if sound.frames == 0:
        return "holds no samples (if its recording was broken off, its header was never finished)"
    if sound.frames >= UNKNOWN_FRAMES:
        # As written to a pipe; libsndfile cannot read it in pieces either.
        return "does not say how long it is: decode and encode it anew, into a file"
    return ""


def _check_wav_length(file: BinaryIO) -> None:
    """Refuse a WAV file that ends before its samples do, and one that has more samples than its header
    tells of: libsndfile reads what is there, and what the header tells of."""
    end = file.seek(0, 2)
    file.seek(_after_tags(file))
    head = file.read(12)
    order = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<"}.get(head[:4])
    if order is None or head[8:12] != b"WAVE":
        return
    long_length = None
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", header)
        if name == b"ds64":
            long_length = struct.unpack("<8xQ", (file.read(16)).ljust(16, b"\0"))[0]
            file.seek(-16, 1)
        if name == b"data":
            if length == UNKNOWN_BYTES and long_length is not None:
                length = long_length
            there = end - file.tell()
            if length > there:
                if long_length is None and _is_unknown(length):
                    return
                raise AudioError(f"is cut: {there} of the {length} bytes of its samples are there")
            more = _more_sound(file, order, file.tell() + length, length % 2) if length else 0
            if more:
                raise AudioError(
                    f"holds {more} bytes behind the {length} bytes of samples that its header tells of: its "
                    "recorder was broken off, or two recordings were joined; write its header anew (as "
                    "sox --ignore-length does), or cut the rest away"
                )
            return
        file.seek(length + length % 2, 1)
    raise AudioError("is cut: it ends before its samples begin")


def _is_unknown(length: int) -> bool:
    """Whether a length is one that programs write into a pipe: 2^31 or 2^32 bytes, or a little less, as of
    whole blocks, or with a header."""
    return length >= 2**31 - UNKNOWN_SLACK and -length % 2**31 <= UNKNOWN_SLACK


def _more_sound(file: BinaryIO, order: str, place: int, odd: int) -> int:
    """How many bytes lie behind the samples that are neither chunks nor what some programs leave there:
    tags, zeros, a few bytes of anything.

    Args:
        file: opened.
        order: of its bytes, as ``struct`` writes it.
        place: where the samples end.
        odd: 1 where a byte may follow that makes their number even: not all programs write it.
    """
    end = file.seek(0, 2)
    while True:
        file.seek(place)
        head = file.read(9)
        skip = odd if head[:1] == b"\0" else 0
        head = head[skip : skip + 8]
        if len(head) < 8:
            return 0
        name, length = struct.unpack(f"{order}4sI", head)
        after = place + skip + 8 + length
        printable = all(32 <= byte < 127 for byte in name)
        if not printable or name in SOUND_CHUNKS or after > end:
            break
        place, odd = after, length % 2
    file.seek(place)
    if end - place <= FEW_BYTES or head.startswith(HARMLESS):
        return 0
    zeros = all(not block.strip(b"\0") for block in iter(lambda: file.read(2**20), b""))
    return 0 if zeros else end - place
