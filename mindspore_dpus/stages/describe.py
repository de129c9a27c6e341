"""What stands in a run folder about the run: its configuration and what made it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.core.configuration import dump_config
from mindspore_dpus.core.files import write_json, write_text
from mindspore_dpus.core.provenance import environment
from mindspore_dpus.core.run_folder import RunFolder

# Keys of the section ``data`` that name files and folders.
PLACES = ("root", "manifest", "cache_dir")


def describe(run: RunFolder, config, places: Sequence[str] = PLACES) -> None:
    """``config.yaml`` and ``environment.json``: what makes this run."""
    write_config(run, config, places)
    write_json(run / "environment.json", environment() | {"seed": config.seed})


def write_config(run: RunFolder, config, places: Sequence[str] = PLACES) -> None:
    """``config.yaml``, places as absolute paths: the run can be evaluated from any folder.

    Args:
        run: the run folder.
        config: of a system with a section ``data``.
        places: keys of that section that name files and folders.
    """
    absolute = {
        name: str(Path(value).resolve()) for name in places if (value := getattr(config.data, name))
    }
    text = dump_config(dataclasses.replace(config, data=dataclasses.replace(config.data, **absolute)))
    path = run / "config.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
