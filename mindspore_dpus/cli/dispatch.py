"""Which system a command is about: that of the run, or of the exported model, that it names."""

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.core.choices import unknown
from mindspore_dpus.core.errors import UserError, one_line_errors

# System -> the start of its modules in ``cli.systems``. A verb that a system does not have is an error.
SYSTEMS = ("classification", "machine_sound", "traffic_signs")


def value_of(args: Sequence[str], *names: str) -> str | None:
    """The value of the first of these options that is given, as ``--name=value`` or ``--name value``."""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in names:
            return value if equals else (args[i + 1] if i + 1 < len(args) else None)
    return None


def system_of(args: Sequence[str]) -> str:
    """The system that a command line is about.

    Raises:
        UserError: it names neither a run, nor a model, nor a system; or what it names says no system.
    """
    if named := value_of(args, "--system"):
        return named
    if run := value_of(args, "--run"):
        return _of_run(Path(run))
    if model := value_of(args, "--model"):
        return _of_model(Path(model))
    if {"-h", "--help"} & set(args):
        return SYSTEMS[0]
    raise UserError(
        "name a run with --run, an exported graph with --model, or a system with --system "
        f"({', '.join(SYSTEMS)})"
    )


def _of_run(run: Path) -> str:
    # Only this line is wanted, also on a PC that has no YAML library.
    path = run / "config.yaml"
    if not path.is_file():
        raise UserError(f"{run} is no run folder: give one that a training has filled")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("system:"):
            return line.partition(":")[2].strip()
    raise UserError(f"{path} names no system: is this the configuration of a run?")


def _of_model(model: Path) -> str:
    # Of several graphs, the export is a folder.
    folder = model.is_dir()
    path = model / "bundle.json" if folder else model.with_name(f"{model.name}.json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if folder:
            raise UserError(_no_export(model, path, error)) from None
        return SYSTEMS[0]  # Its reader says what is wrong.
    if folder and not isinstance(found, dict):
        raise UserError(f"{path} is not what an export writes: export again")
    return found.get("system", SYSTEMS[0]) if isinstance(found, dict) else SYSTEMS[0]


def _no_export(folder: Path, path: Path, error: OSError | ValueError) -> str:
    """Why a folder is no export."""
    if not isinstance(error, OSError):
        return f"{path} is damaged: export again"
    if path.exists():
        return f"{path} cannot be read: {error.strerror}"
    if (folder / "config.yaml").is_file():
        return f"{folder} is a run folder: give it with --run, or export it first (tools/export.py)"
    return f"{folder} holds no bundle.json: give a folder that tools/export.py has written, or an .onnx file"


def _without_system(args: Sequence[str]) -> list[str]:
    """The options that a system's own command knows."""
    kept, skip = [], False
    for arg in args:
        if skip or arg.partition("=")[0] == "--system":
            skip = not skip and arg == "--system"
            continue
        kept.append(arg)
    return kept


def run_verb(verb: str, args: Sequence[str] | None) -> int:
    """Call a verb of the system that the command line is about; errors are one line."""

    @one_line_errors
    def call() -> int:
        given = list(sys.argv[1:] if args is None else args)
        system = system_of(given)
        if system not in SYSTEMS:
            raise unknown("system", system, SYSTEMS)
        module = f"mindspore_dpus.cli.systems.{system}_{verb}"
        try:
            commands = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise UserError(f"the system {system} has no command {verb}") from None
        return commands.main(_without_system(given))

    return call()
