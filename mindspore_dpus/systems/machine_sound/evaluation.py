"""What a finished run is there for: scoring other clips, evaluation, export."""

import dataclasses
import logging
import tempfile
from pathlib import Path

import numpy as np

from mindspore_dpus import __version__
from mindspore_dpus.core.configuration import parse_file
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import file_hash, read_json, versions, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import plain
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.arrays import load_arrays, save_arrays
from mindspore_dpus.data.audio.clips import OUTLIER
from mindspore_dpus.data.audio.names import ANOMALY, NORMAL
from mindspore_dpus.deploy.onnx_sound import BUNDLE, FORMAT, OnnxSoundPredictor
from mindspore_dpus.deploy.sound import sound_row
from mindspore_dpus.deploy.sound_scorer import SoundScorer
from mindspore_dpus.features.simple_sound import FEATURE_SETS
from mindspore_dpus.systems.machine_sound.configuration import Configuration, check_configuration
from mindspore_dpus.systems.machine_sound.detect_stage import CLIP
from mindspore_dpus.systems.machine_sound.export_agreement import check_scores
from mindspore_dpus.systems.machine_sound.extractor_stage import load_extractor
from mindspore_dpus.systems.machine_sound.leaks import mark
from mindspore_dpus.systems.machine_sound.metrics_stage import (
    FUSED,
    metric_of,
    per_machine,
    write_challenge,
)
from mindspore_dpus.systems.machine_sound.run_data import TEST, clips_of, collect, source_of

logger = logging.getLogger(__name__)


class RunEmbedder:
    """The extractors of a run (``deploy.sound_scorer.Embedder``).

    Args:
        run: a finished run.
        config: its configuration.
    """

    def __init__(self, run: RunFolder, config: Configuration) -> None:
        self.run, self.config = run, config
        self.nets: dict[tuple[str, str], object] = {}

    def net(self, network: str, machine: str):
        """The trained network of a machine."""
        if (network, machine) not in self.nets:
            key = self.run.finished(f"{network}.extractors")["key"]
            net = load_extractor(self.run.path, self.config, network, machine, key)
            self.nets[network, machine] = net.set_train(False)
        return self.nets[network, machine]

    def embed(self, network: str, machine: str, inputs: np.ndarray) -> np.ndarray:
        """See ``Embedder``."""
        from mindspore import Tensor

        return self.net(network, machine).extractor(Tensor(inputs)).asnumpy()

    def heads(self, used: set[tuple[str, str]]) -> dict[str, np.ndarray]:
        """``head/<network>/<machine>`` -> (D,) weights of the domain's logit, where there are such."""
        found = {}
        for network, machine in sorted(used):
            heads = self.net(network, machine).heads
            if heads.with_domain:
                found[f"head/{network}/{machine}"] = heads.domain.weight.asnumpy()[0]
        return found


def open_run(path: Path, target: str | None = None) -> tuple[RunFolder, Configuration]:
    """A finished run.

    Raises:
        UserError: it is none, or its scores depend on the test clips.
    """
    run = RunFolder.open(path)
    run.finished("ensemble")
    config = parse_file(Configuration, run / "config.yaml")
    check_configuration(config)
    if target is not None:
        device = dataclasses.replace(config.device, target=target)
        config = dataclasses.replace(config, device=device)
    if config.standardise.by == "test":
        raise UserError(
            f"{path}: standardise.by is test, so its scores depend on the test clips; no other clip can "
            "be scored. Train with standardise.by train"
        )
    return run, config


def load_scorer(path: Path, target: str | None = None) -> SoundScorer:
    """The product of a run."""
    run, config = open_run(path, target)
    return scorer_of(run, config, RunEmbedder(run, config))


def scorer_of(run: RunFolder, config: Configuration, embedder: RunEmbedder | None = None) -> SoundScorer:
    """The product of a run."""
    embedder = embedder or RunEmbedder(run, config)
    scorer = SoundScorer(config.audio, run.path, embedder)
    scorer.scaling |= embedder.heads(networks_used(scorer))
    return scorer


def networks_used(scorer: SoundScorer) -> set[tuple[str, str]]:
    """(network, machine) that the product's systems ask for."""
    return {
        (system.model.vectors, machine)
        for machine, systems in scorer.systems.items()
        for system in systems
        if system.model.vectors not in FEATURE_SETS
    }


