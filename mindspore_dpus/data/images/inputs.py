"""What a person types -> the image files that are meant. Needs Python and OpenCV only."""

import csv
import glob
import os
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.frames import name_frames, split_frame
from mindspore_dpus.data.images.reading import EXTENSIONS


def is_image(file: Path) -> bool:
    """Whether a file's name is that of an image, and it is neither hidden nor a folder or device."""
    return file.suffix.lower() in EXTENSIONS and not file.name.startswith(".") and file.is_file()


def image_files(folder: Path) -> list[Path]:
    """All image files below a folder, sorted; hidden files and folders are passed over."""
    return sorted(
        file
        for file in folder.rglob("*")
        if is_image(file) and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def expand_paths(inputs: list[str]) -> list[Path]:
    """Expand files, folders, patterns and CSV files.

    Args:
        inputs: an image (also one that does not exist: its row will say so), a frame of one
            (``scan.dcm#3``), a folder (all images below it), a glob pattern, or a CSV with a column
            ``path``, relative to the CSV.

    Returns:
        The files in the order given, each once; of a file of several frames, every frame.

    Raises:
        UserError: an input that holds no images.
    """
    files: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if os.path.isdir(path):  # noqa: PTH112 - a name that is too long is none, not an error
            found = image_files(path)
        elif path.suffix.lower() == ".csv":
            found = [path.parent / name for name in read_paths(path)]
        elif glob.has_magic(text) and not os.path.exists(split_frame(path)[0]):  # noqa: PTH110
            matches = (Path(name) for name in glob.glob(text, recursive=True))  # noqa: PTH207
            found = sorted(f for f in matches if f.suffix.lower() in EXTENSIONS and f.is_file())
        else:
            found = [path]
        if not found:
            raise UserError(f"{text}: no images there ({', '.join(EXTENSIONS)})")
        frames = (name for file in found for name in _frames(file))
        files |= dict.fromkeys(Path(name) for name in frames)
    return list(files)


def _frames(file: Path) -> list[str]:
    try:
        return name_frames(str(file), Path())
    except (UserError, OSError):
        # Whoever reads it says what is wrong, in its row: the other files have theirs.
        return [str(file)]


def read_paths(file: Path) -> list[str]:
    """The column ``path`` of a CSV.

    Raises:
        UserError: the file is missing, is no CSV table, has no such column or leaves it empty.
    """
    try:
        # utf-8-sig: Excel begins a file with a mark.
        with open(file, newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            rows = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(f"{file} does not exist") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a CSV table: {error}") from None
    if "path" not in columns:
        raise UserError(f"{file} has no column 'path'; it needs path")
    for line, row in rows:
        if None in row:
            raise UserError(f"{file} line {line} has more cells than the header")
        if not row["path"]:
            raise UserError(f"{file} line {line} has an empty path")
    return [row["path"] for _, row in rows]
