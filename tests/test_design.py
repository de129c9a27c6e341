"""Properties of the design that hold for all systems and folders at once.

docs/development/design.md lists all six properties and the tests that hold them.
"""

import ast
import dataclasses
from typing import get_args, get_type_hints

import pytest

from mindspore_dpus import systems
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.decision.settings import RULES, DecisionSettings
from mindspore_dpus.detectors import DETECTORS
from mindspore_dpus.detectors.aggregators import AGGREGATORS
from mindspore_dpus.losses.settings import LOSSES, LossSettings
from mindspore_dpus.sampling.settings import STRATEGIES, SamplingSettings
from mindspore_dpus.systems.machine_sound.settings import DetectorSettings
from mindspore_dpus.training.schedules import SCHEDULES
from mindspore_dpus.training.settings import OPTIMIZERS, TrainingSettings
from tests.test_layers import MODULES, PACKAGE, ROOT, tree

QUICKSTARTS = {
    "classification": "quickstart.yaml",
    "traffic_signs": "traffic_signs/quickstart.yaml",
    "machine_sound": "machine_sound/extractor.yaml",
}


def all_needs(system, folder):
    """Stage -> every stage whose key is in its own, directly or through others."""
    file = ROOT / "configs" / QUICKSTARTS[system]
    config = systems.parse_config([f"--config={file}", f"--output={folder / 'run'}"])
    stages = systems.load_system(system).stages(config, RunFolder(folder / "run"))
    needs = {stage.name: set(stage.needs) for stage in stages}

    def deep(name):
        return needs[name].union(*map(deep, needs[name])) if needs[name] else set()

    return {name: deep(name) for name in needs}


@pytest.mark.parametrize(
    ("system", "trained", "tuned"),
    [
        ("classification", "members", {"audit", "diagnostics", "metrics", "heatmaps", "decision"}),
        ("traffic_signs", "proposal_network", {"proposals", "place_filter", "signs.members"}),
        ("traffic_signs", "signs.members", {"background.members", "detections", "metrics"}),
        ("traffic_signs", "background.members", {"signs.members", "detections", "metrics"}),
        ("machine_sound", "transformer.extractors", {"simple", "scores", "ensemble", "metrics"}),
    ],
)
def test_tuning_a_later_choice_trains_no_network_again(system, trained, tuned, tmp_path):
    needs = all_needs(system, tmp_path)
    assert tuned <= set(needs)
    assert not tuned & needs[trained]
    assert needs["report"] == set(needs) - {"report", "lr_range", "cluster_range"} - {
        name for name in needs if name.endswith(".lr_range")
    }


# Each table of choices, and the key of a configuration that chooses a row of it.
CHOICES = [
    (STRATEGIES, SamplingSettings, "strategy"),
    (LOSSES, LossSettings, "name"),
    (OPTIMIZERS, TrainingSettings, "optimizer"),
    (SCHEDULES, TrainingSettings, "lr_schedule"),
    (RULES, DecisionSettings, "rule"),
    (DETECTORS, DetectorSettings, "names"),
    (AGGREGATORS, DetectorSettings, "aggregators"),
]


@pytest.mark.parametrize(("table", "section", "key"), CHOICES, ids=[key for *_, key in CHOICES])
def test_a_key_allows_exactly_the_rows_of_its_table(table, section, key):
    hint = get_type_hints(section)[key]
    allowed = get_args(hint)
    if allowed[-1] is Ellipsis:  # several rows
        allowed = get_args(allowed[0])
    assert set(allowed) == set(table)


# Names that only these tables have: the others also mean how tiles are pooled or channels mixed.
ROWS = {*LOSSES, *STRATEGIES, *OPTIMIZERS, *SCHEDULES, *DETECTORS, *AGGREGATORS} - {
    "none",
    "max",
    "mean",
}


