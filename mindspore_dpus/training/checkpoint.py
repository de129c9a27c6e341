"""Checkpoints: safetensors files with a stamp that says what they belong to, and a checksum.

safetensors instead of MindSpore's own format: it opens without MindSpore, carries the stamp inside,
never runs code when it is read, and notices an incomplete file. It does not notice a flipped bit, so
the header holds a SHA-256 of everything that is read.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic


def save_checkpoint(path: Path, arrays: dict[str, np.ndarray], stamp: dict) -> None:
    """Write a checkpoint atomically.

    Args:
        path: a ``.safetensors`` file.
        arrays: name -> array.
        stamp: JSON values: what the checkpoint belongs to and where it stands.
    """
    arrays = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    text = json.dumps(stamp)
    header = {"stamp": text, "sha256": _checksum(arrays, text)}
    with atomic(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            # Written array by array: the whole file in memory would be as large as weights and moments.
            save_file(arrays, temporary, header)
        except SafetensorError as error:
            raise _of_the_system(error) from None
        temporary.chmod(mode)  # The library lets nobody else read it.


def _of_the_system(error: SafetensorError) -> Exception:
    """A full disk or the like as Python would have raised it: the library names the number only."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else error


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read a checkpoint and its stamp, and check that both are what was written.

    Raises:
        UserError: the file is missing, damaged, changed since, or was not written by ``save_checkpoint``.
    """
    try:
        with safe_open(path, "np") as file:
            header = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text, expected = header.pop("stamp"), header.pop("sha256", None)
        # Those of older versions have no checksum; but neither have they another key, such as a
        # damaged name of it.
        if header or (expected is not None and expected != _checksum(arrays, text)):
            raise ValueError("its content does not fit its checksum")
        stamp = json.loads(text)
        if not isinstance(stamp, dict):
            raise ValueError("its stamp is no table of keys")
        return arrays, stamp
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the member was not trained to its end") from None
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is damaged or not a checkpoint of a run ({reason}); delete it and train again"
        ) from None


def _checksum(arrays: dict[str, np.ndarray], stamp: str) -> str:
    """SHA-256 over the stamp, and names, types, shapes and bytes of the arrays."""
    state = hashlib.sha256(stamp.encode())
    for name in sorted(arrays):
        value = arrays[name]
        state.update(f"\0{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        state.update(value.reshape(-1).view(np.uint8))
    return state.hexdigest()
