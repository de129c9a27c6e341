"""What a terminal shows of a run: its numbers, a line each."""

from pathlib import Path

from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.report.numbers import value_and_interval
from mindspore_dpus.systems.machine_sound.metrics_stage import FUSED

SHOWN = {"official": "official", "source": "source", "target": "target", "auc": "AUC", "pauc": "pAUC"}


def summary(run: RunFolder) -> str:
    """What a person wants to know at the end: the numbers and where the rest is."""
    lines = metric_lines(read_json(run / "metrics.json")["test"])
    lines.append(f"report: {Path(run.path, 'report.html')}")
    return "\n".join(lines)


def metric_lines(metrics: dict) -> list[str]:
    """A line for each row of the tables, then the domain classifiers, then clips without a score."""
    models = {name: values for name, values in metrics["models"].items() if name != FUSED}
    width = max(map(len, models), default=0)
    lines = []
    for name, values in models.items():
        parts = []
        for key, title in SHOWN.items():
            value, interval = value_and_interval(values[key])
            if key == "official" and interval:
                low, _, high = interval.partition(" to ")
                value += f" [{low}, {high}]"
            parts.append(f"{title} {value}")
        lines.append(f"{name:>{width}}: {', '.join(parts)}")
    if not models:
        lines.append("no test clip is labelled: scores.csv has the scores")
    for name, value in metrics["domain_auc"].items():
        lines.append(f"domains distinguished by {name}: mean AUC {value:.3f}")
    if metrics["without_score"]:
        lines.append(
            f"{metrics['without_score']} of {metrics['clips']} test clips have no score (see the column "
            "error of scores.csv)"
        )
    return lines
