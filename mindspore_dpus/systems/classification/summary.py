"""What a terminal shows of a run: its numbers, a line each."""

from pathlib import Path

from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.systems.classification.decision_stage import decision_lines
from mindspore_dpus.systems.classification.one_class import FILE


def summary(run: RunFolder) -> str:
    """What a person wants to know at the end: the numbers and where the rest is."""
    lines = metric_lines(read_json(run / "metrics.json")["test"])
    path = run / FILE
    rows = read_json(path).get("test", {}) if path.exists() else {}
    lines += [f"normals alone, {name}: auc {_interval(row['auc'])}" for name, row in rows.items()]
    lines += decision_lines(run.path, run.path, "test")
    lines.append(f"report: {Path(run.path, 'report.html')}")
    return "\n".join(lines)


def metric_lines(metrics: dict) -> list[str]:
    """A line for each model: AUC, precision, recall with their intervals."""
    lines = []
    for name, values in metrics["models"].items():
        parts = [f"{m} {_interval(values[m])}" for m in ("auc", "precision", "recall")]
        lines.append(f"{name:>9}: " + ", ".join(parts))
    return lines


def localisation_line(found: dict) -> str:
    """What ``evaluate`` found out about heatmaps and boxes, in words."""
    exchanged, energy = (_interval({"value": found[name]}) for name in ("exchanged", "energy"))
    return (
        f"heatmaps: {found['hits']} of {found['images']} peaks lie in the annotated box: "
        f"{_interval(found | {'value': found['share']})}; by chance {found['chance']:.3f}, another "
        f"image's peak {exchanged}; share of the heat inside {energy}"
    )


def _interval(metric: dict) -> str:
    if metric["value"] is None:
        return "undefined"
    text = f"{metric['value']:.3f}"
    if metric.get("low") is not None:
        text += f" [{metric['low']:.3f}, {metric['high']:.3f}]"
    return text
