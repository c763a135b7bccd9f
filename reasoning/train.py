"""``python -m reasoning.train +model=arlc``: train a reasoner, evaluate it, leave a run folder behind."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reasoning.records import runs
from reasoning.records.checkpoints import write_atomically
from reasoning.setup import build, commands, restoring, schema, weights
from reasoning.setup.settings import TrainSettings, plugins
from reasoning.tables import tables as report
from reasoning.training import run as training
from reasoning.training import seeds
from vsa.errors import SettingsError

__all__ = ["main", "parse", "train"]

log = logging.getLogger(__name__)

MODULE = "reasoning.train"
USAGE = """python -m reasoning.train +model=NAME [key=value ...]
python -m reasoning.train +model=NAME seeds=[0,1,2] out=DIR
python -m reasoning.train resume=RUN_DIR

Trains a reasoner on one constellation (2x2), evaluates it on all seven, and leaves a run folder: settings.yaml,
run.json, metrics.jsonl, checkpoints/, weights.safetensors, results.json, rules.json.

  +model=arlc                        the learner (left out: the models are listed)
  experiment=arlc_published          a published protocol
  constellation=2x2 dataset=iraven dataset.n=2000 dataset.test_n=500
  epochs=20 batch_size=16 lr=0.05 seed=0 threads=1 device=cpu
  out=DIR overwrite=true             where the run folder is, and whether it may be replaced
  seeds=[0,1,2] executor=processes   several runs, each in DIR/SEED; DIR/table.{json,csv,tex}: mean and deviation
  perception=NAME perception.lr=1e-3 a front-end with weights is trained with the model; frozen=true leaves it as it is
  perception.checkpoint=RUN_DIR      a front-end that was trained before: its run or its file
  resume=RUN_DIR                     go on with a run that was interrupted
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too

Every setting is in conf/train.yaml and the folders beside it."""

_KEPT = (
    "checkpoints", "metrics.jsonl", weights.WEIGHTS, weights.FRONT_END, "results.json", "rules.json", "run.json",
    "settings.yaml",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """The command without its error handling.

    Args:
        arguments: overrides.

    Returns:
        The exit code.
    """
    named = commands.named_keys([argument for argument in arguments if argument != "--cfg"])
    if "resume" in named:
        return _resume(arguments, named["resume"])
    composed = commands.compose_settings("train", restoring.completed([a for a in arguments if a != "--cfg"]))
    if composed["model"] is None:
        raise commands.no_model(MODULE)
    settings = parse(composed, commands.said([a for a in arguments if a != "--cfg"]))
    if "--cfg" in arguments:
        report.say(_yaml(settings))
        return 0
    folder = Path(settings.out) if settings.out else runs.default_out(settings.model.name, settings.seed)
    if settings.seeds is None:
        train(folder, settings, arguments)
    else:
        seeds.run(folder, settings, arguments)
    return 0


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
                report.say(f"{folder} holds this very run, finished (same settings, same code):")
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


def _resume(arguments: list[str], argument: str) -> int:
    folder = Path(str(commands.parse([argument])[0].value())).expanduser()
    stored = runs.read_settings(folder)
    record = runs.read_json(folder / "run.json")
    changes = [argument for argument in arguments if not argument.startswith("resume=")]
    if changes:
        _refuse_changes(stored, list(record["overrides"]), changes, folder)
    settings = parse(stored)
    if not runs.same_code(record, plugins(settings)):
        log.warning("the code has changed since this run began: the result may differ from an uninterrupted run's")
    if (folder / "results.json").is_file() and record.get("status") == "finished":
        report.say(f"{folder} is finished already:")
        training.show(folder, settings)
        return 0
    training.run(folder, training.prepare(settings, folder))
    return 0


def _refuse_changes(stored: Mapping[str, Any], before: list[str], changes: list[str], folder: Path) -> None:
    """Let pass what repeats the run's settings; refuse what would change them."""
    merged = {**commands.named_keys(before), **commands.named_keys(changes)}
    line = list(merged.values())
    composed = commands.compose_settings("train", restoring.completed(line))
    asked = schema.flatten(schema.plain(parse(composed, commands.said(line))))
    had = schema.flatten(stored)
    different = [f"{key}={asked.get(key)} (the run has {had.get(key)})" for key in sorted({*asked, *had})
                 if asked.get(key) != had.get(key)]  # fmt: skip
    if different:
        raise SettingsError(
            f"resume={folder}", received=f"changed settings: {', '.join(different)}", expected="the run's own",
            hint="leave them out, or start a new run",
        )  # fmt: skip


def _yaml(settings: TrainSettings) -> str:
    import yaml

    return str(yaml.safe_dump(schema.plain(settings), sort_keys=False))


if __name__ == "__main__":
    sys.exit(commands.run_command(main, usage=USAGE))
