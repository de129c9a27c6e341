"""What reads files from elsewhere, each as a function of bytes, with valid files to start from.

A target returns whatever the bytes are, or raises what it should not: anything but ``UserError``.
"""

import functools
import io
import json
import os
import re
import stat
import struct
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import soundfile
import yaml
from safetensors.numpy import save

from mindspore_dpus.core.configuration import dump_config
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.stages import Stage, fill
from mindspore_dpus.data.arrays import load_arrays, open_array
from mindspore_dpus.data.audio.reading import read_clip
from mindspore_dpus.data.boxes.images import list_images
from mindspore_dpus.data.boxes.registry import FORMATS, read_boxes
from mindspore_dpus.data.images.frames import count_frames, split_frame
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.data.images.measures import measure
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.data.samples import find_samples
from mindspore_dpus.data.settings import DataSettings
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.deploy.bundle import Bundle
from mindspore_dpus.deploy.result_file import ResultFile
from mindspore_dpus.training.checkpoint import load_checkpoint, save_checkpoint
from tests.decision.test_decision import decided
from tests.support import configuration, parse_config

# An image is decoded and resized within these, so memory stays small whatever a header says.
PIXELS = 1 << 20
SPEC = ImageSettings(size=16, value_range="minmax", max_pixels=PIXELS)


@dataclass(frozen=True)
class Target:
    """One reader.

    Args:
        read: given a folder of its own and bytes, reads them as a user's file would be read.
        seeds: given such a folder, valid files.
        words: what a mutation may put in.
    """

    read: Callable[[Path, bytes], None]
    seeds: Callable[[Path], list[bytes]]
    words: tuple[bytes, ...] = ()


def run(target: Target, folder: Path, data: bytes) -> None:
    """Read bytes; nothing but a ``UserError`` of one line may come of it.

    Raises:
        Exception: whatever else did.
    """
    before = _written()
    try:
        target.read(folder, data)
    except UserError as error:
        # A command prints it on one line.
        if not str(error).strip() or len(str(error)) > 5000:
            raise RuntimeError(f"no line that a person reads: {str(error)[:100]!r}") from error
    grown = _written() - before
    if grown:
        lines = os.pread(2, grown, before).decode(errors="replace").splitlines()
        # Of the product: with the file's name. What a library prints has none.
        foreign = [line for line in lines if str(folder) not in line]
        if foreign:
            raise RuntimeError(f"printed without the file's name: {foreign[0]!r}")


def _written() -> int:
    """How much this process has printed to standard error, where that is a file (as under pytest)."""
    status = os.fstat(2)
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _config(folder: Path, data: bytes) -> None:
    parse_config(["--data.root=x", f"--config={_write(folder, 'config.yaml', data)}"])


def _config_seeds(folder: Path) -> list[bytes]:
    config = configuration(data=DataSettings(root="images"))
    short = {
        "system": "classification",
        "seed": 3,
        "training": {"epochs": 2, "augment": {"rotation": 5.0}},
        "data": {"classes": ["a"]},
    }
    return [dump_config(config).encode(), yaml.safe_dump(short).encode()]


def _options(folder: Path, data: bytes) -> None:
    """One option a line."""
    try:
        with redirect_stdout(io.StringIO()):
            parse_config(data.decode("utf-8", "surrogateescape").split("\n"))
    except SystemExit as end:
        if end.code:  # --help ends with 0
            raise RuntimeError("the parser ended the process") from end


def _manifest(folder: Path, data: bytes) -> None:
    manifest = _write(folder, "manifest.csv", data)
    table = find_samples(DataSettings(root=str(folder), manifest=str(manifest)), check=False)
    inside = folder.resolve()
    for name in table["path"]:
        place = split_frame(folder / name)[0].resolve()
        assert place == inside or inside in place.parents, f"{name} leads to {place}"


def _paths(folder: Path, data: bytes) -> None:
    expand_paths([str(_write(folder, "paths.csv", data))])


