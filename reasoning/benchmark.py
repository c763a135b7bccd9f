"""``python -m reasoning.benchmark +model=arlc``: answers and rules right, on generated puzzles or your files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from reasoning.setup import build, commands, sweeps
from reasoning.setup.restoring import adopt_rows, completed
from reasoning.setup.settings import NO_DECODER, BenchmarkSettings
from vsa.commands import named_keys, schema
from vsa.errors import SettingsError
from vsa.executors import check

__all__ = ["main", "parse", "parse_sweep"]

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
  'backend.age_seconds=[1,86400]'    a sweep: lists for single values of model, backend, perception, algebra,
                                     dataset and their settings: out/NAME-age_seconds=1/SEED, one table, one plot
  executor=processes workers=2       cells side by side
  plot=FILE.png                      answers and rules as a picture
  abstain=0.99                       answers less certain than that are withheld and counted, of models that know
  reliability=FILE.png               how often answers of each certainty are right, as a picture
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
    asked = parse_sweep(overrides)
    from reasoning import benchmarking  # loads torch

    benchmarking.begin(asked, overrides)


def _checked(overrides: list[str]) -> dict[str, Any]:
    """Settings for ``--cfg``, with all values of what is swept, after trying out what the user says of their parts."""
    asked = parse_sweep(overrides)
    for point, settings in asked:
        if commands.names_options(point.arguments) and settings.answers is None:
            from reasoning.setup import jobs

            for job in jobs.make_jobs(settings, point.arguments):
                job.recipe(build.layout(settings.dataset, settings.constellation)).solver()
    shown: dict[str, Any] = schema.plain(asked[0][1])
    for key in asked[0][0].values:
        *sections, name = key.split(".")
        place = shown
        for section in sections:
            place = place[section].get("options", {}) if name not in place[section] else place[section]
        place[name] = list(dict.fromkeys(point.values[key] for point, _ in asked))
    return shown


def parse_sweep(arguments: Sequence[str]) -> list[tuple[sweeps.Point, BenchmarkSettings]]:
    """Settings from a command line that may give lists for single values.

    Args:
        arguments: overrides.

    Returns:
        Each point of the sweep with its validated settings; one where nothing is swept.

    Raises:
        VSAError: as :func:`parse`, of any point.
    """
    return [(point, parse(point.arguments)) for point in sweeps.points("benchmark", arguments)]


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
    pictures = {"plot": settings.plot, "reliability": settings.reliability}
    for setting, path in pictures.items():
        if path is not None:
            from reasoning.tables.plots import check_plot

            check_plot(path, setting)
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
