"""What a solver is shown of a puzzle: which panels, which attributes, how many values, one level per panel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import CANDIDATES, ComponentArrays, PuzzleArrays
from .attributes import ATTRIBUTES, ENTITY_ATTRIBUTES, ROWS
from .constellations import Component

__all__ = [
    "CONFOUNDER",
    "INCONSISTENT",
    "ROWS",
    "attribute_keys",
    "confounder_names",
    "magnitude_offset",
    "offset_of",
    "panel_levels",
    "range_of",
    "shown_panels",
    "value_count",
    "value_range",
    "values_of",
]

CONFOUNDER = "Confounder"  # attributes without a rule are called so, with a number

INCONSISTENT = -1  # the level of a panel whose entities differ

Key = tuple[int, str]
Array = NDArray[Any]


def shown_panels(columns: int) -> slice:
    """Which of a puzzle's panels a solver is shown: the last three rows and the candidates.

    Args:
        columns: n.

    Returns:
        A slice of the P axis of :class:`PuzzleArrays`.
    """
    return slice((columns - ROWS) * columns, columns * columns - 1 + CANDIDATES)


def value_count(arrays: PuzzleArrays, key: Key) -> int:
    """The number of values V on an attribute's axis.

    Args:
        arrays: the puzzles.
        key: (component, attribute).

    Returns:
        maxval + 1 for I-RAVEN-X, the slots S for Number, else the number of levels in use.
    """
    component, name = key
    return values_of(name, arrays.components[component].slots, arrays.maxval)


def values_of(name: str, slots: int, maxval: int | None) -> int:
    """The number of values V of an attribute.

    Args:
        name: of the attribute, or Number.
        slots: S of its component.
        maxval: the largest value of I-RAVEN-X; None: RAVEN's own range.

    Returns:
        As :func:`value_count`.
    """
    if name == "Number":
        return slots
    if maxval is not None:
        return maxval + 1
    return next(a.high - a.low + 1 for a in ENTITY_ATTRIBUTES if a.name == name)


def confounder_names(component: ComponentArrays) -> list[str]:
    """The attributes without a rule, in the order of their numbers.

    Args:
        component: the labels.

    Returns:
        Their names.
    """
    names = [name for name in component.attributes if name.startswith(CONFOUNDER)]
    return sorted(names, key=lambda name: int(name.removeprefix(CONFOUNDER)))


def attribute_keys(arrays: PuzzleArrays, confounders: bool = True) -> Iterator[Key]:
    """The attributes that have a PMF: Number (of grids), Type, Size, Color, confounders. Angle is noise.

    Args:
        arrays: the puzzles.
        confounders: whether I-RAVEN-X's confounders are among them.

    Yields:
        (component, attribute).
    """
    for c, component in enumerate(arrays.components):
        if component.slots > 1:
            yield c, "Number"
        for attribute in ENTITY_ATTRIBUTES:
            yield c, attribute.name
        if confounders:
            for name in confounder_names(component):
                yield c, name


def panel_levels(component: ComponentArrays, name: str) -> Array:
    """One level per panel.

    Args:
        component: the labels, (N, P, S).
        name: an attribute of entities, or Number.

    Returns:
        int16 (N, P): the level that all entities of the panel share, -1 where they differ; Number: the count.
    """
    if name == "Number":
        return component.numbers.astype(np.int16)
    levels = component.attributes[name]
    if component.slots == 1:
        return levels[..., 0]
    # A loop over the few slots beats a reduction over a short last axis by an order of magnitude.
    first, differ = levels[..., 0], np.zeros(levels.shape[:-1], dtype=bool)
    for s in range(1, component.slots):
        level = levels[..., s]
        differ |= (level >= 0) & (first >= 0) & (level != first)
        first = np.where(first >= 0, first, level)
    return np.where(differ, np.int16(INCONSISTENT), first)


def magnitude_offset(arrays: PuzzleArrays, key: Key) -> int:
    """What to add to an index on the value axis to get the magnitude that arithmetic rules add.

    Args:
        arrays: the puzzles.
        key: (component, attribute).

    Returns:
        1 for Number, Type and Size of RAVEN, else 0.
    """
    return offset_of(key[1], arrays.maxval)


def offset_of(name: str, maxval: int | None) -> int:
    """Magnitude minus index on the value axis.

    Args:
        name: of the attribute, or Number.
        maxval: the largest value of I-RAVEN-X; None: RAVEN's own range.

    Returns:
        As :func:`magnitude_offset`.
    """
    if name == "Number":
        return 1
    if maxval is not None:
        return 0
    return next(a.low + a.offset for a in ENTITY_ATTRIBUTES if a.name == name)


def value_range(arrays: PuzzleArrays, key: Key) -> tuple[int, int]:
    """The smallest and the largest magnitude that an attribute may have in its component.

    Args:
        arrays: the puzzles.
        key: (component, attribute).

    Returns:
        As :func:`range_of`.
    """
    return range_of(arrays.layouts[key[0]], key[1], arrays.maxval)


def range_of(layout: Component, name: str, maxval: int | None) -> tuple[int, int]:
    """The smallest and the largest magnitude of an attribute in a component.

    Args:
        layout: the component.
        name: of the attribute, or Number.
        maxval: the largest value of I-RAVEN-X; None: RAVEN's own range.

    Returns:
        (low, high), both inclusive: those of the component, which may be fewer than the axis has room for.
    """
    if name == "Number":
        return 1, layout.slots
    if maxval is not None:
        return 0, maxval
    low, high = layout.range(name)
    return low + ATTRIBUTES[name].offset, high + ATTRIBUTES[name].offset
