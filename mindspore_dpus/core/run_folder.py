"""The run folder: atomic files, and the answer to "is this stage done for this configuration?"."""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path

from mindspore_dpus.core.errors import UserError

STAGES_FILE = "stages.json"


@contextmanager
def exclusive(path: Path, wait: bool) -> Iterator[None]:
    """Keep other processes out: a lock that ends with the process.

    Args:
        path: the lock's file; it stays.
        wait: for the one who holds it.

    Raises:
        BlockingIOError: it is held, and ``wait`` is false.
    """
    # Imported late, as ``resource``: Unix has them, and ``deploy`` should not depend on that.
    import fcntl

    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from filling a folder.

    Raises:
        UserError: one does already.
    """
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(folder / ".lock", wait=False))
        except BlockingIOError:
            raise UserError(
                f"{folder} is being filled by another process: wait for it, or choose another folder "
                "with --output"
            ) from None
        yield


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, flush it to disk, then rename it and flush the folder.

    After a power cut there is the old file or the new one, whole; and a file that was written later is
    never there without those written before it.

    Args:
        path: the final name. Its folder is made when missing.

    Yields:
        The temporary name to write to (it keeps the ending). An exception leaves ``path`` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        # A full disk is noticed by write(), which does not know the name.
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a new name last: until its folder is on disk, a power cut may take it back."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically, indented for people."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or torn.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: is this a finished run folder?") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not readable JSON: delete it and start the run again") from None


def digest(*parts: object) -> str:
    """A short stable hash of values that JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Package -> its installed version, or None."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _peak_memory(who: str) -> int:
    """MB so far: of this process, or of the largest one that it has started and that has ended."""
    import resource

    return resource.getrusage(getattr(resource, who)).ru_maxrss // 1024


def _is_record(value: object) -> bool:
    """Whether this is what ``RunFolder.stage`` leaves of a stage, as far as it is read again."""
    if not isinstance(value, dict) or not isinstance(value.get("key"), str):
        return False
    artefacts = value.get("artefacts")
    return isinstance(artefacts, list) and all(isinstance(name, str) for name in artefacts)


class RunFolder:
    """One run's folder, filled from left to right.

    A stage's key is chained: it hashes the stage's own configuration and the key of the stage before
    it. So a changed key re-runs its stage and all to the right of it, and nothing to the left.

    Args:
        path: the folder; made when missing.
        report: called with a line when a stage starts, and by the stages.

    Attributes:
        before_change: called before the first stage that runs, to write what describes the folder.
        ran: stages that this start has run.
        seen: stages that it has run, or found done.
    """

    def __init__(self, path: str | Path, report: Callable[[str], None] = print) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"--output {self.path}: a file is in the way; choose a folder") from None
        ours = (self / ".lock").exists() or (self / STAGES_FILE).exists()
        if any(self.path.iterdir()) and not ours:
            raise UserError(
                f"--output {self.path} holds other files; choose a new folder, or one that "
                "tools/train.py has filled"
            )
        self.report = report
        self.key = ""
        self.ran: list[str] = []
        self.seen: set[str] = set()
        self.before_change: Callable[[], None] = lambda: None

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run folder.

        Raises:
            UserError: there is none.
        """
        if not (path / STAGES_FILE).is_file():
            raise UserError(f"{path} is no run folder: give one that tools/train.py has filled")
        return cls(path)

    def forget(self, stage: str, artefacts: list[str]) -> None:
        """Remove what a stage left that is not part of this configuration."""
        for name in artefacts:
            (self / name).unlink(missing_ok=True)
        stages = self.stages()
        if stages.pop(stage, None):
            write_json(self / STAGES_FILE, stages)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def stages(self) -> dict:
        """Finished stages: name -> key, artefacts, seconds, peak memory so far."""
        path = self / STAGES_FILE
        stages = read_json(path) if path.exists() else {}
        if not isinstance(stages, dict) or not all(_is_record(record) for record in stages.values()):
            raise UserError(
                f"{path} is not what tools/train.py wrote: delete it and start the run again"
            )
        return stages

    def stage(
        self,
        name: str,
        config: object,
        artefacts: list[str],
        make: Callable[[], None],
        version: int = 1,
        aside: bool = False,
    ) -> None:
        """Run a stage unless it is done for this configuration and everything before it.

        Args:
            name: the stage.
            config: what its result depends on, besides the stages before it (JSON values).
            artefacts: files, relative to the run folder, that exist when it is done.
            make: does the work and writes the artefacts.
            version: of the code in ``make``; raised by whoever changes what it computes from the same
                settings, so that results of the old code are not taken for the new one's.
            aside: nothing to the right is computed from it, so nothing there re-runs when it changes.
        """
        self.seen.add(name)
        key = digest(self.key, name, version, config)
        if not aside:
            self.key = key
        stages = self.stages()
        if self._is_done(stages.get(name), key, artefacts):
            return
        self.report(f"{name} ...")
        if not self.ran:
            self.before_change()
            stages = self.stages()  # It may have forgotten some.
        self.ran.append(name)
        start = time.perf_counter()
        # Until it is done, this stage stands for nothing; nor, if it is new or changed, do those to its
        # right.
        changed = not aside and (name not in stages or stages[name]["key"] != key)
        stands = {k: v for k, v in stages.items() if k != name and (k in self.seen or not changed)}
        if stands != stages:
            stages = stands
            write_json(self / STAGES_FILE, stages)
        # A warning is a line like any other, not a traceback's cousin with a source line.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            make()
        for message in dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning):
            self.report(f"  note: {message}")
        stages[name] = {
            "key": key,
            "artefacts": artefacts,
            "seconds": round(time.perf_counter() - start, 2),
            "peak_memory_mb": _peak_memory("RUSAGE_SELF"),
            "child_peak_memory_mb": _peak_memory("RUSAGE_CHILDREN"),
        }
        write_json(self / STAGES_FILE, stages)

    def _is_done(self, stage: dict | None, key: str, artefacts: list[str]) -> bool:
        if stage is None or stage["key"] != key:
            return False
        return all((self / name).exists() for name in artefacts)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process out of the folder while this one fills it.

        Raises:
            UserError: another process is filling the folder.
        """
        with claimed(self.path):
            # What a killed process was writing.
            for pattern in (".*.tmp*", "members/*/.*.tmp*"):
                for torn in self.path.glob(pattern):
                    torn.unlink()
            yield

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

    def metrics(self) -> dict:
        """``metrics.json``."""
        return read_json(self / "metrics.json")
