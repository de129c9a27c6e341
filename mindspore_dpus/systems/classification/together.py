"""Members trained by several devices together (``device.data_parallel``): what the leading one tells."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.systems.classification.scorer import training_of


@contextmanager
def leading(config: Configuration) -> Iterator[bool]:
    """Whether this process is to train.

    It is, but for one of several devices that ``msrun`` has started (``device.data_parallel``): that one
    trains members with the first, and is told False when they are done.

    Raises:
        UserError: the devices are not there, or cannot share a batch equally.
    """
    if not config.device.data_parallel:
        yield True
        return
    from mindspore_dpus.training.parallel import together

    def follow(work: dict, device) -> None:
        _follow(config, work, device)

    folder, batch_size = Path(config.output), config.training.batch_size
    with together(config.device, batch_size, folder, follow) as leads:
        yield leads


def announce(run: RunFolder, jobs: list, recipe) -> None:
    """Tell the other devices what they cannot know from their configuration."""
    from mindspore_dpus.training.parallel import call

    network = recipe.network
    call(
        run.path,
        {
            "jobs": [
                {
                    "name": job.name,
                    "seed": job.seed,
                    "n_samples": job.n_samples,
                    "folder": str(job.folder),
                    "images": str(job.shared),
                    **{key: getattr(job.data, key).tolist() for key in ("labels", "train", "val")},
                }
                for job in jobs
            ],
            "num_classes": network.num_classes,
            "shape": [network.image_size, network.image_size, network.in_channels],
            "key": recipe.key,
            # That of the range test, perhaps.
            "learning_rate": recipe.training.learning_rate,
        },
    )


def _follow(config: Configuration, work: dict, device) -> None:
    """Train members with the device that leads.

    Args:
        config: of the run.
        work: as ``announce`` gives it.
        device: this one.
    """
    from mindspore_dpus.training.classification_task import LabelledRows
    from mindspore_dpus.training.members import Job, train_in_turn

    training = dataclasses.replace(config.training, learning_rate=work["learning_rate"])
    classifier = dataclasses.replace(training_of(config), training=training)
    jobs = []
    for job in work["jobs"]:
        arrays = [np.array(job[key]) for key in ("labels", "train", "val")]
        images = Path(job["images"])
        data = LabelledRows(images, *arrays)
        place = Path(job["folder"])
        jobs.append(Job(job["name"], job["seed"], data, job["n_samples"], images, place))
    recipe = classifier.recipe(work["num_classes"], tuple(work["shape"]), work["key"])
    train_in_turn(jobs, recipe, device)
