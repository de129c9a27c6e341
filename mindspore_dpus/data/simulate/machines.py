"""Simulated recordings of machines in the layout and with the names of DCASE 2022 Task 2.

Every section of a machine type is a machine of its own, and has one kind of domain shift: other speeds,
other loads, or another background. Training clips are normal, few of them of the target domain; the
test has normals and anomalies of both. The faults and their severity stand in the manifest only.
"""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.simulate.machine_parts import (
    KINDS,
    Condition,
    Machine,
    build_machine,
    machine_sound,
)
from mindspore_dpus.data.simulate.places import refuse_foreign

DOMAINS = ("source", "target")
COLUMNS = ["path", "machine", "section", "domain", "split", "label", "attributes", "group"]
TRUTH = ["fault", "severity"]


class Settings(NamedTuple):
    """What conditions are drawn from, evenly.

    Attributes:
        speeds: 1 is a machine's nominal one.
        loads: percent.
        noise: a key of ``machine_parts.NOISES``.
        snr_db: range.
    """

    speeds: tuple[float, ...] = (0.95, 1.0, 1.05)
    loads: tuple[int, ...] = (40, 50, 60)
    noise: str = "A"
    snr_db: tuple[float, float] = (4.5, 7.5)


SOURCE = Settings()
# Section s has shift s modulo 3.
SHIFTS = {
    "speed": SOURCE._replace(speeds=(1.2, 1.25)),
    "load": SOURCE._replace(loads=(85, 95)),
    "noise": SOURCE._replace(noise="B", snr_db=(2.5, 5.5)),
}
# Multiples of it fill the numbers from 0 to 1 evenly.
GOLDEN = 0.618034
# Level of a recording, and the deviation of its gain in dB.
LEVEL, GAIN_DB = 0.06, 1.5

# What an interrupted simulation leaves: no manifest, or a temporary one.
OURS = re.compile(r"dev_data(/\w+(/(train|test)(/section_\w+\.wav)?)?)?|\.manifest\.\d+\.tmp\.csv")


class _Clip(NamedTuple):
    machine: str
    section: int
    domain: str
    split: str
    label: str
    number: int


def simulate_machines(
    folder: Path,
    *,
    seed: int,
    severity: float,
    machines: Sequence[str] = tuple(KINDS),
    sections: int = 3,
    seconds: float = 5.0,
    source_train: int = 30,
    target_train: int = 3,
    test_normal: int = 10,
    test_anomaly: int = 10,
    rate: int = 16000,
) -> Path:
    """Write a data set of simulated recordings and its manifest.

    Args:
        folder: where to; clips go to ``dev_data/{machine}/{train,test}/``.
        seed: equal seeds give equal files.
        severity: of every fault, above 0; 1 is plain to hear.
        machines: keys of ``machine_parts.KINDS``.
        sections: machines of each type.
        seconds: length of a clip.
        source_train, target_train: training clips of a section, by domain.
        test_normal, test_anomaly: test clips of a section and domain. The faults take turns.
        rate: samples per second.

    Returns:
        The manifest: the columns of a clip table, and ``fault`` and ``severity``, empty for normal
        clips. It is written last, so a folder with one is complete.

    Raises:
        UserError: an unknown machine, a number out of range, or the folder holds something else than
            simulated recordings.
    """
    _check(
        machines, sections, seconds, severity, (source_train, target_train, test_normal), test_anomaly
    )
    refuse_foreign(folder, "recordings", OURS, lambda columns: columns == COLUMNS + TRUTH)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    manifest.unlink(missing_ok=True)
    counts = {
        ("source", "train", "normal"): source_train,
        ("target", "train", "normal"): target_train,
        **{(domain, "test", "normal"): test_normal for domain in DOMAINS},
        **{(domain, "test", "anomaly"): test_anomaly for domain in DOMAINS},
    }
    built = {
        (name, section): build_machine(_random(seed, name, section), KINDS[name])
        for name in machines
        for section in range(sections)
    }
    plan = list(_plan(list(built), counts))
    rows = []
    for clip in bar(plan, "simulate"):
        machine = built[clip.machine, clip.section]
        rng = _random(seed, *clip)
        condition, attributes = _draw_condition(rng, machine, clip)
        faults = machine.kind.faults
        fault = faults[clip.number % len(faults)] if clip.label == "anomaly" else None
        sound = machine_sound(
            rng,
            machine,
            condition,
            fault=fault,
            severity=severity,
            n_samples=round(seconds * rate),
            rate=rate,
        )
        path = _path(clip, attributes)
        _write(folder / path, _recorded(rng, sound), rate)
        section = f"{clip.section:02d}"
        row = (path, clip.machine, section, clip.domain, clip.split, clip.label, attributes, "")
        rows.append((*row, *((fault, severity) if fault else ("", ""))))
    write_table(pd.DataFrame(rows, columns=COLUMNS + TRUTH), manifest)
    return manifest


