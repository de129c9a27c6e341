"""An exported run of machine sound, its extractors run by onnxruntime, without MindSpore."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import file_hash, read_json
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.deploy.sound_scorer import SoundScorer

BUNDLE = "bundle.json"
FORMAT = 1


class OnnxEmbedder:
    """Exported extractors, run by onnxruntime.

    Args:
        folder: of the bundle.
        hashes: file -> SHA-256.
        threads: that compute; None: onnxruntime's choice.
    """

    def __init__(self, folder: Path, hashes: Mapping[str, str], threads: int | None = None) -> None:
        self.folder, self.hashes, self.threads = folder, hashes, threads
        self._sessions: dict[str, object] = {}

    def embed(self, network: str, machine: str, inputs: np.ndarray) -> np.ndarray:
        """See ``Embedder``. One segment at a time: graphs are written for one."""
        name = f"{network}-{machine}.onnx"
        if name not in self._sessions:
            self._sessions[name] = self._open(name)
        session = self._sessions[name]
        return np.concatenate([session.run(["embedding"], {"x": x[None]})[0] for x in inputs])

    def _open(self, name: str):
        from mindspore_dpus.deploy.predictor import _session

        path = self.folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing: copy the whole folder of the export")
        if file_hash(path) != self.hashes.get(name):
            raise UserError(f"{path} is not the file that {BUNDLE} describes: copy both again")
        return _session(path, self.threads)


class OnnxSoundPredictor(SoundScorer):
    """An exported run, without MindSpore.

    Args:
        folder: what ``tools/export.py`` has written.
        threads: that compute; None: onnxruntime's choice.

    Raises:
        UserError: a file is missing, damaged, or of another export.
    """

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        folder = Path(folder)
        if not (folder / BUNDLE).is_file():
            raise UserError(f"{folder} has no {BUNDLE}: give the folder that an export has written")
        bundle = read_json(folder / BUNDLE)
        if not isinstance(bundle, dict) or bundle.get("format") != FORMAT:
            raise UserError(f"{folder / BUNDLE} is of another format; export again")
        for name in ("detectors.npz", "scaling.npz"):
            if file_hash(folder / name) != bundle["sha256"].get(name):
                raise UserError(f"{folder / name} is not the file that {BUNDLE} describes: copy both")
        self.folder = folder
        embedder = OnnxEmbedder(folder, bundle["sha256"], threads)
        super().__init__(AudioSettings(**bundle["audio"]), folder, embedder, bundle["scorer"])
