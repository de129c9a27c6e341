"""A system is a graph of stages; this walks it, skips what is done, and goes on where it was stopped.

Each stage makes files in the run folder, its artefacts. Its key hashes what its result depends on: its own
settings, and the keys of the stages that it needs. So a changed setting runs its stage again, and those
that need it, and no other, in whatever order they are listed.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mindspore_dpus.core.files import digest
from mindspore_dpus.core.nursery import kept_usage
from mindspore_dpus.core.run_folder import RunFolder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One step of a system.

    Args:
        name: of the stage; unique.
        make: does the work and writes the artefacts. It is handed the stage's key, for results that must
            say what they belong to (checkpoints).
        needs: stages whose results it reads.
        after: stages that must have passed before it starts, but whose results it does not read: the
            audit, which stops a run, but whose thresholds change no result.
        settings: what the result depends on besides, as JSON values; or a function that says so once the
            stages before it are done.
        artefacts: files, relative to the run folder, that exist when it is done; or a function that
            names them when it has run.
        version: of the code in ``make``; raised by whoever changes what it computes from the same
            settings, so that results of the old code are not taken for the new one's.
        check: refuses, before anything long is computed, what ``make`` could not work with. It is called
            as soon as ``check_after`` are done, where this stage is going to run.
        check_after: stages that ``check`` reads.
        on_request: only run where it is asked for by name, or needed by such a stage.
    """

    name: str
    make: Callable[[str], None]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    settings: object = None
    artefacts: Sequence[str] | Callable[[], Sequence[str]] = ()
    version: int = 1
    check: Callable[[], None] | None = None
    check_after: tuple[str, ...] = ()
    on_request: bool = False


def fill(
    run: RunFolder,
    stages: Sequence[Stage],
    describe: Callable[[], None] = lambda: None,
    targets: Iterable[str] | None = None,
) -> list[str]:
    """Run the stages of a graph that are not done for these settings.

    Args:
        run: the run folder; locked by the caller.
        stages: the whole graph, each stage behind those that it needs.
        describe: called before the first stage that runs, to write what describes the folder.
        targets: the stages that are wanted; None: all but those on request. What they need is run, too.

    Returns:
        Names of the stages that have run.

    Raises:
        ValueError: the graph names a stage twice, or one before what it needs.
        UserError: whatever a stage raises; those before it stay.
    """
    return _Walk(run, stages, describe, targets).walk()


