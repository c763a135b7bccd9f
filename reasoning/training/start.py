"""What starts a training run: its settings, its folder; or finds that the run is there already."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reasoning.records import runs
from reasoning.records.files import write_atomically
from reasoning.setup import build, commands, restoring, schema, weights
from reasoning.setup.settings import TrainSettings, plugins
from reasoning.setup.training_settings import parse
from reasoning.training import run as training
from vsa.commands import flatten, named_keys, screen
from vsa.errors import SettingsError

__all__ = ["MODULE", "resume", "train"]

log = logging.getLogger(__name__)

MODULE = "reasoning.train"
_KEPT = (
    "checkpoints",
    "metrics.jsonl",
    weights.WEIGHTS,
    weights.FRONT_END,
    "results.json",
    "rules.json",
    "run.json",
    "settings.yaml",
)


def train(folder: Path, settings: TrainSettings, arguments: list[str], *, go_on: bool = False) -> None:
    """One run: trained, evaluated, shown; or shown only, if the folder holds it already.

    Args:
        folder: the run's.
        settings: of the run.
        arguments: the command line, for run.json.
        go_on: whether a run of these settings that was interrupted is continued; otherwise it is refused.

    Raises:
        VSAError: whatever is wrong with settings, folder or files.
    """
    if not settings.overwrite and _holds(folder, settings):
        if (folder / "results.json").is_file():
            if runs.same_code(runs.read_json(folder / "run.json"), plugins(settings)):
                screen.say(f"{folder} holds this very run, finished (same settings, same code):")
                training.show(folder, settings)
                return
        elif go_on:
            training.run(folder, training.prepare(settings, folder))
            return
    prepared = training.prepare(settings)
    _start(folder, prepared, arguments)
    training.run(folder, prepared)


def _start(folder: Path, prepared: training.Prepared, arguments: list[str]) -> None:
    """Claim an empty folder, or empty one of ours that may be replaced."""
    settings, seen = prepared.settings, prepared.recipe.perception.weights
    front_end = None if seen is None else Path(seen).read_bytes()  # it may lie in the folder that is to be emptied
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not folder.is_dir():
            raise SettingsError(f"out={folder}", received="a file", expected="a folder")
        if not settings.overwrite:
            unfinished = (folder / "settings.yaml").is_file() and not (folder / "results.json").is_file()
            hint = f"go on with resume={folder}, or " if unfinished else ""
            raise SettingsError(
                f"out={folder}",
                received="a folder that is not empty and holds another run",
                expected="a new one",
                hint=f"{hint}choose another folder, or say overwrite=true",
            )
        _clear(folder)
    runs.prepare_folder(folder)
    record = {
        "status": "running",
        "model": settings.model.name,
        "seed": settings.seed,
        "protocol": training.protocol(settings),
        "recipe": prepared.recipe.header(),
        "backend": build.backend_words(settings.backend),
        **runs.environment(arguments, MODULE, plugins(settings)),
    }
    if front_end is not None:  # the run goes on from it wherever the file is then
        write_atomically(folder / weights.FRONT_END, front_end)
    runs.write_json(folder / "run.json", record)
    runs.write_settings(folder / "settings.yaml", schema.plain(settings))


def _clear(folder: Path) -> None:
    """Remove a run's own files and nothing else."""
    for name in _KEPT:
        path = folder / name
        if path.is_dir():
            for part in path.iterdir():
                part.unlink()
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


def _holds(folder: Path, settings: TrainSettings) -> bool:
    """Whether the folder is of a run with these settings."""
    if not (folder / "settings.yaml").is_file():
        return False
    apart = {"out": None, "overwrite": False}
    return {**runs.read_settings(folder), **apart} == {**schema.plain(settings), **apart}


def resume(arguments: list[str], folder: Path) -> None:
    """Go on with a run, or show it if it is finished.

    Args:
        arguments: the command line; what it says beside ``resume=`` must be what the run has.
        folder: the run's.

    Raises:
        VSAError: no run, changed settings, damaged files.
    """
    stored = runs.read_settings(folder)
    record = runs.read_json(folder / "run.json")
    changes = [argument for argument in arguments if not argument.startswith("resume=")]
    if changes:
        _refuse_changes(stored, list(record["overrides"]), changes, folder)
    settings = parse(stored)
    if not runs.same_code(record, plugins(settings)):
        log.warning("the code has changed since this run began: the result may differ from an uninterrupted run's")
    if (folder / "results.json").is_file() and record.get("status") == "finished":
        screen.say(f"{folder} is finished already:")
        training.show(folder, settings)
        return
    training.run(folder, training.prepare(settings, folder))


def _refuse_changes(stored: Mapping[str, Any], before: list[str], changes: list[str], folder: Path) -> None:
    """Let pass what repeats the run's settings; refuse what would change them."""
    merged = {**named_keys(before), **named_keys(changes)}
    line = list(merged.values())
    composed = commands.compose_settings("train", restoring.completed(line))
    asked = flatten(schema.plain(parse(composed, commands.said(line))))
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
