"""The systems: each a configuration, a graph of stages, report sections. None imports another.

A system is a package with a module ``system`` that has ``Configuration``, ``check_configuration``,
``stages(config, run)``, ``describe(run, config)``, ``write_config(run, config)``, ``summary(run)`` and
``MEASURES``, what tables over several runs show; and, where it can tell before any run is finished,
``planned_seconds(config)``, how long a run will take.
"""

import importlib
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from mindspore_dpus.core.choices import unknown
from mindspore_dpus.core.configuration import named_system, parse, parse_file
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.stages import fill

logger = logging.getLogger(__name__)

HERE = "mindspore_dpus.systems"
SYSTEMS = {
    "classification": f"{HERE}.classification.system",
    "traffic_signs": f"{HERE}.traffic_signs.system",
    "machine_sound": f"{HERE}.machine_sound.system",
}


def load_system(name: str) -> ModuleType:
    """The module of a system.

    Raises:
        UserError: there is none of that name.
    """
    if name not in SYSTEMS:
        raise unknown("system", name, SYSTEMS)
    return importlib.import_module(SYSTEMS[name])


def parse_config(args: Sequence[str], description: str | None = None):
    """Read a configuration of any system from the command line.

    Args:
        args: the options.
        description: first line of ``--help``.

    Returns:
        The checked configuration of the system that ``system`` names.

    Raises:
        UserError: no system is named, an unknown key, a wrong type, an unreadable file, an impossible
            combination.
    """
    name = named_system(args)
    if name is None:
        if {"-h", "--help"} & set(args):
            name = "classification"
        else:
            raise UserError(
                f"configuration: system is missing; it must be {' or '.join(SYSTEMS)} (a key of the file "
                "that --config names, or --system)"
            )
    system = load_system(name)
    config = parse(system.Configuration, args, description)
    system.check_configuration(config)
    return config


def load_config(path: Path):
    """Read the ``config.yaml`` of a run folder.

    Raises:
        UserError: the file is missing, is not YAML, or has unknown keys or wrong types.
    """
    name = named_system([f"--config={path}"])
    if name is None:
        raise UserError(f"{path} names no system: is this the configuration of a run?")
    system = load_system(name)
    config = parse_file(system.Configuration, path)
    system.check_configuration(config)
    return config


def train(config, targets: Iterable[str] | None = None) -> RunFolder:
    """Fill a run folder; stages that are done for this configuration are skipped.

    On a CPU, members are trained in processes of their own (``device.processes``). Each imports the
    script that calls this, so that script must do its work under ``if __name__ == "__main__":``. Progress
    goes to the logger ``mindspore_dpus``.

    Args:
        config: a checked configuration of any system.
        targets: stages that are wanted; None: all.

    Returns:
        The finished run folder.

    Raises:
        UserError: bad data, bad settings, or a member that diverged. Finished stages stay.
    """
    system = load_system(config.system)
    run = RunFolder(config.output)
    with run.lock():
        graph = system.stages(config, run)
        if not fill(run, graph, partial(system.describe, run, config), targets):
            logger.info("nothing to do: every stage is done for this configuration and data")
        system.write_config(run, config)
    return run
