"""Which files of a folder are wanted, as images are. Every other file is a known companion, or is counted
and named."""

import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mindspore_dpus.data.images.formats import EXTENSIONS, find_format

logger = logging.getLogger(__name__)

# What stands beside images: descriptions of them, places on the earth, lists, what systems leave behind.
SIDECARS = frozenset(
    (
        *(".json", ".jsonl", ".ndjson", ".xml", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".xmp"),
        *(".ini", ".md5", ".md", ".tfw", ".tifw", ".jgw", ".jpgw", ".pgw", ".wld", ".prj", ".ovr"),
        *(".part", ".html"),
    )
)
SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini", "dicomdir", "readme", "license", "licence"))
# What systems keep in folders of their own: previews, what was deleted, halves of files.
SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "#recycle", "@recycle", "$recycle.bin", "recycler", "lost+found", "__macosx"),
        "system volume information",
    )
)


@dataclass
class Found:
    """What lies below a folder.

    Attributes:
        files: those that are wanted, sorted; links that lead nowhere and what is no regular file among
            them, by their names: whoever reads them says what is wrong.
        passed_over: ending -> how many files, of those that are neither wanted nor known companions.
    """

    files: list[Path] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def find_images(folder: Path) -> Found:
    """Walk a folder with all folders below it; links to folders are followed, but not in a ring.

    Hidden files and folders (``.DS_Store``, ``._a.png``), sidecars and system files are companions. A
    file of another ending, or none, is an image where it is DICOM; one of none also where its first
    bytes are those of another format.

    Args:
        folder: where to begin.
    """
    return sort_files(walk(folder), is_image)


def list_files(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """The wanted files below a folder, as ``find_images`` walks it; what is passed over is said."""
    return said(sort_files(walk(folder), wanted), folder)


def sort_files(files: Iterable[Path], wanted: Callable[[Path], bool]) -> Found:
    """Which of these files are wanted; of the others, those that are no companions are counted."""
    found = Found()
    for file in files:
        if wanted(file):
            found.files.append(file)
        elif not is_companion(file):
            found.passed_over[file.suffix.lower()] += 1
    found.files.sort()
    return found


def said(found: Found, place: object) -> list[Path]:
    """The files that were found; the others are named in a line."""
    if found.passed_over:
        logger.warning(passed_over_line(found.passed_over, place))
    return found.files


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder that is not hidden, nor in a system's own folder, in the order of names;
    links to folders are followed, but for rings: links to a folder that they lie in, however far above.

    Args:
        folder: where to begin.
    """
    above = Path(os.path.abspath(folder)).parents  # noqa: PTH100 - where it lies by its name, not by links
    return _walk(folder, frozenset(map(os.path.realpath, above)))


def _walk(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """``walk``; ``above`` are the real places of the folders that it lies in."""
    place = os.path.realpath(folder)
    if place in above:
        return
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        # A folder that may not be looked into is counted as what it looks like from here.
        yield folder
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            if entry.name.lower() in SYSTEM_FOLDERS:
                continue
            yield from _walk(folder / entry.name, above | {place})
        else:
            yield folder / entry.name


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_companion(file: Path) -> bool:
    """Whether a file is one of those that lie beside images and are none."""
    name = file.name.lower()
    return name.startswith(".") or name in SYSTEM_FILES or file.suffix.lower() in SIDECARS


def is_image(file: Path) -> bool:
    """Whether a file is an image by its name, or by its first bytes; see ``find_images``."""
    if file.name.startswith(".") or file.is_dir():
        return False
    ending = file.suffix.lower()
    if ending in EXTENSIONS:
        return True
    if is_companion(file):
        return False
    if leads_nowhere(file):
        # It may have been a folder of images, or one without an ending: its row says where it leads.
        return not ending or ending[1:].isdigit()
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return False
        with file.open("rb") as opened:
            row = find_format(opened)
    except (OSError, ValueError):
        return False
    return row is not None and (row.any_ending or not ending)


def leads_nowhere(file: Path) -> bool:
    """Whether a file is a link to what is not there, and no known companion by its name."""
    return file.is_symlink() and not is_companion(file) and not os.path.exists(file)  # noqa: PTH110 - rings


def passed_over_line(passed_over: Counter[str], place: object) -> str:
    """``... passed over: 3 .docx, 1 without an ending``: the most frequent first."""
    counts = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    return f"{place}: passed over: " + ", ".join(
        f"{number} {ending or 'without an ending'}" for ending, number in counts
    )
