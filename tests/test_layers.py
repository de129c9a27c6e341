"""Who may import whom: the layers of the package, and the rooms that MindSpore never enters."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from mindspore_dpus.systems import SYSTEMS

ROOT = Path(__file__).parents[1]
PACKAGE = "mindspore_dpus"

# From the ground up. A name stands for all modules below it, unless they have a line of their own.
FLOORS = [
    [PACKAGE, "core"],
    ["data", "losses", "models"],
    ["features", "sampling", "metrics", "detectors"],
    ["decision", "export", "training"],
    ["deploy", "report"],
    ["stages"],
    ["systems"],
    ["experiments"],
    ["cli"],
    ["tools"],
]
FLOOR_OF = {
    name if name in (PACKAGE, "tools") else f"{PACKAGE}.{name}": floor
    for floor, names in enumerate(FLOORS)
    for name in names
}

WITHOUT_MINDSPORE = [
    *("core.settings", "core.configuration", "core.stages", "core.files", "core.processes"),
    *("core.cluster", "core.provenance", "core.choices", "core.tables"),
    *("data.images", "data.audio", "data.boxes", "data.simulate", "data.samples", "data.splits"),
    *("data.sample_table", "data.group_splits"),
    *("data.cache", "data.findings", "data.hashing", "data.paths", "data.source", "data.reader"),
    *("sampling", "features.whitening", "features.streamed", "metrics", "detectors", "decision"),
    *("losses.settings", "models.settings", "models.pretrained"),
    *("training.settings", "training.checkpoint", "training.divergence", "training.lr_range"),
    *("training.early_stopping", "training.schedules", "training.progress"),
    *("deploy", "report", "stages", "experiments", "cli"),
    *("systems.classification.system", "systems.classification.evaluation"),
    *("systems.traffic_signs.system", "systems.traffic_signs.evaluation"),
    *("systems.machine_sound.system", "systems.machine_sound.evaluation"),
]
HEAVY = {"mindspore", "mindcv"}
DATA_SETS = ("waste", "trash", "chest", "covid")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for folder in (PACKAGE, "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def at_import(node):
    """The statements that run when a module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_import(child)


@functools.cache
def imported(name, with_functions=True):
    """Full names that a module's import statements name; ``from a import b`` is ``a.b`` where that is a
    module. Without those in functions, which do not run when it is imported."""
    return set(_imported(name, ast.walk(tree(name)) if with_functions else at_import(tree(name))))


def _imported(name, nodes):
    package = name if MODULES[name].stem == "__init__" else name.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in MODULES else base


def tree(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def floor(name):
    """The floor of a module: that of the longest name it lies under."""
    while name and name not in FLOOR_OF:
        name = name.rpartition(".")[0]
    return FLOOR_OF.get(name)


def loaded(name):
    """Everything that is imported with a module, the packages around it included."""
    seen, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        waiting.append(current.rpartition(".")[0] or current)
        if current in MODULES:
            waiting.extend(imported(current, with_functions=False))
    return seen


def below(room):
    full = f"{PACKAGE}.{room}"
    return [name for name in MODULES if name == full or name.startswith(full + ".")]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_its_own_floor_or_lower(name):
    assert name == PACKAGE or floor(name) is not None, f"{name} has no floor"
    ours = {other for other in imported(name) if other.split(".")[0] == PACKAGE}
    assert {other for other in ours if floor(other) > floor(name)} == set()


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_system_imports_another(system):
    own = f"{PACKAGE}.systems.{system}"
    for name in below(f"systems.{system}"):
        others = {
            other
            for other in imported(name)
            if other.startswith(f"{PACKAGE}.systems.") and not f"{other}.".startswith(f"{own}.")
        }
        assert others == set(), name


def test_every_system_has_its_row():
    folders = {path.parent.name for path in (ROOT / PACKAGE / "systems").glob("*/system.py")}
    assert folders == set(SYSTEMS)


@pytest.mark.parametrize("room", WITHOUT_MINDSPORE)
def test_mindspore_never_enters(room):
    assert below(room)
    for name in below(room):
        assert {other for other in loaded(name) if other.split(".")[0] in HEAVY} == set()


def test_importing_those_rooms_does_not_load_mindspore():
    names = [name for room in WITHOUT_MINDSPORE for name in below(room)]
    code = f"import sys, {', '.join(names)}; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_the_walk_finds_mindspore_where_it_is():
    assert HEAVY & loaded(f"{PACKAGE}.training.trainer")


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(PACKAGE)])
def test_no_module_knows_a_data_set(name):
    """Other systems are configurations: no name and no text of the code, docstrings aside, is theirs."""
    nodes = list(ast.walk(tree(name)))
    docstrings = [
        n.value for n in nodes if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
    ]
    # Names, arguments, attributes; and constants, which are fields as well.
    words = [
        value.lower()
        for node in nodes
        if not any(node is text for text in docstrings)
        for _, value in ast.iter_fields(node)
        if isinstance(value, str)
    ]
    assert [word for word in words if any(name in word for name in DATA_SETS)] == []