class _Walk:
    def __init__(self, run, stages, describe, targets) -> None:
        _check_graph(stages)
        self.run = run
        self.describe = describe
        self.graph = {stage.name: stage for stage in stages}
        wanted = [s.name for s in stages if not s.on_request] if targets is None else list(targets)
        self.stages = [stage for stage in stages if stage.name in self._closure(wanted)]
        self.keys: dict[str, str] = {}
        self.passed: set[str] = set()
        self.checked: set[str] = set()
        self.ran: list[str] = []

    def walk(self) -> list[str]:
        for stage in self.stages:
            if not self._is_done(stage):
                self._make(stage)
            self.passed.add(stage.name)
            self._check_ahead()
        return self.ran

    def _closure(self, names: Iterable[str]) -> set[str]:
        """These stages and all that they need or come after."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            stage = self.graph[waiting.pop()]
            if stage.name not in found:
                found.add(stage.name)
                waiting += [*stage.needs, *stage.after]
        return found

    def _key(self, stage: Stage) -> str:
        if stage.name not in self.keys:
            settings = stage.settings() if callable(stage.settings) else stage.settings
            needs = {name: self._key(self.graph[name]) for name in stage.needs}
            self.keys[stage.name] = digest(stage.name, stage.version, settings, needs)
        return self.keys[stage.name]

    def _is_done(self, stage: Stage) -> bool:
        record = self.run.stages().get(stage.name)
        if record is None or record["key"] != self._key(stage):
            return False
        return all((self.run / name).exists() for name in record["artefacts"])

    def _check_ahead(self) -> None:
        """Check every later stage that can be checked by now, and is going to run."""
        for stage in self.stages:
            if stage.check is None or stage.name in self.checked | self.passed:
                continue
            if set(stage.check_after) <= self.passed:
                self.checked.add(stage.name)
                if not self._is_done(stage):
                    stage.check()

    def _make(self, stage: Stage) -> None:
        logger.info("%s ...", stage.name)
        if stage.check is not None and stage.name not in self.checked:
            stage.check()
        if not self.ran:
            self._forget_other_graphs()
            self._drop_what_will_change(stage)
            self.describe()
        self.ran.append(stage.name)
        start = time.perf_counter()
        before = self._invalidate(stage)
        # A warning is a line like any other, not a traceback's cousin with a source line.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            stage.make(self._key(stage))
        for message in dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning):
            logger.info("  note: %s", message)
        artefacts = list(stage.artefacts() if callable(stage.artefacts) else stage.artefacts)
        self._remove(set(before) - set(artefacts))
        record = {
            "key": self._key(stage),
            "needs": list(stage.needs),
            "artefacts": artefacts,
            "seconds": round(time.perf_counter() - start, 2),
            "peak_memory_mb": peak_memory_mb(),
            "child_peak_memory_mb": peak_memory_mb(children=True),
        }
        self.run.write_stages(self.run.stages() | {stage.name: record})

    def _drop_what_will_change(self, first: Stage) -> None:
        """Before the folder is described anew: no later stage may stand for settings that it was not
        made with, should this start end before its turn comes."""
        records = self.run.stages()
        stands, will_run, unknown = dict(records), {first.name}, set()
        for stage in self.stages:
            needs = set(stage.needs)
            if stage.name in self.passed or stage is first:
                continue
            if needs & unknown or (callable(stage.settings) and needs & will_run):
                # Its key is not known before those have run, and so taken for changed.
                stands.pop(stage.name, None)
                will_run.add(stage.name)
                unknown.add(stage.name)
            elif not self._is_done(stage):
                will_run.add(stage.name)
                if stage.name in stands and stands[stage.name]["key"] != self._key(stage):
                    del stands[stage.name]
        if stands != records:
            self.run.write_stages(stands)

    def _invalidate(self, stage: Stage) -> list[str]:
        """Until it is done, this stage stands for nothing; nor, if it is new or changed, do those that
        need it. Returns the artefacts that an earlier start left of it."""
        records = self.run.stages()
        own = records.get(stage.name)
        stale = {stage.name}
        if own is None or own["key"] != self._key(stage):
            stale |= {name for name in self.graph if stage.name in self._needed_by(name)}
        stands = {name: record for name, record in records.items() if name not in stale}
        if stands != records:
            self.run.write_stages(stands)
        return own["artefacts"] if own else []

    def _needed_by(self, name: str) -> set[str]:
        """All stages that a stage needs, directly or not."""
        found: set[str] = set()
        waiting = list(self.graph[name].needs)
        while waiting:
            need = waiting.pop()
            if need not in found:
                found.add(need)
                waiting += self.graph[need].needs
        return found

    def _forget_other_graphs(self) -> None:
        """Remove what stages have left that are no part of this graph."""
        records = self.run.stages()
        for name in records.keys() - self.graph.keys():
            self._remove(records.pop(name)["artefacts"])
            self.run.write_stages(records)

    def _remove(self, artefacts: Iterable[str]) -> None:
        for name in artefacts:
            (self.run / name).unlink(missing_ok=True)


def _check_graph(stages: Sequence[Stage]) -> None:
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise ValueError(f"two stages are called {stage.name!r}")
        for other in (*stage.needs, *stage.after, *stage.check_after):
            if other not in seen:
                raise ValueError(f"stage {stage.name!r} names {other!r}, which does not come before it")
        seen.add(stage.name)


def peak_memory_mb(children: bool = False) -> int | None:
    """Most memory so far: of this process, or of the largest that it has started and that has ended.
    None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    if not children:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return max(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, kept_usage()[0])
