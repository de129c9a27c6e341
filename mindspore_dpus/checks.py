"""Which configurations can work: ranges of single keys, and keys that must fit each other."""

import math

from mindspore_dpus.config import Config, DecisionConfig, TrainingConfig
from mindspore_dpus.core.errors import UserError


def check_config(config: Config) -> None:
    """Refuse values that no stage could work with.

    Raises:
        UserError: names the first key that is out of range, its value and what is allowed.
    """
    for key, allowed, test in _RANGES:
        value = config
        for name in key.split("."):
            value = getattr(value, name)
        values = value if isinstance(value, list | tuple) else [value]
        if not all(_finite(v) and test(v) for v in values):
            raise UserError(f"configuration: {key} is {value}; it must be {allowed}")
    data = config.data
    if data.simulate.enabled and (data.root or data.manifest):
        raise UserError(
            "configuration: data.simulate.enabled is true and data.root or data.manifest is given; "
            "use one of them (--data.simulate.enabled false to read your own images)"
        )
    if not data.simulate.enabled and not data.root:
        raise UserError("configuration: data.root is missing; give the folder of your images")
    simulate = data.simulate
    if not simulate.materials:
        raise UserError("configuration: data.simulate.materials is []; it must name at least one")
    for key, (low, high), equal in (
        ("percentiles", data.percentiles, False),
        ("window", data.window, False),
        ("simulate.flaw_size", simulate.flaw_size, True),
        ("simulate.flaw_contrast", simulate.flaw_contrast, True),
    ):
        if low > high or (low == high and not equal):
            raise UserError(f"configuration: data.{key} is {low}, {high}; the first must be smaller")
    lr_range = config.training.lr_range
    if lr_range.low >= lr_range.high:
        raise UserError(
            f"configuration: training.lr_range.low is {lr_range.low:g} and high is {lr_range.high:g}; "
            "low must be smaller"
        )
    if data.classes is not None and len(set(data.classes)) < 2:
        raise UserError(f"configuration: data.classes is {data.classes}; at least two are needed")
    if data.positive == data.majority:
        raise UserError("configuration: data.positive and data.majority name the same class")
    weights = config.loss.class_weights
    if weights is not None and not all(_finite(w) and w > 0 for w in weights):
        raise UserError(f"configuration: loss.class_weights is {weights}; all must be above 0")
    if config.sampling.baseline and config.sampling.strategy == "none":
        raise UserError("configuration: sampling.baseline needs a strategy other than none")
    split = config.split
    if split.val_size <= 1 and split.test_size <= 1 and split.val_size + split.test_size >= 1:
        raise UserError(
            f"configuration: split.val_size is {split.val_size} and split.test_size is "
            f"{split.test_size}; as shares of the images, their sum must be below 1"
        )
    model, epochs = config.model, config.training.epochs
    if model.fine_tuning == "gradual" and config.training.steps is not None:
        raise UserError(
            "configuration: model.fine_tuning gradual goes by epochs; give training.epochs instead of "
            "training.steps"
        )
    if model.fine_tuning == "gradual" and epochs <= model.unfreeze_every * model.unfreeze_parts:
        raise UserError(
            f"configuration: training.epochs is {epochs}, and model.fine_tuning gradual trains all "
            f"layers only after {model.unfreeze_every * model.unfreeze_parts}; give more epochs, or "
            "lower model.unfreeze_every or model.unfreeze_parts"
        )
    augment = config.training.augment
    if data.channels == 1 and (augment.hue or augment.saturation):
        raise UserError(
            "configuration: training.augment.hue and saturation have no effect with data.channels 1; "
            "leave them out, or set data.channels to 3"
        )
    _check_effect(config)
    _check_decision(config)


