"""The sound of one simulated machine, as the sum of what its parts do.

All that turns is a function of the shaft's angle: the shaft's harmonics, and the gear mesh, whose
amplitude the revolution modulates (sidebands). Rolling elements strike a flaw of their race at a
multiple of the speed that is no whole number, with slip, and every impact rings in a resonance of the
housing. Flow is noise in a band that the blades modulate. The motor hums at twice the mains' frequency,
as strong as its current. A fault adds to one of these by its severity.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

# Points of one revolution. Interpolated linearly, 8 and more of the highest order's period.
ANGLES = 4096
# Speed wanders by this share, in steps of this many seconds.
WANDER, WANDER_STEP = 0.003, 0.1
# Impacts come early or late by this share of their distance.
SLIP = 0.02
SIDEBANDS = 2
# The motor's hum: twice 50 Hz and so many of its harmonics, and its level at full load.
HUM_HZ, HUM_HARMONICS, HUM = 100.0, 8, 0.6
# A severity is the energy that a fault adds, in parts of this amplitude's: the gain at severity 1.
FAULT_GAIN = 0.8


class Kind(NamedTuple):
    """A type of machine: what its sections are drawn from.

    Attributes:
        shaft_hz: range of speeds, revolutions per second.
        teeth: range of the gear's teeth; None: no gear.
        blades: range of the rotor's blades; None: no flow.
        shaft, mesh, flow, bearing: levels of the parts (root mean square; bearing: of an impact).
        faults: keys of ``FAULTS`` that the machine can have.
    """

    shaft_hz: tuple[float, float]
    teeth: tuple[int, int] | None
    blades: tuple[int, int] | None
    shaft: float
    mesh: float
    flow: float
    bearing: float
    faults: tuple[str, ...]


class Machine(NamedTuple):
    """One machine: a section of its type.

    Attributes:
        kind: its type.
        shaft_hz: revolutions per second at speed 1.
        harmonics: (H,) complex amplitudes of orders 1 to H.
        teeth: of the gear; 0: none.
        mesh: (3, 1 + 2 * SIDEBANDS) complex amplitudes of the mesh's harmonics and their sidebands.
        blades: 0: none.
        flow_hz, flow_width_hz: centre and width of the flow's noise.
        bearing_order: impacts of the rolling elements in a revolution.
        resonance_hz, ringing: of the housing; seconds until an impact has died down to 1/e.
    """

    kind: Kind
    shaft_hz: float
    harmonics: np.ndarray
    teeth: int
    mesh: np.ndarray
    blades: int
    flow_hz: float
    flow_width_hz: float
    bearing_order: float
    resonance_hz: float
    ringing: float


class Condition(NamedTuple):
    """How a machine runs while it is recorded.

    Attributes:
        speed: 1 is nominal.
        load: 0 to 1; it drives gear mesh, bearing, flow and the motor's current.
        noise: a key of ``NOISES``.
        snr_db: the machine's level over the background's.
    """

    speed: float
    load: float
    noise: str
    snr_db: float


KINDS = {
    "fan": Kind((22.0, 32.0), None, (5, 9), 0.5, 0.0, 1.0, 0.5, ("imbalance", "bearing", "flow")),
    "gearbox": Kind((24.0, 36.0), (19, 31), None, 0.5, 1.0, 0.3, 0.5, ("tooth", "bearing", "imbalance")),
    "pump": Kind((40.0, 50.0), None, (3, 6), 0.6, 0.0, 0.8, 0.5, ("flow", "bearing", "imbalance")),
    "drive": Kind((28.0, 44.0), (37, 53), (7, 11), 0.4, 0.5, 0.5, 0.4, ("tooth", "flow", "bearing")),
}
FAULTS = ("bearing", "imbalance", "tooth", "flow")


def build_machine(rng: np.random.Generator, kind: Kind) -> Machine:
    """Draw one machine of a type."""

    def phases(*shape: int) -> np.ndarray:
        return np.exp(2j * np.pi * rng.random(shape))

    orders = np.arange(1, 25)
    harmonics = orders**-0.8 * rng.lognormal(0, 0.5, len(orders)) * phases(len(orders))
    away = np.abs(np.arange(-SIDEBANDS, SIDEBANDS + 1))
    mesh = np.array([1.0, 0.5, 0.25])[:, None] * rng.uniform(0.15, 0.35) ** away
    mesh = mesh * rng.lognormal(0, 0.3, mesh.shape) * phases(*mesh.shape)
    return Machine(
        kind=kind,
        shaft_hz=rng.uniform(*kind.shaft_hz),
        harmonics=harmonics / np.linalg.norm(harmonics),
        teeth=int(rng.integers(*kind.teeth, endpoint=True)) if kind.teeth else 0,
        mesh=mesh / np.linalg.norm(mesh),
        blades=int(rng.integers(*kind.blades, endpoint=True)) if kind.blades else 0,
        flow_hz=rng.uniform(600.0, 1800.0),
        flow_width_hz=rng.uniform(600.0, 1500.0),
        # Never near a whole number: nothing of it hides under the shaft's harmonics.
        bearing_order=rng.integers(3, 7) + rng.uniform(0.2, 0.8),
        resonance_hz=rng.uniform(2500.0, 5500.0),
        ringing=rng.uniform(0.0015, 0.004),
    )


def machine_sound(
    rng: np.random.Generator,
    machine: Machine,
    condition: Condition,
    *,
    fault: str | None,
    severity: float,
    n_samples: int,
    rate: int,
) -> np.ndarray:
    """One recording.

    Args:
        rng: source of randomness.
        machine: which.
        condition: how it runs.
        fault: one of ``FAULTS``, or None.
        severity: of the fault, in energy: 0 is none, 1 is plain to hear.
        n_samples: length.
        rate: samples per second.

    Returns:
        (n_samples,) float64.
    """
    kind, speed, load = machine.kind, condition.speed, condition.load
    gains = dict.fromkeys(FAULTS, 0.0) | ({fault: FAULT_GAIN * np.sqrt(severity)} if fault else {})
    turns = revolutions(rng, n_samples, rate, machine.shaft_hz * speed)
    sound = _at_angles(_one_turn(machine, condition, gains, rate), turns)
    sound += HUM * load**2 * _hum(rng, n_samples, rate)
    if machine.blades:
        flow = _flow_noise(rng, machine, load, turns, rate, gains["flow"])
        sound += kind.flow * speed**2 * (0.4 + 1.2 * load) * flow
    impacts = kind.bearing * (0.1 + 1.1 * gains["bearing"]) * (0.5 + load)
    sound += _ring(_impacts(rng, machine.bearing_order, turns, rate, impacts), machine, rate)
    if gains["tooth"]:
        # The damaged tooth strikes once a turn, and a little harder or softer each time.
        strikes = _impacts(rng, 1.0, turns, rate, 2.0 * kind.mesh * gains["tooth"] * (0.5 + load))
        sound += _ring(strikes, machine, rate)
    if gains["imbalance"]:
        # What wobbles modulates all that the machine gives off.
        sound *= 1 + 0.5 * gains["imbalance"] * np.cos(2 * np.pi * turns)
    noise = NOISES[condition.noise](rng, n_samples, rate)
    level = 10 ** (-condition.snr_db / 20) * _level(sound) / _level(noise)
    return sound + level * noise


def revolutions(rng: np.random.Generator, n_samples: int, rate: int, shaft_hz: float) -> np.ndarray:
    """The shaft's angle in turns, (n_samples,), at a speed that wanders a little."""
    n_steps = int(n_samples / rate / WANDER_STEP) + 2
    wander = lfilter([0.2], [1, -0.8], rng.normal(size=n_steps + 20))[20:]
    turns = np.cumsum(shaft_hz * (1 + WANDER * wander)) * WANDER_STEP + rng.random()
    return np.interp(np.arange(n_samples) / rate, np.arange(n_steps) * WANDER_STEP, turns)


