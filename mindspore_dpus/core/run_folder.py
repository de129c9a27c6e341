"""The run folder: where the stages of a run leave their artefacts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import claimed, read_json, write_json

STAGES_FILE = "stages.json"


class RunFolder:
    """One run's folder, and the records of the stages that have filled it (``core.stages``).

    Args:
        path: the folder; made when missing.

    Raises:
        UserError: a file is in the way, or the folder holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"output {self.path}: a file is in the way; choose a folder") from None
        ours = (self / ".lock").exists() or (self / STAGES_FILE).exists()
        if any(self.path.iterdir()) and not ours:
            raise UserError(
                f"output {self.path} holds other files; choose a new folder, or one that a training has "
                "filled"
            )

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing run folder.

        Raises:
            UserError: there is none.
        """
        if not Path(path, STAGES_FILE).is_file():
            raise UserError(f"{path} is no run folder: give one that a training has filled")
        return cls(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def stages(self) -> dict:
        """Finished stages: name -> key, needs, artefacts, seconds, peak memory so far.

        Raises:
            UserError: the file that holds them is damaged.
        """
        path = self / STAGES_FILE
        stages = read_json(path) if path.exists() else {}
        if not isinstance(stages, dict) or not all(_is_record(record) for record in stages.values()):
            raise UserError(
                f"{path} does not list the stages of a run: delete it and start the run again"
            )
        return stages

    def write_stages(self, stages: dict) -> None:
        """Replace the records of the finished stages."""
        write_json(self / STAGES_FILE, stages)

    def finished(self, name: str) -> dict:
        """The record of a finished stage.

        Raises:
            UserError: the run never got there.
        """
        stages = self.stages()
        if name not in stages:
            raise UserError(
                f"{self.path} is no finished run: its stage {name!r} is missing; train it first"
            )
        return stages[name]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process out of the folder while this one fills it.

        Raises:
            UserError: another process is filling the folder.
        """
        with claimed(self.path):
            # What a killed process was writing.
            for depth in range(4):  # background/members/00 of traffic signs
                for unfinished in self.path.glob("*/" * depth + ".*tmp*"):
                    unfinished.unlink()
            yield


def _is_record(value: object) -> bool:
    """Whether this is what ``core.stages`` leaves of a stage, as far as it is read again."""
    if not isinstance(value, dict) or not isinstance(value.get("key"), str):
        return False
    artefacts = value.get("artefacts")
    return isinstance(artefacts, list) and all(isinstance(name, str) for name in artefacts)