def _check_decision(config: Config) -> None:
    """Refuse rules that lack what they go by, and corrections of scores that are no probabilities."""
    decision, loss = config.decision, config.loss
    for key, rules in (
        ("recall", ("recall", "assured_recall")),
        ("cost_miss", ("cost",)),
        ("cost_false_call", ("cost",)),
        ("threshold", ("fixed",)),
    ):
        value = getattr(decision, key)
        if decision.rule in rules and value is None:
            raise UserError(f"configuration: decision.rule {decision.rule} needs decision.{key}")
        if decision.rule not in rules and value != getattr(DecisionConfig(), key):
            raise UserError(
                f"configuration: decision.{key} has no effect with decision.rule {decision.rule}; "
                f"leave it out, or set decision.rule to {' or '.join(rules)}"
            )
    if decision.size_columns == []:
        raise UserError("configuration: decision.size_columns is []; it must name at least one, or null")
    if decision.calibration == "none" and decision.defect_rate is not None:
        reason = "loss.label_smoothing" if loss.label_smoothing else f"loss.name {loss.name}"
        if loss.label_smoothing or loss.name in ("focal", "seesaw"):
            raise UserError(
                f"configuration: decision.defect_rate corrects probabilities, and with {reason} scores "
                "are none; set decision.calibration to temperature or isotonic"
            )


def _check_effect(config: Config) -> None:
    """Refuse settings that change nothing: who gives one believes that it does."""
    loss, sampling, model = config.loss, config.sampling, config.model
    weighted, smoothed = ("weighted_cross_entropy", "focal"), ("cross_entropy", "weighted_cross_entropy")
    for key, is_set, other, value, allowed in (
        ("loss.class_weights", loss.class_weights is not None, "loss.name", loss.name, weighted),
        ("loss.label_smoothing", loss.label_smoothing > 0, "loss.name", loss.name, smoothed),
        (
            "model.freeze_layers",
            model.freeze_layers is not None,
            "model.fine_tuning",
            model.fine_tuning,
            ("deep", "gradual"),
        ),
        (
            "sampling.draw covering",
            sampling.draw == "covering",
            "sampling.strategy",
            sampling.strategy,
            ("dpus",),
        ),
        *_cluster_effects(config),
    ):
        if is_set and value not in allowed:
            raise UserError(
                f"configuration: {key} has no effect with {other} {value}; "
                f"leave it out, or set {other} to {' or '.join(allowed)}"
            )
    if config.device.data_parallel and loss.name in ("weighted_cross_entropy", "seesaw"):
        raise UserError(
            f"configuration: device.data_parallel averages the losses of equal parts of a batch, and "
            f"loss.name {loss.name} is not such an average; use cross_entropy or focal"
        )


def _cluster_effects(config: Config) -> list[tuple]:
    """As the rows of ``_check_effect``."""
    training, device, usual = config.training, config.device, TrainingConfig()
    together = "true" if device.data_parallel else "false"
    return [
        *(
            (
                f"training.{key}",
                getattr(training, key) != getattr(usual, key),
                "training.executor",
                training.executor,
                ("ray",),
            )
            for key in ("ray_address", "ray_cpus", "ray_retries")
        ),
        *(
            (f"device.{key}", is_set, "training.executor", training.executor, ("local",))
            for key, is_set in (
                ("processes", device.processes is not None),
                ("device_id", device.device_id != 0),
                ("data_parallel", device.data_parallel),
            )
        ),
        *(
            (f"device.{key}", is_set, "device.data_parallel", together, ("false",))
            for key, is_set in (
                ("processes", device.processes is not None),
                ("device_id", device.device_id != 0),
            )
        ),
    ]


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _positive(value: float) -> bool:
    return value > 0


def _share(value: float) -> bool:
    return 0 < value <= 1


def _inner_share(value: float) -> bool:
    return 0 < value < 1


def _not_negative(value: float) -> bool:
    return value >= 0


