"""config -> samples -> split -> pixels: what a run is made from."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.config import Config
from mindspore_dpus.core.configuration import dump_config, plain
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.provenance import environment
from mindspore_dpus.core.run_folder import RunFolder, write_json, write_text
from mindspore_dpus.data import samples as sample_table
from mindspore_dpus.data.cache import build_cache, cache_path
from mindspore_dpus.data.hashing import combined_hash, content_hashes, fingerprint
from mindspore_dpus.data.images.preparing import ImageSpec
from mindspore_dpus.data.shards import Shards, open_shards
from mindspore_dpus.data.simulate.radiographs import simulate
from mindspore_dpus.data.splits import assign_splits
from mindspore_dpus.models.pretrained import find_weights

# Where the data lies does not change what is learnt from it (a moved or copied folder re-runs nothing),
# nor does what is refused, how often it is tried again, on which machines it is learnt, or what is
# compared beside it.
PLACES = (
    *("root", "manifest", "allow_outside_root", "cache_dir", "weights_dirs", "max_pixels"),
    *("on_divergence", "max_halvings", "cluster_range"),
    *("executor", "ray_address", "ray_cpus", "ray_retries"),
)


def settings(section: object) -> dict:
    """A configuration section without the keys that change no result."""
    return {key: value for key, value in plain(section).items() if key not in PLACES}


def write_provenance(run: RunFolder, config: Config) -> None:
    """``config.yaml`` and ``environment.json``: what makes this run.

    A report of other settings no longer says that the run is finished: should this start end halfway,
    its old results are not taken for those of the new settings.
    """
    run.forget("report", [])
    write_config(run, config)
    write_json(run / "environment.json", environment() | {"seed": config.seed})


def write_config(run: RunFolder, config: Config) -> None:
    """``config.yaml``, places as absolute paths: the run can be evaluated from any folder."""
    data = config.data
    places = {
        key: str(Path(value).resolve())
        for key in ("root", "manifest", "cache_dir")
        if (value := getattr(data, key))
    }
    text = dump_config(dataclasses.replace(config, data=dataclasses.replace(data, **places)))
    path = run / "config.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def data_root(run: RunFolder, config: Config) -> Path:
    """Where a run's own images lie."""
    return run / "data" if config.data.simulate.enabled else Path(config.data.root)


def find_root(run: RunFolder, config: Config) -> Path:
    """The data root; simulated radiographs are made first where the configuration wants them."""
    root = data_root(run, config)
    if config.data.simulate.enabled:
        run.stage(
            "simulate",
            [settings(config.data.simulate), config.seed],
            ["data/manifest.csv"],
            lambda: simulate(config.data.simulate, root, config.seed),
        )
    return root


def make_samples(run: RunFolder, config: Config, root: Path) -> None:
    """``samples.csv``: path, label, split, group."""
    data = dataclasses.replace(config.data, root=str(root))
    scanned = sample_table.find_manifest(data) is None
    if scanned and run.path.resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"--output {run.path} lies in data.root ({root}), where every folder of images is a class; "
            "choose a folder outside"
        )
    found = sample_table.find_samples(data)
    contents = content_hashes(found["path"], root, hash_memory(run, config))
    state = [found.to_csv(index=False), combined_hash(found["path"], contents)]

    def make() -> None:
        parted = "groups_across_splits" in config.audit.allow
        table = assign_splits(found, config.split, config.seed, contents, parted)
        sample_table.write_table(table, run / "samples.csv")

    run.stage(
        "samples",
        [settings(config.data), settings(config.split), config.seed, state],
        ["samples.csv"],
        make,
        version=2,
    )


def read_samples(run: RunFolder) -> tuple[pd.DataFrame, list[str], np.ndarray]:
    """The sample table, the class names, and each sample's class index.

    Raises:
        UserError: the table is torn.
    """
    table = sample_table.read_table(run / "samples.csv")
    for name in sample_table.COLUMNS:
        if name not in table:
            raise UserError(
                f"{run / 'samples.csv'} has lost its column {name!r}; delete it and start the same "
                "command again"
            )
    classes = sample_table.class_names(table)
    return table, classes, table["label"].map(classes.index).to_numpy()


def load_images(
    run: RunFolder,
    config: Config,
    root: Path,
    table: pd.DataFrame | None = None,
    unreadable: Path | None = None,
) -> Shards:
    """``image_cache``, opened: (N, H, W, C), memory-mapped."""
    return open_shards(image_cache(run, config, root, table, unreadable))


def image_cache(
    run: RunFolder,
    config: Config,
    root: Path,
    table: pd.DataFrame | None = None,
    unreadable: Path | None = None,
) -> Path:
    """The folder that holds every image of a table, decoded and resized; it is made where it is missing.

    Args:
        run: the run folder.
        config: how an image is prepared, and where the cache lies.
        root: the data root.
        table: default: the run's ``samples.csv``.
        unreadable: where a list of unreadable images is left; default: in the run folder.
    """
    if table is None:
        table = sample_table.read_table(run / "samples.csv")
    spec = ImageSpec.from_config(config.data)
    path = cache_path(cache_dir(run, config), data_fingerprint(run, config, root, table["path"]), spec)
    build_cache(table, root, spec, path, unreadable or run / "unreadable.csv")
    return path


def cache_dir(run: RunFolder, config: Config) -> Path:
    """Folder of decoded images and features, shared by runs."""
    return Path(config.data.cache_dir or run.path.parent / "cache")


def data_fingerprint(run: RunFolder, config: Config, root: Path, paths: pd.Series) -> str:
    """A hash of these files' names and contents."""
    return fingerprint(paths, root, hash_memory(run, config))


def hash_memory(run: RunFolder, config: Config) -> Path:
    """The CSV of hashes already known, shared by runs."""
    return cache_dir(run, config) / "hashes.csv"


def weights_file(pretrained: str | None, backbone: str, config: Config) -> Path | None:
    """The checkpoint that ``pretrained`` names, or None for random weights."""
    if pretrained is None:
        return None
    return find_weights(pretrained, backbone, config.model.weights_dirs)
