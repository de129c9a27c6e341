"""The physics of simulated machines in numbers: orders, sidebands, impacts, bands, severity."""

import numpy as np
import pytest

from mindspore_dpus.data.simulate.machine_parts import (
    FAULTS,
    KINDS,
    NOISES,
    Condition,
    _ring,
    build_machine,
    machine_sound,
    revolutions,
)

RATE, N = 16000, 64000
QUIET = Condition(speed=1.0, load=0.5, noise="A", snr_db=200.0)


def machine(name, seed=0, **kind):
    return build_machine(np.random.default_rng(seed), KINDS[name]._replace(**kind))


def sound(made, condition=QUIET, fault=None, severity=1.0, seed=1):
    rng = np.random.default_rng(seed)
    return machine_sound(rng, made, condition, fault=fault, severity=severity, n_samples=N, rate=RATE)


def steady(monkeypatch):
    """No wandering speed, slip or hum: lines stand where they are computed, and no others."""
    module = "mindspore_dpus.data.simulate.machine_parts"
    monkeypatch.setattr(f"{module}.HUM", 0.0)
    monkeypatch.setattr(f"{module}.WANDER", 0.0)
    monkeypatch.setattr(f"{module}.SLIP", 0.0)


def line_power(samples, hz):
    """Power of the lines within 1 Hz of a frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return spectrum[np.abs(frequencies - hz) < 1].sum() / len(samples) ** 2


def band_power(samples, low, high):
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return spectrum[(frequencies >= low) & (frequencies < high)].sum() / len(samples) ** 2


def test_only_harmonics_of_the_shaft_sound_where_nothing_else_is(monkeypatch):
    steady(monkeypatch)
    made = machine("gearbox", mesh=0.0, bearing=0.0)
    samples = sound(made)
    total = sum(line_power(samples, order * made.shaft_hz) for order in range(1, 25))
    assert total / line_power(samples, made.shaft_hz) == pytest.approx(
        1 / np.abs(made.harmonics[0]) ** 2, rel=0.02
    )
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(made.kind.shaft, rel=0.02)
    between = sum(line_power(samples, (order + 0.5) * made.shaft_hz) for order in range(1, 25))
    assert between < 1e-4 * total


def test_the_mesh_has_sidebands_at_the_shafts_distance_and_grows_with_load(monkeypatch):
    steady(monkeypatch)
    made = machine("gearbox", shaft=0.0, bearing=0.0)
    samples = sound(made)
    centre = made.teeth * made.shaft_hz
    lines = [line_power(samples, centre + side * made.shaft_hz) for side in (-2, -1, 0, 1, 2)]
    expected = np.abs(made.mesh[0]) ** 2
    np.testing.assert_allclose(lines / lines[2], expected / expected[2], rtol=0.02)
    loaded = sound(made, QUIET._replace(load=0.9))
    for harmonic in (1, 2, 3):
        ratio = line_power(loaded, harmonic * centre) / line_power(samples, harmonic * centre)
        assert ratio == pytest.approx(1.48 ** (2 * harmonic), rel=0.02)


def test_speed_moves_the_lines_and_nothing_folds_over(monkeypatch):
    steady(monkeypatch)
    made = machine("drive", shaft=0.0, bearing=0.0, flow=0.0)
    for speed in (1.0, 1.25):
        samples = sound(made, QUIET._replace(speed=speed))
        mesh_hz = made.teeth * made.shaft_hz * speed
        sides = made.shaft_hz * speed * np.arange(-2, 3)
        lines = [line_power(samples, h * mesh_hz + s) for h in (1, 2, 3) for s in sides]
        # By Parseval, the one-sided sum is half of the power, weakened by the window.
        expected = np.mean(samples**2) * np.mean(np.hanning(N) ** 2) / 2
        assert sum(lines) == pytest.approx(expected, rel=0.02)


def test_impacts_of_a_bearing_ring_at_the_resonance_in_its_own_order(monkeypatch):
    steady(monkeypatch)
    made = machine("gearbox", mesh=0.0, shaft=0.0)
    samples = sound(made, fault="bearing")
    ring = np.abs(np.fft.rfft(samples))
    assert np.fft.rfftfreq(N, 1 / RATE)[ring.argmax()] == pytest.approx(made.resonance_hz, abs=150)
    # The envelope repeats at the bearing's order, not at the shaft's.
    envelope = samples**2 - np.mean(samples**2)
    of_bearing = line_power(envelope, made.bearing_order * made.shaft_hz)
    assert of_bearing > 20 * line_power(envelope, made.shaft_hz)


def test_an_impact_has_died_down_to_one_eth_after_its_time():
    made = machine("gearbox")
    spikes = np.zeros(2000)
    spikes[0] = 1.0
    time = np.arange(2000) / RATE
    expected = np.exp(-time / made.ringing) * np.sin(2 * np.pi * made.resonance_hz * time)
    np.testing.assert_allclose(_ring(spikes, made, RATE), expected, atol=1e-9)


def test_the_motor_hums_with_the_square_of_the_load():
    made = machine("gearbox", mesh=0.0, shaft=0.0, bearing=0.0)
    half, full = (sound(made, QUIET._replace(load=load)) for load in (0.5, 1.0))
    np.testing.assert_allclose(full, 4 * half, atol=1e-6)
    assert np.sqrt(np.mean(full**2)) == pytest.approx(0.6, rel=1e-3)
    window = np.mean(np.hanning(N) ** 2) / 2
    lines = sum(line_power(full, 100 * k) for k in range(1, 9))
    assert lines == pytest.approx(0.36 * window, rel=0.01)


def test_a_damaged_tooth_is_heard_once_a_turn(monkeypatch):
    steady(monkeypatch)
    made = machine("gearbox", shaft=0.0, bearing=0.0)
    change = sound(made, fault="tooth") - sound(made)
    turn = round(RATE / made.shaft_hz)
    folded = np.array(
        [np.mean(change[i : i + turn // 10] ** 2) for i in range(0, 20 * turn, turn // 10)]
    )
    # Loud in the same tenths of each turn.
    loud = folded > 5 * np.median(folded)
    assert 0.1 < loud.mean() < 0.5
    starts = np.flatnonzero(np.diff(loud.astype(int)) == 1)
    assert len(starts) == pytest.approx(20, abs=1)


def test_imbalance_raises_the_first_two_orders(monkeypatch):
    steady(monkeypatch)
    made = machine("gearbox", mesh=0.0, bearing=0.0)
    healthy, faulty = sound(made), sound(made, fault="imbalance")
    for order, more in ((1, True), (2, True), (12, False)):
        ratio = line_power(faulty, order * made.shaft_hz) / line_power(healthy, order * made.shaft_hz)
        assert (ratio > 2) == more


def test_a_fault_of_the_flow_hisses_above_it():
    made = machine("fan", bearing=0.0, shaft=0.0)
    centre = made.flow_hz
    healthy, faulty = sound(made), sound(made, fault="flow")
    ratio = [
        band_power(faulty, low * centre, high * centre)
        / band_power(healthy, low * centre, high * centre)
        for low, high in ((0.1, 0.5), (2.0, 2.4))
    ]
    assert ratio[1] > 1.3 * ratio[0]


@pytest.mark.parametrize("name", list(KINDS))
def test_every_fault_changes_the_sound_more_the_graver_it_is(name):
    made = machine(name)
    healthy = sound(made, severity=1.0)
    for fault in made.kind.faults:
        changes = []
        for severity in (0.0, 0.3, 0.6, 1.0):
            faulty = sound(made, fault=fault, severity=severity)
            bands = [(low, low + 200) for low in range(0, 8000, 200)]
            levels = [10 * np.log10([band_power(x, *band) for band in bands]) for x in (faulty, healthy)]
            changes.append(np.abs(levels[0] - levels[1]).max())
        assert changes[0] < 0.5 * changes[1]
        assert changes[1] < changes[2] < changes[3]


def test_the_background_has_its_level():
    made = machine("fan")
    clean = sound(made)
    for noise in NOISES:
        noisy = sound(made, QUIET._replace(noise=noise, snr_db=6.0))
        background = noisy - clean
        ratio = np.mean(clean**2) / np.mean(background**2)
        assert 10 * np.log10(ratio) == pytest.approx(6.0, abs=0.01)


def test_backgrounds_differ():
    quiet, busy = (make(np.random.default_rng(0), N, RATE) for make in NOISES.values())
    shares = [band_power(x, 2600, 3800) / band_power(x, 0, 8000) for x in (quiet, busy)]
    assert shares[1] > 3 * shares[0]


def test_speed_wanders_a_little_and_never_turns_back():
    turns = revolutions(np.random.default_rng(0), N, RATE, 30.0)
    hertz = np.diff(turns) * RATE
    assert len(turns) == N
    assert hertz.mean() == pytest.approx(30.0, rel=0.01)
    assert 0 < hertz.std() / 30.0 < 0.01
    assert hertz.min() > 29


def test_kinds_name_faults_that_they_can_have():
    for kind in KINDS.values():
        assert set(kind.faults) <= set(FAULTS)
        assert len(kind.faults) == len(set(kind.faults)) >= 3
        assert ("tooth" in kind.faults) <= (kind.teeth is not None)
        assert ("flow" in kind.faults) <= (kind.blades is not None)


def test_equal_randomness_gives_equal_sound_and_sections_differ():
    made, other = machine("pump"), machine("pump", seed=1)
    np.testing.assert_array_equal(sound(made), sound(machine("pump")))
    assert made.shaft_hz != other.shaft_hz
    assert np.abs(sound(made) - sound(other)).max() > 0.1
    assert np.abs(sound(made) - sound(made, seed=2)).max() > 0.1
