"""Sound files of every depth; whatever is wrong with one is one line that names it."""

import builtins
import itertools
import os
import struct

import numpy as np
import pytest
import soundfile

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.printed import can_listen
from mindspore_dpus.data.audio.decoded import AudioError
from mindspore_dpus.data.audio.measures import measure_clips
from mindspore_dpus.data.audio.reading import clip_length, is_clip, read_clip
from mindspore_dpus.data.audio.resampling import resample, resampled_length
from mindspore_dpus.data.audio.waveforms import build_waveforms
from mindspore_dpus.data.images.folders import list_files

RATE = 16000
# Values that every depth from 8 bits on holds exactly.
STEPS = np.array([-1, -0.5, -0.0078125, 0, 0.25, 0.9921875])


def saved(path, values, rate=RATE, **options):
    soundfile.write(path, np.asarray(values), rate, **options)
    return path


def noise(n, seed=0):
    return 0.1 * np.random.default_rng(seed).normal(size=n)


def read(path, channel="mean", rate=None, **options):
    return read_clip(path, channel=channel, rate=rate, **options)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        *(("x.wav", s) for s in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
        *(("x.flac", s) for s in ("PCM_S8", "PCM_16", "PCM_24")),
        *(("x.WAV", s) for s in ("PCM_16",)),
        *(("x.wave", s) for s in ("PCM_24",)),
    ],
)
def test_every_depth_gives_the_same_values(tmp_path, name, subtype):
    kind = "FLAC" if "flac" in name else "WAV"
    clip = read(saved(tmp_path / name, STEPS, subtype=subtype, format=kind))
    assert clip.samples.dtype == np.float32
    np.testing.assert_array_equal(clip.samples, STEPS.astype(np.float32))
    assert (clip.rate, clip.channels, clip.subtype, clip.kind) == (RATE, 1, subtype, kind)
    assert clip.seconds == 6 / RATE


def test_a_channel_or_the_mean_of_all(tmp_path):
    path = saved(tmp_path / "x.wav", np.stack([STEPS, STEPS[::-1]], 1))
    for channel, expected in ((0, STEPS), (1, STEPS[::-1]), ("mean", (STEPS + STEPS[::-1]) / 2)):
        clip = read(path, channel)
        np.testing.assert_array_equal(clip.samples, expected.astype(np.float32))
        assert clip.channels == 2
    with pytest.raises(AudioError, match=r"x.wav has 2 channels: there is no channel 2"):
        read(path, 2)
    with pytest.raises(AudioError, match="has one channel: there is no channel 1"):
        read(saved(tmp_path / "mono.wav", STEPS), 1)
    for wrong in (-1, "left"):
        with pytest.raises(ValueError, match="channel is"):
            read(path, wrong)


def test_content_counts_between_the_two_kinds(tmp_path):
    flac = saved(tmp_path / "x.flac", STEPS)
    wrong = flac.rename(tmp_path / "y.wav")
    assert read(wrong).kind == "FLAC"


@pytest.mark.parametrize("container", ["WAVEX", "RF64"])
def test_other_wav_containers(tmp_path, container):
    path = saved(tmp_path / "x.wav", noise(999), format=container)
    assert (read(path).kind, len(read(path).samples)) == ("WAV", 999)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(AudioError, match="is cut"):
        read(path)


@pytest.mark.parametrize("missing", [1, 1000, 1994])
def test_a_cut_wav(tmp_path, missing):
    path = saved(tmp_path / "x.wav", noise(1000))
    path.write_bytes(path.read_bytes()[:-missing])
    line = f"x.wav is cut: {2000 - missing} of the 2000 bytes of its samples are there"
    for reader in (read, clip_length):
        with pytest.raises(AudioError, match=line):
            reader(path)


@pytest.mark.parametrize("left", [12, 20, 36, 40])
def test_a_wav_cut_in_its_header(tmp_path, left):
    path = saved(tmp_path / "x.wav", noise(1000))
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(AudioError, match="x.wav is cut: it ends before its samples begin"):
        read(path)


@pytest.mark.parametrize("share", [0.5, 0.999])
def test_a_cut_flac(tmp_path, share):
    path = saved(tmp_path / "x.flac", noise(20000))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(AudioError, match="x.flac is cut or damaged"):
        read(path)


