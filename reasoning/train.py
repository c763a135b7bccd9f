"""``python -m reasoning.train +model=arlc``: train a reasoner, evaluate it, leave a run folder behind."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reasoning.records import console, runs
from reasoning.setup import commands, restoring, schema
from reasoning.setup.settings import TrainSettings, plugins
from reasoning.training import run as training
from reasoning.training import seeds
from reasoning.training.start import MODULE, parse, train
from vsa.errors import SettingsError

__all__ = ["main", "parse", "train"]

log = logging.getLogger(__name__)

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
        console.say(_yaml(settings))
        return 0
    folder = Path(settings.out) if settings.out else runs.default_out(settings.model.name, settings.seed)
    if settings.seeds is None:
        train(folder, settings, arguments)
    else:
        seeds.run(folder, settings, arguments)
    return 0


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
        console.say(f"{folder} is finished already:")
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
