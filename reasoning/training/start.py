"""What starts a training run: its settings, its folder; or finds that the run is there already."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from reasoning.records import runs
from reasoning.records.checkpoints import CheckpointFolder
from reasoning.setup import commands, restoring, weights
from reasoning.setup.settings import RunSettings, plugins
from vsa.commands import alone, flatten, named_keys, schema, screen, sweep, value_of, write_whole
from vsa.commands.files import taking_apart
from vsa.errors import SettingsError

__all__ = ["Resumed", "Work", "open_run", "resume", "train"]

log = logging.getLogger(__name__)

S = TypeVar("S", bound=RunSettings)
P = TypeVar("P")
_FILES = ("metrics.jsonl", weights.WEIGHTS, weights.FRONT_END, "results.json", "rules.json", runs.RECORD, runs.SETTINGS)
_CHECKPOINTS = "checkpoints"
_MORE = "more_epochs"


class Work(Protocol[S, P]):
    """What is trained, evaluated and shown: a module such as :mod:`reasoning.training.run`.

    ``MODULE`` and ``CONFIG`` name its command and the command's file of settings.
    """

    MODULE: str
    CONFIG: str

    def parse(self, composed: Mapping[str, Any], said: Mapping[str, str] | None = None) -> S:
        """Settings from their composed form, or from a run's settings.yaml."""

    def prepare(self, settings: S, folder: Path | None = None) -> P:
        """Everything the run needs; what is wrong shows."""

    def record(self, prepared: P) -> dict[str, Any]:
        """What run.json says of the run beside its environment."""

    def front_end(self, prepared: P) -> str | None:
        """The file of the front-end's weights that the run begins with."""

    def run(self, folder: Path, prepared: P) -> Any:
        """Train, or go on, evaluate, write, show."""

    def show(self, folder: Path, settings: S) -> None:
        """Show a finished run."""


def train(folder: Path, settings: S, arguments: list[str], *, work: Work[S, P], go_on: bool = False) -> None:
    """One run: trained, evaluated, shown; or shown only, if the folder holds it already.

    Args:
        folder: the run's.
        settings: of the run.
        arguments: the command line, for run.json.
        work: what is trained.
        go_on: whether a run of these settings that was interrupted is continued; otherwise it is refused.

    Raises:
        VSAError: whatever is wrong with settings, folder or files.
        StoppedError: SIGTERM came; the state is saved.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"out={folder}", received="a file", expected="a folder")
    prepared = None if folder.exists() else work.prepare(settings)  # what is wrong shows before anything is written
    with _own(folder):
        if not settings.overwrite and _holds(folder, settings, work):
            record = runs.read_record(folder / runs.RECORD)
            if record.get("status") == "finished":
                if runs.same_code(record, plugins(settings)):
                    screen.say(f"{folder} holds this very run, finished (same settings, same code):")
                    work.show(folder, settings)
                    return
            elif go_on:
                work.run(folder, work.prepare(settings, folder))
                return
        prepared = prepared or work.prepare(settings)
        _start(folder, settings, prepared, arguments, work)
        work.run(folder, prepared)


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """The run's folder to oneself, swept of what a killed program left there."""
    with alone(runs.prepare_folder(folder)):
        sweep(folder)
        yield


def _start(folder: Path, settings: S, prepared: P, arguments: list[str], work: Work[S, P]) -> None:
    """Claim an empty folder, or empty one of ours that may be replaced."""
    seen = work.front_end(prepared)
    front_end = None if seen is None else Path(seen).read_bytes()  # it may lie in the folder that is to be emptied
    held = runs.contents(folder)
    if runs.SETTINGS not in held:  # killed before it had begun
        held = [name for name in held if name not in (runs.RECORD, weights.FRONT_END)]
    if held and not settings.overwrite:
        unfinished = runs.SETTINGS in held and "results.json" not in held
        hint = f"go on with resume={folder}, or " if unfinished else ""
        raise SettingsError(
            f"out={folder}",
            received=f"a folder that is not empty: it holds {'another run' if runs.SETTINGS in held else held[0]}",
            expected="a new one",
            hint=f"{hint}choose another folder, or say overwrite=true",
        )
    _clear(folder)
    record = {
        "status": "running",
        **work.record(prepared),
        **runs.environment(arguments, work.MODULE, plugins(settings)),
    }
    if front_end is not None:  # the run goes on from it wherever the file is then
        write_whole(folder / weights.FRONT_END, front_end)
    runs.begin_record(folder, record, schema.plain(settings))


def _clear(folder: Path) -> None:
    """Remove a run's own files and nothing else."""
    for name in (runs.SETTINGS, *_FILES):  # without its settings it counts as not begun, whenever this is killed
        if not (folder / name).is_dir() or (folder / name).is_symlink():
            (folder / name).unlink(missing_ok=True)
    CheckpointFolder(folder / _CHECKPOINTS).remove()


