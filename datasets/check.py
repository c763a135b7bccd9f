"""``python -m datasets.check DIR``: what is wrong with files of puzzles."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from vsa.commands import quoted, run_command, say
from vsa.errors import CorruptFileError, SettingsError, VSAError

from .arrays import PuzzleArrays
from .files.faults import Fault
from .files.images import images_of
from .files.manifest import broken, differing, is_ours, read_manifest
from .files.read import read_with_faults
from .judging.defensible import ambiguous
from .judging.possible import faults as faults_of
from .pixels.render import render

__all__ = ["check", "main", "move_aside"]

FAULTY = 1  # exit code where something is wrong
_LISTED = 10  # numbers of puzzles in a line
_CHUNK = 64  # puzzles whose pixels are held at a time

USAGE = """python -m datasets.check DIR [pixels=true] [move_aside=true] [maxval=1000]

Reads every puzzle of a folder (npz + xml, JSON or shards) or of a file and lists what is wrong: damage, answers that do
not follow from their rules, files of different puzzles side by side, hashes that are not the manifest's, and with
pixels, pictures that are not those of their labels. Puzzles with a second answer that can be defended are listed, too:
that is no fault, some rules just fit the panels as well as those that were meant.

  pixels=false       leave pictures alone; other drawings than the published ones are no fault then
  move_aside=true    move the files that are named, with the other half of a pair, to DIR.aside
  maxval=N           value range of I-RAVEN-X files whose names do not say it

Exit code 0: nothing is wrong. 1: something is. 2: there is nothing to read."""


def check(path: str | PathLike[str], *, pixels: bool = True, maxval: int | None = None) -> tuple[int, list[Fault]]:
    """All that is wrong with puzzles in files.

    Args:
        path: as for :func:`datasets.read`.
        pixels: whether pictures are compared with what the labels say; they must be the published drawings then.
        maxval: value range of I-RAVEN-X files that do not carry it in their names.

    Returns:
        How many puzzles were found to be sound, and the faults of the others.

    Raises:
        VSAError: there is nothing at the path.
    """
    sound, faults, _ = _judge(Path(path), pixels, maxval)
    return sound, faults


def _judge(path: Path, pixels: bool, maxval: int | None) -> tuple[int, list[Fault], dict[str, list[int]]]:
    """As :func:`check`; and of every set the sound puzzles, by number, that have a second defensible answer."""
    sets, faults = read_with_faults(path, maxval=maxval)
    changed = _changed(path)
    known = {fault.path.with_suffix("") for fault in changed}  # their sentences say what makes them again
    faults = [*(fault for fault in faults if fault.path.with_suffix("") not in known), *changed]
    sound, doubtful = 0, {}
    for name, arrays in sets.items():
        good = np.array([_place(path, name, arrays, i).with_suffix("") not in known for i in range(len(arrays))])
        for i, words in (*_odd(arrays), *(_drawn_otherwise(arrays) if pixels else ())):
            if good[i]:
                good[i] = False
                place = _place(path, name, arrays, i)
                faults.append(
                    Fault(place, CorruptFileError(f"check {place}, puzzle {arrays.index[i]}", received=words))
                )
        sound += int(good.sum())
        doubtful[name] = arrays.index[good & ambiguous(arrays)].tolist()
    return sound, faults, {name: numbers for name, numbers in doubtful.items() if numbers}


def _changed(path: Path) -> list[Fault]:
    """Files of a folder that we wrote which are not as they were written."""
    if not path.is_dir() or not is_ours(path):
        return []
    manifest = read_manifest(path)
    return [
        Fault(file, broken(file, what, path, manifest))
        for name, entry in manifest["units"].items()
        for file, what in differing(path, manifest["form"], name, entry)
    ]


def _odd(arrays: PuzzleArrays) -> Iterator[tuple[int, str]]:
    """What the generator could not have made."""
    for kind, bad in faults_of(arrays).items():
        for i in np.flatnonzero(bad).tolist():
            yield i, kind


def _drawn_otherwise(arrays: PuzzleArrays) -> Iterator[tuple[int, str]]:
    """Pictures that are damaged, or not those of the labels."""
    if arrays.pixels is None or not any(image.held for image in arrays.pixels):
        return
    for start in range(0, len(arrays), _CHUNK):
        drawn = render(arrays[start : start + _CHUNK])
        for i, wanted in enumerate(drawn, start):
            if not arrays.pixels[i].held:
                continue
            try:
                found = images_of(arrays[i : i + 1])[0]
            except VSAError as error:
                yield i, f"pixels that can't be used ({error})"
                continue
            differ = np.flatnonzero((found != wanted).any(axis=(1, 2)))
            if len(differ):
                yield i, f"a picture that is not that of the labels (panel {differ[0]}, {len(differ)} of {len(found)})"


def _place(path: Path, name: str, arrays: PuzzleArrays, i: int) -> Path:
    """The file of a puzzle."""
    if arrays.pixels is not None:
        return Path(arrays.pixels[i].path)
    return path / f"{name}.json" if (path / f"{name}.json").is_file() else path


def move_aside(path: Path, faults: Sequence[Fault]) -> list[Path]:
    """Moves faulty files, and the other halves of pairs, to a folder beside the one that was checked.

    Args:
        path: what was checked.
        faults: of :func:`check`.

    Returns:
        Where they are now.

    Raises:
        SettingsError: a file of that name was moved there before.
    """
    top = path if path.is_dir() else path.parent
    aside = top.with_name(f"{top.name}.aside")
    files = dict.fromkeys(
        file
        for fault in faults
        for file in (fault.path, *(fault.path.with_suffix(suffix) for suffix in (".xml", ".npz") if _is_pair(fault)))
        if file.is_symlink() or (file.exists() and not file.is_dir())
    )
    places = {file: aside / file.relative_to(top) for file in files}
    for file, place in places.items():
        if place.exists():
            raise SettingsError(f"move {file} aside", received=f"{place}, which exists", expected="a free name")
    for file, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)
    return list(places.values())


def _is_pair(fault: Fault) -> bool:
    return fault.path.name.startswith("RAVEN_")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: by default those of the process.

    Returns:
        0 where nothing is wrong, 1 where something is, 2 for a mistake of the user.
    """
    return run_command(_run, arguments, USAGE, after_interruption="nothing was changed")


