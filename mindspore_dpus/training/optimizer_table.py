"""The optimisers by name."""

from collections.abc import Callable
from functools import partial

from mindspore import nn

from mindspore_dpus.training.moments import Adam, Adamax, MomentumSGD, NAdam, RAdam

# (parameters, learning_rate, weight_decay, **options) -> an optimiser whose learning_rate and momentum
# are parameters that can be set before every step. Options, beside momentum: those of each class.
OPTIMIZERS: dict[str, Callable[..., nn.Optimizer]] = {
    "adam": Adam,
    "adamw": partial(Adam, decoupled=True),
    "adamax": Adamax,
    "nadam": NAdam,
    "radam": RAdam,
    "sgd": MomentumSGD,
}
