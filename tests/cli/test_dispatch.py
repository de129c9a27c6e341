"""Which system a command is about, and that a script and the installed command are one and the same."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest

from mindspore_dpus import systems
from mindspore_dpus.cli import dispatch, main

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "mindspore_dpus/cli/systems").glob("[!_]*.py"))
# Verbs that each system does in its own way: their modules only look up the system.
SHARED = sorted(
    verb
    for verb in main.VERBS
    if "run_verb" in (ROOT / f"mindspore_dpus/cli/{verb}.py").read_text(encoding="utf-8")
)


def shown(capsys, call):
    """What a call for help prints: all of it on the standard output, with exit code 0."""
    with pytest.raises(SystemExit) as end:
        sys.exit(call())
    printed = capsys.readouterr()
    assert (end.value.code or 0, printed.err) == (0, "")
    return printed.out


def test_the_systems_are_those_of_the_package():
    assert sorted(dispatch.SYSTEMS) == sorted(systems.SYSTEMS)


def test_every_module_is_a_verb_of_a_system():
    assert set(MODULES) <= {f"{system}_{verb}" for system in dispatch.SYSTEMS for verb in SHARED}
    # What every system must have; simulated data may come from elsewhere.
    wanted = {f"{s}_{verb}" for s in dispatch.SYSTEMS for verb in ("evaluate", "predict", "export")}
    assert wanted <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_its_entry_lists_its_options(module, capsys):
    found = importlib.import_module(f"mindspore_dpus.cli.systems.{module}")
    direct = shown(capsys, lambda: found.main(["--help"]))
    assert "--output" in direct
    # The shared verb reaches the same entry by the system's name, wherever that stands.
    system = next(name for name in dispatch.SYSTEMS if module.startswith(f"{name}_"))
    verb = module.removeprefix(f"{system}_")
    for args in (["--system", system, "--help"], ["--help", f"--system={system}"]):
        assert shown(capsys, lambda args=args: dispatch.run_verb(verb, args)) == direct


@pytest.mark.parametrize("verb", main.VERBS)
def test_script_and_installed_command_have_the_same_options(verb, capsys, monkeypatch):
    script = ROOT / "tools" / f"{verb}.py"
    # The usage line names what was started.
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    installed = shown(capsys, lambda: main.main([verb, "--help"]))
    assert shown(capsys, lambda: runpy.run_path(str(script), run_name="__main__")) == installed
    assert "--" in installed


def test_every_script_is_a_verb_or_measures_the_product():
    scripts = {path.stem for path in (ROOT / "tools").glob("*.py")}
    assert scripts == set(main.VERBS) | {"benchmark", "growth"}


def test_all_verbs_are_listed(capsys):
    listed = shown(capsys, lambda: main.main(["--help"]))
    for verb, text in main.VERBS.items():
        assert f"  {verb} " in listed
        assert text in listed


def test_the_system_is_that_of_the_run_or_of_the_model(tmp_path):
    (tmp_path / "config.yaml").write_text("data:\n  root: x\nsystem: machine_sound\n")
    assert dispatch.system_of(["--run", str(tmp_path)]) == "machine_sound"
    assert dispatch.system_of([f"--run={tmp_path}"]) == "machine_sound"
    model = tmp_path / "model.onnx"
    (tmp_path / "model.onnx.json").write_text(json.dumps({"system": "traffic_signs"}))
    assert dispatch.system_of(["--model", str(model)]) == "traffic_signs"
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "bundle.json").write_text(json.dumps({"system": "machine_sound"}))
    assert dispatch.system_of([f"--model={tmp_path / 'graphs'}"]) == "machine_sound"
    # What is named by hand counts before what is found.
    assert dispatch.system_of(["--run", str(tmp_path), "--system=classification"]) == "classification"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "name a run with --run"),
        (["--run={folder}"], "is no run folder"),
        (["--run={folder}/unnamed"], "names no system"),
        (["--system=castings"], "system"),
        (["--system=machine_sound"], "the system machine_sound has no command simulate"),
    ],
)
def test_a_command_about_no_system_is_one_line(args, message, tmp_path, capsys):
    (tmp_path / "unnamed").mkdir()
    (tmp_path / "unnamed" / "config.yaml").write_text("data:\n  root: x\n")
    with pytest.raises(SystemExit) as end:
        sys.exit(dispatch.run_verb("simulate", [arg.format(folder=tmp_path) for arg in args]))
    assert end.value.code == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert message in error[0]


def test_a_verb_that_is_none_is_an_error(capsys):
    with pytest.raises(SystemExit) as end:
        sys.exit(main.main(["trian"]))
    assert end.value.code == 2
    assert "'trian'" in capsys.readouterr().err


def test_a_module_that_fails_to_import_is_no_missing_command(monkeypatch):
    """Only a module that does not exist means that the system lacks the command."""

    def fail(name):
        raise ModuleNotFoundError("No module named 'gone'", name="gone")

    monkeypatch.setattr(dispatch.importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="gone"):
        dispatch.run_verb("predict", ["--system=classification"])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("bundle.json", "{", "bundle.json is damaged: export again"),
        ("bundle.json", "[]", "bundle.json is not what an export writes"),
        ("config.yaml", "system: traffic_signs\n", "is a run folder: give it with --run, or export it"),
        ("notes.txt", "", "holds no bundle.json: give a folder that tools/export.py has written"),
    ],
)
def test_a_folder_that_is_no_export_says_what_it_is(tmp_path, capsys, file, text, message):
    (tmp_path / file).write_text(text)
    assert dispatch.run_verb("predict", [f"--model={tmp_path}", "frames"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
