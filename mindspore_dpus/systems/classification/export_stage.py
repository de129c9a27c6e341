"""A finished run -> one graph in a file, and the JSON beside it."""

import dataclasses
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from mindspore_dpus import __version__
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, file_hash, versions
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.deploy.bundle import Bundle
from mindspore_dpus.deploy.rule import go_by
from mindspore_dpus.stages.subsets import read_subsets
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.systems.classification.labelled import labelled_images
from mindspore_dpus.systems.classification.scorer import RunScorer

CHECKED_IMAGES = 64
ENDINGS = {"onnx": ".onnx", "mindir": ".mindir"}


def export_run(
    run: RunFolder,
    config: Configuration,
    kind: str,
    output: Path,
    images: Sequence[Path] | None = None,
    decision: Decision | None = None,
) -> Bundle:
    """Write a run's fused ensemble as one graph, after it has agreed with the run on real images.

    Args:
        run: a finished run.
        config: its configuration.
        kind: ``onnx`` or ``mindir``.
        output: the graph's file; its JSON goes beside it.
        images: real images to compare on; None: of the run's test split.
        decision: another than the run's.

    Returns:
        What stands in the JSON.

    Raises:
        UserError: no finished run, no image to compare on, a backbone that MindSpore cannot write, or a
            graph that does not agree. Nothing is written then.
    """
    if output.suffix != ENDINGS[kind]:
        raise UserError(f"output {output}: with the format {kind} the name must end in {ENDINGS[kind]}")
    if kind == "onnx":
        _need("onnx", "onnxruntime")
    # A graph holds MindSpore's own operators, not our kernels; and the device must be asked first.
    device = dataclasses.replace(config.device, fast_kernels="none")
    scorer = RunScorer(run, dataclasses.replace(config, device=device), baseline=False)
    go_by(scorer, decision, None)
    pixels = _real_images(run, config, scorer.spec, images)
    outputs = scorer.predict(pixels)
    names = scorer.models[1:]

    from mindspore_dpus.export.agreement import check_agreement
    from mindspore_dpus.export.graph import Members

    members = Members(scorer.ensemble.nets, scorer.spec, len(scorer.classes))
    write, read = _functions(kind)
    with atomic(output) as temporary:
        write(members, temporary)
        agreement = check_agreement(read(temporary), pixels, np.stack([outputs[n] for n in names]))
        digest = file_hash(temporary)
    channels = scorer.spec.channels
    bundle = Bundle(
        sha256=digest,
        kind=kind,
        spec=scorer.spec,
        classes=scorer.classes,
        positive=None if scorer.positive is None else scorer.classes[scorer.positive],
        threshold=scorer.threshold,
        decision=scorer.decision,
        members=names,
        normalisation=_normalisation(channels),
        prior=_prior(run, names),
        agreement=agreement,
        versions=_versions(kind),
        run={
            "folder": str(run.path.resolve()),
            "backbone": config.model.backbone,
            "config_sha256": file_hash(run / "config.yaml"),
            "samples_sha256": file_hash(run / "samples.csv"),
            "members_key": scorer.members,
            "members_sha256": {n: file_hash(run / f"members/{n}/best.safetensors") for n in names},
        },
    )
    bundle.save(output)
    return bundle


def _need(*packages: str) -> None:
    for name in packages:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            raise UserError(f"{name} is missing: pip install 'mindspore_dpus[export]'") from None


def _functions(kind: str):
    if kind == "onnx":
        from mindspore_dpus.export.onnx_graph import read_onnx, write_onnx

        return write_onnx, read_onnx
    from mindspore_dpus.export.mindir import read_mindir, write_mindir

    return write_mindir, read_mindir


def _real_images(
    run: RunFolder, config: Configuration, spec: ImageSettings, images: Sequence[Path] | None
) -> np.ndarray:
    """Up to 64 images, evenly spread over those given or over the run's test split."""
    if images is None:
        table, root = labelled_images(run, config, None, None, "test")
        images = [root / path for path in table["path"]]
        advice = "; give other images"
    else:
        advice = ""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(CHECKED_IMAGES, len(images))).round())
    try:
        return np.stack([load_prepared(images[int(i)], spec) for i in chosen])
    except ImageError as error:
        raise UserError(f"{error}: the graph must agree with the run on real images{advice}") from None


def _normalisation(channels: int) -> dict:
    from mindspore_dpus.data.loader import IMAGENET_MEAN, IMAGENET_STD

    return {"mean": list(IMAGENET_MEAN[channels]), "std": list(IMAGENET_STD[channels]), "in": "graph"}


def _prior(run: RunFolder, members: Sequence[str]) -> dict:
    """Shares of the classes among the training images, and in the members' sets together."""
    table, classes, _ = read_samples(run / "samples.csv")
    label_of = table.set_index("path")["label"]
    subsets = read_subsets(run.path)
    seen = np.concatenate([label_of[subsets[name]].to_numpy() for name in members])
    train = table["label"][table["split"] == "train"].to_numpy()
    return {
        key: {name: float((labels == name).mean()) for name in classes}
        for key, labels in (("data", train), ("members", seen))
    }


def _versions(kind: str) -> dict:
    packages = ("mindspore", "numpy", "opencv-python") + (
        ("onnx", "onnxruntime") if kind == "onnx" else ()
    )
    return {"mindspore_dpus": __version__} | versions(packages)
