"""What a person types -> the image files that are meant."""

import glob
from pathlib import Path

from mindspore_dpus.data.frames import name_frames
from mindspore_dpus.data.reading import EXTENSIONS
from mindspore_dpus.data.samples import image_files, read_paths
from mindspore_dpus.errors import UserError


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
        if path.is_dir():
            found = image_files(path)
        elif path.suffix.lower() == ".csv":
            found = [path.parent / name for name in read_paths(path)]
        elif glob.has_magic(text) and not path.exists():
            matches = (Path(name) for name in glob.glob(text, recursive=True))  # noqa: PTH207
            found = sorted(f for f in matches if f.suffix.lower() in EXTENSIONS and f.is_file())
        else:
            found = [path]
        if not found:
            raise UserError(f"{text}: no images there ({', '.join(EXTENSIONS)})")
        frames = (name for file in found for name in name_frames(str(file), Path()))
        files |= dict.fromkeys(Path(name) for name in frames)
    return list(files)