def _holds(folder: Path, settings: S, work: Work[S, P]) -> bool:
    """Whether the folder is of a run with these settings."""
    if not (folder / runs.SETTINGS).is_file():
        return False
    apart = {"out": None, "overwrite": False}
    stored = schema.plain(work.parse(runs.read_settings(folder)))  # of an earlier version: what is new has its default
    return {**stored, **apart} == {**schema.plain(settings), **apart}


@dataclass(frozen=True)
class Resumed(Generic[S, P]):
    """A run to go on with.

    Attributes:
        folder: the run's.
        settings: the run's.
        record: its run.json.
        named: what the command line says, by key.
        work: what is trained.
        more: epochs to be added.
    """

    folder: Path
    settings: S
    record: Mapping[str, Any]
    named: Mapping[str, str]
    work: Work[S, P]
    more: int = 0


def open_run(arguments: list[str], folder: Path, work: Work[S, P]) -> Resumed[S, P]:
    """Read what is needed to go on with a run, or with the runs of several seeds.

    Args:
        arguments: the command line; what it says beside ``resume=`` and ``more_epochs=`` must be what the run has.
        folder: the run's.
        work: what is trained.

    Returns:
        The run.

    Raises:
        VSAError: no run, changed settings, damaged files.
    """
    stored = runs.read_settings(folder)
    record = runs.read_record(folder / runs.RECORD)
    with taking_apart(folder / runs.RECORD):
        before = [str(argument) for argument in record["overrides"]]
        record = {**record, "files": dict(record.get("files", {}))}
    named = named_keys(arguments)
    more = value_of(named[_MORE]) if _MORE in named else 0
    if isinstance(more, bool) or not isinstance(more, int) or more < (1 if _MORE in named else 0):
        raise SettingsError(f"setting {_MORE}", received=named[_MORE], expected="a number of epochs, at least 1")
    changes = [argument for key, argument in named.items() if key not in ("resume", _MORE)]
    if changes:
        _refuse_changes(stored, before, changes, folder, work)
    settings = _without_foreign_cache(work.parse(stored), named)
    if not runs.same_code(record, plugins(settings)):
        log.warning("the code has changed since this run began: the result may differ from an uninterrupted run's")
    return Resumed(folder, settings, record, named, work, more)


def resume(run: Resumed[S, P]) -> None:
    """Go on with a run; show it if it is finished.

    Args:
        run: of one seed.

    Raises:
        VSAError: damaged files, files that cannot be written.
        StoppedError: SIGTERM came; the state is saved.
    """
    folder, settings, work = run.folder, run.settings, run.work
    with _own(folder):
        if run.more:
            settings = _prolong(folder, settings, run.record, run.more)
        elif (folder / "results.json").is_file() and run.record.get("status") == "finished":
            screen.say(f"{folder} is finished already:")
            work.show(folder, settings)
            return
        work.run(folder, work.prepare(settings, folder))


def _prolong(folder: Path, settings: S, record: Mapping[str, Any], more: int) -> S:
    """Give a run more epochs: its settings say so from now on."""
    newest = CheckpointFolder(folder / _CHECKPOINTS).newest(finished=False)
    if newest is None:
        raise SettingsError(
            f"resume={folder} {_MORE}={more}",
            received="a run without a checkpoint to go on from",
            expected="one that this version trained",
        )
    longer = replace(settings, epochs=settings.epochs + more)
    if settings.schedule != "constant":
        log.warning("the %s schedule is that of %d epochs from here on", settings.schedule, longer.epochs)
    log.info("training goes on from epoch %s to %d", newest.state.get("epoch"), longer.epochs)
    runs.begin_record(folder, {**record, "status": "running"}, schema.plain(longer))
    return longer


def _without_foreign_cache(settings: S, named: Mapping[str, str]) -> S:
    """A settings file that somebody shared does not say where to write here."""
    asked = settings.dataset.cache_dir
    if asked is None or "dataset.cache_dir" in named:
        return settings
    log.warning("the run's dataset.cache_dir=%s is not used; say it on the command line to use it", asked)
    return replace(settings, dataset=replace(settings.dataset, cache_dir=None))


def _refuse_changes(
    stored: Mapping[str, Any], before: list[str], changes: list[str], folder: Path, work: Work[S, P]
) -> None:
    """Let pass what repeats the run's settings; refuse what would change them."""
    merged = {**named_keys(before), **named_keys(changes)}
    line = list(merged.values())
    composed = commands.compose_settings(work.CONFIG, restoring.completed(line))
    asked = flatten(schema.plain(work.parse(composed, commands.said(line))))
    had = flatten(stored)
    different = [
        f"{key}={asked.get(key)} (the run has {had.get(key)})"
        for key in sorted({*asked, *had})
        if asked.get(key) != had.get(key)
    ]
    if different:
        raise SettingsError(
            f"resume={folder}",
            received=f"changed settings: {', '.join(different)}",
            expected="the run's own",
            hint="leave them out, or start a new run",
        )
