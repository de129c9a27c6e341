"""What made a result."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

import mindspore_dpus
from mindspore_dpus import __version__
from mindspore_dpus.core import provenance
from mindspore_dpus.core.provenance import commit, cpu_model, environment, source_digest

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not here")


def git(folder, *arguments):
    settings = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    call = ["git", *settings, "-C", str(folder), *arguments]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()


def package(folder):
    (folder / "package" / "part").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("a = 1\n")
    (folder / "package" / "part" / "b.py").write_text("b = 2\n")
    return folder / "package"


def test_the_environment_names_program_libraries_and_cores():
    found = environment()
    assert found["mindspore_dpus"] == __version__
    assert found["source"] == source_digest(Path(mindspore_dpus.__file__).parent)
    # Installed by setup.py: each has a version, and a name with a mistake in it has none.
    assert all(found["packages"].values()), found["packages"]
    assert {"mindspore", "numba", "numpy"} <= set(found["packages"])
    assert found["cpus"] == len(os.sched_getaffinity(0))
    assert found["cpu"] == cpu_model()
    json.dumps(found)


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        ("processor\t: 0\nmodel name\t: One: fast\n\nprocessor\t: 1\nmodel name\t: Two\n", "One: fast"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", "aarch64"),
        (None, "aarch64"),
    ],
)
def test_the_cpu_is_named_or_at_least_its_architecture(tmp_path, monkeypatch, cpuinfo, model):
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert cpu_model(tmp_path / "cpuinfo") == model


def test_the_source_digest_is_of_names_and_contents(tmp_path):
    one = package(tmp_path / "one")
    contents = [("__init__.py", b"a = 1\n"), ("part/b.py", b"b = 2\n")]
    lines = [f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in contents]
    assert source_digest(one) == hashlib.sha256("".join(lines).encode()).hexdigest()[:12]
    other = package(tmp_path / "other")
    assert source_digest(other) == source_digest(one)
    (other / "notes.txt").write_text("no part of the program")
    assert source_digest(other) == source_digest(one)
    (other / "part" / "b.py").rename(other / "b.py")
    assert source_digest(other) != source_digest(one)


@needs_git
def test_the_commit_is_that_of_the_packages_own_repository(tmp_path):
    found = package(tmp_path)
    assert commit(found) is None
    git(tmp_path, "init")
    assert commit(found) is None  # Nothing is committed.
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert len(commit(found)) >= 7
    assert head.startswith(commit(found))
    (found / "__init__.py").write_text("a = 3\n")
    assert commit(found).endswith("-dirty")


@needs_git
def test_a_repository_that_the_package_is_only_installed_in_says_nothing(tmp_path):
    installed = package(tmp_path / "venv" / "lib")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "somebody else's")
    assert commit(installed) is None


def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None
    assert commit(provenance.PACKAGE) is None