def _image(folder: Path, data: bytes) -> None:
    # By content, whatever the name says; a TIFF or DICOM may have several frames.
    path = _write(folder, "image.tif", data)
    assert count_frames(path) >= 1
    load_prepared(path, SPEC)
    load_prepared(f"{path}#1", replace(SPEC, channels=3, value_range="percentiles"))


def _audited(folder: Path, data: bytes) -> None:
    row = measure(_write(folder, "image.tif", data), SPEC)
    assert bool(row["error"]) == (row["height"] == 0)


def _encoded(ending: str, *images: np.ndarray) -> list[bytes]:
    return [cv2.imencode(ending, image)[1].tobytes() for image in images]


def _grey(kind: type = np.uint8, shape: tuple[int, ...] = (12, 10)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape).astype(kind)


def _tiff_seeds(folder: Path) -> list[bytes]:
    path = folder / "seed.tif"
    cv2.imwritemulti(str(path), [_grey(), _grey(np.uint16)])
    floats = np.linspace(0, 1, 120, dtype=np.float32).reshape(12, 10)
    return [path.read_bytes(), *_encoded(".tiff", _grey(np.uint16), floats)]


def _tiff_strip_seeds(folder: Path) -> list[bytes]:
    """Compressions, tiles, planes, stacks, few bits: what is unpacked by us and by libtiff."""
    import tifffile
    from PIL import Image

    path, seeds = folder / "seed.tif", []
    colour = _grey(shape=(20, 18, 3))
    for options in (
        {"compression": "zlib", "predictor": True, "rowsperstrip": 5},
        {"compression": "lzma", "planarconfig": "separate"},
        {"tile": (16, 16), "bigtiff": True, "byteorder": ">"},
        {"compression": "zlib", "tile": (16, 16), "extratags": [(274, "H", 1, 6, True)]},
    ):
        data = np.moveaxis(colour, 2, 0) if "planarconfig" in options else colour
        tifffile.imwrite(path, data, photometric="rgb", **options)
        seeds.append(path.read_bytes())
    stack = _grey(np.uint16, (3, 9, 8))
    for options in ({"imagej": True}, {"truncate": True}, {"truncate": True, "append": True}):
        tifffile.imwrite(path, stack, photometric="minisblack", **options)
        seeds.append(path.read_bytes())
    with tifffile.TiffWriter(path) as file:
        file.write(stack[0, ::2], subfiletype=1, subifds=1)
        file.write(stack[0], subfiletype=0)
    seeds.append(path.read_bytes())
    picture = Image.fromarray(colour)
    for name in ("tiff_lzw", "packbits", "jpeg", "zstd"):
        picture.save(path, compression=name)
        seeds.append(path.read_bytes())
    for name in ("group3", "group4", "tiff_lzw"):
        picture.convert("1").save(path, compression=name)
        seeds.append(path.read_bytes())
    for mode in ("P", "CMYK", "LA"):
        picture.convert("L" if mode == "LA" else mode).convert(mode).save(path)
        seeds.append(path.read_bytes())
    return seeds


