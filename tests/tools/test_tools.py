"""The tools as a user runs them: exit codes, and one clear line for everything that goes wrong."""

import contextlib
import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pandas as pd
import pytest

REPOSITORY = Path(__file__).parents[2]
TINY = (
    "--system=classification",
    "--images.size=32",
    "--features.pretrained=null",
    "--features.layer=layer1",
    "--features.n_components=4",
    "--sampling.n_clusters=2",
    "--sampling.n_subsets=1",
    "--model.backbone=lenet5",
    "--model.pretrained=null",
    "--training.epochs=1",
    "--evaluation.n_bootstrap=0",
    "--device.target=CPU",
    "--device.processes=1",  # Starting others would take longer than the training.
)


def tool(name, *args):
    """Run a tool in this process, which has what it imports already."""
    path = str(REPOSITORY / "tools" / f"{name}.py")
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", [path, *map(str, args)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        runpy.run_path(path, run_name="__main__")
    return subprocess.CompletedProcess(path, end.value.code, out.getvalue(), err.getvalue())


def process(name, *args):
    """Run a tool in a process of its own: what compiled code writes counts too."""
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / f"{name}.py"), *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_one_line(result, *fragments):
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for fragment in fragments:
        assert fragment in lines[0]


@pytest.fixture(scope="module")
def trained(castings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools") / "run"
    result = process("train", f"--data.root={castings}", f"--output={folder}", *TINY)
    return folder, result


@pytest.fixture
def copied(castings, tmp_path):
    """A copy of the castings that a test may spoil."""
    return Path(shutil.copytree(castings, tmp_path / "castings"))


def test_train_ends_with_the_numbers_and_the_report(trained):
    folder, result = trained
    assert result.returncode == 0, result.stderr
    assert "fused: auc 0." in result.stdout
    assert "\n decision: defect if the score is 0." in result.stdout
    assert result.stdout.strip().endswith(f"report: {folder / 'report.html'}")
    assert result.stderr == ""
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_second_train_says_that_nothing_is_to_do(trained, castings):
    folder, _ = trained
    result = tool("train", f"--data.root={castings}", f"--output={folder}", *TINY)
    assert result.returncode == 0
    assert result.stdout.startswith("nothing to do")


def test_evaluate_and_predict(trained, castings, tmp_path):
    folder, _ = trained
    result = tool("evaluate", "--run", folder)
    assert result.returncode == 0, result.stderr
    assert "fused: auc" in result.stdout
    assert "\n decision: defect if the score is 0." in result.stdout
    output = tmp_path / "p.csv"
    result = tool("predict", "--run", folder, castings / "test" / "defect", "--output", output)
    assert "6 images, 0 of them unreadable" in result.stdout, result.stderr
    table = pd.read_csv(output)
    assert len(table) == 6
    called = int((table["predicted"] == "defect").sum())
    assert f"to look at: {called}\n" in result.stdout
    assert result.returncode == (1 if called else 0)


def test_simulate_then_convert(tmp_path):
    result = tool(
        "simulate",
        "--system=classification",
        "--output",
        tmp_path / "x",
        "--train=[2,1]",
        "--val=[1,1]",
        "--test=[1,1]",
    )
    assert result.returncode == 0, result.stderr
    assert len(pd.read_csv(tmp_path / "x" / "manifest.csv")) == 7
    (tmp_path / "bad.ckpt").write_bytes(b"x" * 100)
    result = tool(
        "convert_weights", "--backbone=resnet18", tmp_path / "bad.ckpt", tmp_path / "o.safetensors"
    )
    assert_one_line(result, "bad.ckpt", "not a readable checkpoint")


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--data.root=/nowhere"], ["data.root", "/nowhere", "folder of your images"]),
        (["--training.epoch=3"], ["training.epoch"]),
        (["--training.epochs=many"], ["training.epochs", "many"]),
        (["--config=/nowhere.yaml"], ["/nowhere.yaml"]),
        ([], ["data.root is missing"]),
        (["--data.root={castings}", "--data.positive=crack"], ["data.positive", "'crack'"]),
        (["--data.root={castings}", "--model.backbone=resnet81"], ["unknown backbone", "resnet18"]),
        (["--data.root={castings}", "--model.pretrained={castings}/manifest.csv"], ["manifest.csv"]),
        (["--data.root={castings}", "--features.layer=layer9"], ["features.layer", "layer9"]),
        (
            ["--data.root={castings}", "--training.batch_size=8", "--training.learning_rate=1e38"],
            ["member 00", "loss is", "learning_rate"],
        ),
    ],
    ids=lambda value: (value[-1] if value else "none") if isinstance(value[:1], list) else "",
)
def test_bad_settings_are_one_line(castings, tmp_path, options, fragments):
    options = [option.format(castings=castings) for option in options]
    assert_one_line(tool("train", f"--output={tmp_path / 'run'}", *TINY, *options), *fragments)


