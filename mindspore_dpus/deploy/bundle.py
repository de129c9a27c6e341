"""The JSON file beside an exported graph: all that somebody needs to use it, and to know what it is."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_json
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.decision.decision import Decision

FORMAT = 1


@dataclass
class Bundle:
    """What stands beside a graph.

    Args:
        sha256: of the graph's file.
        kind: ``onnx`` or ``mindir``.
        spec: how a file becomes the graph's input.
        classes: names in the order of the outputs.
        positive: the class whose probability is the score; None for more than two classes.
        threshold: score from which an image is positive.
        decision: the run's, which the threshold comes from; None where it has none.
        members: names of the networks inside, in the order of the output ``members``.
        normalisation: ``mean`` and ``std`` of each channel, for images in 0..1. The graph applies them
            itself; they stand here for people.
        prior: shares of the classes: ``data``, among the run's training images; ``members``, in the
            balanced sets that the members learnt from and so expect.
        agreement: what was compared with the run before the file was written.
        versions: of the programs that made it.
        run: where it comes from: folder, hash of the configuration, hashes of the members' weights.
        format: of this file.
    """

    sha256: str
    kind: str
    spec: ImageSettings
    classes: list[str]
    positive: str | None
    threshold: float
    decision: Decision | None
    members: list[str]
    normalisation: dict
    prior: dict
    agreement: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    run: dict = field(default_factory=dict)
    format: int = FORMAT

    def save(self, graph: Path) -> Path:
        """Write the JSON beside a graph; its path."""
        path = json_path(graph)
        write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, graph: Path) -> "Bundle":
        """Read the JSON beside a graph.

        Raises:
            UserError: it is missing, damaged, of another format, or lacks a key.
        """
        path = json_path(graph)
        if not path.is_file():
            raise UserError(
                f"{path} is missing: copy it with {graph.name}; it says how images are prepared"
            )
        values = read_json(path)
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            found = values.get("format") if isinstance(values, dict) else None
            raise UserError(f"{path} is of format {found}; this version reads {FORMAT}: export again")
        try:
            values["spec"] = ImageSettings.from_dict(values["spec"])
            decision = values["decision"]
            values["decision"] = None if decision is None else Decision.from_json(decision)
            bundle = cls(**{f.name: values[f.name] for f in fields(cls)})
            threshold, classes, members = bundle.threshold, bundle.classes, bundle.members
            usable = isinstance(threshold, int | float) and len(classes) > 1 and len(members) > 0
            usable &= bundle.decision is None or bundle.decision.threshold == threshold
            if not usable or (bundle.positive is not None and bundle.positive not in classes):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path} is not what an export writes: export again") from None
        return bundle


def json_path(graph: Path) -> Path:
    """Where the JSON of a graph lies: beside it, ``model.onnx.json`` for ``model.onnx``."""
    return graph.with_name(f"{graph.name}.json")
