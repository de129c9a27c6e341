"""What a command that predicts loads: a run, with MindSpore, or an export, without it."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindspore_dpus.core.errors import UserError


def load_source(args: Any, system: str, exported: Callable[[Path, int | None], Any]) -> Any:
    """The run (``--run``) or the export (``--model``) that the command line names, ready to predict.

    Args:
        args: with ``run``, ``model``, ``target`` and ``threads``.
        system: whose ``evaluation.load_scorer`` opens a run.
        exported: opens an export: path, threads.

    Raises:
        UserError: an option of the one with the other; what a run needs is not installed; and what both
            raise.
    """
    if args.model:
        if args.target:
            raise UserError("--device.target is for --run: an export runs on the CPU")
        return exported(args.model, args.threads)
    if args.threads:
        raise UserError("--threads is for --model")
    # Imported late: an export needs nothing of it, and a PC on the line has nothing of it.
    try:
        evaluation = importlib.import_module(f"mindspore_dpus.systems.{system}.evaluation")
    except ModuleNotFoundError as error:
        raise UserError(
            f"--run needs {error.name}, which is not installed here: use --model with what "
            "tools/export.py has written, or install the whole of mindspore_dpus"
        ) from None
    return evaluation.load_scorer(args.run, args.target)
