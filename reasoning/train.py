"""``python -m reasoning.train +model=arlc``: train a reasoner, evaluate it, leave a run folder behind."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from reasoning.setup import commands
from reasoning.setup.settings import TrainSettings

__all__ = ["MODULE", "USAGE", "main", "parse"]

MODULE = "reasoning.train"

USAGE = """python -m reasoning.train +model=NAME [key=value ...]
python -m reasoning.train +model=NAME 'seeds=[0,1,2]' out=DIR
python -m reasoning.train resume=RUN_DIR

Trains a reasoner on one constellation (2x2), evaluates it on all seven, and leaves a run folder: settings.yaml,
run.json, metrics.jsonl, checkpoints/, weights.safetensors, results.json, rules.json.

  +model=arlc                        the learner (left out: the models are listed)
  experiment=arlc_published          a published protocol
  constellation=2x2 dataset=iraven dataset.n=2000 dataset.test_n=500
  epochs=20 batch_size=16 lr=0.05 seed=0 threads=1 device=cpu
  out=DIR overwrite=true             where the run folder is, and whether it may be replaced
  'seeds=[0,1,2]' executor=processes several runs, each in DIR/SEED; DIR/table.{json,csv,tex}: mean and deviation
  abstain=0.99                       answers of the evaluation less certain than that are withheld and counted
  perception=NAME perception.lr=1e-3 a front-end with weights is trained with the model; frozen=true leaves it as it is
  perception.checkpoint=RUN_DIR      a front-end that was trained before: its run or its file
  resume=RUN_DIR                     go on with a run (or the runs of several seeds) that was interrupted
  resume=RUN_DIR more_epochs=2       train a run further, finished or not
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too
  --version                          print the version and stop

Every setting is in conf/train.yaml and the folders beside it."""


def parse(overrides: Sequence[str]) -> TrainSettings:
    """Settings from the command line, or those of the run that ``resume=`` names.

    Args:
        overrides: of the command line.

    Returns:
        Validated settings.

    Raises:
        VSAError: an unknown key, a wrong type, a value that makes no sense.
    """
    from reasoning.records import runs
    from reasoning.setup import restoring, training_settings

    resumed = commands.resumed(overrides)
    if resumed is not None:
        return training_settings.parse(runs.read_settings(resumed))
    composed = commands.compose_settings("train", restoring.completed(overrides))
    if composed["model"] is None:
        raise commands.no_model(MODULE)
    return training_settings.parse(composed, commands.said(overrides))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: the command line; by default that of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    return commands.run_command(
        _run, arguments, USAGE, _checked, "a training run goes on from its last checkpoint with resume=RUN_DIR"
    )


def _checked(overrides: list[str]) -> TrainSettings:
    """Settings for ``--cfg``, after trying out what the user says of their parts."""
    settings = parse(overrides)
    if commands.resumed(overrides) is None and commands.names_options(overrides):
        from reasoning.setup import build
        from reasoning.training import run

        chosen = settings.constellation or settings.dataset.kind.training_constellation
        run.recipe_of(settings, build.layout(settings.dataset, chosen)).solver(training=True)
    return settings


def _run(overrides: list[str]) -> None:
    resumed = commands.resumed(overrides)
    if resumed is not None:
        from reasoning.training import run as training
        from reasoning.training import seeds, start

        run = start.open_run(overrides, resumed, training)
        with commands.going_on(MODULE, resumed):
            (start.resume if run.settings.seeds is None else seeds.resume)(run)
        return
    settings = parse(overrides)
    from reasoning.records import runs
    from reasoning.training import run as training
    from reasoning.training import start  # loads torch

    folder = Path(settings.out) if settings.out else runs.default_out(settings.model.name, settings.seed)
    if settings.seeds is None:
        with commands.going_on(MODULE, folder):
            start.train(folder, settings, overrides, work=training)
    else:
        from reasoning.training import seeds

        with commands.going_on(MODULE, folder):
            seeds.run(folder, settings, overrides)


if __name__ == "__main__":
    sys.exit(main())