def section_shift(section: int) -> str:
    """What differs between the domains of a section: a key of ``SHIFTS``."""
    return list(SHIFTS)[section % len(SHIFTS)]


def _random(seed: int, *key: object) -> np.random.Generator:
    """A source of randomness of its own for everything that has a name, in whatever order it is made."""
    return np.random.default_rng([seed, *"/".join(map(str, key)).encode()])


def _draw_condition(rng: np.random.Generator, machine: Machine, clip: _Clip) -> tuple[Condition, str]:
    """How the machine runs, and that in the words of a file name."""
    settings = SOURCE if clip.domain == "source" else SHIFTS[section_shift(clip.section)]
    if clip.split == "train":
        # Spread evenly: what the few clips of the target domain shared by chance, one speed or a quiet
        # hall, would pass for the domain's mark. (In the test, faults take turns, and must not do so
        # together with speeds.)
        turn, speed_place = divmod(clip.number, len(settings.speeds))
        load_place = (clip.number + turn) % len(settings.loads)
        quiet = (clip.number + 0.5) * GOLDEN % 1
    else:
        speed_place, load_place = (rng.integers(len(v)) for v in (settings.speeds, settings.loads))
        quiet = rng.random()
    speed, load = settings.speeds[speed_place], settings.loads[load_place]
    low, high = settings.snr_db
    condition = Condition(speed, load / 100, settings.noise, low + (high - low) * quiet)
    rpm = round(60 * machine.shaft_hz * speed)
    return condition, f"rpm_{rpm}_load_{load}_noise_{settings.noise}"


def _recorded(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """At the recorder's level; what is beyond full scale is cut off there."""
    gain = LEVEL * 10 ** (GAIN_DB * rng.normal() / 20) / np.sqrt(np.mean(sound**2))
    return np.clip(gain * sound, -1, 1)


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    """Not file by file to the disk, which takes longer than to simulate: without the manifest, which
    comes last, all are written again, and a damaged one is noticed by whoever reads it."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, subtype="PCM_16", format="WAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(content.getvalue())
    except OSError as error:
        # A full disk is noticed by write(), which does not know the name.
        error.filename = error.filename or str(path)
        raise


def _path(clip: _Clip, attributes: str) -> str:
    name = f"section_{clip.section:02d}_{clip.domain}_{clip.split}_{clip.label}_{clip.number:04d}"
    return f"dev_data/{clip.machine}/{clip.split}/{name}_{attributes}.wav"


def _plan(built: list[tuple[str, int]], counts: dict[tuple[str, str, str], int]) -> Iterator[_Clip]:
    for machine, section in built:
        for (domain, split, label), count in counts.items():
            yield from (_Clip(machine, section, domain, split, label, i) for i in range(count))


def _check(
    machines: Sequence[str],
    sections: int,
    seconds: float,
    severity: float,
    normals: tuple[int, ...],
    anomalies: int,
) -> None:
    unknown = [name for name in machines if name not in KINDS]
    if unknown or not machines:
        named = f"the machine {unknown[0]!r}" if unknown else "no machine"
        raise UserError(f"simulate.machines names {named}; there are {', '.join(KINDS)}")
    if severity <= 0:
        raise UserError(f"simulate.severity is {severity:g}; a fault has more than 0")
    if seconds <= 0 or sections < 1 or min(*normals, anomalies) < 0 or normals[0] < 1:
        raise UserError(
            "simulate: sections, seconds and source_train must be above 0, other numbers of clips 0 "
            "or more"
        )
