"""The table of sampling strategies, and the configuration's section on sampling. No MindSpore here."""

from dataclasses import dataclass
from typing import Literal

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import SHARE, at_least, key

HERE = "mindspore_dpus.sampling.strategies"


@dataclass(frozen=True)
class StrategyRow:
    """A row of ``STRATEGIES``.

    Args:
        draw: ``module:function`` (``sampling.strategies``).
        needs_features: whether samples are clustered by their features first.
        under_samples: whether larger classes are drawn from, by ``sampling.proportion``.
        reshuffles: whether the subsets differ from the training set, so that a random under-sample is
            another one to compare with.
        draws: values of ``sampling.draw`` that it knows.
    """

    draw: str
    needs_features: bool = False
    under_samples: bool = False
    reshuffles: bool = True
    draws: tuple[str, ...] = ("independent",)


STRATEGIES = {
    "dpus": StrategyRow(
        f"{HERE}.dpus:draw",
        needs_features=True,
        under_samples=True,
        draws=("independent", "covering"),
    ),
    "random_under": StrategyRow(f"{HERE}.random_under:draw", under_samples=True),
    "random_over": StrategyRow(f"{HERE}.random_over:draw"),
    "none": StrategyRow(f"{HERE}.none:draw", reshuffles=False),
}


@dataclass(frozen=True)
class SamplingSettings:
    """How each member's balanced training set is drawn (section 2.2, Eq. 1 and 2)."""

    strategy: Literal[tuple(STRATEGIES)] = "dpus"
    """dpus: p % of every cluster; random_under / random_over: the classical baselines; none: all."""
    n_clusters: int | Literal["auto"] = key(5, at_least(1))
    """K, number of clusters of the majority class; auto: the K of 2 to 10 with the largest mean
    silhouette."""
    proportion: float | Literal["auto"] = key("auto", SHARE)
    """p, share of the majority class in one subset; auto: 10 % more samples than the minority has."""
    n_subsets: int = key(5, at_least(1))
    """t, number of subsets and so of members."""
    draw: Literal["independent", "covering"] = "independent"
    """independent: as in the paper; covering: no sample of a cluster comes twice before all of that
    cluster have come once, and ceil(1 / p) subsets use every sample."""
    cluster_range: tuple[int, ...] = key(
        (1, 2, 5, 10, 20, 50, 100, 200), at_least(1), changes_results=False
    )
    """Values of K that tools/cluster_range.py compares."""
    baseline: bool = False
    """Also train one member on a random under-sample of the same size, shown beside the fused
    ensemble and never part of it."""


def check_sampling(sampling: SamplingSettings) -> None:
    """Refuse keys that the strategy does not look at.

    Raises:
        UserError: names the key.
    """
    row = STRATEGIES[sampling.strategy]
    if sampling.draw not in row.draws:
        others = " or ".join(name for name, other in STRATEGIES.items() if sampling.draw in other.draws)
        raise UserError(
            f"configuration: sampling.draw {sampling.draw} has no effect with sampling.strategy "
            f"{sampling.strategy}; leave it out, or set sampling.strategy to {others}"
        )
    if sampling.baseline and not row.reshuffles:
        raise UserError(
            f"configuration: sampling.baseline needs a strategy other than {sampling.strategy}"
        )
