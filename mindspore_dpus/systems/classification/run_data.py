"""configuration -> the data of a run: its samples and their split, and where they lie."""

import dataclasses
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.hashing import combined_hash
from mindspore_dpus.data.samples import find_manifest, find_samples
from mindspore_dpus.data.source import Source
from mindspore_dpus.data.splits import assign_splits
from mindspore_dpus.systems.classification.configuration import Configuration


def data_root(run: RunFolder, config: Configuration) -> Path:
    """Where a run's own images lie."""
    return run / "data" if config.simulate.enabled else Path(config.data.root)


def source_of(run: RunFolder, config: Configuration) -> Source:
    """Where a run's own images lie, how they are read, and where that is kept."""
    cache = Path(config.data.cache_dir or run.path.parent / "cache")
    return Source(data_root(run, config), config.images, cache, run / "unreadable.csv")


class Found:
    """The samples as they lie in the data root, looked for once: the identity and the table of the stage
    ``samples``.

    Args:
        run: the run folder.
        config: the configuration.
        source: where the samples lie.
    """

    def __init__(self, run: RunFolder, config: Configuration, source: Source) -> None:
        self.run = run
        self.config = config
        self.source = source

    def settings(self) -> list:
        """What the sample table depends on besides the configuration, once the data are there."""
        config, root = self.config, self.source.root
        data = dataclasses.replace(config.data, root=str(root))
        if find_manifest(data) is None and self.run.path.resolve().is_relative_to(root.resolve()):
            raise UserError(
                f"output {self.run.path} lies in data.root ({root}), where every folder of images is a "
                "class; choose a folder outside"
            )
        self.table = find_samples(data)
        self.contents = self.source.content_hashes(self.table["path"])
        return [self.table.to_csv(index=False), combined_hash(self.table["path"], self.contents)]

    def make(self, key: str) -> None:
        """``samples.csv``: path, label, split, group."""
        config = self.config
        parted = "groups_across_splits" in config.audit.allow
        table = assign_splits(self.table, config.split, config.seed, self.contents, parted)
        write_table(table, self.run / "samples.csv")