def test_no_code_asks_for_the_name_of_a_row():
    found = []
    for name in MODULES:
        if not name.startswith(PACKAGE):
            continue
        for node in ast.walk(tree(name)):
            if not isinstance(node, ast.Compare):
                continue
            parts = [node.left, *node.comparators]
            if any(isinstance(part, ast.Constant) and part.value in ROWS for part in parts):
                found.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


def sections(kind):
    """A dataclass and those of its fields that are dataclasses, down to the last."""
    yield kind
    for hint in get_type_hints(kind).values():
        if dataclasses.is_dataclass(hint):
            yield from sections(hint)


@pytest.mark.parametrize("system", systems.SYSTEMS)
def test_every_section_is_frozen_and_defined_in_the_folder_that_uses_it(system):
    root = systems.load_system(system).Configuration
    found = list(sections(root))
    assert len(found) > 5
    for kind in found:
        assert kind.__dataclass_params__.frozen, kind
        own = kind.__module__.startswith(f"{PACKAGE}.systems.")
        assert not own or kind.__module__.startswith(f"{PACKAGE}.systems.{system}."), kind


DECODERS = {"pydicom", "tifffile", "soundfile", "PIL", "soxr"}


def test_only_data_decodes_files():
    """Samples reach all other folders through a Reader. (What the report writes, nobody decodes.)"""
    for name in MODULES:
        if not name.startswith(PACKAGE) or name.startswith(f"{PACKAGE}.data."):
            continue
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & DECODERS, name
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in DECODERS, name
            elif isinstance(node, ast.Attribute):
                assert node.attr not in ("imread", "imdecode"), name


def test_only_a_system_sees_a_whole_configuration():
    """What lies below gets its section handed in: it neither loads nor is given a configuration."""
    above = tuple(f"{PACKAGE}.{room}" for room in ("systems", "experiments", "cli"))
    below = [n for n in MODULES if n.startswith(f"{PACKAGE}.") and not n.startswith(above)]
    assert len(below) > 100
    for name in below:
        if name == f"{PACKAGE}.core.configuration":
            continue
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef):
                arguments = node.args.args + node.args.kwonlyargs
                hints = {ast.unparse(arg.annotation) for arg in arguments if arg.annotation}
                assert not any("Configuration" in hint for hint in hints), f"{name}.{node.name}"
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func).rpartition(".")[2]
                assert called not in ("load_config", "parse_config", "parse_file"), name


def test_clusters_and_groups_are_different_columns():
    """A cluster is what k-means finds; a group is what belongs together."""
    for name in ("samples.py", "sample_table.py"):
        assert "cluster" not in (ROOT / PACKAGE / "data" / name).read_text(encoding="utf-8"), name
    for path in (ROOT / PACKAGE / "sampling").glob("*.py"):
        assert '"group"' not in path.read_text(encoding="utf-8"), path


# A name in several rooms, and what it says in each of them.
SAME_EVERYWHERE = {
    "settings": "a room's sections of the configuration",
    "configuration": "what a configuration is, and that of each system",
    "measures": "numbers of a run, of an image and of a clip",
    "export": "the verb, and what it does for traffic signs",
    "cluster_range": "the verb, and what it computes",
    "lr_range": "the verb, and what it computes",
    "dpus": "the method, and its row among the strategies",
    "rpn": "the network, and its loss",
}


def test_a_file_name_stands_for_one_thing():
    """Parallel folders repeat names on purpose; a section of the report is called after its subject."""
    rooms = {}
    for path in (ROOT / PACKAGE).rglob("*.py"):
        *folder, _ = path.relative_to(ROOT / PACKAGE).parts
        if path.stem == "__init__" or folder == ["report", "sections"]:
            continue
        parallel = folder[0] == "systems" or folder in (["data", "audio"], ["data", "images"])
        rooms.setdefault(path.stem, set()).add(tuple(folder[:-1] if parallel and folder[1:] else folder))
    twins = {name for name, where in rooms.items() if len(where) > 1}
    assert twins == set(SAME_EVERYWHERE)
