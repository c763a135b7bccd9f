"""Writes puzzles in the published JSON form.

The text is assembled from one template per component rather than by ``json.dump``, whose indenting encoder is pure
Python; what is written is what ``json.dump(..., indent=1)`` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from vsa.commands.files import WriteError, write_whole
from vsa.errors import VSAError

from ..arrays import GOVERNED, RULE_SLOTS, ComponentArrays, PuzzleArrays
from ..constellations import Component
from ..rules.base import rule_name
from .form import MOST_JSON_BYTES

__all__ = ["write_json"]


def write_json(arrays: PuzzleArrays, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Writes puzzles as a JSON file in the published form, whole or not at all.

    The name of the file must begin with the constellation's for L-R, U-D and O-IC, which look alike, and hold
    ``maxval_<maxval>`` for I-RAVEN-X, whose form has no other place for it. Uniformity, parameters of rules and
    ``modified`` have no place in the form.

    Args:
        arrays: the puzzles.
        path: the file, or a folder, where the file gets the published name.
        overwrite: whether an existing file may be replaced.

    Returns:
        The file written.

    Raises:
        VSAError: the file exists, can't be written, or has a name from which it could not be read again.
    """
    path = Path(path)
    if path.is_dir():
        path = path / f"{_published_name(arrays)}.json"
    if path.exists() and not overwrite:
        raise VSAError(f"write {path}", received="a file that exists", expected="a new name", hint="or overwrite=True")
    alike = len(arrays.components) == 2 and all(c.slots == 1 for c in arrays.components)
    if alike and not path.stem.startswith(arrays.constellation):
        raise VSAError(
            f"write {path}", received=f"name {path.stem!r}", expected=f"one that begins with {arrays.constellation}"
        )
    if arrays.maxval is not None and f"maxval_{arrays.maxval}" not in path.stem:
        raise VSAError(
            f"write {path}", received=f"name {path.stem!r}", expected=f"one with maxval_{arrays.maxval} in it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(_text(arrays)).encode("ascii")
        if len(text) > MOST_JSON_BYTES:
            raise VSAError(
                f"write {path}",
                received=f"puzzles of {len(text)} bytes",
                expected=f"at most {MOST_JSON_BYTES}, which is what is read again",
                hint="write fewer to a file, or shards",
            )
        write_whole(path, text)
    except WriteError:
        raise
    except OSError as error:
        raise VSAError(
            f"write {path}",
            received=error.strerror or repr(error),
            expected="a folder with free space that may be written",
            hint="choose another folder",
        ) from error
    return path


def _published_name(arrays: PuzzleArrays) -> str:
    if arrays.maxval is None:
        return arrays.constellation
    confounders = sum(name.startswith("Confounder") for name in arrays.components[0].attributes)
    tail = f"_nconf_{confounders}" if confounders else ""
    return f"{arrays.constellation}_shuffle_n_{arrays.columns}_maxval_{arrays.maxval}{tail}"


def _text(arrays: PuzzleArrays) -> Iterator[str]:
    parts = [
        _single(component) if component.slots == 1 else _grid(component, layout)
        for component, layout in zip(arrays.components, arrays.layouts, strict=True)
    ]
    separator = "{\n"
    for i in range(len(arrays)):
        rules = [_rules(component, i) for component in arrays.components]
        panels = zip(*(next(part) for part in parts), strict=True)
        rpm = ",\n".join("   [\n" + ",\n".join(panel) + "\n   ]" for panel in panels)
        # The published files of I-RAVEN-X hold the target as a string, those of I-RAVEN as a number.
        target = json.dumps(str(arrays.target[i]) if arrays.maxval is not None else int(arrays.target[i]))
        head = f' "{arrays.index[i]}": {{\n  "rules": [\n' + ",\n".join(rules) + "\n  ],\n"
        yield separator + head + f'  "rpm": [\n{rpm}\n  ],\n  "target": {target}\n }}'
        separator = ",\n"
    yield "\n}"


def _rules(component: ComponentArrays, i: int) -> str:
    names = (GOVERNED[component.governed[i]], *RULE_SLOTS[1:])
    lines = [f'    "{name}": "{rule_name(int(component.rules[i, k]))}"' for k, name in enumerate(names)]
    return "   {\n" + ",\n".join(lines) + "\n   }"


def _single(component: ComponentArrays) -> Iterator[list[str]]:
    """For each puzzle the text of this component in each panel."""
    template = _entity(component, "    ")
    levels = np.stack([array[..., 0] for array in component.attributes.values()], axis=-1)
    for puzzle in levels:
        yield [template % tuple(panel) for panel in puzzle.tolist()]


def _grid(component: ComponentArrays, layout: Component) -> Iterator[list[str]]:
    template = _entity(component, "      ")
    boxes = ["      [\n" + ",\n".join(f"       {json.dumps(x)}" for x in box) + "\n      ]" for box in layout.boxes]
    levels = np.stack(list(component.attributes.values()), axis=-1)
    for puzzle, exists in zip(levels, component.exists, strict=True):
        panels = []
        for entities, there in zip(puzzle.tolist(), exists.tolist(), strict=True):
            slots = [s for s, is_there in enumerate(there) if is_there]
            positions = ",\n".join(boxes[s] for s in slots)
            shapes = ",\n".join(template % tuple(entities[s]) for s in slots)
            panels.append(
                f'    {{\n     "positions": [\n{positions}\n     ],\n     "entities": [\n{shapes}\n     ]\n    }}'
            )
        yield panels


def _entity(component: ComponentArrays, indent: str) -> str:
    lines = ",\n".join(f'{indent} "{name}": "%d"' for name in component.attributes)
    return f"{indent}{{\n{lines}\n{indent}}}"
