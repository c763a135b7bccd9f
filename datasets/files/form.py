"""Parts of the JSON form that need no memory of the file: text, levels, which constellation a panel fits."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsa.errors import CorruptFileError, VSAError

from ..constellations import CONSTELLATIONS

__all__ = ["MOST_JSON_BYTES", "clipped", "fits", "level_table", "levels_of", "parse", "shown"]

MOST_JSON_BYTES = 1 << 30  # a thousand puzzles of 107 panels with 300 confounders


def parse(data: bytes, path: Path, *, unique: bool = False) -> dict[str, Any]:
    """The puzzles of a file, not yet looked at; a sentence for whatever is no JSON object.

    Args:
        data: its content.
        path: where it is from, for the sentence.
        unique: whether a key that an object has twice is refused; that takes longer.
    """
    try:
        puzzles = json.loads(data, object_pairs_hook=_unique if unique else None)
    except json.JSONDecodeError as error:
        ends = error.pos >= len(error.doc.rstrip())
        what = "that ends too early" if ends else f"that breaks ({error.msg})"
        raise CorruptFileError(
            f"read {path}",
            received=f"JSON {what} at line {error.lineno}, column {error.colno}",
            expected="a complete JSON object",
            hint="copy or make the file again",
        ) from None
    except (ValueError, RecursionError) as error:  # bytes that are no text, absurd numbers, absurd nesting
        if isinstance(error, VSAError):
            raise
        raise CorruptFileError(
            f"read {path}", received=f"no JSON ({clipped(error)})", expected="a JSON object of puzzles"
        ) from None
    if not isinstance(puzzles, dict) or not puzzles:
        received = (
            f"a JSON {type(puzzles).__name__} of {len(puzzles)}" if isinstance(puzzles, (dict, list)) else "no object"
        )
        raise CorruptFileError(
            f"read {path}", received=received, expected="an object {number: puzzle} with puzzles in it"
        )
    return puzzles


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} twice in one object")
    return found


def levels_of(entities: Any, name: str, lookup: Mapping[int | str, int]) -> list[int]:
    """The levels of one attribute; TypeError or KeyError for what is none."""
    given = list(map(operator.itemgetter(name), entities))
    if not {*map(type, given)} <= {str, int}:  # True and 1.0 would pass for 1
        raise TypeError(name)
    return list(map(lookup.__getitem__, given))


@functools.cache
def level_table(low: int, high: int) -> dict[int | str, int]:
    """The levels of a range by either of their forms."""
    return {**{level: level for level in range(low, high + 1)}, **{str(level): level for level in range(low, high + 1)}}


def fits(panel: Any, constellation: str) -> bool:
    """Whether a panel has the form of a constellation's."""
    layouts = CONSTELLATIONS[constellation].components
    if not isinstance(panel, list) or len(panel) != len(layouts):
        return False
    for component, layout in zip(panel, layouts, strict=True):
        if not isinstance(component, dict) or ("positions" in component) != (layout.slots > 1):
            return False
        if layout.slots > 1:
            positions = component["positions"]
            if not isinstance(positions, list) or not positions or not isinstance(positions[0], list):
                return False
            if tuple(positions[0]) not in layout.boxes:
                return False
    return True


def clipped(value: object, most: int = 200) -> str:
    """A value's text, short enough for one sentence on one line."""
    text = " ".join(str(value)[: 2 * most].split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shown(value: Any) -> str:
    """A value as it may appear in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
