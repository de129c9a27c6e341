"""How far gradients are from float64's: ours, MindSpore's own and torch's.

python -m tests.models.kernels.gradient_distances --draws 5

Of each network of ``test_in_one`` and draw of images, the distance of every parameter's gradient as a share
of its norm: the median, and the one that nine of ten stay below. A draw where a last digit moves a value over
the edge of a ReLU is far off, whoever computes it: look at several.
"""

import argparse

import numpy as np

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from tests.models.kernels.test_in_one import BUILD, distances, images, learn, learnt_by_torch, network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--height", type=int, default=137)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--networks", nargs="+", choices=BUILD, default=list(BUILD))
    args = parser.parse_args()
    configure(DeviceSettings(target="CPU", fast_kernels="onednn"))
    for name in args.networks:
        rows = []
        for seed in range(args.draws):
            x = images(name, args.images, args.height, args.width, seed)
            exact = learnt_by_torch(name, x, "float64")
            found = {
                "onednn": learn(network(name), x),
                "MindSpore": learn(network(name, fast=False), x),
                "torch": learnt_by_torch(name, x, "float32"),
            }
            own = {k: np.array(list(distances(v, exact).values())) for k, v in found.items()}
            rows.append([f(d) for d in own.values() for f in (np.median, _most)])
            print(name, seed, *(f"{number:.2e}" for number in rows[-1]), flush=True)
        print(name, "median of draws:", *(f"{number:.2e}" for number in np.median(rows, axis=0)))


def _most(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.9))


if __name__ == "__main__":
    main()
