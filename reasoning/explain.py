"""``python -m reasoning.explain +model=arlc index=3``: why a solver gave its answer to one puzzle."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning.setup import build, commands, restoring
from reasoning.setup.settings import DatasetSettings, ExplainSettings
from vsa.commands import alone, schema, screen, write_together
from vsa.errors import SettingsError, VSAError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset
    from reasoning.outcome.explanation import Explanation

__all__ = ["explain", "main", "parse"]

MODULE = "reasoning.explain"
USAGE = """python -m reasoning.explain +model=NAME index=N [key=value ...]

Shows one puzzle, the answer, and its reasons: for each component and attribute the rule found and its probability, the
runner-up, the expected value, and how each candidate agrees. The answer is the one that the benchmark counts.

  +model=arlc                        the learner (left out: the models are listed)
  checkpoint=RUN_DIR                 weights of a training run; without it shipped weights, else programmed rules
  dataset=iraven constellation=2x2   generated puzzles, those of the benchmark
  dataset=files dataset.path=DIR     a tree of npz + xml, or a folder of JSON files
  constellation=NAME                 which puzzle set, where there are several
  index=3                            place of the puzzle in its set, from 0
  out=DIR overwrite=true             explanation.json, explanation.txt, explanation.png (needs the extra `plots`)
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too
  --version                          print the version and stop

Every setting is in conf/explain.yaml and the folders beside it."""

_FILES = ("explanation.json", "explanation.txt", "explanation.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: the command line; by default that of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    return commands.run_command(_run, arguments, USAGE, _checked, "nothing was written")


def _run(overrides: list[str]) -> None:
    settings = parse(overrides)
    _check_out(settings)
    name, explanation = explain(settings, commands.said(overrides))
    screen.say(str(explanation))
    if settings.out is not None:
        _write(settings.out, {"set": name, "place": settings.index}, explanation, settings.overwrite)


def _checked(overrides: list[str]) -> ExplainSettings:
    """Settings for ``--cfg``, after trying out what the user says of their parts."""
    settings = parse(overrides)
    if commands.names_options(overrides):
        from reasoning.setup import jobs

        job = jobs.make_job(settings, settings.model, settings.checkpoint, commands.said(overrides))
        job.recipe(build.layout(settings.dataset, settings.constellation)).solver()
    return settings


def parse(arguments: Sequence[str]) -> ExplainSettings:
    """Settings from the command line.

    Args:
        arguments: overrides.

    Returns:
        Validated settings.

    Raises:
        VSAError: an unknown key, a wrong type, a value that makes no sense.
    """
    composed = commands.compose_evaluation("explain", restoring.completed(arguments))
    settings = schema.build(ExplainSettings, commands.separate(composed, ExplainSettings))
    if settings.model is None and settings.checkpoint is None:
        raise commands.no_model(MODULE)
    settings = restoring.adopt_rows(settings, settings.checkpoint, commands.said(arguments))
    build.constellations(settings.constellation, settings.dataset)
    return settings


def explain(settings: ExplainSettings, named: Mapping[str, str]) -> tuple[str, Explanation]:
    """Solve the puzzle as the benchmark does, among the same others, and say why.

    Args:
        settings: of the command.
        named: what the user sets, by key (:func:`reasoning.setup.commands.said`).

    Returns:
        The name of the puzzle's set, and the explanation; it knows the target.

    Raises:
        VSAError: no such puzzle, several sets and no name, a missing file, a model that cannot be made.
    """
    import torch

    from datasets.layout import Layout
    from reasoning.setup import jobs

    name, puzzles = _puzzle_set(settings)
    arrays = puzzles.arrays
    if settings.index >= len(arrays):
        raise SettingsError(
            f"setting index={settings.index}",
            received=f"a set of {len(arrays)} puzzles",
            expected=f"0 to {len(arrays) - 1}",
        )
    job = jobs.make_job(settings, settings.model, settings.checkpoint, named, lambda: arrays.columns)
    torch.set_num_threads(settings.threads)
    solver = job.recipe(Layout.of(arrays)).solver().to(settings.device).eval()
    job.say_differences()
    number, item = divmod(settings.index, settings.test_batch_size)
    batch = next(puzzles.batches(settings.test_batch_size, start=number))
    explanation: Explanation = solver.explain(batch, item)
    return name, explanation.judged(int(arrays.target[settings.index]))


def _puzzle_set(settings: ExplainSettings) -> tuple[str, PuzzleDataset]:
    """The one set that the puzzle is in."""
    dataset: DatasetSettings = settings.dataset
    if dataset.kind.made:
        names = build.constellations(settings.constellation, dataset)
        if len(names) > 1:
            raise _several(names)
        settings = replace(settings, constellation=names[0])
    sets = build.puzzle_sets(dataset, settings.constellation, dataset.split, dataset.n)
    if len(sets) > 1:
        raise _several(tuple(sets))
    return next(iter(sets.items()))


def _several(names: Sequence[str]) -> SettingsError:
    from reasoning.tables import tables as report

    return SettingsError(
        "choose a puzzle",
        received=f"{len(names)} puzzle sets: {', '.join(names)}",
        expected="one of them by name",
        hint=f"write constellation={report.short_name(names[0])}",
    )


def _check_out(settings: ExplainSettings) -> None:
    """Refuse a file before computing."""
    if settings.out is None:
        return
    out = Path(settings.out).expanduser()
    if out.exists() and not out.is_dir():
        raise SettingsError(f"out={settings.out}", received="a file", expected="a folder")


def _write(asked: str, which: Mapping[str, object], explanation: Explanation, overwrite: bool) -> None:
    """JSON, words and, where matplotlib is installed, the picture."""
    from reasoning.outcome.explanation_plot import png
    from reasoning.records import runs

    out, picture = Path(asked).expanduser(), None
    try:
        picture = png(explanation)
    except VSAError as error:
        screen.say(f"\nno picture: {error}")
    contents = (runs.json_bytes({**which, **explanation.as_dict()}), f"{explanation}\n".encode(), picture)
    with alone(runs.prepare_folder(out)):
        write_together(
            asked, {out / name: data for name, data in zip(_FILES, contents, strict=True)}, overwrite=overwrite
        )
    screen.say(f"\nexplanation in {out}")


if __name__ == "__main__":
    sys.exit(main())
