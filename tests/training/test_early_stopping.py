"""Which epoch is kept, and when a member stops: by hand."""

import math

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.training.early_stopping import best_epoch, is_stale

HISTORY = [
    {"epoch": 1, "val_loss": 0.5, "val_auc": 0.8, "val_accuracy": 0.6},
    {"epoch": 2, "val_loss": 0.6, "val_auc": 0.9, "val_accuracy": 0.5},
    {"epoch": 3, "val_loss": 0.4, "val_auc": 0.9, "val_accuracy": 0.6},
    {"epoch": 4, "val_loss": 0.7, "val_auc": 0.7, "val_accuracy": 0.4},
]


@pytest.mark.parametrize(("by", "epoch"), [("auc", 2), ("accuracy", 1), ("loss", 3), ("last", 4)])
def test_the_best_epoch_is_the_first_of_equals(by, epoch):
    assert best_epoch(HISTORY, by) == epoch


@pytest.mark.parametrize(
    ("patience", "first_epoch", "stale"),
    [(None, 1, False), (2, 1, True), (3, 1, False), (2, 4, False), (1, 4, True)],
)
def test_patience_counts_from_the_best_epoch_or_the_last_phase(patience, first_epoch, stale):
    # The best AUC is that of epoch 2.
    assert is_stale(HISTORY, "auc", patience, first_epoch) is stale
    assert is_stale([], "auc", patience, first_epoch) is False


def test_a_measure_that_validation_cannot_give_is_said():
    # max() would keep the first epoch.
    history = [row | {"val_auc": math.nan} for row in HISTORY]
    with pytest.raises(UserError, match=r"^training.select_by is auc, of which validation has no value"):
        best_epoch(history, "auc")
    assert best_epoch(history, "loss") == 3
