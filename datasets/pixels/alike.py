"""Entities that differ and yet have the same pixels: no one can tell them apart."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ..attributes import SIZE, TYPE
from ..constellations import CONSTELLATIONS, resolve_constellation
from .drawing import draw

__all__ = ["same_sizes"]

_BLACK, _UPRIGHT = 9, 3


@functools.cache
def same_sizes(constellation: str) -> NDArray[np.bool_]:
    """Which sizes of a type are drawn alike in each slot: radii are cut to whole pixels.

    Args:
        constellation: published or short name.

    Returns:
        bool (S, V, W, W): slots component by component, types from the triangle, sizes from the smallest, twice.

    Raises:
        VSAError: OpenCV is not installed.
    """
    components = CONSTELLATIONS[resolve_constellation(constellation)].components
    boxes = [box for component in components for box in component.boxes]
    types, sizes = range(TYPE.low, TYPE.high + 1), range(SIZE.low, SIZE.high + 1)
    found = np.zeros((len(boxes), len(types), len(sizes), len(sizes)), dtype=np.bool_)
    for place, box in enumerate(boxes):
        for row, type_ in enumerate(types):
            drawn = np.stack([draw(box, type_, size, _BLACK, _UPRIGHT).ravel() for size in sizes])
            found[place, row] = (drawn[:, None] == drawn).all(-1)
    return found
