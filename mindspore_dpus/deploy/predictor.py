"""An exported graph, run by onnxruntime."""

from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import file_hash
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.deploy.bundle import Bundle, json_path


class OnnxPredictor:
    """The fused ensemble of a run, without MindSpore: a :class:`~mindspore_dpus.deploy.Scorer`.

    Args:
        model: the ``.onnx`` file of an export, its JSON beside it.
        threads: that compute; None: onnxruntime's choice, one a core.

    Example:
        ``model`` is the name of an exported graph of 8 x 8 grey images:

        >>> import numpy as np
        >>> from mindspore_dpus.deploy import OnnxPredictor
        >>> predictor = OnnxPredictor(model)
        >>> outputs = predictor.predict(np.zeros((3, 8, 8, 1), np.uint8))
        >>> outputs["fused"].shape
        (3, 2)

    Raises:
        UserError: onnxruntime is not installed; a file is missing, damaged, or not the other's.
    """

    batch_size = 16

    def __init__(self, model: str | Path, threads: int | None = None) -> None:
        model = Path(model)
        if not model.is_file():
            raise UserError(f"{model} does not exist; give the .onnx file that an export has written")
        if model.suffix != ".onnx":
            raise UserError(f"{model}: onnxruntime reads .onnx; export it with the format onnx")
        self.bundle = Bundle.load(model)
        if file_hash(model) != self.bundle.sha256:
            raise UserError(
                f"{model} is not the file that {json_path(model)} describes: it is damaged, or "
                "of another export; copy both again"
            )
        self.threshold = self.bundle.threshold
        self.decision = self.bundle.decision
        self.tiles = None if self.decision is None else self.decision.tiles
        self.members = self.bundle.run.get("members_key")
        self._session = _session(model, threads)

    @property
    def spec(self) -> ImageSettings:
        """How a file becomes an input."""
        return self.bundle.spec

    @property
    def classes(self) -> list[str]:
        """Class names."""
        return self.bundle.classes

    @property
    def positive(self) -> int | None:
        """Index of the positive class."""
        return None if self.bundle.positive is None else self.classes.index(self.bundle.positive)

    @property
    def models(self) -> list[str]:
        """``fused`` and the members."""
        return ["fused", *self.bundle.members]

    @property
    def identity(self) -> str:
        """SHA-256 of the graph."""
        return self.bundle.sha256

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Softmax outputs.

        Args:
            images: (N, H, W, C) as ``data.images.preparing`` makes them, uint8 or uint16.

        Returns:
            ``fused`` and each member -> (N, C) float32.
        """
        fused, members = self._session.run(["probabilities", "members"], {"images": images})
        return dict(zip(self.models, [fused, *members.swapaxes(0, 1)], strict=True))


def _session(model: Path, threads: int | None):
    try:
        import onnxruntime
    except ImportError:
        raise UserError("onnxruntime is missing: pip install -r requirements/deploy.txt") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from whatever else runs there: measured beside
    # other programs on two cores, 1.4 times as many images a second without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
