"""``python -m reasoning.solve FILE...``: a puzzle in pictures, its answer and its reasons."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning.setup import commands
from reasoning.setup.settings import SolveSettings
from reasoning.solving.making import parse, solver_of, sort_arguments
from vsa.commands import alone, screen, write_together
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from reasoning.solving.solution import Solution

__all__ = ["main"]

USAGE = """python -m reasoning.solve FILE... [key=value ...]

Solves a puzzle in pictures: the answer, how certain it is, the layout, the rules, and why the others are wrong. No
label is looked at. The files are one of

  PUZZLE.npz ...                     the published form, each a puzzle; its image alone is read
  SHEET.png                          3 x 3 panels, the last one missing, above 8 candidates, each with a frame
  PANEL.png x 16                     the context row by row, then the candidates

  +model=best                        the learner (default: best)
  perception=best                    the front-end, one that looks at pixels; perception.checkpoint=FILE: its weights
  layout=2x2                         which layout it is; left out: recognised
  out=NAME.png                       a picture, or NAME.svg (needs the extra `plots`); of several puzzles out=DIR
  --json                             one JSON object (of several puzzles a list) and nothing else; or json=true
  overwrite=true                     replace a picture
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too
  --version                          print the version and stop

Every setting is in conf/solve.yaml and the folders beside it."""

_FORMS = ("png", "svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: the command line; by default that of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    return commands.run_command(_run, arguments, USAGE, _checked, "nothing was written")


def _checked(arguments: list[str]) -> SolveSettings:
    """Settings for ``--cfg``, after trying out what the user says of their parts."""
    settings, _ = parse(arguments)
    if commands.names_options(sort_arguments(arguments)[1]):
        solver_of(settings, arguments)
    return settings


def _run(arguments: list[str]) -> None:
    settings, files = parse(arguments)
    if not files:
        raise SettingsError("python -m reasoning.solve", received="no file", expected="FILE...", hint="see --help")
    from datasets import resolve_constellation
    from datasets.scans.reading import read_scans
    from reasoning.solving.solution import solve

    _pictures(settings, [Path(file).stem for file in files[:1]])  # what is wrong with out= is said at once
    scans = read_scans(files)
    places = _pictures(settings, [Path(file).stem for file in files[: len(scans)]])
    solver = solver_of(settings, arguments)
    layout = None if settings.layout is None else resolve_constellation(settings.layout)
    solutions = [solve(solver, scan.images, layout, scan.name, scan.notes) for scan in scans]
    if settings.out is not None:
        _write(settings, places, solutions)
    if settings.json:
        found = [solution.as_dict() for solution in solutions]
        screen.write(json.dumps(found if len(found) > 1 else found[0], indent=2, ensure_ascii=False, allow_nan=False))
        return
    screen.say("\n\n".join(map(str, solutions)))
    if settings.out is not None:
        screen.say(f"\npicture{'s' * (len(places) > 1)} in {settings.out}")


def _pictures(settings: SolveSettings, stems: Sequence[str]) -> list[Path]:
    """Where the pictures go."""
    if settings.out is None:
        return []
    out = Path(settings.out).expanduser()
    if out.suffix[1:].lower() in _FORMS and not out.is_dir():
        if len(stems) > 1:
            raise SettingsError(
                f"out={settings.out}", received=f"one picture for {len(stems)} puzzles", expected="a folder"
            )
        return [out]
    if out.suffix and not out.is_dir():
        raise SettingsError(
            f"out={settings.out}", received=f"a name with {out.suffix}", expected="NAME.png, NAME.svg, or a folder"
        )
    if out.exists() and not out.is_dir():
        raise SettingsError(f"out={settings.out}", received="a file", expected="NAME.png, NAME.svg, or a folder")
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise SettingsError(f"out={settings.out}", received=f"several files called {twice}", expected="different names")
    return [out / f"{stem}.png" for stem in stems]


def _write(settings: SolveSettings, places: Sequence[Path], solutions: Sequence[Solution]) -> None:
    from reasoning.records import runs
    from reasoning.solving.picture import picture

    drawn = [picture(solution, path.suffix[1:].lower()) for path, solution in zip(places, solutions, strict=True)]
    for folder in {path.parent for path in places}:
        runs.prepare_folder(folder)
    for path, content in zip(places, drawn, strict=True):
        with alone(path):
            write_together(str(settings.out), {path: content}, overwrite=settings.overwrite)


if __name__ == "__main__":
    sys.exit(main())
