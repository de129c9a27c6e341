"""A finished run -> a graph of each network and a JSON, compared with the run on real frames."""

import dataclasses
from importlib import metadata
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, file_hash, versions, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.deploy.onnx_detector import FORMAT, OnnxDetector, graphs_of
from mindspore_dpus.systems import load_config
from mindspore_dpus.systems.traffic_signs.run_data import data_root, read_frame, read_run_frames
from mindspore_dpus.systems.traffic_signs.trained_detector import run_detector

PIXELS, SCORES = 0.01, 1e-4
CHECKED_FRAMES = 5
# Of the frame that the graph is traced with; any other will do.
FRAME = (64, 96)


def export(path: Path, output: Path | None = None) -> tuple[Path, dict]:
    """Write ``proposals.onnx``, ``background.onnx``, ``signs.onnx``, ``refinement.onnx`` where the run has
    such a network, and ``bundle.json``.

    Args:
        path: the run folder.
        output: a folder; None: ``export`` in the run folder.

    Returns:
        The JSON file, and what was compared.

    Raises:
        UserError: no finished run, a backbone that MindSpore cannot write, or graphs that find other
            boxes or scores than the run. ``bundle.json`` is not written then.
    """
    for name in ("onnx", "onnxruntime"):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            raise UserError(f"{name} is missing: pip install 'mindspore_dpus[export]'") from None
    run = RunFolder.open(path)
    config = load_config(run / "config.yaml")
    run.finished("detections")
    # A graph holds MindSpore's own operators, not our kernels.
    device = dataclasses.replace(config.device, fast_kernels="none")
    config = dataclasses.replace(config, device=device)
    detector, frames = run_detector(run, config), read_run_frames(run)
    rows = frames.of("test")[:CHECKED_FRAMES]
    root = data_root(run, config)
    images = [read_frame(root / frames.paths[i], config.data.max_pixels) for i in rows]
    expected = [(detector.maps(image), detector.detect(image)) for image in images]

    from mindspore_dpus.export.graph import Members
    from mindspore_dpus.export.normalised import write_normalised
    from mindspore_dpus.export.onnx_graph import write_onnx

    folder = output or run / "export"
    (folder / "bundle.json").unlink(missing_ok=True)
    settings, networks = detector.settings, detector.networks
    with atomic(folder / "proposals.onnx") as temporary:
        sides = ("rows", "columns")
        write_normalised(networks.net, temporary, FRAME, "frames", {"scores": sides, "deltas": sides})
    if networks.refining is not None:
        spec = settings.refinement_images
        # Folds its batch norms.
        Members({"refinement": networks.refining}, spec, 4)
        with atomic(folder / "refinement.onnx") as temporary:
            write_normalised(networks.refining, temporary, (spec.size,) * 2, "images", {"deltas": ()})
    specs = {
        "background": (settings.background_images, 2),
        "signs": (settings.sign_images, len(settings.classes)),
    }
    for name, (spec, n_classes) in specs.items():
        nets = {k: net for k, net in networks.ensembles[name].nets.items() if k != "baseline"}
        with atomic(folder / f"{name}.onnx") as temporary:
            write_onnx(Members(nets, spec, n_classes), temporary)
    values = {
        "system": "traffic_signs",
        "format": FORMAT,
        "settings": settings.to_dict(),
        "sign": networks.sign,
        "sha256": {name: file_hash(folder / f"{name}.onnx") for name in graphs_of(settings)},
        "versions": versions(("mindspore", "numpy", "onnx", "onnxruntime")),
        "run": str(run.path.resolve()),
    }
    candidate = folder / "unchecked.json"
    write_json(candidate, values)
    agreement = _compare(OnnxDetector(candidate), images, expected)
    candidate.unlink()
    write_json(folder / "bundle.json", values | {"agreement": agreement})
    return folder / "bundle.json", agreement


def _compare(graphs: OnnxDetector, images: list, expected: list) -> dict:
    """Largest differences of boxes and scores, on real frames."""
    pixels = scores = 0.0
    number = 0
    for image, (maps, found) in zip(images, expected, strict=True):
        theirs, again = graphs.maps(image), graphs.detect(image)
        scores = max(scores, float(np.abs(_sigmoid(theirs.scores) - _sigmoid(maps.scores)).max()))
        same = len(again.boxes) == len(found.boxes) and (again.classes == found.classes).all()
        if not same:
            raise UserError("the exported graphs find other signs than the run; nothing was written")
        if len(found.boxes):
            pixels = max(pixels, float(np.abs(again.boxes - found.boxes).max()))
            scores = max(scores, float(np.abs(again.scores - found.scores).max()))
        number += len(found.boxes)
    if not (pixels < PIXELS and scores < SCORES):
        raise UserError(
            f"the exported graphs differ from the run by {pixels:.2g} pixels and {scores:.2g} of a score "
            f"(allowed: {PIXELS:g} and {SCORES:g}); nothing was written"
        )
    return {"frames": len(images), "signs": number, "pixels": pixels, "scores": scores}


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))
