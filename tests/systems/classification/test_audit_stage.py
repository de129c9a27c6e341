"""The audit as a stage: what stops a run and how it is said, what is remembered, what may pass."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.cli.audit import main as audit_command
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.sample_table import read_samples
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


CLASSES = ("normal", "defect")


@pytest.fixture
def pictures(tmp_path):
    """Writes different images of each class: ``make(normal=12, defect=3)``."""
    rng = np.random.default_rng(0)

    def make(**numbers):
        for label, number in numbers.items():
            (tmp_path / "set" / label).mkdir(parents=True, exist_ok=True)
            for i in range(number):
                image = rng.integers(0, 255, (16, 16), np.uint8)
                cv2.imwrite(str(tmp_path / "set" / label / f"{i}.png"), image)
        return tmp_path / "set"

    return make


@pytest.mark.parametrize(
    ("numbers", "options", "words"),
    [
        ({"normal": 12}, [], "only the class 'normal' was found; at least two are needed"),
        ({"normal": 12, "defect": 0}, [], "only the class 'normal' was found; at least two are needed"),
        ({"ok": 12, "defect": 12}, [], "data.majority is 'normal', but "),
        ({"ok": 12, "bad": 12}, ["--data.positive=bad"], "data.majority is 'normal', but "),
        (
            {"a": 12, "b": 12, "c": 12},
            ["--data.positive=zz"],
            "holds the classes 'a', 'b' and 'c'; set data.positive",
        ),
        ({"normal": 12, "defect": 12}, ["--data.classes=[normal, x]"], "data.classes names 'x', but "),
        (
            {"normal": 12, "defect": 3},
            [],
            "the class 'defect' has 3 images, and split.test_size 0.15 and ",
        ),
        (
            {"normal": 12, "defect": 12},
            ["--split.test_size=23"],
            "the class 'defect' has 12 images, and ",
        ),
    ],
)
def test_a_set_that_training_refuses_does_not_pass(pictures, numbers, options, words, capsys, tmp_path):
    root = pictures(**numbers)
    assert audit_command([f"--data.root={root}", *options]) == 1
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error ")]
    assert words in said
    options = [option for option in options if not option.startswith("--data.classes")]
    classes = [] if "data.classes" not in words else ["--data.classes=[normal, x]"]
    with pytest.raises(UserError) as caught:
        train(
            parse_config([f"--data.root={root}", f"--output={tmp_path / 'run'}", *options, *classes]),
            print,
            ["samples"],
        )
    assert said == f"error        1 untrainable, such as {caught.value}"


def test_a_majority_that_is_the_smaller_class_does_not_pass(pictures, capsys, tmp_path):
    root = pictures(normal=12, defect=30)
    assert audit_command([f"--data.root={root}"]) == 1
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error ")]
    assert "data.majority is 'normal', but train has" in said
    with pytest.raises(UserError) as caught:
        train(parse_config([f"--data.root={root}", f"--output={tmp_path / 'run'}"]), print, ["subsets"])
    assert said == f"error        1 untrainable, such as {caught.value}"
    # What the line says to do is understood here.
    assert audit_command([f"--data.root={root}", "--sampling.strategy=none"]) == 0
    swapped = ["--data.majority=defect", "--data.positive=normal"]
    assert audit_command([f"--data.root={root}", *swapped]) == 0


def test_a_flaw_size_that_is_no_number_does_not_pass(pictures, capsys, tmp_path):
    root = pictures(normal=12, defect=12)
    rows = [
        f"{c}/{i}.png,{c},{'2 mm' if c == 'defect' else '-'},{i + 1}" for c in CLASSES for i in range(12)
    ]
    (root / "manifest.csv").write_text("\n".join(["path,label,flaw_size,other", *rows]))
    assert audit_command([f"--data.root={root}"]) == 1
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error ")]
    keys = [f"--output={tmp_path / 'run'}", "--features.pretrained=null", "--model.pretrained=null"]
    with pytest.raises(UserError) as caught:
        train(parse_config([f"--data.root={root}", *keys]), print, ["decision"])
    assert said == f"error        1 untrainable, such as {caught.value}"
    assert "flaw_size of defect/0.png is '2 mm'" in said
    assert audit_command([f"--data.root={root}", "--decision.size_columns=[other]"]) == 0


def test_copies_count_for_the_audit_as_for_training(pictures, capsys):
    root = pictures(normal=12, defect=3)
    for i in range(9):
        shutil.copy(root / "defect" / "0.png", root / "defect" / f"copy{i}.png")
    assert audit_command([f"--data.root={root}"]) == 1
    assert "(copies of one image count once)" in capsys.readouterr().out


def test_sets_that_training_takes_pass(pictures, capsys):
    root = str(pictures(normal=12, defect=12))
    assert audit_command([f"--data.root={root}", "--audit.near_distance=null"]) == 0
    assert capsys.readouterr().out.endswith("nothing found\n")


def test_a_name_that_is_not_utf8_is_one_row(pictures, tmp_path, capsys):
    root = pictures(normal=12, defect=12)
    (root / "normal" / "0.png").rename(root / "normal" / os.fsdecode(b"b\xff.png"))
    assert audit_command([f"--data.root={root}", f"--output={tmp_path}"]) == 1
    assert "has a name that is not UTF-8: rename it" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "audit.csv")
    assert table["path"][table["kind"] == "unreadable"].tolist() == ["normal/b\\udcff.png"]


def test_a_name_of_two_lines_is_one_line(pictures, capsys):
    root = pictures(normal=12, defect=12)
    (root / "normal" / "a\nb.png").write_bytes(b"no image")
    assert audit_command([f"--data.root={root}"]) == 1
    assert f"{root}/normal/a\\nb.png is broken or not an image" in capsys.readouterr().out


def test_a_link_that_leads_nowhere_is_one_row(pictures, capsys, tmp_path):
    root = pictures(normal=12, defect=12)
    (root / "normal" / "away").symlink_to("/not/mounted")
    assert audit_command([f"--data.root={root}"]) == 1
    assert "1 unreadable, such as" in (said := capsys.readouterr().out)
    assert "away is a link to /not/mounted, which does not exist" in said
    with pytest.raises(UserError, match=r"away is a link to /not/mounted, .*\(1 of 25 images cannot be"):
        train(parse_config([f"--data.root={root}", f"--output={tmp_path / 'run'}"]), print, ["audit"])