def test_a_device_that_is_not_there_is_one_line(castings, tmp_path):
    options = ("--system=classification", f"--data.root={castings}", f"--output={tmp_path / 'run'}")
    options += ("--device.target=Ascend",)
    assert_one_line(process("train", *options), "device.target", "Ascend")


def test_broken_and_empty_images_are_listed(copied, tmp_path):
    broken, empty = sorted((copied / "train" / "normal").glob("*.png"))[:2]
    broken.write_bytes(broken.read_bytes()[:200])
    empty.write_bytes(b"")
    run = tmp_path / "run"
    result = tool("train", f"--data.root={copied}", f"--output={run}", *TINY)
    assert_one_line(result, broken.name, "truncated", "2 of 56", "audit.csv")
    findings = pd.read_csv(run / "audit.csv").query("kind == 'unreadable'")
    assert findings["path"].tolist() == [
        f"train/normal/{broken.name}",
        f"train/normal/{empty.name}",
    ]


def test_audit_says_by_its_exit_code_whether_data_leak(copied, tmp_path):
    clean = tool("audit", f"--data.root={copied}")
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.splitlines() == [
        *("train: 8 defect", "train: 24 normal", "val: 6 defect"),
        *("val: 6 normal", "test: 6 defect", "test: 6 normal", "nothing found"),
    ]
    train, test = (next((copied / split / "normal").glob("*.png")) for split in ("train", "test"))
    shutil.copy(train, test)
    leaking = tool("audit", f"--data.root={copied}", f"--output={tmp_path / 'out'}")
    assert (leaking.returncode, leaking.stderr) == (1, "")
    names = [path.relative_to(copied).as_posix() for path in (test, train)]
    assert leaking.stdout.splitlines()[-1] == (
        f"error        1 exact_duplicates_across_splits, such as {names[0]} and {names[1]}: "
        "equal pixels in train and test"
    )
    findings = pd.read_csv(tmp_path / "out" / "audit.csv")
    assert findings[["path", "other"]].iloc[0].tolist() == names
    assert_one_line(tool("audit", f"--data.root={copied}/nowhere"), "is not a folder")


def test_evaluating_files_outside_the_folder_is_allowed_by_hand(trained, copied, tmp_path):
    manifest = tmp_path / "other.csv"
    pd.read_csv(copied / "manifest.csv").assign(
        path=lambda table: "../" + copied.name + "/" + table["path"], split="test"
    ).to_csv(manifest, index=False)
    args = (f"--run={trained[0]}", f"--data.root={copied}", f"--data.manifest={manifest}", "--split=val")
    assert_one_line(tool("evaluate", *args), "climbs with '..'", "data.allow_outside_root")
    # Now its paths are taken, and the next thing is said that is wrong with it.
    assert_one_line(tool("evaluate", *args, "--data.allow_outside_root"), "has no image of it")


def test_deep_images_ask_for_a_choice(copied, tmp_path):
    path = next((copied / "train" / "normal").glob("*.png"))
    cv2.imwrite(str(path), np.zeros((32, 32), np.uint16))
    result = tool("train", f"--data.root={copied}", f"--output={tmp_path / 'run'}", *TINY)
    assert_one_line(result, path.name, "images.bits")


def test_one_class_only(copied, tmp_path):
    (copied / "manifest.csv").unlink()
    for split in ("train", "val", "test"):
        shutil.rmtree(copied / split / "defect")
    result = tool("train", f"--data.root={copied}", f"--output={tmp_path / 'run'}", *TINY)
    assert_one_line(result, "only the class 'normal'")


def test_a_full_disk_keeps_finished_stages(castings, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system here")
    try:
        options = (f"--data.root={castings}", f"--output={disk / 'run'}", *TINY)
        result = tool("train", *options)
        assert_one_line(result, str(disk), "No space left on device", "output folder")
        assert (disk / "run" / "subsets.csv").exists()
        assert not list(disk.rglob("*.tmp*"))
        subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
        again = tool("train", *options)
        assert again.returncode == 0, again.stderr
        assert again.stdout.startswith("members ...")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_ctrl_c_says_how_to_go_on(castings, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, str(REPOSITORY / "tools" / "train.py"), f"--data.root={castings}"]
    options = (*TINY, "--sampling.strategy=random_under", "--training.epochs=500")  # No features.
    training = subprocess.Popen(
        [*command, f"--output={run}", *options],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in training.stdout:
        if "epoch 2/500" in line:
            training.send_signal(signal.SIGINT)
            break
    _, stderr = training.communicate(timeout=120)
    assert training.returncode == 130
    assert stderr == "interrupted: start the same command again to go on\n"
    assert (run / "members" / "00" / "last.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [("evaluate", []), ("predict", ["x.png"]), ("export", ["--format", "onnx"])],
)
def test_a_folder_that_is_no_run(name, options, tmp_path):
    args = ["--run", tmp_path, *options]
    assert_one_line(tool(name, *args), "is no run folder")


def test_a_wrong_option_of_a_small_tool():
    assert_one_line(tool("predict", "--runs", "x"), "--run,")
    assert_one_line(tool("convert_weights", "--backbones", "x"), "--help")
