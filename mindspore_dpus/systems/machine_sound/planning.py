"""How long a run's networks will train, before anything is computed: clips are counted, and a few steps of
each network are timed on this machine."""

import time
from pathlib import Path

import numpy as np

from mindspore_dpus.core.processes import available_cpus
from mindspore_dpus.data.audio.clips import OUTLIER
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.names import NORMAL, TARGET
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.run_data import TRAIN, collect

# Samples of the batch that is timed, and steps: the first ones compile and are not.
BATCH, STEPS, WARM = 8, 3, 2


def clip_counts(config: Configuration) -> dict[str, tuple[int, int, float]]:
    """Machine -> source-domain training normals, target-domain ones, and sections.

    Raises:
        UserError: the recordings cannot be found.
    """
    simulate = config.simulate
    if simulate.enabled:
        n = simulate.sections
        counts = (n * simulate.source_train, n * simulate.target_train, n)
        return {name: counts for name in simulate.machines}
    table = collect(config.data, Path(config.data.root))
    table = table[(table["machine"] != OUTLIER) & (table["split"] == TRAIN) & (table["label"] == NORMAL)]
    found = {}
    for machine, part in table.groupby("machine"):
        target = int((part["domain"] == TARGET).sum())
        found[machine] = (len(part) - target, target, part["section"].nunique())
    return found


def planned_samples(config: Configuration) -> int:
    """Segments that all steps of one network's extractors show, over all machines."""
    extractors, training = config.extractors, config.training
    samples = 0
    for source, _, _ in clip_counts(config).values():
        trained = max(1, round(config.parts.source_share * source))
        if extractors.batches == "domain":
            shown = 4 * trained
        else:
            half = training.batch_size // 2
            shown = 2 * trained * half / (half - extractors.target_per_batch)
        samples += shown * training.epochs
    return round(samples)


def step_seconds(config: Configuration, name: str) -> float:
    """Time that a segment takes in training: processor time over the number of cores, which is what an
    otherwise idle machine needs at best.

    Args:
        config: the configuration.
        name: of the network.
    """
    import mindspore as ms
    from mindspore import Tensor

    from mindspore_dpus.core.device import configure
    from mindspore_dpus.losses.outlier_exposure import OutlierExposure
    from mindspore_dpus.models.weights import set_state
    from mindspore_dpus.systems.machine_sound.exposure import Loss
    from mindspore_dpus.systems.machine_sound.extractor_stage import network_of
    from mindspore_dpus.training.engine import Engine

    device = configure(config.device)
    n_sections = max(sections for _, _, sections in clip_counts(config).values())
    network = network_of(config, name, n_sections)
    net = network.build(device)
    set_state(net, network.start(config.seed))
    net.set_train(True)
    with_domain = config.extractors.batches == "domain"
    weight = config.extractors.domain_weight if with_domain else None
    loss = Loss(OutlierExposure(config.extractors.section_weight, weight), with_domain)
    engine = Engine(net, loss, config.training, device)
    rng = np.random.default_rng(0)
    inputs = Tensor(rng.normal(size=(BATCH, 1, *FrontEnd(config.audio).shape)).astype(np.float32))
    values = [rng.random((BATCH, n_sections)), rng.random(BATCH), rng.random(BATCH)]
    targets = [Tensor(v.astype(np.float32)) for v in (values if with_domain else values[:2])]
    ms.set_seed(0)
    start = 0.0
    for step in range(WARM + STEPS):
        if step == WARM:
            start = time.process_time()
        engine.step(inputs, *targets)[0].asnumpy()
    return (time.process_time() - start) / (STEPS * BATCH) / len(available_cpus())


_known: dict[tuple, float] = {}


def planned_seconds(config: Configuration) -> float:
    """Time that the training of all extractors of a run will take on this machine; what stands around it
    (baselines, embeddings, detectors) is left out.

    Raises:
        UserError: the recordings cannot be found, or a network cannot be built.
    """
    total = 0.0
    samples = planned_samples(config) if config.extractors.networks else 0
    for name in config.extractors.networks:
        options = config.extractors.options.get(name, {})
        key = (name, repr(options), config.audio, config.extractors.batches)
        if key not in _known:
            _known[key] = step_seconds(config, name)
        total += samples * _known[key]
    return total
