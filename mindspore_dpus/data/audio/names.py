"""What the names of the DCASE challenges' Task 2 (2020 to 2023) say of a clip.

Below ``<machine>/train``, ``<machine>/test`` (2021: ``source_test`` and ``target_test``):

* 2020: ``normal_id_00_00000000.wav``; of the evaluation ``id_01_00000000.wav``;
* 2021 to 2023: ``section_00_source_train_normal_0000_<attributes>.wav``; of the evaluation
  ``section_03_source_test_0000.wav`` (2021), ``section_03_test_0000.wav`` (2022) and
  ``section_00_0000.wav`` (2023).
"""

import re
from pathlib import PurePath
from typing import NamedTuple

from mindspore_dpus.core.errors import UserError

SOURCE, TARGET, UNKNOWN = "source", "target", "unknown"
DOMAINS = (SOURCE, TARGET, UNKNOWN)
NORMAL, ANOMALY = "normal", "anomaly"
LABELS = (NORMAL, ANOMALY, UNKNOWN)
# Folder below the machine's -> domain (where the folder says it) and split.
FOLDERS = {
    "train": (UNKNOWN, "train"),
    "test": (UNKNOWN, "test"),
    "source_test": (SOURCE, "test"),
    "target_test": (TARGET, "test"),
}
NO_ATTRIBUTE = "noAttribute"

OF_2020 = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<section>\d+)_\d+")
SINCE_2021 = re.compile(
    r"section_(?P<section>\d+)(?:_(?P<domain>source|target))?(?:_(?P<split>train|test))?"
    r"(?:_(?P<label>normal|anomaly))?_\d+(?:_(?P<attributes>.+))?"
)
FORMS = "section_00_source_train_normal_0000_<attributes>.wav, or normal_id_00_00000000.wav as in 2020"


class ClipName(NamedTuple):
    """What a path says; all text.

    Attributes:
        machine: machine type: the name of the folder.
        section: two digits at least (2020: the machine's id).
        domain: ``source``, ``target`` or ``unknown``.
        split: ``train`` or ``test``.
        label: ``normal``, ``anomaly`` or ``unknown``.
        attributes: as they are written; empty without any. ``parse_attributes`` takes them apart.
    """

    machine: str
    section: str
    domain: str
    split: str
    label: str
    attributes: str


def parse_name(path: str | PurePath) -> ClipName:
    """Read the path of a clip.

    Args:
        path: ends in ``<machine>/<train or test>/<file>``.

    Raises:
        UserError: the folders or the file's name are not of these forms, or contradict each other.
    """
    path = PurePath(path)
    machine, folder = ("", "", *path.parts[:-1])[-2:]
    if folder not in FOLDERS or not machine:
        raise UserError(
            f"{path} does not lie in <machine>/{'|'.join(FOLDERS)}/; move it there, or write a "
            "manifest.csv"
        )
    domain, split = FOLDERS[folder]
    found = SINCE_2021.fullmatch(path.stem) or OF_2020.fullmatch(path.stem)
    if found is None:
        raise UserError(
            f"{path} is not named as DCASE names its clips ({FORMS}); rename it, or write a manifest.csv"
        )
    said = {key: value for key, value in found.groupdict().items() if value is not None}
    if said.get("split", split) != split:
        raise UserError(f"{path} is of the split {said['split']} by its name, but lies in {folder}")
    if domain != UNKNOWN and said.get("domain", domain) != domain:
        raise UserError(f"{path} is of the domain {said['domain']} by its name, but lies in {folder}")
    attributes = said.get("attributes", "")
    return ClipName(
        machine,
        section_name(said["section"]),
        said.get("domain", domain),
        split,
        said.get("label", UNKNOWN),
        "" if attributes == NO_ATTRIBUTE else attributes,
    )


def section_name(text: str) -> str:
    """One spelling of a section: numbers have two digits at least, as in file names; text is kept."""
    return f"{int(text):02d}" if text.isascii() and text.isdigit() else text


def parse_attributes(text: str) -> dict[str, str]:
    """Take the attributes of a name apart.

    Names stand before their values (``vel_6_loc_A``), units behind them (2021: ``25_mm``). What is left
    alone at the end is a name with an empty value (``strength_1_ambient``: ambient).

    Args:
        text: as in ``ClipName.attributes``; empty or ``noAttribute`` for none.

    Returns:
        Name or unit -> value.

    Raises:
        UserError: a name comes twice.
    """
    words = text.split("_") if text not in ("", NO_ATTRIBUTE) else []
    found: dict[str, str] = {}
    for name, value in zip(words[::2], [*words[1::2], ""][: len(words[::2])], strict=True):
        if _is_number(name) and value and not _is_number(value):
            name, value = value, name
        if name in found:
            raise UserError(f"the attributes {text!r} name {name!r} twice")
        found[name] = value
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
