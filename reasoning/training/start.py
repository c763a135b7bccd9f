"""What starts a training run: its settings, its folder; or finds that the run is there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reasoning.records import console, runs
from reasoning.records.checkpoints import write_atomically
from reasoning.setup import build, commands, restoring, schema, weights
from reasoning.setup.settings import TrainSettings, plugins
from reasoning.training import run as training
from vsa.errors import SettingsError

__all__ = ["MODULE", "parse", "train"]

MODULE = "reasoning.train"
_KEPT = (
    "checkpoints", "metrics.jsonl", weights.WEIGHTS, weights.FRONT_END, "results.json", "rules.json", "run.json",
    "settings.yaml",
)  # fmt: skip


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
                console.say(f"{folder} holds this very run, finished (same settings, same code):")
                training.show(folder, settings)
                return
        elif go_on:
            training.run(folder, training.prepare(settings, folder))
            return
    prepared = training.prepare(settings)
    _start(folder, prepared, arguments)
    training.run(folder, prepared)


def parse(composed: Mapping[str, Any], said: Mapping[str, str] | None = None) -> TrainSettings:
    """Settings from their composed form (or from a run's settings.yaml).

    Args:
        composed: nested mapping.
        said: what the user sets, by key; None: the settings are complete (a run's).

    Returns:
        Validated settings, the constellation and the mode filled in.

    Raises:
        VSAError: an unknown key, a wrong type, a value that makes no sense.
    """
    settings = schema.build(TrainSettings, commands.separate(dict(composed), TrainSettings))
    model = settings.model if settings.model.mode else replace(settings.model, mode="learned")
    constellation: str | tuple[str, ...] | None = settings.constellation
    if constellation is None:
        constellation = settings.dataset.kind.training_constellation
    build.constellations(constellation, settings.dataset)
    build.constellations(settings.test_constellation, settings.dataset)
    if said is not None:
        settings = restoring.adopt_front_end(settings, said)
    return replace(settings, model=model, constellation=constellation)


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
                f"out={folder}", received="a folder that is not empty and holds another run", expected="a new one",
                hint=f"{hint}choose another folder, or say overwrite=true",
            )  # fmt: skip
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