def wav(path, data, *, said=None, before=b"", behind=b""):
    """A WAV file of 16-bit samples; ``said``: the length that its header gives."""
    said = len(data) if said is None else said
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    body += b"data" + struct.pack("<I", said) + data + behind
    path.write_bytes(before + b"RIFF" + struct.pack("<I", min(len(body) + said, 2**32 - 1)) + body)
    return path


PCM = (20000 * noise(3000)).astype("<i2").tobytes()
# Of 256 bytes behind the head.
ID3 = b"ID3\3\0\0\0\0\2\0" + bytes(256)


@pytest.mark.parametrize(
    "said",
    [2**31 - 4096, 2**31 - 37, 2**31 - 1, 2**31, 2**32 - 4096, 2**32 - 37, 2**32 - 2, 2**32 - 1],
)
def test_lengths_that_programs_write_into_a_pipe(tmp_path, said):
    path = wav(tmp_path / "x.wav", PCM, said=said)
    expected = np.frombuffer(PCM, "<i2") / np.float32(32768)
    np.testing.assert_array_equal(read(path).samples, expected)
    assert clip_length(path)[0] == 3000
    wav(path, PCM, said=said - 2**30)
    with pytest.raises(AudioError, match="is cut: 6000 of the"):
        read(path)


def test_a_cut_wav_behind_a_tag(tmp_path):
    path = wav(tmp_path / "x.wav", PCM, before=ID3 + ID3)
    assert len(read(path).samples) == 3000
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(AudioError, match="is cut: 5000 of the 6000 bytes"):
        read(path)


@pytest.mark.parametrize(
    "behind",
    [
        b"data" + struct.pack("<I", len(PCM)) + PCM,
        PCM,
        b"note" + struct.pack("<I", 3) + b"abc\0" + PCM,
        b"RIFF" + struct.pack("<I", len(PCM) + 4) + b"WAVE" + PCM,
    ],
)
def test_samples_that_the_header_does_not_tell_of_are_not_left_out_unsaid(tmp_path, behind):
    path = wav(tmp_path / "x.wav", PCM, behind=behind)
    line = r"x.wav holds \d+ bytes behind the 6000 bytes of samples that its header tells of: .*--ignore"
    for reader in (read, clip_length):
        with pytest.raises(AudioError, match=line):
            reader(path)


@pytest.mark.parametrize(
    "behind",
    [
        bytes(10_000),
        b"TAG" + bytes(5) + b"a" * 900,
        ID3[:10] + b"x" * 900,
        b"\n",
        b"LIST" + struct.pack("<I", 9000) + b"INFO" + b"x" * 1000,
        b"note" + struct.pack("<I", 901) + b"x" * 901 + b"note" + struct.pack("<I", 900) + b"x" * 900,
    ],
)
@pytest.mark.parametrize("size", [6000, 5999])
def test_what_programs_leave_behind_the_samples_is_none(tmp_path, behind, size):
    path = wav(tmp_path / "x.wav", PCM[:size], behind=behind)
    assert len(read(path).samples) == size // 2


def flac_frames(data):
    """Where the frames of a FLAC file of 4,096 samples a frame begin, and where the last ends."""
    # The number of a frame follows four bytes that are the same in all but the last one.
    first = data.index(b"\xff\xf8")
    head = data[first : first + 4]
    starts = [first]
    while (found := data.find(head + bytes([len(starts)]), starts[-1])) > 0:
        starts.append(found)
    return [*starts, len(data)]


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_whose_frames_are_not_all_there_in_their_order(tmp_path, subtype, channels):
    samples = np.stack([noise(6 * 4096 + 99, seed) for seed in range(channels)], 1)
    path = saved(tmp_path / "x.flac", samples, subtype=subtype)
    data, clip = path.read_bytes(), read(path)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_allclose(clip.samples, expected, atol=1e-7)
    starts = flac_frames(data)
    head, *frames = (data[a:b] for a, b in itertools.pairwise([0, *starts]))
    assert len(frames) == 6
    tag = b"ID3\x04\0\0\0\0\1\2" + bytes(130)
    for order in ((0, 2, 3, 4, 5), (0, 1, 1, 2, 3, 4, 5), (0, 2, 1, 3, 4, 5)):
        for before in (b"", tag):
            path.write_bytes(b"".join([before, head, *(frames[i] for i in order)]))
            with pytest.raises(AudioError, match=r"x.flac is (cut or )?damaged: "):
                read(path)
    path.write_bytes(tag + data)
    np.testing.assert_array_equal(read(path).samples, clip.samples)
    # An encoder that did not know it.
    path.write_bytes(data[:26] + bytes(16) + data[42:])
    np.testing.assert_array_equal(read(path).samples, clip.samples)


