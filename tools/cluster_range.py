"""See what K preserves, before training: python tools/cluster_range.py --config configs/quickstart.yaml

Fills the run folder up to cluster_range.csv and cluster_range.svg: for each K of sampling.cluster_range,
how far draws from K groups are from all images of their class, and that over the same of random draws
(below 1: groups preserve more than chance does). Any key can follow, as for tools/train.py.
"""

import sys

from mindspore_dpus.core.configuration import parse_config
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.data.samples import read_table
from mindspore_dpus.experiments.formats import markdown
from mindspore_dpus.systems.classification.system import compare_clusters


@one_line_errors
def main() -> None:
    run = compare_clusters(parse_config(description=__doc__))
    print(markdown(read_table(run / "cluster_range.csv").round(4).astype(str)), end="")
    print(f"table and figure: {run / 'cluster_range.csv'}, {run / 'cluster_range.svg'}")


if __name__ == "__main__":
    sys.exit(main())
