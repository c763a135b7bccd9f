"""``python -m reasoning.train +model=arlc``: train a reasoner, evaluate it, leave a run folder behind."""

from __future__ import annotations

import sys
from pathlib import Path

from reasoning.setup import commands

__all__ = ["MODULE", "USAGE", "main"]

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


def main(arguments: list[str]) -> int:
    """The command without its error handling. What needs torch is imported when it is clear what is to be done.

    Args:
        arguments: overrides.

    Returns:
        The exit code.
    """
    from reasoning.setup import restoring, training_settings

    overrides = [argument for argument in arguments if argument != "--cfg"]
    named = commands.named_keys(overrides)
    if "resume" in named:
        from reasoning.training.start import resume

        resume(arguments, Path(str(commands.parse([named["resume"]])[0].value())).expanduser())
        return 0
    composed = commands.compose_settings("train", restoring.completed(overrides))
    if composed["model"] is None:
        raise commands.no_model(MODULE)
    settings = training_settings.parse(composed, commands.said(overrides))
    if "--cfg" in arguments:
        commands.show_settings(settings)
        return 0
    from reasoning.records import runs
    from reasoning.training import seeds, start

    folder = Path(settings.out) if settings.out else runs.default_out(settings.model.name, settings.seed)
    if settings.seeds is None:
        start.train(folder, settings, arguments)
    else:
        seeds.run(folder, settings, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(commands.run_command(main, usage=USAGE))