def evaluate(
    path: Path, root: str | None, manifest: str | None, output: Path | None
) -> tuple[Path, dict]:
    """Score labelled clips: ``scores.csv``, ``results.csv``, ``metrics.json``, ``challenge/``.

    Args:
        path: the run folder.
        root, manifest: the clips; None: the run's own test clips.
        output: folder; None: ``evaluations/<data>`` in the run folder.

    Returns:
        The folder, and the metrics (``None`` values where nothing is labelled).
    """
    run, config = open_run(path)
    scorer = load_scorer(path)
    place = Path(root) if root else source_of(run, config).root
    if root:
        other = dataclasses.replace(config.data, root=root, manifest=manifest, machines=None)
        table = collect(other, place)
    else:
        table = clips_of(config, place)
    table = table[(table["split"] == TEST) & (table["machine"] != OUTLIER)].reset_index(drop=True)
    if table.empty:
        raise UserError(f"{place} has no test clips")
    rows = []
    for row in table.itertuples():
        found = sound_row(scorer, place / row.path, row.machine, row.section)
        rows.append({k: found[k] for k in ("score", "threshold", "decision", "error")})
    for name in ("score", "threshold", "decision", "error"):
        table[name] = [row[name] for row in rows]
    folder = output or run / "evaluations" / place.resolve().name
    columns = [*CLIP, "group", "score", "threshold", "decision", "error"]
    write_table(table[columns], folder / "scores.csv")
    good = table[table["error"] == ""].astype({"score": float, "decision": int})
    labelled = good[good["label"].isin((NORMAL, ANOMALY))].reset_index(drop=True)
    numbers = {}
    if len(labelled):
        numbers = metric_of(labelled, config.evaluation, config.seed)
        write_table(per_machine(labelled, config.evaluation.max_fpr), folder / "results.csv")
    models = {FUSED: numbers} if numbers else {}
    metrics = {
        "models": models,
        # The systems may have been chosen by the labels of these very clips, wherever they lie now.
        "leaks": list(models) if mark(config, True) else [],
        "clips": len(table),
        "without_score": len(table) - len(good),
    }
    write_json(folder / "metrics.json", {"test": metrics})
    write_challenge(folder / "challenge", good)
    return folder, metrics


def export(path: Path, output: Path | None = None) -> tuple[Path, float]:
    """Write a run so that it can be used without MindSpore.

    Args:
        path: a finished run.
        output: a new or empty folder; None: ``export`` in the run folder.

    Returns:
        The folder, and the largest difference of a score from the run's.

    Raises:
        UserError: the folder holds something else, or the export does not agree with the run: nothing
            is left then.
    """
    run, config = open_run(path)
    # A graph holds MindSpore's own operators, not our kernels.
    device = dataclasses.replace(config.device, fast_kernels="none")
    config = dataclasses.replace(config, device=device)
    embedder = RunEmbedder(run, config)
    scorer = scorer_of(run, config, embedder)
    folder = output or run / "export"
    foreign = folder.exists() and any(folder.iterdir()) and not (folder / BUNDLE).exists()
    if folder.is_file() or foreign:
        raise UserError(f"output {folder} holds other files; choose a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as temporary:
        made = Path(temporary)
        for network, machine in sorted(networks_used(scorer)):
            # Imported late: MindSpore takes seconds.
            from mindspore_dpus.export.extractor import write_extractor

            write_extractor(
                embedder.net(network, machine).extractor,
                scorer.front.shape,
                made / f"{network}-{machine}.onnx",
            )
        (made / "detectors.npz").write_bytes((run / "detectors.npz").read_bytes())
        heads = embedder.heads(networks_used(scorer))
        save_arrays(made / "scaling.npz", load_arrays(run / "scaling.npz") | heads)
        bundle = {
            "system": "machine_sound",
            "format": FORMAT,
            "audio": plain(config.audio),
            "scorer": read_json(run / "scorer.json"),
            "sha256": {file.name: file_hash(file) for file in sorted(made.iterdir())},
            "versions": {"mindspore_dpus": __version__}
            | versions(("mindspore", "numpy", "scipy", "onnx", "onnxruntime")),
        }
        write_json(made / BUNDLE, bundle)
        tested, root = read_table(run / "scores.csv"), source_of(run, config).root
        difference = check_scores(tested, root, scorer, OnnxSoundPredictor(made))
        write_json(made / BUNDLE, bundle | {"agreement": {"largest_difference": difference}})
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for file in sorted(made.iterdir()):
            file.replace(folder / file.name)
    return folder, difference
