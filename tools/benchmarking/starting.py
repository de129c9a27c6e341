"""From the start of a new process to the end of its first training step."""

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

from benchmarking.measuring import Prepared

CODE = """
import json
import sys
from pathlib import Path
from benchmarking import {module}
{module}.step(Path(sys.argv[1]), **json.loads(sys.argv[2])).call()
"""


def starting(folder: Path, module: str, options: dict[str, object], installed_anew: bool) -> Prepared:
    """A new process that makes one step.

    Args:
        folder: for what it leaves.
        module: whose ``step`` that is.
        options: of the step.
        installed_anew: whether nothing has been compiled before, each time, as after an installation.
    """
    numbers = count()

    def call() -> None:
        compiled = folder / f"compiled{next(numbers) if installed_anew else ''}"
        paths = os.pathsep.join(filter(None, sys.path))
        subprocess.run(
            [sys.executable, "-c", CODE.format(module=module), str(folder), json.dumps(options)],
            env=os.environ | {"NUMBA_CACHE_DIR": str(compiled), "PYTHONPATH": paths},
            check=True,
            capture_output=True,
        )

    return Prepared(call, 1, warm_up=0 if installed_anew else 1, tree=True)
