"""The story in one screen: from a configuration to a fused, evaluated ensemble, a stage at a time."""

from pathlib import Path

from mindspore_dpus.config import Config
from mindspore_dpus.run import RunFolder
from mindspore_dpus.stages import learn, prepare, subsets


def train(config: Config) -> RunFolder:
    """Fill a run folder from left to right; stages that are done for this configuration are skipped.

    Args:
        config: the checked configuration.

    Returns:
        The finished run folder.

    Raises:
        UserError: bad data, bad settings, or a loss that is not a number. Finished stages stay.
    """
    run = RunFolder(config.output)
    with run.lock():
        prepare.write_provenance(run, config)
        root = prepare.find_root(run, config)
        prepare.make_samples(run, config, root)
        if config.sampling.strategy == "dpus":
            subsets.make_features(run, config, root)
        subsets.make_subsets(run, config)
        learn.make_members(run, config, root)
        learn.make_predictions(run, config, root)
        learn.make_metrics(run, config)
        learn.make_report(run, root)
    return run


def summary(run: RunFolder) -> str:
    """What a person wants to know at the end: the numbers and where the rest is."""
    metrics = run.metrics()
    lines = [] if run.ran else ["nothing to do: every stage is done for this configuration and data"]
    for name, values in metrics["test"]["models"].items():
        parts = [f"{m} {_interval(values[m])}" for m in ("auc", "precision", "recall")]
        lines.append(f"test {name:>9}: " + ", ".join(parts))
    lines.append(f"report: {Path(run.path, 'report.html')}")
    return "\n".join(lines)


def _interval(metric: dict) -> str:
    if metric["value"] is None:
        return "undefined"
    text = f"{metric['value']:.3f}"
    if metric.get("low") is not None:
        text += f" [{metric['low']:.3f}, {metric['high']:.3f}]"
    return text
