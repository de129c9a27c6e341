"""Write simulated street frames and their boxes.

python tools/simulate.py --system traffic_signs --output FOLDER
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.core.configuration import parse_sections
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.core.settings import check_order, check_section
from mindspore_dpus.data.simulate.streets import simulate_streets
from mindspore_dpus.systems.traffic_signs.settings import StreetSettings


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/simulate.py``, ``mindspore-dpus simulate``."""
    options = {
        "output": (str, ..., "Folder to write to."),
        "seed": (int, 0, "Equal seeds give equal files."),
    }
    values = parse_sections({"": StreetSettings}, args, __doc__, options, {"": {"enabled"}})
    names = [f.name for f in dataclasses.fields(StreetSettings) if f.name != "enabled"]
    settings = StreetSettings(enabled=True, **{name: values[name] for name in names})
    check_section(settings)
    check_order(settings, "simulate", "sign_size", "signs", "distractors", equal=True)
    asked = {name: getattr(settings, name) for name in names}
    folder, seed = Path(values["output"]), values["seed"]
    simulate_streets(folder, **asked, file_format="png", random_state=seed)
    print(folder)
