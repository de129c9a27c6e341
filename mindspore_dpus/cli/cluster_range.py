"""See what K preserves, before training: python tools/cluster_range.py --config configs/quickstart.yaml

Fills the run folder up to cluster_range.csv and cluster_range.svg: for each K of sampling.cluster_range,
how far draws from K clusters are from all images of their class, and that over the same of random draws
(below 1: clusters preserve more than chance does). Any key can follow, as for tools/train.py.
"""

import sys
from collections.abc import Sequence

from mindspore_dpus.cli.logs import show_progress
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.experiments.markup import markdown
from mindspore_dpus.systems import parse_config, train


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/cluster_range.py``, ``mindspore-dpus cluster_range``."""
    args = list(sys.argv[1:] if args is None else args)
    config = parse_config([*args, "--sampling.strategy=dpus"], __doc__)
    show_progress()
    run = train(config, ["cluster_range"])
    print(markdown(read_table(run / "cluster_range.csv").round(4).astype(str)), end="")
    print(f"table and figure: {run / 'cluster_range.csv'}, {run / 'cluster_range.svg'}")