def _bmp_seeds(folder: Path) -> list[bytes]:
    pixels = np.arange(40, dtype=np.uint8).reshape(5, 8) % 4
    head = struct.pack("<2sIHHI", b"BM", 26 + 12 + 40, 0, 0, 26 + 12)
    os2 = head + struct.pack("<IHHHH", 12, 8, 5, 1, 8) + bytes(range(12)) + pixels.tobytes()
    seeds = [*_encoded(".bmp", _grey(), _grey(shape=(9, 7, 3))), os2]
    for bits in (4, 8):  # run lengths
        line = b"\x05\x21" + b"\0\x03\0\x01\x02\0"[: 6 if bits == 8 else 4] + b"\0\0"
        info = struct.pack("<IiiHHIIiiII", 40, 8, 5, 1, bits, 3 - bits // 4, 0, 0, 0, 64 >> 8 - bits, 0)
        palette = bytes(range(4 * (64 >> 8 - bits)))
        start = 54 + len(palette)
        head = struct.pack("<2sIHHI", b"BM", start + 5 * len(line) + 2, 0, 0, start)
        seeds.append(head + info + palette + 5 * line + b"\0\1")
    return seeds


def _pnm_seeds(folder: Path) -> list[bytes]:
    seeds = _encoded(".pgm", _grey()) + _encoded(".ppm", _grey(shape=(9, 7, 3)))
    seeds += [
        b"P2\n# x\n3 2\n100\n1 2 3\n4 5 100\n",
        b"P5 2 2 4095\n" + bytes(8),
        b"P4 9 2\n" + bytes(4),
    ]
    return [*seeds, b"P1 3 2\n101\n010\n", b"P3 1 2 9\n1 2 3 4 5 6\n"]


def _oriented_seeds(folder: Path) -> list[bytes]:
    from PIL import Image

    exif, seeds = Image.Exif(), []
    exif[274] = 6
    for ending in ("png", "jpeg"):
        file = io.BytesIO()
        Image.fromarray(_grey(shape=(9, 7, 3))).save(file, ending, exif=exif)
        seeds.append(file.getvalue())
    return seeds


def _dicom_seeds(folder: Path) -> list[bytes]:
    from pydicom.uid import RLELossless

    from tests.data.dicom_files import lut, make_dicom, write_dicom

    path, stored = folder / "seed.dcm", _grey(np.uint16)
    settings = (
        {"RescaleSlope": "2", "RescaleIntercept": "-5", "WindowCenter": "9000", "WindowWidth": "5000"},
        {"PhotometricInterpretation": "MONOCHROME1", "VOILUTSequence": [lut(range(0, 512, 2))]},
    )
    seeds = [write_dicom(path, stored, **elements).read_bytes() for elements in settings]
    seeds.append(write_dicom(path, _grey(np.uint8, (3, 12, 10))).read_bytes())
    packed = make_dicom(stored)
    packed.compress(RLELossless)
    packed.save_as(path, enforce_file_format=True)
    return [*seeds, path.read_bytes()]


def _odd_dicom_seeds(folder: Path) -> list[bytes]:
    """Deflated as a whole, without preamble, a palette, padding, colour of 32 bits."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

    from tests.data.dicom_files import write_dicom

    path, stored = folder / "seed.dcm", _grey(np.uint16)
    deflated = write_dicom(path, stored, syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    implicit = write_dicom(path, stored, syntax=ImplicitVRLittleEndian).read_bytes()[132:]
    padded = write_dicom(path, stored, PixelPaddingValue=7, PixelPaddingRangeLimit=900).read_bytes()
    colours = {
        f"{name}PaletteColorLookupTable{part}": value
        for name in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", bytes(512)))
    }
    palette = {"PhotometricInterpretation": "PALETTE COLOR", **colours}
    wide = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    wide |= {"Rows": 4, "Columns": 10}
    return [
        deflated,
        implicit,
        implicit[12 + int.from_bytes(implicit[8:12], "little") :],
        padded,
        write_dicom(path, _grey(), **palette).read_bytes(),
        write_dicom(path, _grey(np.uint32), **wide).read_bytes(),
    ]


def _boxes(name: str, format: str) -> Callable[[Path, bytes], None]:
    """A file of boxes, or, of formats with a file for each frame, the folder that it lies in."""

    def read(folder: Path, data: bytes) -> None:
        path = _write(folder, name, data)
        whole = folder if format == "yolo" else path
        recognises = FORMATS[format].recognises(path)
        assert isinstance(recognises, bool)
        read_boxes(whole, format, strict=False, images=folder if format == "yolo" else None)
        read_boxes(whole, format, classes=["a", "b"], images=folder if format == "yolo" else None)

    return read


def _yolo_seeds(folder: Path) -> list[bytes]:
    _write(folder, "frame.png", _encoded(".png", _grey())[0])
    return [b"0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.1 0.1 0.9\n"]


_VOC = b"""<annotation><filename>a.png</filename><size><width>9</width><height>8</height></size>
<object><name>a</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>5</ymax></bndbox></object></annotation>"""


def _coco_seeds(folder: Path) -> list[bytes]:
    frame = {"id": 1, "file_name": "a.png", "width": 9, "height": 8}
    box = {"id": 7, "image_id": 1, "category_id": 2, "bbox": [0, 1, 3.5, 4], "iscrowd": 0}
    coco = {"images": [frame], "annotations": [box], "categories": [{"id": 2, "name": "a"}]}
    return [json.dumps(coco).encode()]


def _frame_sizes(folder: Path, data: bytes) -> None:
    _write(folder, "frame.png", data)
    assert len(list_images(folder)) == 1


def _clip(kind: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, data: bytes) -> None:
        path = _write(folder, f"clip.{kind}", data)
        clip = read_clip(path, channel="mean", rate=None, max_seconds=10)
        assert np.isfinite(clip.samples).all()

    return read


def _clip_seeds(kind: str, *subtypes: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        samples = np.random.default_rng(0).uniform(-1, 1, (40, 2))
        files = []
        for subtype in subtypes:
            file = io.BytesIO()
            soundfile.write(file, samples, 8000, format=kind, subtype=subtype)
            files.append(file.getvalue())
        return files

    return seeds


def _checkpoint(folder: Path, data: bytes) -> None:
    path = _write(folder, "last.safetensors", data)
    arrays, stamp = load_checkpoint(path)
    expected, expected_stamp = _CHECKPOINT
    if _checksum_of_seed(folder) not in data:
        return  # atheris has seen which checksum was wanted, and put that in
    # What is read is what was written: a changed byte is refused, unless nothing of it is read.
    assert stamp == expected_stamp
    assert arrays.keys() == expected.keys()
    assert all(arrays[name].tobytes() == expected[name].tobytes() for name in expected)


_CHECKPOINT = (
    {"conv.weight": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4), "step": np.array(7)},
    {"key": "0123", "epoch": 3, "history": [{"epoch": 1, "val_auc": 0.5}], "halvings": []},
)


def _checkpoint_seeds(folder: Path) -> list[bytes]:
    save_checkpoint(folder / "seed.safetensors", *_CHECKPOINT)
    return [(folder / "seed.safetensors").read_bytes()]


@functools.cache
def _checksum_of_seed(folder: Path) -> bytes:
    return re.search(rb'"sha256":"(\w+)"', *_checkpoint_seeds(folder))[1]


def _weights(ending: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, data: bytes) -> None:
        from mindspore_dpus.models.weights import read_checkpoint

        parameters = read_checkpoint(_write(folder, f"weights{ending}", data))
        assert all(isinstance(value, np.ndarray) for value in parameters.values())

    return read


def _safetensors_seeds(folder: Path) -> list[bytes]:
    return [save({"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.int64)}, {"x": "y"})]


def _ckpt_seeds(folder: Path) -> list[bytes]:
    import mindspore as ms

    path = folder / "seed.ckpt"
    values = {"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.int32)}
    ms.save_checkpoint([{"name": n, "data": ms.Tensor(v)} for n, v in values.items()], str(path))
    return [path.read_bytes()]


def _pth_seeds(folder: Path) -> list[bytes]:
    import torch

    seeds = []
    for zipped in (True, False):
        path = folder / "seed.pth"
        torch.save({"a": torch.zeros(2, 3)}, path, _use_new_zipfile_serialization=zipped)
        seeds.append(path.read_bytes())
    return seeds


def _bundle(folder: Path, data: bytes) -> None:
    _write(folder, "model.onnx.json", data)
    Bundle.load(folder / "model.onnx")


def _bundle_seeds(folder: Path) -> list[bytes]:
    seeds = []
    for name in ("none", "isotonic"):
        decision = decided(calibration=name)
        Bundle(
            sha256="0" * 64,
            kind="onnx",
            spec=ImageSettings(size=8),
            classes=["defect", "normal"],
            positive="defect",
            threshold=decision.threshold,
            decision=decision,
            members=["00", "01"],
            normalisation={"mean": [0.5], "std": [0.2]},
            prior={"data": {"defect": 0.1}},
        ).save(folder / "seed.onnx")
        seeds.append((folder / "seed.onnx.json").read_bytes())
    return seeds


def _decision(folder: Path, data: bytes) -> None:
    Decision.load(_write(folder, "decision.json", data))


def _decision_seeds(folder: Path) -> list[bytes]:
    return [json.dumps(decided(calibration=c).to_json()).encode() for c in ("temperature", "isotonic")]


def _stages(folder: Path, data: bytes) -> None:
    _write(folder, "stages.json", data)
    made = []
    fill(RunFolder(folder), [Stage("samples", made.append, settings=1)])
    RunFolder.open(folder).finished("samples")


def _stages_seeds(folder: Path) -> list[bytes]:
    record = {"key": "0" * 16, "artefacts": ["samples.csv"], "seconds": 1.5, "peak_memory_mb": 3}
    return [json.dumps({"samples": record, "audit": record}, indent=2).encode()]


COLUMNS = ["path", "error", "predicted", "score"]


def _array(folder: Path, data: bytes) -> None:
    open_array(_write(folder, "images.npy", data))


def _array_seeds(folder: Path) -> list[bytes]:
    file = io.BytesIO()
    np.save(file, _grey(shape=(3, 4, 4, 1)))
    return [file.getvalue()]


def _arrays(folder: Path, data: bytes) -> None:
    load_arrays(_write(folder, "features.npz", data), ("path", "label", "whitened"))


def _arrays_seeds(folder: Path) -> list[bytes]:
    file = io.BytesIO()
    np.savez(file, path=np.array(["a.png", "b.png"]), label=np.array(["n", "n"]), whitened=np.eye(2))
    return [file.getvalue()]


def _table(folder: Path, data: bytes) -> None:
    _write(folder, "samples.csv", data)
    read_samples(folder / "samples.csv")


def _results(kind: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, data: bytes) -> None:
        path = _write(folder, f"predictions.{kind}.part", data)
        row = {"path": "new.png", "error": "", "predicted": "defect", "score": 0.5}
        with ResultFile(path, COLUMNS, kind) as results:
            found = len(results.found)
            results.append([row])
        with ResultFile(path, COLUMNS, kind) as results:
            assert len(results.found) == found + 1
            assert results.found[-1]["path"] == "new.png"

    return read


_CSV = (
    b",",
    b"\n",
    b"\r",
    b'"',
    b"#3",
    b"../",
    b"/etc/passwd",
    b"\0",
    b"train",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b";",
    b"\t",
    b"|",
    b" ",
    b"\\",
)
_YAML = (
    *(b": ", b"\n", b"  ", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"!!python/object:os.system "),
    *(
        b"null",
        b"1e999",
        b".nan",
        b"true",
        b"-1",
        b'"',
        b"'",
        b"#",
        b"|",
        b"class_path",
        b"\t",
        b"99999999999",
    ),
)
_JSON = (
    b"null",
    b"NaN",
    b"1e999",
    b"-1",
    b"[]",
    b"{}",
    b'"',
    b"true",
    b"9" * 30,
    b"[" * 2000,
    b"\\ud800",
)
_SIZES = tuple(struct.pack(f"{order}I", n) for n in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF) for order in "<>")


def _manifest_seeds(folder: Path) -> list[bytes]:
    for name in ("normal/a.png", "defect/b.png", "scan.tif"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(
            _tiff_seeds(folder)[0] if name.endswith("tif") else _encoded(".png", _grey())[0]
        )
    with suppress(FileExistsError):
        (folder / "outside").symlink_to("/etc")
    return [
        b"path,label,split,group\nnormal/a.png,normal,train,1\ndefect/b.png,defect,,\n",
        b"path,label,flaw_size\nscan.tif,normal,\nscan.tif#2,defect,0.5\n",
        b"label,path\nnormal,normal/a.png\ndefect,outside/passwd\n",
    ]


TARGETS = {
    "config": Target(_config, _config_seeds, _YAML),
    "options": Target(
        _options,
        lambda folder: [
            b"--data.root=x\n--training.epochs=3\n--data.window=[0,5]",
            b"--seed\n3\n--data={root: x}",
        ],
        (*_YAML, b"--data.", b"--training.", b"=", b"--config=", b"--help", b"--print_config"),
    ),
    "manifest": Target(_manifest, _manifest_seeds, _CSV),
    "paths": Target(_paths, lambda folder: [b"path\na.png\nb/c.tif\n", b"x;path\n1;a\\b.png\n"], _CSV),
    "png": Target(
        _image, lambda f: _encoded(".png", _grey(), _grey(np.uint16), _grey(shape=(9, 7, 3))), _SIZES
    ),
    "jpeg": Target(_image, lambda f: _encoded(".jpg", _grey(), _grey(shape=(9, 7, 3))), _SIZES),
    "oriented": Target(_image, _oriented_seeds, _SIZES),
    "bmp": Target(_image, _bmp_seeds, _SIZES),
    "pnm": Target(_image, _pnm_seeds, (*_SIZES, b"#", b"\n", b"65536", b"P5 2 2 9 ", b"-1")),
    "tiff": Target(_image, _tiff_seeds, _SIZES),
    "tiff_strips": Target(_image, _tiff_strip_seeds, _SIZES),
    "dicom": Target(_image, _dicom_seeds, _SIZES),
    "odd_dicom": Target(_image, _odd_dicom_seeds, _SIZES),
    "audited": Target(_audited, lambda f: _tiff_seeds(f) + _pnm_seeds(f), _SIZES),
    "frame_sizes": Target(
        _frame_sizes,
        lambda f: _encoded(".png", _grey()) + _encoded(".jpg", _grey()) + _pnm_seeds(f),
        _SIZES,
    ),
    "boxes": Target(
        _boxes("boxes.csv", "boxes"),
        lambda f: [b"path,x1,y1,x2,y2,class_id,class_name\na.png,0,1,3,4.5,2,a\nb.png,,,,,,\n"],
        (*_CSV, b"nan", b"1e999"),
    ),
    "gtsdb": Target(_boxes("gt.txt", "gtsdb"), lambda f: [b"00001.ppm;1;2;30;40;11\n"], _CSV),
    "coco": Target(_boxes("coco.json", "coco"), _coco_seeds, _JSON),
    "voc": Target(_boxes("a.xml", "voc"), lambda f: [_VOC], (b"<", b"</object>", b"&x;", b"nan", b"-1")),
    "yolo": Target(_boxes("frame.txt", "yolo"), _yolo_seeds, (b" ", b"\n", b"nan", b"1e999", b"-1")),
    "wav": Target(
        _clip("wav"),
        _clip_seeds("WAV", "PCM_16", "PCM_24", "FLOAT", "ULAW"),
        (*_SIZES, b"ds64", b"data"),
    ),
    "flac": Target(_clip("flac"), _clip_seeds("FLAC", "PCM_16", "PCM_24"), _SIZES),
    "checkpoint": Target(_checkpoint, _checkpoint_seeds, (*_JSON, b"F32", b"BF16", b"F8_E4M3", b"I64")),
    "safetensors": Target(
        _weights(".safetensors"), _safetensors_seeds, (*_JSON, b"F32", b"BF16", b"F8_E4M3")
    ),
    "ckpt": Target(_weights(".ckpt"), _ckpt_seeds, _SIZES),
    "pth": Target(_weights(".pth"), _pth_seeds, (b"cos\nsystem\n", b"(S'true'\ntR.", *_SIZES)),
    "bundle": Target(_bundle, _bundle_seeds, _JSON),
    "decision": Target(_decision, _decision_seeds, _JSON),
    "stages": Target(_stages, _stages_seeds, _JSON),
    "npy": Target(_array, _array_seeds, (b"(9999999999,)", b"|O", b"V8", *_SIZES)),
    "npz": Target(_arrays, _arrays_seeds, (b"(9999999999,)", b"|O", b"PK", *_SIZES)),
    "table": Target(
        _table, lambda f: [b"path,label,split,group\na.png,normal,train,1\nb.png,x,,\n"], _CSV
    ),
    "csv": Target(_results("csv"), lambda f: [b"path,error,predicted,score\na.png,,defect,0.5\n"], _CSV),
    "jsonl": Target(
        _results("jsonl"),
        lambda f: [b'{"path": "a", "error": "", "predicted": "", "score": 0.5}\n'],
        (*_JSON, b"\n"),
    ),
}
