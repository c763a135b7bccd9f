"""``python -m reasoning.train_perception perception=slot``: teach a front-end to see, by labels alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from reasoning.setup import commands
from reasoning.setup.settings import PerceptionTrainSettings

__all__ = ["MODULE", "USAGE", "main", "parse"]

MODULE = "reasoning.train_perception"

USAGE = """python -m reasoning.train_perception [perception=NAME] [key=value ...]
python -m reasoning.train_perception resume=RUN_DIR

Trains a front-end by labels on puzzles of all constellations, without a reasoner, counts what it sees rightly, and
leaves a run folder: settings.yaml, run.json, metrics.jsonl, checkpoints/, weights.safetensors, results.json.
Then python -m reasoning.benchmark +model=symbolic perception.checkpoint=RUN_DIR answers with it.

  perception=slot                    the front-end: slot, nvsa, or one of your own
  perception=nvsa perception.body=superposed    its options
  perception.checkpoint=RUN_DIR      go on from weights that were trained before (shipped: those that come along)
  dataset=iraven dataset.n=1200      training puzzles of each constellation; dataset=files dataset.path=DIR: yours
  constellation=all dataset.test_n=200
  epochs=12 batch_size=42 lr=0.003 seed=0 threads=1 device=cpu
  out=DIR overwrite=true             where the run folder is, and whether it may be replaced
  resume=RUN_DIR                     go on with a run that was interrupted
  resume=RUN_DIR more_epochs=2       train a run further, finished or not
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too
  --version                          print the version and stop

Every setting is in conf/train_perception.yaml and the folders beside it."""


def parse(overrides: Sequence[str]) -> PerceptionTrainSettings:
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
        return training_settings.parse_perception(runs.read_settings(resumed))
    composed = commands.compose_settings("train_perception", restoring.completed(overrides))
    return training_settings.parse_perception(composed, commands.said(overrides))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: the command line; by default that of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    after = "a training run goes on from its last checkpoint with resume=RUN_DIR"
    return commands.run_command(_run, arguments, USAGE, _checked, after)


def _checked(overrides: list[str]) -> PerceptionTrainSettings:
    """Settings for ``--cfg``, after trying out what the user says of their parts."""
    settings = parse(overrides)
    if commands.resumed(overrides) is None and commands.names_options(overrides):
        from reasoning.setup import build
        from reasoning.training import perceiving

        perceiving.recipe_of(settings, build.layout(settings.dataset, settings.constellation or "all"))
    return settings


def _run(overrides: list[str]) -> None:
    resumed = commands.resumed(overrides)
    settings = parse(overrides) if resumed is None else None
    from reasoning.records import runs
    from reasoning.training import perceiving, start  # loads torch

    if settings is None:
        folder = Path(str(resumed))
    else:
        folder = Path(settings.out) if settings.out else runs.default_out(settings.perception.name, settings.seed)
    with commands.going_on(MODULE, folder):
        if settings is None:
            start.resume(start.open_run(overrides, folder, perceiving))
        else:
            start.train(folder, settings, overrides, work=perceiving)


if __name__ == "__main__":
    sys.exit(main())
