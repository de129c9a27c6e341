"""The audit as a stage: what stops a run and how it is said, what is remembered, what may pass."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.samples import read_samples
from mindspore_dpus.data.settings import AuditSettings, DataSettings
from mindspore_dpus.systems.classification import audit_stage as stage
from tests.support import parse_config, train


@pytest.fixture
def root(castings, tmp_path):
    """A copy of the castings that a test may spoil."""
    return Path(shutil.copytree(castings, tmp_path / "castings"))


def first(root, split, label="normal"):
    return min((root / split / label).glob("*.png"))


def run_audit(root, *options):
    """The run after samples and audit, and what it reported."""
    config = parse_config([f"--data.root={root}", f"--output={root.parent / 'runs' / 'one'}", *options])
    lines = []
    # Without an audit, the next stage is what makes its traces go.
    targets = ["audit"] if config.audit.enabled else ["subsets"]
    return train(config, lines.append, targets), lines


def test_clean_castings_pass_and_are_counted(root):
    run, lines = run_audit(root)
    assert lines == ["samples ...", "audit ..."]
    table = pd.read_csv(run / "audit.csv")
    assert table["detail"].tolist() == [
        *("train: 8 defect", "train: 24 normal", "val: 6 defect"),
        *("val: 6 normal", "test: 6 defect", "test: 6 normal"),
    ]


def test_a_leak_stops_the_run_with_one_line_that_says_how_to_allow_it(root):
    shutil.copy(first(root, "train"), first(root, "test"))
    with pytest.raises(UserError) as caught:
        run_audit(root)
    names = [first(root, split).relative_to(root).as_posix() for split in ("test", "train")]
    csv = root.parent / "runs" / "one" / "audit.csv"
    assert str(caught.value) == (
        f"audit: 1 exact_duplicates_across_splits, the first: {names[0]} and {names[1]}: equal pixels "
        f"in train and test; all are in {csv}. Give them one split or one group, remove them, or "
        "allow this with audit.allow [exact_duplicates_across_splits]"
    )
    assert pd.read_csv(csv)["kind"].iloc[0] == "exact_duplicates_across_splits"
    run, lines = run_audit(root, "--audit.allow=[exact_duplicates_across_splits]")
    assert run.ran == ["audit"]
    assert lines[-1].startswith("  note: 1 exact_duplicates_across_splits, such as test/normal/")
    with pytest.raises(UserError, match="1 exact_duplicates_across_splits"):
        run_audit(root)


def test_parted_groups_stop_the_run_unless_allowed(root):
    table = pd.read_csv(root / "manifest.csv", keep_default_na=False)
    table["group"] = [f"part {i % 20}" for i in range(len(table))]
    table.to_csv(root / "manifest.csv", index=False)
    with pytest.raises(UserError, match="give the whole group one split"):
        run_audit(root)
    run, lines = run_audit(root, "--audit.allow=[groups_across_splits]")
    assert "groups_across_splits, such as" in lines[-1]
    findings = pd.read_csv(run / "audit.csv")
    assert set(findings["severity"][findings["kind"] == "groups_across_splits"]) == {"warning"}


def test_a_second_kind_of_leak_is_named_too(root):
    shutil.copy(first(root, "train"), first(root, "test"))
    table = pd.read_csv(root / "manifest.csv", keep_default_na=False)
    table["group"] = [f"part {i % 20}" for i in range(len(table))]
    table.to_csv(root / "manifest.csv", index=False)
    allowed = "--audit.allow=[groups_across_splits]"
    run_audit(root, allowed[:-1] + ",exact_duplicates_across_splits]")
    # The samples are made; now both are leaks.
    message = (
        r"1 exact_duplicates_across_splits \(also 2\d groups_across_splits\), .*\[exact\w+, groups\w+\]"
    )
    with pytest.raises(UserError, match=message):
        run_audit(root)
    with pytest.raises(UserError, match="1 exact_duplicates_across_splits, the first"):
        run_audit(root, allowed)


def test_unreadable_images_cannot_be_allowed(root):
    first(root, "val").write_bytes(b"")
    with pytest.raises(UserError, match=r"is empty \(0 bytes\) \(1 of 56 images cannot be used;"):
        run_audit(root, "--audit.allow=[exact_duplicates_across_splits]")
    with pytest.raises(UserError, match=r"audit.allow.*unreadable"):
        run_audit(root, "--audit.allow=[unreadable]")


def test_our_own_split_never_leaks_a_copy(root):
    manifest = root / "manifest.csv"
    manifest.unlink()
    for i, path in enumerate(sorted((root / "train" / "normal").glob("*.png"))):
        shutil.copy(path, path.with_name(f"copy{i}.png"))
    for split in ("val", "test"):
        shutil.rmtree(root / split)
    run, _ = run_audit(root)
    samples, _, _ = read_samples(run / "samples.csv")
    assert set(samples["split"]) == {"train", "val", "test"}
    kinds = pd.read_csv(run / "audit.csv")["kind"].value_counts()
    assert kinds["exact_duplicates"] == 24


def test_measures_are_remembered_for_other_splits_and_thresholds(root, monkeypatch):
    run_audit(root)
    decoded = []
    monkeypatch.setattr(stage, "measure_images", lambda *args: decoded.append(args))
    run, _ = run_audit(root, "--audit.saturation=0.01", "--split.minority_fraction=0.5")
    assert run.ran == ["samples", "audit"]
    assert decoded == []
    assert "train: 4 defect" in pd.read_csv(run / "audit.csv")["detail"].tolist()


def test_an_image_that_cannot_be_read_is_tried_again(root, monkeypatch):
    measure_images = stage.measure_images

    def without_a_library(*args):
        measures = measure_images(*args)
        measures.table.loc[3, "error"] = "its library is not installed"
        return measures

    monkeypatch.setattr(stage, "measure_images", without_a_library)
    with pytest.raises(UserError, match="its library is not installed"):
        run_audit(root)
    monkeypatch.undo()
    run, _ = run_audit(root)
    assert "unreadable" not in pd.read_csv(run / "audit.csv")["kind"].tolist()


def test_the_limit_of_pixels_holds_here_too(root):
    with pytest.raises(
        UserError, match=r"is 32 x 32 pixels, more than the key max_pixels \(1000\) allows"
    ):
        run_audit(root, "--images.max_pixels=1000")
    findings = stage.audit_folder(
        DataSettings(root=str(root)), AuditSettings(), ImageSettings(max_pixels=1000), output=None
    )
    assert (findings["kind"] == "unreadable").sum() == 56
    run_audit(root)


def test_switched_off_nothing_is_left_of_it(root):
    run, _ = run_audit(root)
    run, lines = run_audit(root, "--audit.enabled=false", "--sampling.strategy=none")
    assert not (run / "audit.csv").exists()
    assert "audit" not in run.stages()
    assert lines == ["subsets ..."]
