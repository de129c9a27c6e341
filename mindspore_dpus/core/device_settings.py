"""The configuration's section on the device. No MindSpore here."""

from dataclasses import dataclass
from typing import Literal

from mindspore_dpus.core.settings import at_least, key


@dataclass(frozen=True)
class DeviceSettings:
    """What it runs on. Changes speed, and the last digits of a result, never its meaning."""

    target: Literal["auto", "CPU", "GPU", "Ascend"] = "auto"
    """auto takes Ascend or GPU where MindSpore finds one, else the CPU."""
    device_id: int = key(0, at_least(0))
    """Number of the Ascend or GPU card."""
    jit: bool | None = None
    """Compile the training step to a graph. Default: on Ascend and GPU, not on CPU."""
    amp_level: Literal["O0", "O1", "O2", "O3"] = "O0"
    """Mixed precision of MindSpore (float16, loss scaled by 1024) on Ascend and GPU; O0: float32."""
    fast_kernels: Literal["none", "loops", "onednn"] = "onednn"
    """CPU only, not with jit. loops: depthwise 3x3 convolutions, layer norms, softmax, convolutions over
    frames and, in training, batch norms and the blocks of our MobileNetV2 in loops of our own (numba).
    onednn: besides, ordinary convolutions, and our ResNets, MobileNetV2 and EfficientNet as a whole up to
    the classifier, through MindSpore's own oneDNN; where that cannot be used, the log says why, and it is
    loops. none: MindSpore's own operations only. How much faster: docs/reference/performance.md."""
    processes: int | None = key(None, at_least(1))
    """CPU only: members trained side by side, each in a process with its own share of the cores.
    Default: as many as there are cores, but no more than members. Each takes one to two gigabytes. The
    last digits of a result depend on the number of cores that a member has."""
    data_parallel: bool = False
    """Train each member on several devices, each of which has an equal part of every batch. Start it
    with msrun (docs/reference/scaling.md)."""
    frozen_cache_mb: int = key(1024, at_least(0))
    """Outputs of a network's frozen first layers are computed once and kept in memory, up to this size
    for each member, unless augmentation is on (only for our own networks). 0: never."""
    idle_main_thread: bool = False
    """CPU only: give MindSpore's spinning main thread the lowest priority, so that it yields to its
    workers. About 1.2 times as fast on an otherwise idle machine; ten times as slow where other programs
    want the cores."""
