"""What each process does that test_parallel.py starts with msrun: a member on both devices, then, on the
first alone, the same member on one."""

import dataclasses
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.data.images.augment import AugmentSettings
from mindspore_dpus.losses import create_loss
from mindspore_dpus.models.dropout import use_seeded_dropout
from mindspore_dpus.models.sync_norm import use_sync_norms
from mindspore_dpus.models.weights import get_state
from mindspore_dpus.training.parallel import meet
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.trainer import Trainer
from tests.support import MemberData, held


def smooth_net(device):
    """Without kinks, at which a last digit would decide over a gradient."""
    ms.set_seed(3)
    net = nn.SequentialCell(
        nn.Conv2d(1, 4, 3, 2),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Conv2d(4, 8, 3, 2),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.Flatten(),
        nn.Dropout(p=0.3),
        nn.Dense(8 * 4 * 4, 2),
    )
    net.init_parameters_data()
    use_seeded_dropout(net, device.rank, device.n_devices)
    if device.n_devices > 1:
        use_sync_norms(net, device.n_devices)
    return net


def main(folder: Path) -> None:
    here = configure(DeviceSettings(target="CPU", data_parallel=True))
    config = TrainingSettings(
        epochs=4,
        batch_size=8,
        select_by="last",
        augment=AugmentSettings(horizontal_flip=True, brightness=0.2),
    )
    labels = np.tile([0, 1], 16)
    images = np.random.default_rng(0).integers(0, 200, (32, 16, 16, 1))
    # 21 are two batches of 8, and 5 that sit out; 11 are one more on one device than on the other.
    data = MemberData(
        (images + 50 * labels[:, None, None, None]).astype(np.uint8),
        labels,
        np.arange(21),
        np.arange(21, 32),
    )
    start = get_state(smooth_net(dataclasses.replace(here, rank=0, n_devices=1)))

    def fit(name, device, epochs=config.epochs):
        training = dataclasses.replace(config, epochs=epochs)
        net = smooth_net(device)
        Trainer(net, create_loss("cross_entropy", (11, 10)), training, device).fit(
            data.task(training), held(start), folder / name, [0, 0]
        )
        return net

    fit("together", here, epochs=2)
    net = fit("together", here)  # Goes on from the second epoch.
    np.savez(folder / f"rank{here.rank}.npz", **get_state(net))
    if here.rank == 0:
        fit("alone", dataclasses.replace(here, n_devices=1))
    meet(here)
    (folder / f"done{here.rank}").touch()
    meet(here)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
