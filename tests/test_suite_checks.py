"""The checks of the suite fail a run that breaks them, with and without workers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite_checks import KNOWN_SKIPS, is_known, largest_memory_mb

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

def test_known():
    pytest.skip("the real weights of ../shared are not here")

def test_unknown():
    pytest.skip("{reason}")

@pytest.mark.xfail(reason="tried")
def test_expected_to_fail():
    raise AssertionError

def test_memory():
    assert len(bytearray({megabytes} * 2**20))
"""
LIMITED = """
import tests.suite_checks
from tests.suite_checks import *
tests.suite_checks.MAX_MEMORY_MB = 300
"""


def run(folder, *options, reason="no time", megabytes=1):
    """A suite of a few tests with the hooks of ours, whose processes may take 300 MB."""
    (folder / "conftest.py").write_text(LIMITED)
    (folder / "test_some.py").write_text(TESTS.format(reason=reason, megabytes=megabytes))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command += [f"--basetemp={folder / 'temp'}", *options, str(folder)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "a worker"])
def test_too_much_memory_fails_the_run(tmp_path, workers):
    code, out = run(tmp_path, *workers, megabytes=400)
    assert code == 1, out
    name = "gw0" if workers else "main"
    assert f"error: test process {name} took " in out
    assert "and first more than 300 in test_some.py::test_memory\n" in out


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "a worker"])
def test_a_skip_that_is_not_listed_fails_the_run(tmp_path, workers):
    code, out = run(tmp_path, *workers, "--known-skips")
    assert code == 1, out
    assert "test_some.py::test_unknown: no time" in out
    assert out.count("error: ") == 1
    # Where it is not asked for, such as on a machine that lacks an extra, every skip passes.
    code, out = run(tmp_path, *workers)
    assert code == 0, out
    assert "largest memory of a test process: " in out


def test_listed_skips_pass(tmp_path):
    code, out = run(tmp_path, "--known-skips", reason="torch is not installed (extra: reference)")
    assert code == 0, out
    assert "2 skipped" in out


def test_a_file_that_skips_as_a_whole_is_seen(tmp_path):
    (tmp_path / "test_whole.py").write_text("import pytest\npytest.importorskip('no_such_package')\n")
    code, out = run(tmp_path, "--known-skips", reason="pdflatex is not installed")
    assert code == 1, out
    assert "test_whole.py: could not import 'no_such_package'" in out


def test_every_line_of_the_list_has_its_reason():
    assert all(KNOWN_SKIPS.values())
    assert not is_known("could not import 'onnx': No module named 'onnx'")
    assert not is_known("ray is not installed (pip install -e '.[ray]')")


def test_memory_is_in_megabytes():
    kept = bytearray(200 * 2**20)
    assert 200 <= largest_memory_mb() < 100_000
    assert kept[-1] == 0
