"""One member on several devices (``device.data_parallel``): each has an equal part of every batch.

``msrun`` starts the same command once for each device. The first leads: it does everything, and calls
the others when a member is to be trained. Calls are files in the run folder and not messages between the
devices, which give up after half an hour, and features may take longer than that.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from mindspore_dpus.core.device import Device, configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_json

CALL = ".call.tmp"
PAUSE = 0.2


def add_up(values: np.ndarray, device: Device) -> np.ndarray:
    """The sum over all devices, on each of them; of a single one, the values themselves.

    Args:
        values: float32, of the same shape on every device.
        device: this one.
    """
    if device.n_devices == 1:
        return values
    return ops.AllReduce(ops.ReduceOp.SUM)(Tensor(values, ms.float32)).asnumpy()


def all_parts(
    compute: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, device: Device
) -> np.ndarray:
    """Let every device compute its part of the rows.

    Args:
        compute: (m,) rows -> (m, C) float32.
        rows: (M,), at least one.
        device: this one.

    Returns:
        (M, C) float32, on each of them.
    """
    n = device.n_devices
    each = -(-len(rows) // n)
    if n == 1:
        return compute(rows)
    padded = np.concatenate([rows, np.repeat(rows[-1:], n * each - len(rows))])
    own = compute(padded[device.rank * each : (device.rank + 1) * each])
    parts = np.zeros((n, *own.shape), np.float32)
    parts[device.rank] = own
    return add_up(parts, device).reshape(n * each, -1)[: len(rows)]


def check_agreement(number: int, device: Device, folder: Path) -> None:
    """See that all devices start from the same epoch.

    Raises:
        UserError: they do not.
    """
    numbers = np.zeros(device.n_devices, np.float32)
    numbers[device.rank] = number
    if (add_up(numbers, device) != number).any():
        raise UserError(
            f"{folder}: the devices do not see the same files there; with device.data_parallel, all "
            "machines must share the folders of output and data.cache_dir"
        )


def call(folder: Path, work: dict | None) -> None:
    """Tell the other devices what to train with this one.

    Args:
        folder: the run's.
        work: what JSON can carry; None: nothing.
    """
    write_json(folder / CALL, work)


@contextmanager
def together(
    settings: DeviceSettings, batch_size: int, folder: Path, train: Callable[[dict, Device], None]
) -> Iterator[bool]:
    """Begin and end a command that ``msrun`` has started on every device.

    Args:
        settings: the section on the device.
        batch_size: shared by the devices.
        folder: the run's.
        train: what a device that does not lead does with the ``work`` of a ``call``, and its ``Device``.

    Yields:
        Whether this device leads; to the others when they have nothing more to do.

    Raises:
        UserError: the devices are not there, or cannot share a batch equally.
    """
    device = configure(settings)
    if batch_size % device.n_devices:
        raise UserError(
            f"training.batch_size is {batch_size}; with device.data_parallel it is "
            f"shared by {device.n_devices} devices: choose a multiple of {device.n_devices}"
        )
    path = folder / CALL
    if device.rank == 0:
        path.unlink(missing_ok=True)  # Of a start that was killed.
    meet(device)
    if device.rank > 0:
        while not path.exists():
            time.sleep(PAUSE)
        work = read_json(path)
        train(work, device) if work is not None else meet(device)
        # Until the first has ended its command: MindSpore's threads may crash when a process leaves, and
        # then ``msrun`` kills the others.
        while path.exists():
            time.sleep(PAUSE)
        yield False
        return
    yield True
    if not path.exists():  # Every member was there already.
        call(folder, None)
        meet(device)
    path.unlink()


def meet(device: Device) -> None:
    """Wait until all devices are here."""
    add_up(np.zeros(1, np.float32), device)
