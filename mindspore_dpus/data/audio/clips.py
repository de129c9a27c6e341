"""Folders of sound or a CSV -> sample table, a row for each clip.

Beside the columns of every sample table (``path``, ``label``, ``split``, ``group``), a clip has
``machine``, ``section``, ``domain`` and ``attributes``; all are text. Labels are ``normal``, ``anomaly``
and ``unknown``; a split may hold one of them only. Other sound that training sets machines apart from
(outliers) bears the machine ``outlier``, no section, and any label.
"""

from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError, explain
from mindspore_dpus.data.audio.names import DOMAINS, FOLDERS, LABELS, UNKNOWN, parse_name, section_name
from mindspore_dpus.data.audio.reading import EXTENSIONS, is_clip
from mindspore_dpus.data.images.folders import list_files
from mindspore_dpus.data.images.frames import refuse_nameless
from mindspore_dpus.data.labels import refuse_alike, trim_all
from mindspore_dpus.data.paths import native_all, refuse_outside
from mindspore_dpus.data.samples import manifest_in, read_manifest

COLUMNS = ["path", "machine", "section", "domain", "split", "label", "attributes", "group"]
OUTLIER = "outlier"


def find_clips(
    root: Path, *, manifest: Path | None = None, allow_outside_root: bool = False
) -> pd.DataFrame:
    """Collect the clips of a folder.

    Args:
        root: the data root.
        manifest: a CSV that names the clips; None: ``root/manifest.csv`` where it exists, else folders
            and names as DCASE has them.
        allow_outside_root: whether a manifest may name files elsewhere.

    Returns:
        The sample table, sorted by path where no manifest orders it; further columns of a manifest are
        kept behind.

    Raises:
        UserError: no such folder or manifest, no clips, names that are not DCASE's, or what
            ``read_clip_manifest`` refuses.
    """
    if not root.is_dir():
        raise UserError(f"data.root: {root} is not a folder; give the folder of your recordings")
    manifest = manifest or manifest_in(root)
    if manifest is None:
        return scan_dcase(root)
    table = read_clip_manifest(manifest)
    table["path"] = native_all(table["path"], root, manifest)
    if not allow_outside_root:
        refuse_outside(table["path"], root, manifest)
    return table


def scan_dcase(root: Path) -> pd.DataFrame:
    """Read the folders and names of DCASE's Task 2, 2020 to 2023.

    Args:
        root: holds ``dev_data`` and the like, or machines, or is the folder of one machine.

    Raises:
        UserError: there are no clips, or one is not named as DCASE names them, or not in UTF-8,
            or a link without an ending leads nowhere.
    """
    rows = []
    for file in list_files(root, is_clip):
        path = file.relative_to(root)
        refuse_nameless(path.as_posix(), root)
        if not file.suffix:
            # A link that leads nowhere; its name says nothing, so that it cannot be a row.
            raise UserError(f"{file} {explain(FileNotFoundError(), file)}: mend or remove it")
        # The folder of one machine: its name is not in the path below it.
        named = root.resolve().name / path if len(path.parts) == 2 and path.parts[0] in FOLDERS else path
        rows.append({"path": path.as_posix(), "group": "", **parse_name(named)._asdict()})
    if not rows:
        raise UserError(
            f"data.root: no clips under {root}; expected <machine>/train/*.wav and <machine>/test/*.wav "
            f"({', '.join(EXTENSIONS)}), or a manifest.csv"
        )
    return pd.DataFrame(rows)[COLUMNS]


def read_clip_manifest(manifest: Path) -> pd.DataFrame:
    """Read a CSV with the columns path, machine, section, label and, optionally, domain, split,
    attributes, group and others.

    An empty domain is ``unknown``, an empty section is allowed to outliers only; a section that is a
    number is written as in file names (``0`` is ``00``).

    Raises:
        UserError: the file is missing, no CSV table, lacks a column, repeats a path, leaves a path,
            label, machine or section empty, has an unknown split, domain or label, or machines, or sections of
            one, that look alike.
    """
    table = read_manifest(manifest)
    for name in ("machine", "section"):
        if name not in table:
            raise UserError(f"{manifest} has no column {name!r}; it needs path, machine, section, label")
    for name in ("domain", "attributes"):
        if name not in table:
            table[name] = ""
    for name in ("machine", "section", "domain"):
        table[name] = trim_all(table[name], f"{name}s", manifest)
    table["domain"] = table["domain"].replace("", UNKNOWN)
    table["section"] = table["section"].map(section_name)
    of_machines = table["machine"] != OUTLIER
    for name, wrong, message in (
        ("machine", table["machine"] == "", "an empty machine"),
        ("section", of_machines & (table["section"] == ""), "an empty section"),
        ("domain", ~table["domain"].isin(DOMAINS), f"allowed are {', '.join(DOMAINS)} or nothing"),
        ("label", of_machines & ~table["label"].isin(LABELS), f"allowed are {', '.join(LABELS)}"),
    ):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            value = table[name].iloc[row]
            has = f"the {name} {value!r}; {message}" if value else message
            raise UserError(f"{manifest} line {row + 2} has {has}")
    refuse_alike(table["machine"], manifest, "machines")
    for machine, sections in table.groupby("machine", sort=False)["section"]:
        refuse_alike(sections, manifest, f"sections of {machine}:")
    return table[COLUMNS + [name for name in table if name not in COLUMNS]]
