"""An exported detector, run by onnxruntime, without MindSpore."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import digest, file_hash, read_json
from mindspore_dpus.deploy.cascade import Detections
from mindspore_dpus.deploy.detector import Detector, DetectorSettings
from mindspore_dpus.deploy.predictor import _session

FORMAT = 1
# Regions that are scored at a time: memory stays small.
BATCH = 256


def graphs_of(settings: DetectorSettings) -> tuple[str, ...]:
    """Names of the graphs of a detector."""
    refinement = ("refinement",) if settings.refinement_rounds else ()
    return ("proposals", "background", *refinement, "signs")


class OnnxNetworks:
    """The graphs of an export (``deploy.detector.Networks``).

    Args:
        folder: of the graphs.
        names: of ``graphs_of``.
        sign: place of the class of signs in the background network's outputs.
        threads: that compute; None: onnxruntime's choice.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], sign: int, threads: int | None = None
    ) -> None:
        self.sessions = {name: _session(folder / f"{name}.onnx", threads) for name in names}
        self.sign = sign

    def maps(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See ``Networks``."""
        run = self.sessions["proposals"].run
        scores, deltas = run(["scores", "deltas"], {"frames": frame[None]})
        return scores[0], deltas[0]

    def _outputs(self, name: str, output: str, regions: np.ndarray) -> np.ndarray:
        run = self.sessions[name].run
        return np.concatenate(
            [
                run([output], {"images": regions[first : first + BATCH]})[0]
                for first in range(0, len(regions), BATCH)
            ]
        )

    def background(self, regions: np.ndarray) -> np.ndarray:
        """See ``Networks``."""
        return self._outputs("background", "probabilities", regions)[:, self.sign]

    def refinement(self, regions: np.ndarray) -> np.ndarray:
        """See ``Networks``."""
        return self._outputs("refinement", "deltas", regions)

    def signs(self, regions: np.ndarray) -> np.ndarray:
        """See ``Networks``."""
        return self._outputs("signs", "probabilities", regions)


class OnnxDetector(Detector):
    """A detector that ``tools/export.py`` has written.

    Args:
        bundle: the folder of the export; or its JSON, the graphs beside it.
        threads: that compute; None: onnxruntime's choice, one a core.

    Raises:
        UserError: onnxruntime is not installed; a file is missing, damaged, or not the bundle's.
    """

    def __init__(self, bundle: str | Path, threads: int | None = None) -> None:
        path = Path(bundle)
        path = path / "bundle.json" if path.is_dir() else path
        if not path.is_file():
            raise UserError(f"{path} does not exist; give the folder of an export")
        values = read_json(path)
        try:
            if values["format"] != FORMAT or values["system"] != "traffic_signs":
                raise ValueError
            settings = DetectorSettings.from_dict(values["settings"])
            hashes, sign = values["sha256"], int(values["sign"])
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path} is not what an export of this version writes: export again"
            ) from None
        names = graphs_of(settings)
        for name in names:
            graph = path.parent / f"{name}.onnx"
            if not graph.is_file() or file_hash(graph) != hashes.get(name):
                raise UserError(
                    f"{graph} is missing, damaged, or of another export than {path}: copy all files again"
                )
        identity = digest("export", {name: hashes[name] for name in names})
        super().__init__(settings, OnnxNetworks(path.parent, names, sign, threads), identity)

    def names(self, found: Detections) -> list[str]:
        """Class names of detections."""
        return [self.settings.classes[c] for c in found.classes]
