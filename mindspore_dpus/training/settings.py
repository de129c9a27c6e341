"""The tables of optimisers and schedules, and the configuration's section on training. No MindSpore here."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mindspore_dpus.core.choices import check_options
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import Rule, above, at_least, below, key
from mindspore_dpus.data.images.augment import AugmentSettings
from mindspore_dpus.training.schedules import SCHEDULES

HERE = "mindspore_dpus.training"


@dataclass(frozen=True)
class OptimizerRow:
    """A row of ``OPTIMIZERS``.

    Args:
        create: ``module:function`` from parameters, ``learning_rate``, ``weight_decay`` and the options
            to an optimiser.
        options: the options that it has -> which numbers are allowed.
    """

    create: str
    options: dict[str, Rule] = field(default_factory=dict)


MOMENTUM = {"momentum": below(1)}
MOMENTS = {**MOMENTUM, "beta2": below(1), "epsilon": above(0)}
OPTIMIZERS = {
    "adam": OptimizerRow(f"{HERE}.optimizers:adam"),
    "adamw": OptimizerRow(f"{HERE}.optimizers:adamw", MOMENTS),
    "adamax": OptimizerRow(f"{HERE}.moments:Adamax", MOMENTS),
    "nadam": OptimizerRow(f"{HERE}.moments:NAdam", MOMENTS),
    "radam": OptimizerRow(f"{HERE}.moments:RAdam", MOMENTS),
    "sgd": OptimizerRow(f"{HERE}.moments:MomentumSGD", MOMENTUM),
}


@dataclass(frozen=True)
class LrRangeSettings:
    """The learning-rate range test: the rate grows exponentially while the first member trains."""

    low: float = key(1e-7, above(0))
    """Its first learning rate."""
    high: float = key(10.0, above(0))
    """Its last one; it ends before when the loss explodes."""
    steps: int = key(100, at_least(10))
    """Batches between the two."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a member is trained (section 3.2)."""

    epochs: int = key(20, at_least(1))
    """Passes over the member's balanced set."""
    steps: int | None = key(None, at_least(1))
    """Instead of epochs: train for the number of whole epochs that is nearest to this many steps, at
    least one. Members with small and with large sets then learn equally long."""
    batch_size: int = key(16, at_least(2, "batch norms need two samples"))
    """Samples per step, over all devices."""
    optimizer: Literal[tuple(OPTIMIZERS)] = "adam"
    """adam: as in the castings paper; adamw: with decoupled weight decay; radam: Rectified Adam, which needs
    no warm-up; adamax, nadam; sgd: with momentum."""
    optimizer_options: dict[str, Any] = key(factory=dict)
    """Further options of the optimiser: momentum (for the Adam family, beta1), beta2, epsilon."""
    learning_rate: float | Literal["auto"] = key(1e-3, above(0))
    """The optimiser's learning rate; auto: what the learning-rate range test suggests."""
    lr_range: LrRangeSettings = field(default_factory=LrRangeSettings)
    """The learning-rate range test (learning_rate: auto, and tools/lr_range.py)."""
    lr_schedule: Literal[tuple(SCHEDULES)] = "constant"
    """constant: as in the paper; cosine: falls to zero over the epochs; one_cycle: rises step by step
    over the first quarter of the training, and falls to zero over the rest; one_cycle_momentum: rises
    over the first 30 %, with torch's defaults, while the momentum falls and rises in the opposite
    direction (not with adam)."""
    weight_decay: float = key(0.0, at_least(0))
    """L2 penalty, added to the gradients (adamw: decoupled); not applied to the scale and shift of batch
    norms."""
    patience: int | None = key(None, at_least(1))
    """Stop a member after this many epochs without an improvement (by select_by). Default: never."""
    select_by: str = "auc"
    """Which epoch's weights are kept: the best by this measure on validation (classification: auc,
    accuracy, loss), or the last."""
    on_divergence: Literal["stop", "halve"] = key("stop", changes_results=False)
    """What to do when the loss, the gradients or the outputs are no longer numbers. stop: end, and name
    the member, epoch and step; halve: return to the last good epoch (or to the start, if the first step
    after it diverges), and continue with half the learning rate."""
    max_halvings: int = key(5, at_least(1), changes_results=False)
    """How often a member's learning rate may be halved (on_divergence: halve)."""
    gradient_limit: float | None = key(None, above(0))
    """A step has also diverged when the norm of all gradients together is above this. Default: no
    limit."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """Random changes of the training images."""
    executor: Literal["local", "ray"] = key("local", changes_results=False)
    """Where members are trained. local: on this machine; ray: on a Ray cluster, each as a task of its
    own (docs/reference/scaling.md)."""
    ray_address: str = key("auto", changes_results=False)
    """The cluster, as host:port; auto: the variable RAY_ADDRESS, or the cluster that this machine
    belongs to."""
    ray_cpus: int = key(1, at_least(1), changes_results=False)
    """Cores of a member on a Ray cluster. The last digits of a result depend on their number. With
    device.target GPU or Ascend, it also has one card."""
    ray_retries: int = key(3, at_least(0), changes_results=False)
    """How often a member is started again after its process or machine died, if no epoch was finished in
    between; it continues from its last epoch."""


def check_training(training: TrainingSettings) -> None:
    """Refuse keys of the section that do not fit each other.

    Raises:
        UserError: names the key.
    """
    check_options(
        "training.optimizer_options",
        training.optimizer,
        training.optimizer_options,
        OPTIMIZERS[training.optimizer].options,
    )
    if SCHEDULES[training.lr_schedule].momentum is not None:
        if "momentum" not in OPTIMIZERS[training.optimizer].options:
            fitting = ", ".join(name for name, row in OPTIMIZERS.items() if "momentum" in row.options)
            raise UserError(
                f"configuration: training.lr_schedule {training.lr_schedule} sets the momentum of every "
                f"step, which training.optimizer {training.optimizer} does not take; use {fitting}"
            )
        if "momentum" in training.optimizer_options:
            raise UserError(
                "configuration: training.optimizer_options.momentum has no effect with "
                f"training.lr_schedule {training.lr_schedule}, which sets it; leave it out"
            )
    lr_range = training.lr_range
    if lr_range.low >= lr_range.high:
        raise UserError(
            f"configuration: training.lr_range.low is {lr_range.low:g} and high is {lr_range.high:g}; "
            "low must be smaller"
        )
    if training.executor != "ray":
        usual = TrainingSettings()
        for name in ("ray_address", "ray_cpus", "ray_retries"):
            if getattr(training, name) != getattr(usual, name):
                raise UserError(
                    f"configuration: training.{name} has no effect with training.executor "
                    f"{training.executor}; leave it out, or set training.executor to ray"
                )