_RANGES = (
    ("seed", "between 0 and 4294967295", lambda v: 0 <= v < 1 << 32),
    ("data.image_size", "at least 16", lambda v: v >= 16),
    ("data.percentiles", "between 0 and 100", lambda v: 0 <= v <= 100),
    ("data.window", "numbers", lambda v: True),
    ("data.max_pixels", "at least 1, at most 1073741824 (OpenCV's limit)", lambda v: 1 <= v <= 1 << 30),
    ("data.simulate.train", "at least 1", _positive),
    ("data.simulate.val", "0 or more", _not_negative),
    ("data.simulate.test", "0 or more", _not_negative),
    ("data.simulate.size", "at least 16", lambda v: v >= 16),
    ("data.simulate.proportions", "above 0", _positive),
    ("data.simulate.flaw_size", "above 0, at most 0.5", lambda v: 0 < v <= 0.5),
    ("data.simulate.flaw_contrast", "above 0, at most 1", _share),
    ("data.simulate.photons", "above 0", _positive),
    ("data.simulate.scatter", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("split.val_size", "above 0", _positive),
    ("split.test_size", "above 0", _positive),
    ("split.minority_fraction", "above 0, at most 1", _share),
    ("audit.near_distance", "between 0 and 64, or null", lambda v: v is None or 0 <= v <= 64),
    ("audit.saturation", "above 0, at most 1", _share),
    ("features.n_components", "at least 1, or null", lambda v: v is None or v >= 1),
    ("features.batch_size", "at least 1", _positive),
    ("sampling.n_clusters", "auto, or at least 1", lambda v: v == "auto" or v >= 1),
    ("sampling.cluster_range", "at least 1 each", _positive),
    ("sampling.proportion", "auto, or above 0 and at most 1", lambda v: v == "auto" or _share(v)),
    ("sampling.n_subsets", "at least 1", _positive),
    ("model.freeze_layers", "0 or more, or null", lambda v: v is None or v >= 0),
    ("model.unfreeze_every", "at least 1", _positive),
    ("model.unfreeze_parts", "at least 1", _positive),
    ("loss.label_smoothing", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("loss.focal_gamma", "0 or more", _not_negative),
    ("loss.seesaw_p", "0 or more", _not_negative),
    ("loss.seesaw_q", "0 or more", _not_negative),
    ("training.epochs", "at least 1", _positive),
    ("training.steps", "at least 1, or null", lambda v: v is None or v >= 1),
    ("training.batch_size", "at least 2 (batch norms need two images)", lambda v: v >= 2),
    ("training.learning_rate", "auto, or above 0", lambda v: v == "auto" or v > 0),
    ("training.lr_range.low", "above 0", _positive),
    ("training.lr_range.high", "above 0", _positive),
    ("training.lr_range.steps", "at least 10", lambda v: v >= 10),
    ("device.processes", "at least 1, or null", lambda v: v is None or v >= 1),
    ("training.ray_cpus", "at least 1", _positive),
    ("training.ray_retries", "0 or more", _not_negative),
    ("training.patience", "at least 1, or null", lambda v: v is None or v >= 1),
    ("training.max_halvings", "at least 1", _positive),
    ("training.gradient_limit", "above 0, or null", lambda v: v is None or v > 0),
    ("training.weight_decay", "0 or more", _not_negative),
    ("training.augment.rotation", "between 0 and 180", lambda v: 0 <= v <= 180),
    ("training.augment.crop", "above 0, at most 1", _share),
    ("training.augment.zoom", "0 or more", _not_negative),
    ("training.augment.shear", "0 or more, below 90", lambda v: 0 <= v < 90),
    ("training.augment.shift", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("training.augment.warp", "0 or more, below 0.5", lambda v: 0 <= v < 0.5),
    ("training.augment.hue", "between 0 and 0.5", lambda v: 0 <= v <= 0.5),
    ("training.augment.saturation", "between 0 and 1", lambda v: 0 <= v <= 1),
    ("training.augment.brightness", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("training.augment.contrast", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("evaluation.threshold", "between 0 and 1", lambda v: 0 <= v <= 1),
    ("evaluation.n_bootstrap", "0 or more", _not_negative),
    ("evaluation.confidence", "above 0, below 1", _inner_share),
    ("decision.recall", "above 0, below 1", _inner_share),
    ("decision.cost_miss", "above 0, or null", lambda v: v is None or v > 0),
    ("decision.cost_false_call", "above 0, or null", lambda v: v is None or v > 0),
    ("decision.threshold", "between 0 and 1, or null", lambda v: v is None or 0 <= v <= 1),
    ("decision.defect_rate", "above 0, below 1, or null", lambda v: v is None or _inner_share(v)),
    ("device.frozen_cache_mb", "0 or more", _not_negative),
    ("device.device_id", "0 or more", _not_negative),
)
