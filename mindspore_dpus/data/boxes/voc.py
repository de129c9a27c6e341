"""Pascal VOC XML: a file a frame, with its ``size`` and an ``object`` for each box.

VOC counts pixels from 1, and its edges are inclusive: the box of a whole frame is 1, 1, width, height.
So x1 = xmin - 1 and x2 = xmax on reading, and back on writing.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.parsers import expat

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, open_regular
from mindspore_dpus.data.boxes.annotations import Annotations, Found
from mindspore_dpus.data.boxes.images import (
    ByName,
    annotation_files,
    check_files_of_frames,
    is_whole,
    stem,
)
from mindspore_dpus.data.boxes.text import number, plain, side, whole
from mindspore_dpus.data.labels import trim

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
# A frame of ten thousand boxes has some megabytes.
_MOST_BYTES = 1 << 24
_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}?\sencoding\s*=\s*["']([\w.:-]{1,40})["']""", re.ASCII)
# Names in XML -> Python's codec. Files that say GB2312 have letters of GBK; GB 18030 holds both.
_EAST_ASIAN = {
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "cp936", "windows-936"), "gb18030"),
    **dict.fromkeys(("big5", "cp950"), "cp950"),
    **dict.fromkeys(("shift-jis", "windows-31j", "cp932"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks-c-5601-1987", "cp949"), "cp949"),
    "euc-jp": "euc_jp",
}


def xml_files(path: Path) -> list[Path]:
    """The file itself, or the XML files below a folder, sorted, without hidden ones."""
    if path.is_file():
        return [path]
    return annotation_files(path, ".xml")


def recognises(path: Path) -> bool:
    """Whether this is an XML file, or a folder with one in it, whose root is ``annotation``."""
    if path.is_file() and path.suffix.lower() != ".xml":
        return False
    files = xml_files(path) if path.is_dir() or path.is_file() else []
    # A link that leads nowhere says nothing of the format.
    for file in [file for file in files if file.is_file()][:1]:
        with file.open("rb") as opened:
            return b"<annotation" in opened.read(4096)
    return False


def read(path: Path, images: list[dict] | None, classes: Mapping[str, int | None] | None) -> Found:
    """Read a file or a folder of them; see :mod:`mindspore_dpus.data.boxes.registry` for the arguments.

    A file that is damaged or no annotation is a problem of its frame. ``difficult`` is kept as a column
    where any object has it.

    Args:
        path: an XML file, or a folder that is searched for them.
        images: of ``list_images``; the image that is called as a file is a problem where the file names one
            that is not there.
        classes: not used.

    Raises:
        UserError: there is no such file or folder, or no XML file in it.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist")
    files = xml_files(path)
    if not files:
        raise UserError(f"{path}: no XML files there")
    rows, frames = [], []
    by_name = None if images is None else ByName(images)
    for file in files:
        folder = file.parent.relative_to(path if path.is_dir() else path.parent)
        try:
            frame, found = _read_file(file, folder)
        except ValueError as error:
            named = (folder / file.with_suffix("").name).as_posix()
            rows.append({"path": named, "place": str(file), "error": str(error)})
            continue
        frames.append(frame)
        rows += found
        own = (folder / file.stem).as_posix()
        if by_name is not None and not by_name.all_of(frame["path"]):
            # Renamed, most likely; without its signs it is no frame without signs.
            error = (
                f"names {frame['path']}, which is not in the folder of the frames; is this image meant?"
            )
            rows += [{"path": p, "place": str(file), "error": error} for p in by_name.all_of(own)]
    return Found(rows, frames, None)


def _in_folder(name: str, folder: Path) -> str:
    """The path that an XML file in a folder means, below the folder of the frames: a whole path stays as it
    is, and so does one that names the folder, as some programs write it."""
    if is_whole(name) or PurePosixPath(name).is_relative_to(folder.as_posix()):
        return name
    return (folder / name).as_posix()


def _read_file(file: Path, folder: Path) -> tuple[dict, list[dict]]:
    root = _parse(file)
    if root.tag != "annotation":
        raise ValueError(f"is not Pascal VOC: its root is {root.tag!r}, not 'annotation'")
    name = (root.findtext("filename") or "").strip()
    if not name:
        raise ValueError("has no filename")
    frame: dict = {"path": _in_folder(name, folder)}
    for key in ("width", "height"):
        text = root.findtext(f"size/{key}")
        try:
            frame[key] = side(text)
        except ValueError as error:
            # Of the frame that it names, which may be called otherwise than the file.
            wrong = {"path": frame["path"], "place": str(file), "error": f"size/{key}: {error}"}
            return frame | {"width": None, "height": None}, [wrong]
    rows = []
    for i, item in enumerate(root.findall("object"), start=1):
        row: dict = {"path": frame["path"], "place": f"{file} object {i}"}
        row["label"] = trim(item.findtext("name") or "")
        try:
            xmin, ymin, xmax, ymax = (number(item.findtext(f"bndbox/{key}")) for key in _CORNERS)
            row |= {"x1": xmin - 1, "y1": ymin - 1, "x2": xmax, "y2": ymax}
            if (difficult := item.findtext("difficult")) is not None:
                row["difficult"] = whole(difficult)
        except ValueError as error:
            row["error"] = f"bndbox or difficult is wrong: {error}"
        rows.append(row)
    return frame, rows


def _parse(file: Path) -> ElementTree.Element:
    """The tree of an XML file, without a document type: no entity can read files or fill the memory.

    Raises:
        ValueError: it cannot be read, is damaged, too large, or declares a document type.
    """

    def refuse(*_) -> None:
        raise ValueError("declares a document type, which Pascal VOC has no need of: it is refused")

    try:
        with open_regular(file) as opened:
            data = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise ValueError(f"is larger than {_MOST_BYTES} bytes: that is no annotation of one frame")
    encoding = _encoding(data)
    if encoding is not None:
        try:
            data = data.decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise ValueError(f"is damaged: its byte {error.start} is not in its encoding") from None
    builder = ElementTree.TreeBuilder()
    # None: as the file declares.
    parser = expat.ParserCreate(None if encoding is None else "utf-8")
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"is damaged or no XML: {error}") from None


def _encoding(data: bytes) -> str | None:
    """The codec of a declared encoding of several bytes a letter, which expat does not know; else None."""
    match = _DECLARED.match(data)
    return _EAST_ASIAN.get(match[1].decode().lower().replace("_", "-")) if match else None


def write(annotations: Annotations, folder: Path) -> None:
    """Write an XML file for each frame, at the frame's path below ``folder``.

    Raises:
        UserError: the size of a frame is not known, or two frames differ in nothing but their ending.
    """
    frames = annotations.frames
    check_files_of_frames(frames, folder, "XML", "but Pascal VOC needs it")
    boxes = dict(iter(annotations.boxes.groupby("path", sort=False)))
    for row in frames.itertuples():
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = Path(row.path).name
        size = ElementTree.SubElement(root, "size")
        for key, value in (("width", row.width), ("height", row.height), ("depth", 3)):
            ElementTree.SubElement(size, key).text = str(int(value))
        if row.path in boxes:
            for box in boxes[row.path].itertuples():
                _add(root, box)
        ElementTree.indent(root)
        with atomic(folder / f"{stem(row.path)}.xml") as temporary:
            ElementTree.ElementTree(root).write(temporary, encoding="utf-8")


def _add(root: ElementTree.Element, box) -> None:
    item = ElementTree.SubElement(root, "object")
    ElementTree.SubElement(item, "name").text = box.label
    difficult = getattr(box, "difficult", None)
    if difficult is not None and not pd.isna(difficult):
        ElementTree.SubElement(item, "difficult").text = str(int(difficult))
    corners = ElementTree.SubElement(item, "bndbox")
    for key, value in zip(_CORNERS, (box.x1 + 1, box.y1 + 1, box.x2, box.y2), strict=True):
        ElementTree.SubElement(corners, key).text = str(plain(value))
