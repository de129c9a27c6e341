"""What a run of a grid has left behind."""

import math

import yaml

from mindspore_dpus.cli import plain
from mindspore_dpus.data.samples import read_table
from mindspore_dpus.experiments.grid import TRAINING_SECONDS, Case
from mindspore_dpus.run import STAGES_FILE, read_json
from mindspore_dpus.stages.prepare import PLACES


def is_done(case: Case) -> bool:
    """Whether a case has a report made with its settings. (That its data are the same, only a start
    of the run can tell.)"""
    stages, config = case.folder / STAGES_FILE, case.folder / "config.yaml"
    if not stages.exists() or not config.exists() or "report" not in read_json(stages):
        return False
    stored = yaml.safe_load(config.read_text(encoding="utf-8"))
    return _settings(stored) == _settings(plain(case.config))


def _settings(config: dict) -> dict:
    """A configuration without what changes no result: places and the device."""
    sections = {key: value for key, value in config.items() if key not in ("output", "device")}
    return {
        key: {k: v for k, v in value.items() if k not in PLACES} if isinstance(value, dict) else value
        for key, value in sections.items()
    }


def fused_metric(case: Case, split: str, metric: str) -> float:
    """A metric of a finished run's fused ensemble; nan where it is undefined."""
    metrics = read_json(case.folder / "metrics.json")[split]["models"]["fused"]
    # Some are of more than two classes only.
    value = metrics.get(metric, {"value": None})["value"]
    return math.nan if value is None else value


def training_seconds(case: Case) -> float:
    """Time of all epochs of all members of a finished run."""
    histories = case.folder.glob("members/*/history.csv")
    return float(sum(read_table(path)["seconds"].astype(float).sum() for path in histories))


def measured(case: Case, split: str, name: str) -> float:
    """What a table shows of a finished run: a metric of the fused ensemble, or ``training_seconds``."""
    return training_seconds(case) if name == TRAINING_SECONDS else fused_metric(case, split, name)


def seconds(case: Case) -> float:
    """Time of all stages of a finished run, whenever they ran."""
    return sum(stage["seconds"] for stage in read_json(case.folder / STAGES_FILE).values())
