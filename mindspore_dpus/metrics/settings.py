"""The configuration's section on metrics."""

from dataclasses import dataclass

from mindspore_dpus.core.settings import INNER_SHARE, at_least, between, key


@dataclass(frozen=True)
class EvaluationSettings:
    """Metrics and their intervals (section 3.3)."""

    threshold: float = key(0.5, between(0, 1))
    """Score from which a sample of two classes counts as positive."""
    n_bootstrap: int = key(1000, at_least(0))
    """Stratified bootstrap replicates for the confidence intervals; 0 for none."""
    confidence: float = key(0.95, INNER_SHARE)
    """Coverage of the confidence intervals."""
