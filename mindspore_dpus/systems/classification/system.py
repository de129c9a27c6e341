"""The story in one screen: from a configuration to a fused, evaluated ensemble, a stage at a time."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mindspore_dpus.config import Config
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.systems.classification import decide, explain, learn, prepare, subsets
from mindspore_dpus.systems.classification import diagnose as diagnostics
from mindspore_dpus.systems.classification.auditing import make_audit


def train(config: Config, report: Callable[[str], None] = print) -> RunFolder:
    """Fill a run folder from left to right; stages that are done for this configuration are skipped.

    On a CPU, members are trained in processes of their own (``device.processes``). Each imports the
    script that calls this, so that script must do its work under ``if __name__ == "__main__":``.

    Args:
        config: the checked configuration.
        report: called with a line for every stage, member and epoch.

    Returns:
        The finished run folder.

    Raises:
        UserError: bad data, bad settings, or a member that diverged. Finished stages stay.
    """
    run = RunFolder(config.output, report)
    with run.lock():
        root = _make_sets(run, config)
        learn.make_members(run, config, root)
        learn.make_predictions(run, config, root)
        learn.make_metrics(run, config)
        explain.make_heatmaps(run, config, root)
        decide.make_decision(run, config)
        learn.make_report(run, root)
        prepare.write_config(run, config)
    return run


@contextmanager
def leading(config: Config) -> Iterator[bool]:
    """Whether this process is to ``train``.

    It is, but for one of several devices that ``msrun`` has started (``device.data_parallel``): that one
    trains members with the first, and is told False when they are done.

    Raises:
        UserError: the devices are not there, or cannot share a batch equally.
    """
    if not config.device.data_parallel:
        yield True
        return
    from mindspore_dpus.training.members import follow
    from mindspore_dpus.training.parallel import together

    with together(config, partial(follow, config)) as leads:
        yield leads


def _make_sets(run: RunFolder, config: Config) -> Path:
    """From the configuration to the members' training sets; the data root."""
    root = _make_samples(run, config)
    decide.check_decision(run, config)
    learn.check_model(run, config)
    make_audit(run, config, root)
    if config.sampling.strategy == "dpus":
        subsets.make_features(run, config, root)
        subsets.make_subsets(run, config)
        diagnostics.make_diagnostics(run, config)
    else:
        subsets.forget_groups(run)
        subsets.make_subsets(run, config)
    return root


def _make_samples(run: RunFolder, config: Config) -> Path:
    """Find the images, and see that the configuration draws some; the data root."""
    run.before_change = lambda: prepare.write_provenance(run, config)
    root = prepare.find_root(run, config)
    prepare.make_samples(run, config, root)
    subsets.check_draws(run, config)
    return root


def find_learning_rate(config: Config, report: Callable[[str], None] = print) -> tuple[RunFolder, float]:
    """Fill a run folder up to the learning-rate range test, whatever ``training.learning_rate`` says.

    Args:
        config: the checked configuration.
        report: called with a line for every stage.

    Returns:
        The run folder with ``lr_range.csv`` and ``lr_range.svg``, and the rate that they suggest.

    Raises:
        UserError: bad data, bad settings, or no rate at which the loss falls.
    """
    training = dataclasses.replace(config.training, learning_rate="auto")
    config = dataclasses.replace(config, training=training)
    run = RunFolder(config.output, report)
    with run.lock():
        return run, learn.make_lr_range(run, config, _make_sets(run, config))


def compare_clusters(config: Config, report: Callable[[str], None] = print) -> RunFolder:
    """Fill a run folder up to the features, and see what draws from K groups would preserve.

    Args:
        config: the checked configuration; the values of K are ``sampling.cluster_range``.
        report: called with a line for every stage.

    Returns:
        The run folder with ``cluster_range.csv`` and ``cluster_range.svg``.

    Raises:
        UserError: bad data or bad settings.
    """
    sampling = dataclasses.replace(config.sampling, strategy="dpus")
    config = dataclasses.replace(config, sampling=sampling)
    run = RunFolder(config.output, report)
    with run.lock():
        root = _make_samples(run, config)
        make_audit(run, config, root)
        subsets.make_features(run, config, root)
        diagnostics.make_cluster_range(run, config)
    return run
