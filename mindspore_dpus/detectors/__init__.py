"""Inlier models on vectors, one file each; a detector is one row of ``DETECTORS``. No MindSpore here."""

import inspect
from typing import NamedTuple

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.base import Detector
from mindspore_dpus.detectors.gmm import GMM
from mindspore_dpus.detectors.knn import KNN
from mindspore_dpus.detectors.lof import LOF
from mindspore_dpus.detectors.mahalanobis import Mahalanobis


class Row(NamedTuple):
    """A detector.

    Attributes:
        cls: its class.
        size: what its size counts; empty where it has none.
    """

    cls: type[Detector]
    size: str


DETECTORS = {
    "gmm": Row(GMM, "components"),
    "lof": Row(LOF, "neighbours"),
    "knn": Row(KNN, "neighbours"),
    "mahalanobis": Row(Mahalanobis, ""),
}
# The technical report, section 3.1.
SIZES = (1, 2, 4, 16, 32)


def find_row(name: str) -> Row:
    """The row of that name.

    Raises:
        UserError: there is none.
    """
    if name not in DETECTORS:
        raise UserError(f"detector {name!r} is unknown; there are {', '.join(DETECTORS)}")
    return DETECTORS[name]


def option_names(name: str) -> list[str]:
    """What can be set of a detector beside its size and seed."""
    arguments = inspect.signature(find_row(name).cls).parameters
    return [key for key in arguments if key not in ("size", "random_state")]


def create_detector(
    name: str, size: int | None = None, random_state: int = 0, **options: object
) -> Detector:
    """A detector that is yet to be fitted.

    Args:
        name: key of ``DETECTORS``.
        size: components or neighbours; None for those that have none.
        random_state: seed; detectors without randomness ignore it.
        **options: see its class.

    Raises:
        UserError: the name or an option is unknown, or a size is missing or too much.
    """
    row, known = find_row(name), option_names(name)
    for option in options:
        if option not in known:
            raise UserError(
                f"detector {name}: the option {option!r} is unknown; there are "
                f"{', '.join(known) or 'none'}"
            )
    if row.size and size is None:
        raise UserError(f"detector {name}: give a size, the number of {row.size}")
    if not row.size and size is not None:
        raise UserError(f"detector {name}: it has no size; leave size {size!r} out")
    arguments = dict(options)
    if row.size:
        arguments["size"] = size
    if "random_state" in inspect.signature(row.cls).parameters:
        arguments["random_state"] = random_state
    return row.cls(**arguments)
