"""spectrograms -> an extractor for each machine -> embeddings of its clips."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.clips import OUTLIER
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.names import TARGET
from mindspore_dpus.data.source import Source
from mindspore_dpus.detectors.systems import Vectors
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.run_data import (
    EXTRACTOR,
    HELD_OUT,
    machines,
    read_clips,
    train_normals,
)
from mindspore_dpus.systems.machine_sound.spectrograms import Spectrograms, open_spectrograms
from mindspore_dpus.systems.machine_sound.vectors import (
    rows_of,
    save_vectors,
    used,
    vectors_file,
)

# Of other machines' held-out clips, so many validate at most.
VALIDATION = 200


def members_folder(folder: Path, name: str) -> Path:
    """Where the extractors of a network lie, one folder a machine."""
    return folder / "extractors" / name


def network_of(config: Configuration, name: str, n_sections: int):
    """The ``training.members.Network`` of machines with so many sections."""
    from mindspore_dpus.systems.machine_sound.networks import SoundNetwork, frozen_options

    extractors = config.extractors
    return SoundNetwork(
        name,
        FrontEnd(config.audio).shape,
        extractors.embedding_size,
        n_sections,
        extractors.batches == "domain",
        frozen_options(extractors.options.get(name, {})),
    )


def section_names(table: pd.DataFrame, machine: str) -> list[str]:
    """Sections of a machine that have training normals, in the order of the head's logits."""
    rows = train_normals(table) & (table["machine"] == machine).to_numpy()
    return sorted(table.loc[rows, "section"].unique())


def check_extractor(folder: Path, config: Configuration, name: str) -> None:
    """Build every machine's network and plan its first epoch, before anything long is computed.

    Raises:
        UserError: an option does not go, or a machine has too few clips.
    """
    table = used(read_clips(folder))
    dummy = Spectrograms(np.arange(len(table) + 1), folder, None)
    seen = set()
    for machine in machines(table):
        rows = _rows(table, machine, dummy)
        if rows.n_sections not in seen:
            seen.add(rows.n_sections)
            network_of(config, name, rows.n_sections).create()
        from mindspore_dpus.systems.machine_sound.exposure import Exposure, ExposureTask

        common = Exposure(config.extractors, config.training.batch_size)
        ExposureTask(common, rows, None).plan([config.seed, 1])


def _rows(table: pd.DataFrame, machine: str, spectrograms: Spectrograms):
    from mindspore_dpus.systems.machine_sound.exposure import MachineRows

    normals = train_normals(table)
    own = (table["machine"] == machine).to_numpy()
    target = (table["domain"] == TARGET).to_numpy()
    trains = (table["part"] == EXTRACTOR).to_numpy()
    held = normals & (table["part"] == HELD_OUT).to_numpy()
    outliers = (table["machine"] == OUTLIER).to_numpy()
    names = section_names(table, machine)
    index = {name: i for i, name in enumerate(names)}
    sections = table["section"].map(index).fillna(0).to_numpy(int)
    others = np.flatnonzero(held & ~own)
    spread = np.unique(np.rint(np.linspace(0, len(others) - 1, min(VALIDATION, len(others)))))
    other_held_out = others[spread.astype(int)] if len(others) else np.flatnonzero(outliers)[:VALIDATION]
    if not (held & own).any() or not len(other_held_out):
        raise UserError(
            f"machine {machine}: there is no normal clip of it, or none of another machine, to validate "
            "the extractor on; give more clips"
        )
    return MachineRows(
        machine,
        spectrograms,
        own,
        target,
        sections,
        len(names),
        np.flatnonzero(trains & own & ~target),
        np.flatnonzero(trains & own & target),
        np.flatnonzero((trains & ~own) | outliers),
        np.flatnonzero(held & own),
        other_held_out,
    )


def make_extractors(folder: Path, source: Source, config: Configuration, name: str, key: str) -> None:
    """``extractors/<network>/<machine>/``: checkpoints and history of each machine's extractor.

    Args:
        folder: with ``samples.csv``.
        source: where the clips lie.
        config: the configuration.
        name: of the network.
        key: what the extractors belong to.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.systems.machine_sound.exposure import Exposure
    from mindspore_dpus.training.members import Job, Recipe, train_members

    table = used(read_clips(folder))
    spectrograms = open_spectrograms(table, source, config.audio, config.data.spectrograms_gb)
    place = members_folder(folder, name)
    names = machines(table)
    for left in place.glob("*"):
        if left.name not in names:
            shutil.rmtree(left)
    # Heads of equally many sections share a network, and so a recipe.
    groups: dict[int, list[Job]] = {}
    for number, machine in enumerate(names):
        rows = _rows(table, machine, spectrograms)
        job = Job(
            machine,
            [config.seed, number],
            rows,
            len(rows.source),
            rows.spectrograms.folder,
            (place / machine).absolute(),
        )
        groups.setdefault(rows.n_sections, []).append(job)
    task = Exposure(config.extractors, config.training.batch_size)
    device = configure(config.device)
    for n_sections, jobs in sorted(groups.items()):
        network = network_of(config, name, n_sections)
        train_members(jobs, Recipe(network, task, config.training, config.device, key), device)


def extractor_artefacts(folder: Path, name: str) -> list[str]:
    """What ``make_extractors`` leaves that must be there."""
    names = machines(used(read_clips(folder)))
    return [f"extractors/{name}/{machine}/best.safetensors" for machine in names]


def load_extractor(folder: Path, config: Configuration, name: str, machine: str, key: str):
    """The trained network of a machine.

    Raises:
        UserError: its checkpoint is missing, damaged, or not of this run.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.training.ensemble import load_member

    table = used(read_clips(folder))
    network = network_of(config, name, len(section_names(table, machine)))
    net = network.build(configure(config.device))
    load_member(net, members_folder(folder, name) / machine, key)
    return net


def make_embeddings(folder: Path, source: Source, config: Configuration, name: str, key: str) -> None:
    """``vectors/<network>/<machine>.npz``: the embedding of every segment and, with a domain head, its
    logit.

    Args:
        folder, source, config, name: as for ``make_extractors``.
        key: what the extractors belong to.
    """
    from mindspore_dpus.systems.machine_sound.exposure import run_net

    table = used(read_clips(folder))
    spectrograms = open_spectrograms(table, source, config.audio, config.data.spectrograms_gb)
    first, segments = spectrograms.first, spectrograms.open()
    for machine in machines(table):
        net = load_extractor(folder, config, name, machine, key)
        rows = rows_of(table, machine, config.ensemble.pseudo_anomalies)
        numbers = np.concatenate([np.arange(first[row], first[row + 1]) for row in rows])
        outputs = run_net(net, segments, numbers)
        clips = np.repeat(rows, first[rows + 1] - first[rows])
        logits = outputs[3] if len(outputs) > 3 else None
        save_vectors(vectors_file(folder, name, machine), rows, Vectors(outputs[0], clips), logits)
