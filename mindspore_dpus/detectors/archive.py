"""Detectors in one .npz file: arrays only, so that reading one runs no code of the file's."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic
from mindspore_dpus.detectors import find_row
from mindspore_dpus.detectors.base import Detector

FORMAT = 1


def save_detectors(path: Path, detectors: Mapping[str, Detector]) -> None:
    """Write fitted detectors.

    Args:
        path: ends in ``.npz``.
        detectors: any name (a section, a domain) -> fitted detector; at least one.
    """
    if path.suffix != ".npz" or not detectors:
        raise ValueError(f"{path}: it takes a name that ends in .npz and at least one detector")
    arrays = {
        "format": np.array(FORMAT),
        "names": np.array(list(detectors)),
        "detectors": np.array([detector.name for detector in detectors.values()]),
    }
    for i, detector in enumerate(detectors.values()):
        arrays |= {f"{i}/{key}": value for key, value in detector.to_arrays().items()}
    with atomic(path) as temporary:
        np.savez(temporary, **arrays)


def load_detectors(path: Path) -> dict[str, Detector]:
    """What ``save_detectors`` wrote; the scores are the same bit for bit.

    Raises:
        UserError: the file is missing, damaged, or none of detectors.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file) if isinstance(file, np.lib.npyio.NpzFile) else {}
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError):
        raise UserError(f"{path} is not a readable .npz file") from None
    if not {"format", "names", "detectors"} <= arrays.keys():
        raise UserError(f"{path} holds no detectors")
    if arrays["format"].item() != FORMAT:
        raise UserError(f"{path}: its format is {arrays['format']}; this version reads {FORMAT}")
    loaded = {}
    for i, (name, kind) in enumerate(zip(arrays["names"], arrays["detectors"], strict=True)):
        own = {key.partition("/")[2]: value for key, value in arrays.items() if key.startswith(f"{i}/")}
        try:
            loaded[str(name)] = find_row(str(kind)).cls.from_arrays(own)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    return loaded
