"""The image files that boxes lie in: their names and sizes."""

from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import open_regular
from mindspore_dpus.data.boxes.annotations import Found
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.folders import is_image, list_files, walk
from mindspore_dpus.data.images.formats import size_by_header
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.paths import spellings


def list_images(folder: Path) -> list[dict]:
    """The image files below a folder, sorted.

    Returns:
        ``path`` (relative, with ``/``), ``width``, ``height`` of the upright image (None where it is
        broken, or holds several frames).

    Raises:
        UserError: no folder, or no images in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of the frames")
    files = list_files(folder, is_image)
    if not files:
        raise UserError(f"{folder}: no images there")
    frames = []
    for file in files:
        width, height = _size(file) or (None, None)
        frames.append({"path": file.relative_to(folder).as_posix(), "width": width, "height": height})
    return frames


def annotation_files(folder: Path, ending: str) -> list[Path]:
    """The files of an ending, in small or capital letters, below a folder, sorted; folders are walked as
    those of images: links that lead nowhere are among them, for whoever reads them to say so."""
    return sorted(file for file in walk(folder) if file.suffix.lower() == ending)


def _size(file: Path) -> tuple[int, int] | None:
    """Width and height as the image is shown; of formats that do not tell them soon, by decoding it.
    Boxes are of files of one image."""
    try:
        with open_regular(file) as opened:
            size = size_by_header(opened)
        if size is not None:
            return size
        height, width = read_image(file).values.shape[:2]
        return width, height
    except (OSError, ImageError):
        return None


class ByName:
    """Finds a frame by the name that an annotation gives it: the file itself, else, as annotations
    outlive conversions (00001.ppm is now 00001.jpg), the only one that differs in its ending. Of a whole
    path (C:\\frames\\00001.jpg), which is one of the annotator's machine, the file's name counts.

    Args:
        frames: of ``list_images``.
    """

    def __init__(self, frames: list[dict]) -> None:
        self._paths = {frame["path"] for frame in frames}
        self._stems: dict[str, list[str]] = {}
        # In whatever folder: by the file's name, and by its name without the ending.
        self._named: dict[str, list[str]] = {}
        for path in sorted(self._paths):
            self._stems.setdefault(stem(path), []).append(path)
            for name in {PurePosixPath(path).name, PurePosixPath(path).stem}:
                self._named.setdefault(name, []).append(path)

    def find(self, name: str) -> tuple[str | None, str]:
        """The path of the frame, or None; and what is wrong, empty where nothing is."""
        return _only(name, self.all_of(name))

    def all_of(self, name: str) -> list[str]:
        """The paths of all frames that a name may mean."""
        ways = spellings(name)
        if (there := next((way for way in ways if way in self._paths), None)) is not None:
            return [there]
        if is_whole(name.strip()):
            files = [PureWindowsPath(way) for way in ways]
            keys = [*(file.name for file in files), *(file.stem for file in files)]
            return next((self._named[key] for key in keys if key in self._named), [])
        stems = [stem(way) for way in ways]
        return next((self._stems[key] for key in stems if key in self._stems), [])


def is_whole(name: str) -> bool:
    """Whether an annotation names a file by a whole path: of Windows (C:\\..., \\\\server\\...) or Unix."""
    return bool(PureWindowsPath(name).root)


def _only(name: str, found: list[str]) -> tuple[str | None, str]:
    """The only frame that a name may mean; what is wrong, where there is not one."""
    if len(found) > 1:
        return None, f"the frame {name} may be {found[0]} or {found[1]}"
    if not found:
        return None, f"the frame {name} is not in the folder of the frames"
    return found[0], ""


def stem(path: str) -> str:
    """A relative path without its ending."""
    return PurePosixPath(path).with_suffix("").as_posix() if PurePosixPath(path).name else path


def check_files_of_frames(frames: pd.DataFrame, folder: Path, kind: str, need: str) -> None:
    """Refuse frames that a format with a file for each, and the frame's size in it, cannot hold.

    Args:
        frames: ``path, width, height``.
        folder: of the files.
        kind: what the files are, such as ``XML``.
        need: why a size must be known; ends the sentence.

    Raises:
        UserError: two frames differ in nothing but their ending, or the size of one is not known.
    """
    stems = frames["path"].map(stem)
    if stems.duplicated().any():
        name = frames["path"][stems.duplicated()].iloc[0]
        raise UserError(f"{folder}: {name} and another frame would have the same {kind} file")
    unknown = frames[["width", "height"]].isna().any(axis=1)
    if unknown.any():
        name = frames["path"][unknown].iloc[0]
        raise UserError(f"{folder}: the size of {name} is not known, {need}")


def with_images(found: Found, images: list[dict]) -> Found:
    """What was found, with the names and sizes of the image files, and with all of these as frames.

    Args:
        found: of a reader.
        images: of ``list_images``.

    Returns:
        As given, but a row for each frame that is missing, or whose annotation gives another size than
        its image has: its boxes would lie elsewhere.
    """
    names = ByName(images)
    frames = {frame["path"]: frame for frame in images}
    wrong: dict[str, str] = {}
    taken: dict[str, str] = {}
    for listed in found.frames:
        path, error = names.find(listed["path"])
        if path is not None:
            error = _other_size(listed, frames[path])
            if path in taken:
                error = f"the image {path} is also that of {taken[path]}"
            taken[path] = listed["path"]
            size = {k: frames[path][k] or listed[k] for k in ("width", "height")}
            frames[path] = listed | {"path": path} | size
        if error:
            wrong[listed["path"]] = error
    rows, told = [], set()
    for row in found.rows:
        may_be = names.all_of(row["path"])
        error = row.get("error") or wrong.get(row["path"]) or _only(row["path"], may_be)[1]
        told.add(row["path"])
        # Of each that it may be, nobody knows what it shows.
        for name in may_be or [row["path"]]:
            rows.append(row | {"path": name} | ({"error": error} if error else {}))
    for name in (name for name in wrong if name not in told):
        for path in names.all_of(name) or [name]:
            rows.append({"path": path, "place": name, "error": wrong[name]})
    return replace(found, rows=rows, frames=list(frames.values()))


def _other_size(listed: dict, image: dict) -> str:
    """What is wrong where an annotation and an image differ in size; empty where they do not."""
    old, new = ([f[k] or None for k in ("width", "height")] for f in (listed, image))
    if None in (*old, *new) or old == new:
        return ""
    turned = ", as it is shown: annotate it the way up that its orientation tag says"
    return (
        f"the annotation is of {old[0]} x {old[1]} pixels, {image['path']} has {new[0]} x {new[1]}"
        f"{turned if old == new[::-1] else ''}"
    )
