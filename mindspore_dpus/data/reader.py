"""How a sample's file becomes an array: the seam through which pixels, spectrograms and regions enter."""

from pathlib import Path
from typing import Protocol

import numpy as np


class Reader(Protocol):
    """Reads one kind of sample; a frozen dataclass whose fields are all that changes what it gives.

    Attributes:
        shape: of one array.
        dtype: of one array.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def load(self, path: str | Path) -> np.ndarray:
        """One sample, of ``shape`` and ``dtype``.

        Args:
            path: a file, or a part of it: ``scan.dcm#3`` is its third frame.

        Raises:
            SampleError: the file cannot be read or used; the message names it.
        """
