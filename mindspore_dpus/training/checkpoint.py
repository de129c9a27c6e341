"""Checkpoints: safetensors files with a stamp that says what they belong to.

safetensors instead of MindSpore's own format: it opens without MindSpore, carries the stamp inside,
never runs code when it is read, and notices a torn file.
"""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mindspore_dpus.errors import UserError
from mindspore_dpus.run import atomic


def save_checkpoint(path: Path, arrays: dict[str, np.ndarray], stamp: dict) -> None:
    """Write a checkpoint atomically.

    Args:
        path: a ``.safetensors`` file.
        arrays: name -> array.
        stamp: JSON values: what the checkpoint belongs to and where it stands.
    """
    data = save(
        {name: np.asarray(value, order="C") for name, value in arrays.items()},
        {"stamp": json.dumps(stamp)},
    )
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read a checkpoint and its stamp.

    Raises:
        UserError: the file is missing, torn, or was not written by ``save_checkpoint``.
    """
    try:
        with safe_open(path, "np") as file:
            stamp = json.loads((file.metadata() or {})["stamp"])
            return {name: file.get_tensor(name) for name in file.keys()}, stamp  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the member was not trained to its end") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is torn or not a checkpoint of a run ({reason}); delete it and train again"
        ) from None
