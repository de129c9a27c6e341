"""Batches of outlier exposure hold the plan exactly, and say what they lack."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.systems.machine_sound.batch_plan import Clips, plan_domain_epoch, plan_epoch

# Rows of a table: source normals, target-domain normals, others.
SOURCE, TARGET, OTHERS = np.arange(100), np.arange(100, 106), np.arange(106, 400)
CLIPS = Clips("fan", SOURCE, TARGET, OTHERS)
SEED = [7, 1]


def many(plan, batches=1000, **settings):
    """Epochs until there are so many batches."""
    made, epoch = [], 1
    while len(made) < batches:
        made += plan(CLIPS, seed=SEED, epoch=epoch, **settings)
        epoch += 1
    return made


def count(rows, kind):
    return int(np.isin(rows, kind).sum())


@pytest.mark.parametrize("n_target", [1, 3])
def test_a_thousand_batches_are_one_to_one_with_target_domain_clips(n_target):
    batches = many(plan_epoch, batch_size=16, n_target=n_target)
    assert len(batches) >= 1000
    for batch in batches:
        own = count(batch.rows, SOURCE) + count(batch.rows, TARGET)
        assert own == count(batch.rows, OTHERS) == len(batch) / 2
        assert count(batch.rows, TARGET) == n_target
        assert len(batch) <= 16
        assert not batch.is_mixed.any()
        assert set(batch.ratios) == {1}
    assert {len(batch) for batch in batches} <= {14, 16}


def test_a_thousand_batches_of_the_domain_classifier_hold_their_quarters():
    batches = many(plan_domain_epoch, batch_size=16, alpha=0.2)
    assert len(batches) >= 1000
    for batch in batches:
        alone, mixed = batch.rows[~batch.is_mixed], batch.rows[batch.is_mixed]
        quarter = len(batch) // 4
        assert (count(alone, SOURCE), count(alone, OTHERS)) == (quarter, 2 * quarter)
        assert count(mixed, TARGET) == len(mixed) == quarter
        assert count(batch.partners[batch.is_mixed], OTHERS) == quarter
        assert set(batch.ratios[~batch.is_mixed]) == {1}
    ratios = np.concatenate([batch.ratios[batch.is_mixed] for batch in batches])
    # Of Beta(0.2, 0.2): mean 1/2, variance 1 / (4 (2 * 0.2 + 1)).
    assert ratios.mean() == pytest.approx(0.5, abs=0.03)
    assert ratios.var() == pytest.approx(1 / 5.6, abs=0.01)


@pytest.mark.parametrize(
    ("plan", "settings"),
    [
        (plan_epoch, {"batch_size": 16, "n_target": 1}),
        (plan_epoch, {"batch_size": 1024, "n_target": 1}),
        (plan_epoch, {"batch_size": 2, "n_target": 0}),
        (plan_domain_epoch, {"batch_size": 12, "alpha": 0.2}),
    ],
)
def test_an_epoch_uses_every_source_normal_once(plan, settings):
    batches = plan(CLIPS, seed=SEED, epoch=3, **settings)
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows[np.isin(rows, SOURCE)]) == list(SOURCE)


def test_all_clips_of_the_target_domain_are_used_equally_often():
    batches = plan_epoch(CLIPS, 16, 1, SEED, epoch=1)
    rows = np.concatenate([batch.rows for batch in batches])
    used = [(rows == row).sum() for row in TARGET]
    assert sum(used) == len(batches) == 15
    assert max(used) - min(used) == 1
    others = rows[np.isin(rows, OTHERS)]
    assert len(set(others)) == len(others) == 115


def test_others_come_again_when_they_are_few():
    batches = plan_epoch(Clips("fan", SOURCE, TARGET, OTHERS[:4]), 40, 1, SEED, 1)
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted((rows == row).sum() for row in OTHERS[:4]) == [26, 26, 27, 27]


def test_without_the_target_domain_there_is_none():
    batches = plan_epoch(CLIPS, 16, 0, SEED, 1)
    assert sum(count(batch.rows, TARGET) for batch in batches) == 0
    assert len(plan_epoch(Clips("fan", SOURCE, TARGET[:0], OTHERS), 16, 0, SEED, 1)) == len(batches)


@pytest.mark.parametrize("plan", [plan_epoch, plan_domain_epoch])
def test_seed_and_epoch_alone_decide(plan):
    settings = {"n_target": 1} if plan is plan_epoch else {"alpha": 0.2}

    def rows(seed, epoch):
        batches = plan(CLIPS, 16, seed=seed, epoch=epoch, **settings)
        return [np.concatenate([b.rows, b.partners, b.ratios]).tolist() for b in batches]

    first = rows(SEED, 2)
    assert first == rows(SEED, 2)
    assert first != rows(SEED, 3)
    assert first != rows([7, 2], 2)


def test_what_is_missing_is_named():
    with pytest.raises(UserError, match=r"machine fan: .* has 1 normal clip\(s\) of the source domain"):
        Clips("fan", SOURCE[:1], TARGET, OTHERS)
    with pytest.raises(UserError, match="machine fan: there are no clips of other machines"):
        Clips("fan", SOURCE, TARGET, OTHERS[:0])
    lacking = Clips("fan", SOURCE, TARGET[:0], OTHERS)
    with pytest.raises(UserError, match="machine fan: .* no clip of the target domain"):
        plan_epoch(lacking, 16, 1, SEED, 1)
    with pytest.raises(UserError, match="machine fan: .* no clip of the target domain"):
        plan_domain_epoch(lacking, 16, 0.2, SEED, 1)


@pytest.mark.parametrize(("batch_size", "n_target"), [(15, 1), (2, 1), (8, 4), (0, 0)])
def test_a_batch_size_that_cannot_hold_the_plan_is_refused(batch_size, n_target):
    with pytest.raises(UserError, match=f"batch_size {batch_size}: must be even, and its half above"):
        plan_epoch(CLIPS, batch_size, n_target, SEED, 1)


@pytest.mark.parametrize("batch_size", [0, 6])
def test_a_domain_batch_has_quarters(batch_size):
    with pytest.raises(UserError, match=f"batch_size {batch_size}: .* multiple of 4"):
        plan_domain_epoch(CLIPS, batch_size, 0.2, SEED, 1)