def test_chunks_before_and_after_the_samples_are_passed_over(tmp_path):
    path = saved(tmp_path / "x.wav", STEPS)
    data = path.read_bytes()
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"
    body = data[8:36] + odd + data[36:] + odd
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    np.testing.assert_array_equal(read(path).samples, STEPS.astype(np.float32))


def test_lengths_that_were_not_known_when_the_header_was_written(tmp_path):
    path = saved(tmp_path / "x.wav", STEPS)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path).samples, STEPS.astype(np.float32))
    data[4:8] = data[40:44] = b"\0" * 4
    path.write_bytes(data)
    with pytest.raises(AudioError, match="holds no samples .*its header was never finished"):
        read(path)
    flac = saved(tmp_path / "x.flac", STEPS)
    data = bytearray(flac.read_bytes())
    data[21] &= 0xF0
    data[22:26] = b"\0" * 4
    flac.write_bytes(data)
    for reader in (read, clip_length):
        with pytest.raises(AudioError, match="x.flac does not say how long it is"):
            reader(flac)


@pytest.mark.filterwarnings("error")
def test_what_is_no_sound(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("path,machine\n")
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    saved(tmp_path / "none.wav", [])
    saved(tmp_path / "ogg.wav", noise(100), format="OGG")
    saved(tmp_path / "nan.wav", [0.0, np.nan], subtype="FLOAT")
    saved(tmp_path / "huge.wav", [0.0, 1e300], subtype="DOUBLE")
    # Of these, NumPy says that they have no mean.
    saved(tmp_path / "both.wav", [[0.0, 0.0], [np.inf, -np.inf]], subtype="FLOAT")
    for name, message in {
        "empty.wav": r"is empty \(0 bytes\)",
        "text.wav": "is broken or not a sound file",
        "song.mp3": r"ends in '.mp3': .wav, .wave, .flac are read",
        "README": "has no ending",
        "folder.wav": "cannot be read: Is a directory",
        "pipe.wav": "is not a regular file",
        "none.wav": "holds no samples",
        "ogg.wav": "is a file of the format OGG",
        "nan.wav": "has samples that are not numbers",
        "huge.wav": "has samples that are not numbers",
        "both.wav": "has samples that are not numbers",
        "gone.wav": "does not exist",
        "nul\0.wav": "has a name that cannot be",
    }.items():
        shown = name.replace("\0", r"\\x00")
        with pytest.raises(AudioError, match=f"{shown} {message}") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_too_long_is_refused_by_the_header(tmp_path):
    path = saved(tmp_path / "x.wav", noise(RATE))
    assert len(read(path, max_seconds=1.0).samples) == RATE
    with pytest.raises(AudioError, match=r"is 1 s long, more than max_seconds \(0.9\) allows"):
        read(path, max_seconds=0.9)


def test_resampling_keeps_a_tone(tmp_path):
    pytest.importorskip("soxr", reason="resampling is an extra")
    for old in (8000, 22050, 44100, 48000):
        time = np.arange(old) / old
        path = saved(tmp_path / "x.wav", 0.5 * np.sin(2 * np.pi * 1000 * time), old, subtype="FLOAT")
        clip = read(path, rate=RATE)
        assert (clip.rate, len(clip.samples)) == (RATE, RATE)
        expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
        np.testing.assert_allclose(clip.samples[800:-800], expected[800:-800], atol=2e-4)


def test_the_length_after_resampling_is_known_before():
    soxr = pytest.importorskip("soxr", reason="resampling is an extra")
    for n in (2, 7, 999, 12345, 16001):
        for old in (8000, 11025, 22050, 44100, 48000):
            length = resampled_length(n, old, RATE)
            assert abs(length - n * RATE / old) <= 0.5
            made = resample(np.zeros(n, np.float32), old, RATE, name="x")
            assert len(made) == length
            assert abs(len(soxr.resample(np.zeros(n, np.float32), old, RATE)) - length) <= 1
    with pytest.raises(UserError, match="x: nothing is left of 1 samples"):
        resample(np.zeros(1, np.float32), 48000, RATE, name="x")


def test_without_soxr_only_the_wanted_rate_is_read(tmp_path, monkeypatch):
    original = builtins.__import__

    def without_soxr(name, *rest, **more):
        if name == "soxr":
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_soxr)
    path = saved(tmp_path / "x.wav", noise(100), 8000)
    assert read(path, rate=8000).rate == read(path).rate == 8000
    with pytest.raises(UserError, match="x.wav has 8000 samples per second where 16000 .*install soxr"):
        read(path, rate=RATE)


