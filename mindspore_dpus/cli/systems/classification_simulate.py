"""Write simulated radiographs and their manifest: python tools/simulate.py --output FOLDER"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.core.configuration import parse_sections
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.core.settings import check_section
from mindspore_dpus.data.simulate.radiograph_settings import RadiographSettings, check_radiographs
from mindspore_dpus.data.simulate.radiographs import simulate


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/simulate.py``, ``mindspore-dpus simulate``."""
    options = {
        "output": (str, ..., "Folder to write to."),
        "seed": (int, 0, "Equal seeds give equal files."),
    }
    values = parse_sections({"": RadiographSettings}, args, __doc__, options, {"": {"enabled"}})
    names = [f.name for f in dataclasses.fields(RadiographSettings) if f.name != "enabled"]
    settings = RadiographSettings(enabled=True, **{name: values[name] for name in names})
    check_section(settings)
    check_radiographs(settings)
    print(simulate(settings, Path(values["output"]), values["seed"]))
