"""Hostile files, a few of each kind; ``python -m tests.fuzz`` tries more (docs/reference/reliability.md)."""

import hypothesis
import pytest

from tests.fuzz.mutations import spoilt
from tests.fuzz.targets import TARGETS, run

# Those that load MindSpore or torch, and those that take long for one input, have fewer.
EXAMPLES = {"config": 5, "options": 5, "ckpt": 10, "pth": 10}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_a_user_error_comes_of_a_spoilt_file(name, tmp_path):
    if name == "pth":
        pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    if "dicom" in name:
        pytest.importorskip("pydicom")
    target, seeds = TARGETS[name], TARGETS[name].seeds(tmp_path)
    for seed in seeds:
        run(target, tmp_path, seed)

    @hypothesis.settings(
        max_examples=EXAMPLES.get(name, 40),
        derandomize=True,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    @hypothesis.given(spoilt(seeds, target.words))
    def check(data):
        run(target, tmp_path, data)

    check()
