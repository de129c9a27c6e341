"""MindIR: for MindSpore itself and MindSpore Lite."""

from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.export.graph import FusedEnsemble, Members


def write_mindir(members: Members, path: Path) -> None:
    """Write one graph, its batch left open.

    Args:
        members: the trained networks.
        path: a ``.mindir`` file.

    Raises:
        UserError: MindSpore cannot write this backbone.
    """
    cell = FusedEnsemble(members).set_train(False)
    kind = ms.uint8 if members.spec.bits == 8 else ms.uint16
    try:
        images = Tensor(shape=[None, *members.spec.shape], dtype=kind)
        ms.export(cell, images, file_name=str(path), file_format="MINDIR")
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"MindSpore {ms.__version__} cannot write this backbone as MindIR: "
            f"{str(error).splitlines()[0]}"
        ) from None
    path.chmod(0o644)  # MindSpore leaves it unreadable for all but its owner.


def read_mindir(path: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Run a written graph as MindSpore does: images -> fused (N, C), members (N, t, C)."""
    cell = nn.GraphCell(ms.load(str(path)))
    return lambda images: tuple(output.asnumpy() for output in cell(Tensor(images)))