def _run(given: list[str]) -> int:
    options: dict[str, Any] = {"pixels": True, "move_aside": False, "maxval": None}
    paths = []
    for argument in given:
        key, _, value = argument.partition("=")
        if key in ("pixels", "move_aside") and value in ("true", "false"):
            options[key] = value == "true"
        elif key == "maxval" and value.isdecimal() and value.isascii() and len(value) < 6:
            options[key] = int(value)
        elif "=" in argument and not Path(argument).exists():
            expected = "DIR, pixels=true|false, move_aside=true|false or maxval=N"
            raise SettingsError(f"argument {quoted(argument)}", expected=expected, hint="see --help")
        else:
            paths.append(Path(argument))
    if len(paths) != 1:
        raise SettingsError("check puzzles", received=f"{len(paths)} folders", expected="one", hint="see --help")
    path = paths[0].resolve()
    sound, faults, doubtful = _judge(path, options["pixels"], options["maxval"])
    for fault in faults:
        say(str(fault.error))
    if options["move_aside"]:
        for place in move_aside(path, faults):
            say(f"moved to {str(place)!r}")
    for name, numbers in doubtful.items():
        listed = ", ".join(map(str, numbers[:_LISTED])) + (", ..." if len(numbers) > _LISTED else "")
        say(f"{name}: {len(numbers)} have a second answer that can be defended, which is no fault: puzzles {listed}")
    say(f"{sound} puzzles are sound, {len(faults)} faults")
    return FAULTY if faults else 0


if __name__ == "__main__":
    sys.exit(main())