def _one_turn(machine: Machine, condition: Condition, gains: dict[str, float], rate: int) -> np.ndarray:
    """What sounds with the shaft's angle, (ANGLES,); orders beyond half of the rate are left out."""
    kind, speed, load = machine.kind, condition.speed, condition.load
    highest = min(int(0.47 * rate / (machine.shaft_hz * speed)), ANGLES // 8)

    def turn(orders: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
        spectrum = np.zeros(ANGLES // 2 + 1, complex)
        kept = orders <= highest
        np.add.at(spectrum, orders[kept], amplitudes[kept])
        return np.fft.irfft(spectrum) * ANGLES / np.sqrt(2)

    harmonics = kind.shaft * speed * machine.harmonics
    harmonics[:2] *= 1 + 2.0 * gains["imbalance"]
    table = turn(np.arange(1, len(harmonics) + 1), harmonics)
    if machine.teeth:
        sidebands = np.arange(-SIDEBANDS, SIDEBANDS + 1)
        orders = (machine.teeth * np.arange(1, 4)[:, None] + sidebands).ravel()
        # The harder the teeth press, the less their contact is a sine.
        loaded = machine.mesh * (0.4 + 1.2 * load) ** np.arange(1, 4)[:, None]
        mesh = kind.mesh * turn(orders, loaded.ravel())
        # The damaged tooth yields: the mesh is louder while it bears, for some teeth around angle 0.
        angle = (np.arange(ANGLES) / ANGLES + 0.5) % 1 - 0.5
        mesh *= 1 + 2.0 * gains["tooth"] * np.exp(-0.5 * (angle * machine.teeth / 2) ** 2)
        table = table + mesh
    return table


def _hum(rng: np.random.Generator, n_samples: int, rate: int) -> np.ndarray:
    """Twice the mains' frequency and its harmonics, which turn with no shaft; level 1."""
    spectrum = np.zeros(ANGLES // 2 + 1, complex)
    spectrum[1 : HUM_HARMONICS + 1] = np.arange(1, HUM_HARMONICS + 1) ** -0.5
    table = np.fft.irfft(spectrum)
    turns = HUM_HZ * np.arange(n_samples) / rate + rng.random()
    return _at_angles(table / _level(table), turns)


def _at_angles(table: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Values of a periodic table, (n,), between its points by straight lines."""
    place = (turns % 1.0) * len(table)
    first = place.astype(np.int64)
    share = place - first
    wrapped = np.append(table, table[:2])
    return wrapped[first] * (1 - share) + wrapped[first + 1] * share


def _flow_noise(
    rng: np.random.Generator,
    machine: Machine,
    load: float,
    turns: np.ndarray,
    rate: int,
    fault: float,
) -> np.ndarray:
    """Noise in a band, modulated by the blades; a fault adds bursts above it (cavitation, stall)."""
    # What is throttled hisses higher.
    centre = machine.flow_hz * (0.75 + 0.5 * load)
    noise = _band(rng.normal(size=len(turns)), centre, machine.flow_width_hz, rate)
    flow = noise * (1 + 0.4 * np.cos(2 * np.pi * machine.blades * turns))
    if fault:
        hiss = _band(rng.normal(size=len(turns)), 2.2 * centre, machine.flow_width_hz, rate)
        # Bursts of some 30 ms that fill about a third of the time.
        slow = rng.normal(size=len(turns) * 30 // rate + 2)
        gate = np.interp(np.arange(len(turns)) * 30 / rate, np.arange(len(slow)), slow) > 0.4
        flow = flow + 0.8 * fault * gate * hiss
    return flow


def _impacts(
    rng: np.random.Generator, order: float, turns: np.ndarray, rate: int, strength: float
) -> np.ndarray:
    """A spike for each impact, (n,): ``order`` a turn, with slip, of uneven strength."""
    first, last = turns[0] * order, turns[-1] * order
    numbers = np.arange(np.ceil(first), np.floor(last) + 1)
    numbers = np.clip(numbers + SLIP * rng.normal(size=len(numbers)), first, last)
    places = np.interp(numbers / order, turns, np.arange(len(turns))).astype(np.int64)
    spikes = np.zeros(len(turns))
    np.add.at(spikes, places, strength * rng.lognormal(0, 0.3, len(places)))
    return spikes


def _ring(spikes: np.ndarray, machine: Machine, rate: int) -> np.ndarray:
    """Spikes through the housing: each rings as a damped sine of height 1."""
    decay = np.exp(-1 / (machine.ringing * rate))
    angle = 2 * np.pi * machine.resonance_hz / rate
    return lfilter([0, decay * np.sin(angle)], [1, -2 * decay * np.cos(angle), decay**2], spikes)


def _band(noise: np.ndarray, centre_hz: float, width_hz: float, rate: int) -> np.ndarray:
    """White noise through a resonator of two poles; level 1."""
    radius = np.exp(-np.pi * width_hz / rate)
    angle = 2 * np.pi * centre_hz / rate
    band = lfilter([1, 0, -1], [1, -2 * radius * np.cos(angle), radius**2], noise)
    return band / _level(band)


def _level(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def _hall(rng: np.random.Generator, n_samples: int, rate: int) -> np.ndarray:
    """A quiet hall: noise that falls towards high frequencies."""
    return lfilter([1.0], [1, -0.85], rng.normal(size=n_samples))


def _factory(rng: np.random.Generator, n_samples: int, rate: int) -> np.ndarray:
    """A busy hall: rumble, a ventilator's hiss, and hum of the mains."""
    white = rng.normal(size=n_samples)
    rumble = lfilter([1.0], [1, -0.97], white)
    hum = np.sin(2 * np.pi * (100 * np.arange(n_samples) / rate + rng.random()))
    hiss = _band(rng.normal(size=n_samples), 3200.0, 1200.0, rate)
    return rumble / _level(rumble) + 0.8 * hiss + 0.5 * hum


NOISES: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "A": _hall,
    "B": _factory,
}
