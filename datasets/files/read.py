"""Puzzle files: reads the published forms (JSON; npz with xml) and writes the JSON form."""

from __future__ import annotations

import os
from dataclasses import replace
from os import PathLike
from pathlib import Path

from vsa.errors import CorruptFileError, SettingsError, VSAError

from ..arrays import PuzzleArrays
from ..data_sets import FILES, further_rules
from .json import read_json
from .shards import MANIFEST, is_shards, read_shards
from .write import write_json
from .xml import read_xml

__all__ = ["read", "read_json", "read_xml", "write_json"]


def read(
    path: str | PathLike[str], *, maxval: int | None = None, columns: int | None = None
) -> dict[str, PuzzleArrays]:
    """Reads whatever puzzles are at a path.

    A folder with xml files anywhere below is a tree of npz + xml, whose constellations may be mixed; else its JSON
    files are read, each of which holds one constellation. Shards are known by their manifest. A single JSON, xml or
    npz file does as well.

    Args:
        path: a folder or a file.
        maxval: value range of I-RAVEN-X files that do not carry it in their names.
        columns: what the number of columns should be; it follows from the panels.

    Returns:
        Puzzles by published constellation name (npz + xml) or by file stem (JSON).

    Raises:
        VSAError: there is nothing at the path.
        SettingsError: the value range is missing, or columns or maxval contradict the files.
        CorruptFileError: a file is damaged; the sentence names it, the puzzle and the field.
    """
    sets = _read(Path(path), maxval, columns)
    occurring = [part.rules for arrays in sets.values() for part in arrays.components]
    further = further_rules(occurring)
    if not further:
        return sets
    return {
        name: replace(arrays, further=further) if arrays.dataset == FILES.name else arrays
        for name, arrays in sets.items()
    }


def _read(path: Path, maxval: int | None, columns: int | None) -> dict[str, PuzzleArrays]:
    if not path.exists():
        raise VSAError(
            "read puzzles",
            received=f"{path}, which does not exist",
            expected="a folder of npz + xml or of JSON files, or one such file",
            hint="check the path",
        )
    if path.is_dir():
        if is_shards(path):
            if maxval is not None or columns is not None:
                raise SettingsError(
                    f"read {path}", received="maxval or columns with shards", expected="neither: the manifest says"
                )
            return dict(read_shards(path))
        xml = sorted(path.rglob("*.xml"))
        if xml:
            return _tree(xml, maxval, columns)
        found = sorted(file for file in path.glob("*.json") if file.name != MANIFEST)
        if not found:
            raise VSAError(
                "read puzzles",
                received=f"{path} without puzzle files",
                expected="*.xml beside *.npz in it or in its folders, or *.json in it",
                hint="name the folder of one data set",
            )
        return {file.stem: read_json(file, maxval=maxval, columns=columns) for file in found}
    suffix = path.suffix.lower()
    if suffix == ".json":
        return {path.stem: read_json(path, maxval=maxval, columns=columns)}
    if suffix in (".xml", ".npz"):
        return _tree([path.with_suffix(".xml")], maxval, columns)
    raise CorruptFileError("read puzzles", received=str(path), expected="a name that ends in .json, .xml or .npz")


def _tree(files: list[Path], maxval: int | None, columns: int | None) -> dict[str, PuzzleArrays]:
    for name, value, only in (("maxval", maxval, None), ("columns", columns, 3)):
        if value not in (None, only):
            common = os.path.commonpath([file.parent for file in files])
            raise SettingsError(
                f"read {common}",
                received=f"{name} = {value}",
                expected="3 columns and RAVEN's levels, as all xml has",
                hint=f"leave {name} out",
            )
    return read_xml(files)
