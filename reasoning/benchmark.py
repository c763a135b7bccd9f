"""``python -m reasoning.benchmark +model=arlc``: answers and rules right, on generated puzzles or your files."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reasoning.setup import build, commands
from reasoning.setup.restoring import adopt_rows, completed
from reasoning.setup.settings import NO_DECODER, BenchmarkSettings
from vsa.commands import named_keys, schema
from vsa.errors import SettingsError
from vsa.executors import check

__all__ = ["main", "parse"]

MODULE = "reasoning.benchmark"
USAGE = """python -m reasoning.benchmark +model=NAME [key=value ...]
python -m reasoning.benchmark 'compare=[NAME,NAME]' 'seeds=[0,1]' out=DIR

Evaluates a reasoner on all seven constellations (2,000 generated test puzzles each), or on your files, and writes
results.json, rules.json and run.json.

  +model=arlc                        the learner (left out: the models are listed)
  checkpoint=RUN_DIR                 weights of a training run; without it shipped weights, else programmed rules
  model.mode=programmed              learned, programmed, programmed_then_learned, pretrained
  dataset=iraven dataset.n=2000 constellation=all
  dataset=files dataset.path=DIR     a tree of npz + xml, or a folder of JSON files; every puzzle
  'compare=[NAME,NAME]' 'seeds=[0,1]' several models and seeds: out/NAME/SEED/results.json, out/table.{json,csv,tex};
                                     arlc-programmed names the mode, too
  answers=FILE.jsonl                 a language model's answers to python -m reasoning.prompts; with compare, beside it:
  'answers={NAME:FILE}' prompts=FILE several, and the prompts where they do not lie beside the answers
  'decoder=[none,codebook,factorizer]' answers decoded from predicted product vectors: out/NAME-DECODER/SEED
  executor=processes workers=2       cells side by side
  plot=FILE.png                      answers and rules as a picture
  out=DIR overwrite=true             where results go, and whether others may be replaced
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too
  --version                          print the version and stop

Every setting is in conf/benchmark.yaml and the folders beside it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: the command line; by default that of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    return commands.run_command(_run, arguments, USAGE, _checked)


def _run(overrides: list[str]) -> None:
    settings = parse(overrides)
    from reasoning import benchmarking  # loads torch

    benchmarking.begin(settings, overrides)


def _checked(overrides: list[str]) -> BenchmarkSettings:
    """Settings for ``--cfg``, after trying out what the user says of their parts."""
    settings = parse(overrides)
    if commands.names_options(overrides) and settings.answers is None:
        from reasoning.setup import jobs

        for job in jobs.make_jobs(settings, overrides):
            job.recipe(build.layout(settings.dataset, settings.constellation)).solver()
    return settings


def parse(arguments: Sequence[str]) -> BenchmarkSettings:
    """Settings from the command line.

    Args:
        arguments: overrides.

    Returns:
        Validated settings.

    Raises:
        VSAError: an unknown key, a wrong type, a value that makes no sense.
    """
    composed = commands.compose_evaluation("benchmark", completed(arguments))
    settings = schema.build(BenchmarkSettings, commands.separate(composed, BenchmarkSettings))
    if settings.compare is not None and settings.model is not None:
        raise SettingsError(
            f"compare=[{','.join(settings.compare)}]",
            received=f"+model={settings.model.name} as well",
            expected="one of the two",
        )
    if settings.answers is not None:
        from reasoning.prompting import answer_files

        settings = answer_files.adopt(settings, list(named_keys(arguments)))
    elif settings.prompts is not None:
        raise SettingsError("setting prompts", received="no answers", expected="answers=FILE.jsonl")
    elif settings.model is None and settings.compare is None and not isinstance(settings.checkpoint, str):
        raise commands.no_model(MODULE)
    check(settings.executor)
    if settings.plot is not None:
        from reasoning.tables.plots import check_plot

        check_plot(settings.plot)
    for name in (settings.decoder,) if isinstance(settings.decoder, str) else settings.decoder or ():
        if name != NO_DECODER:
            from reasoning.learners.decoding import check_decoder

            check_decoder(name)
    if isinstance(settings.checkpoint, str) and settings.compare is None:
        settings = adopt_rows(settings, settings.checkpoint, commands.said(arguments))
    build.constellations(settings.constellation, settings.dataset)
    return settings


if __name__ == "__main__":
    sys.exit(main())
