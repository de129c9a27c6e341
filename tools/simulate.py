"""Write simulated radiographs and their manifest: python tools/simulate.py --output FOLDER"""

import sys
from pathlib import Path

from mindspore_dpus.core.configuration import parse_simulate
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.data.simulate.radiographs import simulate


@one_line_errors
def main() -> None:
    config, output, seed = parse_simulate(description=__doc__)
    print(simulate(config, Path(output), seed))


if __name__ == "__main__":
    sys.exit(main())
