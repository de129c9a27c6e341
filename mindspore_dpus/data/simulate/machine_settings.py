"""The configuration's section on simulated machines."""

from dataclasses import dataclass
from typing import Literal

from mindspore_dpus.core.settings import above, at_least, key
from mindspore_dpus.data.simulate.machine_parts import KINDS


@dataclass(frozen=True)
class MachineSettings:
    """Simulated recordings of machines in place of a folder of real ones."""

    enabled: bool = False
    """Make recordings inside the run folder and use them as data."""
    machines: tuple[Literal[tuple(KINDS)], ...] = tuple(KINDS)
    """Machine types."""
    sections: int = key(3, at_least(1))
    """Machines of each type. Section by section, the domains differ by speed, load or noise."""
    seconds: float = key(5.0, above(0))
    """Length of a clip."""
    source_train: int = key(30, at_least(1))
    """Normal training clips of a section, source domain."""
    target_train: int = key(3, at_least(0))
    """The same of the target domain."""
    test_normal: int = key(10, at_least(0))
    """Normal test clips of a section and domain."""
    test_anomaly: int = key(10, at_least(0))
    """Anomalous test clips of a section and domain."""
    severity: float = key(0.6, above(0))
    """Of every fault; 1 is plain to hear."""
