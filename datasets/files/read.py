"""Puzzle files: reads the published forms (JSON; npz with xml) and writes the JSON form."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from vsa.errors import CorruptFileError, SettingsError, VSAError, printable

from ..arrays import PuzzleArrays
from ..data_sets import FILES, further_rules
from .faults import Fault, gathered
from .finding import NUMBER, json_files, of_puzzles
from .json import named_constellation, read_json
from .manifest import MANIFEST, broken, command, differing, is_ours, read_manifest
from .shards import read_shards
from .write import write_json
from .xml import read_xml

__all__ = ["read", "read_json", "read_with_faults", "read_xml", "write_json"]

log = logging.getLogger(__name__)
Sets = dict[str, PuzzleArrays]


def read(
    path: str | PathLike[str],
    *,
    maxval: int | None = None,
    columns: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> Sets:
    """Reads whatever puzzles are at a path.

    A folder with xml files anywhere below is a tree of npz + xml, whose constellations may be mixed; else its JSON
    files are read, each of which holds one constellation. Shards are known by their manifest. A single JSON, xml or
    npz file does as well. Names that begin with a dot are passed over. What is read is checked: an answer has to be the
    one candidate that follows its rules, an npz has to be of the same puzzle as its xml, and files of a folder that
    ``python -m datasets.generate`` made have to be as they were written.

    Args:
        path: a folder or a file.
        maxval: value range of I-RAVEN-X files that do not carry it in their names.
        columns: what the number of columns should be; it follows from the panels.
        on_error: ``raise``: the first file or puzzle that is damaged stops. ``skip``: such are left out, and a warning
            counts them.

    Returns:
        Puzzles by published constellation name (npz + xml) or by file stem (JSON). A JSON file that is named after
        another constellation than it holds comes under the one that it holds.

    Raises:
        VSAError: there is nothing at the path, or nothing sound.
        SettingsError: the value range is missing, or columns or maxval contradict the files.
        CorruptFileError: a file is damaged; the sentence names it, the puzzle and the field.
    """
    if on_error not in ("raise", "skip"):
        raise SettingsError("read puzzles", received=f"on_error = {on_error!r}", expected="raise or skip")
    if on_error == "raise":
        return _read(Path(path), maxval, columns, None)
    sets, faults = read_with_faults(path, maxval=maxval, columns=columns)
    if faults:
        count = sum(map(len, sets.values()))
        log.warning(
            "%d damaged, left out, of %d in %s; the first: %s", len(faults), count + len(faults), path, faults[0].error
        )
        if not count:
            raise faults[0].error
    return sets


def read_with_faults(
    path: str | PathLike[str], *, maxval: int | None = None, columns: int | None = None
) -> tuple[Sets, list[Fault]]:
    """As :func:`read`, with all that is wrong instead of the first.

    Args:
        path: a folder or a file.
        maxval: value range of I-RAVEN-X files that do not carry it in their names.
        columns: what the number of columns should be.

    Returns:
        The sound puzzles, and what is wrong with the others.

    Raises:
        VSAError: as :func:`read`, for what concerns no single file.
    """
    faults: list[Fault] = []
    return _read(Path(path), maxval, columns, faults), faults


def _read(path: Path, maxval: int | None, columns: int | None, faults: list[Fault] | None) -> Sets:
    sets = _found(path, maxval, columns, faults)
    occurring = [part.rules for arrays in sets.values() for part in arrays.components]
    further = further_rules(occurring)
    if not further:
        return sets
    return {
        name: replace(arrays, further=further) if arrays.dataset == FILES.name else arrays
        for name, arrays in sets.items()
    }


def _found(path: Path, maxval: int | None, columns: int | None, faults: list[Fault] | None) -> Sets:
    if not path.exists():
        raise VSAError(
            "read puzzles",
            received=f"{path}, which does not exist",
            expected="a folder of npz + xml or of JSON files, or one such file",
            hint="check the path",
        )
    if path.is_dir():
        return _folder(path, maxval, columns, faults)
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _jsons([path], maxval, columns, faults)
    if suffix in (".xml", ".npz"):
        return _tree([path.with_suffix(".xml")], maxval, columns, faults, None)
    raise CorruptFileError("read puzzles", received=str(path), expected="a name that ends in .json, .xml or .npz")


def _folder(path: Path, maxval: int | None, columns: int | None, faults: list[Fault] | None) -> Sets:
    ours = is_ours(path)
    if ours and read_manifest(path)["form"] == "shards":
        if maxval is not None or columns is not None:
            raise SettingsError(
                f"read {path}", received="maxval or columns with shards", expected="neither: the manifest says"
            )
        return read_shards(path, faults)
    with _named_by_the_manifest(path, ours):
        digests: dict[Path, bytes] | None = {} if ours else None
        sets = _published(path, maxval, columns, faults, digests)
    return _as_written(path, sets, digests, faults) if ours else sets


def _published(
    path: Path, maxval: int | None, columns: int | None, faults: list[Fault] | None, digests: dict[Path, bytes] | None
) -> Sets:
    xml = of_puzzles(path, ".xml")
    beside = {file.with_suffix("") for file in xml}
    for file in of_puzzles(path, ".npz"):
        if file.with_suffix("") not in beside:
            with gathered(faults, file):
                expected, hint = str(file.with_suffix(".xml")), "the panels and rules are in it"
                raise CorruptFileError(f"read {file}", received="no xml beside it", expected=expected, hint=hint)
    if xml:
        return _tree(xml, maxval, columns, faults, digests)
    found = json_files(path, MANIFEST)
    if not found:
        raise VSAError(
            "read puzzles",
            received=f"{path} without puzzle files",
            expected="*.xml beside *.npz in it or in its folders, or *.json in it",
            hint="name the folder of one data set",
        )
    return _jsons(found, maxval, columns, faults)


@contextmanager
def _named_by_the_manifest(path: Path, ours: bool) -> Iterator[None]:
    """Of a damaged file in a folder that we wrote, the sentence says which command makes it again."""
    try:
        yield
    except VSAError as error:
        if ours and not isinstance(error, SettingsError):
            for _, found in _changed(path, None):
                raise found from error
        raise


def _changed(path: Path, digests: dict[Path, bytes] | None) -> Iterator[tuple[Path, VSAError]]:
    """Files that are not as the manifest has them."""
    manifest = read_manifest(path)
    for name, entry in manifest["units"].items():
        for file, what in differing(path, manifest["form"], name, entry, digests):
            yield file, broken(file, what, path, manifest)


def _as_written(path: Path, sets: Sets, digests: dict[Path, bytes] | None, faults: list[Fault] | None) -> Sets:
    """Compares a folder that we wrote with its manifest, and drops what differs."""
    manifest = read_manifest(path)
    bad = []
    for file, error in _changed(path, digests):
        bad.append(file)
        if faults is None or file not in {fault.path for fault in faults}:
            with gathered(faults, file):
                raise error
    settings, held = manifest["settings"], sum(map(len, sets.values()))
    if held < settings.get("n", 0) * len(settings.get("constellations", ())) and not bad and not faults:
        log.warning("%s is unfinished: %d puzzles so far; %s goes on", path, held, command(path, manifest))
    for name in {file.parent.name for file in bad} & set(sets):
        numbers = [int(found[1]) for file in bad if file.parent.name == name and (found := NUMBER.fullmatch(file.stem))]
        keep = [number not in numbers for number in sets[name].index.tolist()]
        if not any(keep):
            del sets[name]
        elif not all(keep):
            sets[name] = sets[name][keep]
    for file in bad:
        sets.pop(file.stem, None)  # of a JSON file
    return sets


def _jsons(files: list[Path], maxval: int | None, columns: int | None, faults: list[Fault] | None) -> Sets:
    sets: Sets = {}
    for file in files:
        with gathered(faults, file):
            arrays = read_json(file, maxval=maxval, columns=columns, faults=faults)
            name = printable(file.stem)
            said = named_constellation(file.stem)
            if said not in (None, arrays.constellation):
                name = arrays.constellation if arrays.constellation not in sets else f"{arrays.constellation} ({name})"
                log.warning("%s holds %s: its puzzles are called %s", file, arrays.constellation, name)
            if name in sets:
                name = f"{name} ({printable(file.name)})"
            if len(arrays):
                sets[name] = arrays
    return sets


def _tree(
    files: list[Path],
    maxval: int | None,
    columns: int | None,
    faults: list[Fault] | None,
    digests: dict[Path, bytes] | None,
) -> Sets:
    for name, value, only in (("maxval", maxval, None), ("columns", columns, 3)):
        if value not in (None, only):
            common = os.path.commonpath([file.parent for file in files])
            raise SettingsError(
                f"read {common}",
                received=f"{name} = {value}",
                expected="3 columns and RAVEN's levels, as all xml has",
                hint=f"leave {name} out",
            )
    return read_xml(files, faults, digests)
