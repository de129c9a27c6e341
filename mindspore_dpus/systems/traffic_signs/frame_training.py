"""A network that learns from whole frames and their boxes: one member, no subsets."""

from collections.abc import Callable

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.run_data import FrameRows, data_root, read_run_frames
from mindspore_dpus.training.settings import TrainingSettings


def train_on_frames(
    run: RunFolder,
    config: Configuration,
    name: str,
    network,
    task: Callable,
    training: TrainingSettings,
    n_samples: Callable[[FrameRows], int],
    key: str,
) -> None:
    """``<name>/members/<name>/``: best and last checkpoint, history.

    Args:
        run, config: the run.
        name: of the folder and of its only member.
        network: a ``training.members.Network``.
        task: ``FrameRows`` -> a ``training.task.Task``.
        training: the section.
        n_samples: of an epoch.
        key: what the checkpoint belongs to.
    """
    from mindspore_dpus.core.device import configure
    from mindspore_dpus.training.members import Job, Recipe, train_members

    frames, root = read_run_frames(run), data_root(run, config).absolute()
    rows = FrameRows(root, frames.paths, frames.boxes, frames.of("train"), frames.of("val"))
    place = (run / name / "members" / name).absolute()
    job = Job(name, [config.seed, 0], rows, n_samples(rows), root, place)
    train_members([job], Recipe(network, task, training, config.device, key), configure(config.device))
