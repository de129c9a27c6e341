"""The samples of a run as files on disk: where they lie, how they are read, and where that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.settings import results
from mindspore_dpus.data.cache import build_cache, cache_path
from mindspore_dpus.data.hashing import content_hashes, fingerprint
from mindspore_dpus.data.reader import Reader
from mindspore_dpus.data.shards import Shards, open_shards


@dataclass(frozen=True)
class Source:
    """Handed to every stage that reads samples.

    Args:
        root: the data root; paths in tables are relative to it.
        reader: how a file becomes an array.
        cache: folder of arrays, features and hashes, shared by runs.
        unreadable: where a table of samples that cannot be read is left.
    """

    root: Path
    reader: Reader
    cache: Path
    unreadable: Path = field(default=Path("unreadable.csv"))

    def at(self, root: Path, unreadable: Path) -> "Source":
        """The same for data that lie elsewhere."""
        return replace(self, root=root, unreadable=unreadable)

    @property
    def hashes(self) -> Path:
        """The CSV of hashes already known, shared by runs."""
        return self.cache / "hashes.csv"

    def content_hashes(self, paths: Sequence[str]) -> list[str]:
        """See ``data.hashing.content_hashes``."""
        return content_hashes(paths, self.root, self.hashes)

    def fingerprint(self, paths: Sequence[str]) -> str:
        """A hash of these files' names and contents."""
        return fingerprint(paths, self.root, self.hashes)

    def identity(self, paths: Sequence[str]) -> list:
        """What the arrays of these samples depend on, as JSON values."""
        return [self.fingerprint(paths), type(self.reader).__name__, results(self.reader)]

    def filled(self, table: pd.DataFrame) -> Path:
        """The folder that holds every sample of a table as an array; it is made where it is missing.

        Raises:
            UserError: some sample cannot be read.
        """
        path = cache_path(self.cache, self.fingerprint(table["path"]), self.reader)
        build_cache(table, self.root, self.reader, path, self.unreadable)
        return path

    def open(self, table: pd.DataFrame) -> Shards:
        """``filled``, opened: (N, *reader.shape), memory-mapped."""
        return open_shards(self.filled(table))
