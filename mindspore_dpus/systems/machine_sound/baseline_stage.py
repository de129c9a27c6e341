"""waveforms -> the official baselines of each machine -> their scores of test clips."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.source import Source
from mindspore_dpus.systems.machine_sound.baseline_frames import Frames, open_frames
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.detect_stage import CLIP, test_rows, usable
from mindspore_dpus.systems.machine_sound.run_data import (
    EXTRACTOR,
    HELD_OUT,
    machines,
    read_clips,
    train_normals,
)
from mindspore_dpus.systems.machine_sound.vectors import used
from mindspore_dpus.training.settings import TrainingSettings


def baseline_folder(folder: Path, name: str) -> Path:
    """Where a baseline's networks and scores lie."""
    return folder / "baselines" / name


def own_settings(config: Configuration, name: str):
    """The section of one baseline."""
    return getattr(config.baselines, name)


def training_of(config: Configuration, name: str) -> TrainingSettings:
    """How a baseline is trained: as the official one, whatever extractors are trained with; only how
    divergence is met, and where members run, is the configuration's."""
    own = own_settings(config, name)
    usual = TrainingSettings()
    kept = {f.name for f in dataclasses.fields(usual) if not f.metadata.get("changes_results", True)}
    return dataclasses.replace(
        usual,
        epochs=own.epochs,
        batch_size=own.batch_size,
        learning_rate=own.learning_rate,
        optimizer="adam",
        lr_schedule="constant",
        select_by="last",
        **{key: getattr(config.training, key) for key in kept},
    )


def baseline_settings(config: Configuration, name: str) -> list:
    """What a baseline's networks depend on, as JSON values."""
    shared = results(config.baselines)
    audio = config.audio
    return [
        {key: shared[key] for key in ("window_seconds", "hop_seconds", "mel_bands", name)},
        *(audio.rate, audio.channel, audio.max_seconds, config.seed),
    ]


def classes_of(table: pd.DataFrame, machine: str) -> dict[tuple[str, str], int]:
    """(machine, section) -> class, of the sections that a machine's classifier tells apart: its own; for a
    machine of one section, which there is nothing to tell from, those of all machines.

    Raises:
        UserError: there is but one section altogether.
    """
    sections = list(usable(table))
    own = [key for key in sections if key[0] == machine]
    names = own if len(own) > 1 else sections
    if len(names) < 2:
        raise UserError(
            "baselines.names: mobilenet_v2 learns to tell sections apart, and there is one section "
            "only; leave it out"
        )
    return {name: i for i, name in enumerate(names)}


def _rows(table: pd.DataFrame, machine: str, frames: Frames, by_section: bool):
    from mindspore_dpus.systems.machine_sound.baselines import BaselineRows

    keys = list(zip(table["machine"], table["section"], strict=True))
    if by_section:
        index = classes_of(table, machine)
    else:
        index = {key: 0 for key in usable(table) if key[0] == machine}
    inside = np.array([key in index for key in keys]) & train_normals(table)
    part = table["part"].to_numpy()
    training = np.flatnonzero(inside & (part == EXTRACTOR))
    held_out = np.flatnonzero(inside & (part == HELD_OUT))
    if not len(held_out):
        raise UserError(f"machine {machine}: no normal clip is left to validate its baselines on")
    classes = np.array([index.get(key, 0) for key in keys])
    return BaselineRows(frames.folder.absolute(), frames.first, classes, training, held_out), len(index)


def _task(config: Configuration, name: str):
    from mindspore_dpus.systems.machine_sound.baselines import Windows

    own = own_settings(config, name)
    return Windows(name, own.frames, getattr(own, "hop_frames", 1), own.batch_size)


def make_baseline(folder: Path, source: Source, config: Configuration, name: str, key: str) -> None:
    """``baselines/<name>/<machine>/``: checkpoints and history; ``baselines/<name>/scores.csv``: a score of
    every test clip.

    Args:
        folder: with ``samples.csv``.
        source: where the clips lie.
        config: the configuration.
        name: of the baseline.
        key: what the networks belong to.

    Raises:
        UserError: a clip is too short, or the training diverges.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.systems.machine_sound.baselines import BASELINES, BaselineNetwork
    from mindspore_dpus.training.ensemble import load_member
    from mindspore_dpus.training.members import Job, Recipe, train_members

    table = used(read_clips(folder))
    frames = open_frames(table, source, config.audio, config.baselines)
    place, task, names = baseline_folder(folder, name), _task(config, name), machines(table)
    for left in place.glob("*/"):
        if left.name not in names:
            shutil.rmtree(left)
    groups: dict[int, list[Job]] = {}
    for number, machine in enumerate(names):
        rows, n_classes = _rows(table, machine, frames, BASELINES[name].by_section)
        n_samples = task(rows).n_samples
        job = Job(
            machine, [config.seed, number], rows, n_samples, rows.frames, (place / machine).absolute()
        )
        # Networks of equally many outputs share a trainer.
        groups.setdefault(n_classes, []).append(job)
    device = configure(config.device)
    tables = []
    for n_classes, jobs in sorted(groups.items()):
        network = BaselineNetwork(name, config.baselines, n_classes)
        recipe = Recipe(network, task, training_of(config, name), config.device, key)
        train_members(jobs, recipe, device)
        net = network.build(device)
        for job in jobs:
            load_member(net, job.folder, key)
            sections = [section for machine, section in usable(table) if machine == job.name]
            tested = np.sort(np.concatenate([test_rows(table, job.name, s) for s in sections]))
            if len(tested):
                scores = task(job.data).scores(net, tested)
                tables.append(table.iloc[tested][CLIP].assign(score=scores))
    scores = pd.concat(tables) if tables else pd.DataFrame(columns=[*CLIP, "score"])
    write_table(scores.sort_values("path"), place / "scores.csv")


def baseline_scores(folder: Path, name: str, paths: pd.Series) -> np.ndarray:
    """(N,) scores that a baseline gives these test clips; not standardised, since every number of the tables
    is of one section."""
    table = read_table(baseline_folder(folder, name) / "scores.csv").set_index("path")
    return table["score"].astype(float).loc[paths].to_numpy()


def baseline_artefacts(folder: Path, name: str) -> list[str]:
    """What ``make_baseline`` leaves that must be there."""
    place = f"baselines/{name}"
    checkpoints = [
        f"{place}/{machine}/best.safetensors" for machine in machines(used(read_clips(folder)))
    ]
    return [*checkpoints, f"{place}/scores.csv"]


def check_baseline(folder: Path, config: Configuration, name: str) -> None:
    """Refuse, before anything long is computed, a machine that has nothing to tell apart or to validate on.

    Raises:
        UserError: names it.
    """
    from mindspore_dpus.systems.machine_sound.baselines import BASELINES

    table = used(read_clips(folder))
    dummy = Frames(None, np.arange(len(table) + 1), folder)
    for machine in machines(table):
        _rows(table, machine, dummy, BASELINES[name].by_section)
