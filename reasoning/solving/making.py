"""From a command line to settings, files and a solver."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning.setup import commands, restoring
from reasoning.setup.settings import SolveSettings
from vsa.commands import named_keys, quoted, schema
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from reasoning.solver import Solver

__all__ = ["parse", "solver_of", "sort_arguments"]


def parse(arguments: Sequence[str]) -> tuple[SolveSettings, tuple[str, ...]]:
    """Settings and files from the command line.

    Args:
        arguments: files and overrides in any order.

    Returns:
        Validated settings; the files.

    Raises:
        VSAError: an unknown key or option, a wrong type, a value that makes no sense.
    """
    files, overrides = sort_arguments(arguments)
    composed = commands.compose_evaluation("solve", restoring.completed(overrides))
    return schema.build(SolveSettings, commands.separate(composed, SolveSettings)), files


def sort_arguments(arguments: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Files and overrides; a model where none is asked for."""
    files, overrides = [], []
    for argument in arguments:
        if argument == "--json":
            overrides.append("json=true")
        elif argument.startswith("-") and not Path(argument).exists():
            raise SettingsError(
                f"argument {quoted(argument)}", received="an unknown option", expected="--json", hint="see --help"
            )
        elif "=" not in argument or Path(argument).is_file():
            files.append(argument)
        else:
            overrides.append(argument)
    named = named_keys(overrides)
    if not {"model", "checkpoint", "experiment"} & set(named):
        overrides.append("+model=best")
    return tuple(files), overrides


def solver_of(settings: SolveSettings, arguments: Sequence[str]) -> Solver:
    """The solver that settings ask for.

    Args:
        settings: of the command.
        arguments: those of the command line that they came from.

    Returns:
        Perception and learner, in evaluation mode.

    Raises:
        VSAError: a model or a front-end that cannot be made, or that has no weights.
    """
    import torch

    from datasets import CONSTELLATIONS, Layout, resolve_constellation
    from reasoning.setup import jobs

    job = jobs.make_job(settings, settings.model, settings.checkpoint, commands.said(sort_arguments(arguments)[1]))
    torch.set_num_threads(settings.threads)
    chosen = tuple(CONSTELLATIONS) if settings.layout is None else (resolve_constellation(settings.layout),)
    solver = job.recipe(Layout(settings.dataset.name, chosen)).solver().to(settings.device).eval()
    job.say_differences()
    return solver
