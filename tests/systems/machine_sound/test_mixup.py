"""Mixed sounds and their soft targets against the definition."""

import numpy as np
import pytest

from mindspore_dpus.systems.machine_sound.mixup import Batch, mix, mix_pairs, soft_targets, unmixed

# Of a table: two sections in both domains, then three clips of others.
IS_MACHINE = np.array([True, True, True, True, False, False, False])
SECTIONS = np.array([0, 0, 2, 2, -1, 5, 9])
IS_TARGET = np.array([False, True, False, True, True, False, True])


def targets(rows, partners, ratios):
    batch = Batch(np.array(rows), np.array(partners), np.array(ratios, np.float32))
    return soft_targets(batch, IS_MACHINE, SECTIONS, IS_TARGET, 3)


def test_clips_as_they_are_have_hard_targets():
    found = soft_targets(unmixed(np.array([3, 4, 0])), IS_MACHINE, SECTIONS, IS_TARGET, 3)
    assert found.sections.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert found.machine.tolist() == [1, 0, 1]
    assert found.domains.tolist() == [1, 0, 0]
    assert {array.dtype for array in vars(found).values()} == {np.dtype(np.float32)}


def test_a_pseudo_target_sound_has_the_mixing_ratio_everywhere():
    found = targets([3], [4], [0.25])
    assert found.sections.tolist() == [[0, 0, 0.25]]
    assert (found.machine.tolist(), found.domains.tolist()) == ([0.25], [0.25])


def test_targets_are_mixed_as_the_clips_are():
    found = targets([4, 2, 1, 3, 5], [1, 6, 2, 3, 6], [0.75, 0.5, 0.25, 1, 0.5])
    assert found.sections.tolist() == [
        [0.25, 0, 0],
        [0, 0, 0.5],
        [0.25, 0, 0.75],
        [0, 0, 1],
        [0, 0, 0],
    ]
    assert found.machine.tolist() == [0.25, 0.5, 1, 1, 0]
    assert found.domains.tolist() == [0.25, 0, 0.25, 1, 0]


def test_an_unknown_section_of_the_machine_is_refused():
    with pytest.raises(ValueError, match="sections 0 to 2 for 2 of the target machine"):
        soft_targets(unmixed(np.array([0])), IS_MACHINE, SECTIONS, IS_TARGET, 2)


def test_mix_is_the_weighted_mean_and_leaves_others_to_the_bit():
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal((3, 2, 5)).astype(np.float32) for _ in range(2))
    found = mix(first, second, np.array([0.25, 1.0, 0.0]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], 0.25 * first[0] + 0.75 * second[0], rtol=1e-6)
    assert np.array_equal(found[1], first[1])
    assert np.array_equal(found[2], second[2])


def test_pairs_are_normal_with_pseudo_anomalous_and_keep_one_to_one():
    is_machine = np.arange(40) < 20
    rng = np.random.default_rng(0)
    batch = unmixed(rng.permutation(40))
    mixed = mix_pairs(batch, is_machine, 0.2, rng)
    assert np.array_equal(mixed.rows, batch.rows)
    assert (is_machine[mixed.rows] != is_machine[mixed.partners]).all()
    assert sorted(mixed.partners) == list(range(40))
    # The two samples of a pair have each other as partners, and one ratio.
    ratio = dict(zip(mixed.rows, mixed.ratios, strict=True))
    partner = dict(zip(mixed.rows, mixed.partners, strict=True))
    assert all(partner[partner[row]] == row and ratio[partner[row]] == ratio[row] for row in partner)
    sections = np.zeros(40, int)
    t = soft_targets(mixed, is_machine, sections, np.zeros(40, bool), 1).machine
    assert t.sum() == pytest.approx(20, abs=1e-5)
    assert 0.05 < t.var() < 0.25


def test_what_cannot_be_paired_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="3 clips of the target machine and 1 others are not 1 : 1"):
        mix_pairs(unmixed(np.array([0, 1, 2, 4])), IS_MACHINE, 0.2, rng)
    once = mix_pairs(unmixed(np.array([0, 4])), IS_MACHINE, 0.2, rng)
    with pytest.raises(ValueError, match="mixed clips already"):
        mix_pairs(once, IS_MACHINE, 0.2, rng)