def test_headers_give_length_rate_and_format(tmp_path):
    path = saved(tmp_path / "x.flac", np.stack([noise(700)] * 2, 1), 8000)
    assert clip_length(path) == (700, 8000, 2, "PCM_16")
    with pytest.raises(AudioError, match="gone.wav does not exist"):
        clip_length(tmp_path / "gone.wav")


def test_files_below_a_folder(tmp_path):
    for name in ("b/x.wav", "a.flac", ".hidden/x.wav", "b/.x.wav", "b/x.txt", "b/y.WAV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [file.relative_to(tmp_path).as_posix() for file in list_files(tmp_path, is_clip)]
    assert found == ["a.flac", "b/x.wav", "b/y.WAV"]


@pytest.mark.parametrize("head", [b"\xff\xff\0\0\x82\0\xff\xff\x17A\x0bE", b"\xff\xff" + 60 * b"b"])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_who_is_asked_whether_it_is_mp3_prints_nothing(tmp_path, capfd, head, ending):
    if not can_listen():
        pytest.skip("C's stderr cannot be exchanged on this system")
    (tmp_path / f"a.{ending}").write_bytes(head)
    with pytest.raises(AudioError, match="is broken or not a sound file"):
        read_clip(tmp_path / f"a.{ending}", channel="mean", rate=None)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("subtype", "rate"),
    [("GSM610", RATE), ("G721_32", 8000), *((f"NMS_ADPCM_{bits}", 8000) for bits in (16, 24, 32))],
)
def test_kinds_whose_places_libsndfile_cannot_go_to(tmp_path, subtype, rate):
    if subtype not in soundfile.available_subtypes("WAV"):
        pytest.skip(f"this libsndfile does not write {subtype}")
    tone = 0.5 * np.sin(2 * np.pi * 400 * np.arange(rate) / rate)
    path = saved(tmp_path / "x.wav", tone, rate, subtype=subtype)
    clip = read(path)
    assert len(clip.samples) == clip_length(path)[0] >= rate
    assert np.corrcoef(clip.samples[:rate], tone)[0, 1] > 0.95
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(AudioError, match="is cut"):
        read(path)


class Odd(Exception):
    """Of no kind that anybody expects."""


@pytest.mark.parametrize(
    "error", [Odd("one\ntwo"), Odd(), ValueError("v"), MemoryError(), OSError("no")]
)
@pytest.mark.parametrize(
    "function",
    ["_opened", "_check_wav_length", "_trouble", "mix", "soundfile.SoundFile.read", "resample"],
)
def test_whatever_a_reader_raises_is_one_row(tmp_path, monkeypatch, function, error):
    path = saved(tmp_path / "a.wav", noise(100), 8000)

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(f"mindspore_dpus.data.audio.reading.{function}", fail)
    with pytest.raises(AudioError) as caught:
        read(path, rate=RATE)
    assert str(caught.value).startswith(f"{path} ")
    assert "\n" not in str(caught.value)
    if function != "resample":
        assert measure_clips(["a.wav"], tmp_path, channel="mean")["error"][0] == str(caught.value)
        with pytest.raises(UserError, match=r"a\.wav .*\(1 of 1 clips"):
            build_waveforms(
                ["a.wav"], tmp_path, tmp_path / "w", tmp_path / "u.csv", rate=RATE, channel="mean"
            )
