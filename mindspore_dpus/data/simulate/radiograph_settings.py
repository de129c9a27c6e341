"""What simulated radiographs are made of: materials, and the section ``simulate`` of a configuration."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import SHARE, Rule, above, at_least, below, check_order, key


class Material(NamedTuple):
    """What a part is cast from.

    Attributes:
        mu: linear attenuation coefficient, per mm.
        wall: thickness of a part, as a multiple of the same part's in aluminium.
    """

    mu: float
    wall: float


# Pure metals at some 80 keV, rounded from the NIST XCOM tables. An inspector chooses the exposure so
# that parts absorb about alike. One exposure is simulated, so the walls make up for it: mu * wall stays
# within 15 % of aluminium's.
MATERIALS = {
    "magnesium": Material(mu=0.034, wall=1.4),
    "aluminium": Material(mu=0.054, wall=1.0),
    "titanium": Material(mu=0.184, wall=0.33),
}


@dataclass(frozen=True)
class RadiographSettings:
    """Simulated radiographs in place of a folder of real ones."""

    enabled: bool = False
    """Make radiographs inside the run folder and use them as data."""
    train: tuple[int, int] = key((400, 60), at_least(1))
    """Training images: normal, defect."""
    val: tuple[int, int] = key((50, 50), at_least(0))
    """Validation images: normal, defect."""
    test: tuple[int, int] = key((100, 100), at_least(0))
    """Test images: normal, defect."""
    size: int = key(64, at_least(16))
    """Height and width of an image in pixels."""
    bits: Literal[8, 16] = 8
    """Bits per pixel of the written images."""
    proportions: tuple[float, float, float] = key((0.25, 0.35, 0.4), above(0))
    """Shares of the three sub-populations of Figure 1: bright, rough (bumps that look like flaws),
    plain (little detail)."""
    materials: tuple[Literal[tuple(MATERIALS)], ...] = tuple(MATERIALS)
    """Materials of the parts, each as likely as the others. Walls are chosen so that all absorb about
    alike."""
    flaw_size: tuple[float, float] = key(
        (0.08, 0.2), Rule("above 0, at most 0.5", lambda v: 0 < v <= 0.5)
    )
    """Smallest and largest flaw, as a share of the image's side."""
    flaw_contrast: tuple[float, float] = key((0.15, 0.5), SHARE)
    """Thickness that a flaw takes away (or, for an inclusion, adds), as a share of the wall."""
    photons: float = key(4000.0, above(0))
    """Mean photon count of an unattenuated pixel: fewer photons, more quantum noise."""
    scatter: float = key(0.2, below(1))
    """Share of scattered radiation in the signal."""


def check_radiographs(simulate: RadiographSettings) -> None:
    """Refuse ranges that are upside down, and no material at all.

    Raises:
        UserError: names the key.
    """
    if not simulate.materials:
        raise UserError("configuration: simulate.materials is []; it must name at least one")
    check_order(simulate, "simulate", "flaw_size", "flaw_contrast", equal=True)
