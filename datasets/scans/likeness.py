"""Whether pixels look like what was read from them: the panels are drawn anew and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import RULE_SLOTS, ComponentArrays, PuzzleArrays
from ..attributes import ANGLE, ATTRIBUTES
from ..pixels.drawing import WHITE, opencv
from ..pixels.render import entity_codes, render, sprites_of

__all__ = ["likeness"]

_BLUR = 7  # pixels over which both are averaged: a line that is moved by one is still the same line
Levels = tuple[NDArray[np.bool_], Mapping[str, NDArray[Any]]]


def likeness(images: NDArray[np.uint8], constellation: str, read: Sequence[Levels]) -> NDArray[np.float64]:
    """How much of the ink of panels is where it should be, in entities turned as fits best.

    Args:
        images: uint8 (16, 160, 160), 255 is white.
        constellation: published name.
        read: for each component which slots are occupied, bool (16, S), and Type, Size and Color, (16, S) each.

    Returns:
        (16,): ink in common as a share of all ink; 1 where the panels are the same.
    """
    components = []
    for (exists, levels), slots in zip(read, sprites_of(constellation), strict=True):
        part = _component(exists, {**levels, ANGLE.name: np.zeros_like(levels["Type"])})
        codes, turns = entity_codes(part)[0], np.arange(len(ANGLE.values))
        angle = np.zeros(exists.shape, dtype=np.int16)
        for panel, slot in zip(*exists.nonzero(), strict=True):
            sprites = slots[slot]
            drawn = sprites.gather(codes[panel, slot] + turns)
            off = abs(drawn.astype(np.int16) - images[panel, sprites.rows, sprites.columns])
            angle[panel, slot] = int(off.sum((1, 2)).argmin())
        components.append(_component(exists, {**levels, ANGLE.name: angle}))
    here = np.zeros(1, dtype=np.int64)
    drawn = render(PuzzleArrays("raven", constellation, 3, None, tuple(components), here.astype(np.int8), here))[0]
    ours, theirs = _ink(drawn), _ink(images)
    common, all_ = np.minimum(ours, theirs).sum((1, 2)), np.maximum(ours, theirs).sum((1, 2))
    return np.asarray(common / np.maximum(all_, 1.0), dtype=np.float64)


def _component(exists: NDArray[np.bool_], levels: Mapping[str, NDArray[Any]]) -> ComponentArrays:
    """As arrays of one puzzle, about whose rules nothing is said."""
    attributes = {name: np.where(exists, levels[name], -1).astype(np.int16)[None] for name in ATTRIBUTES}
    rules = np.zeros((1, len(RULE_SLOTS)), dtype=np.int16)
    return ComponentArrays(exists[None], attributes, None, rules.astype(np.int8), np.zeros(1, dtype=np.int8), rules)


def _ink(panels: NDArray[np.uint8]) -> NDArray[np.float64]:
    cv2 = opencv()
    return np.stack([cv2.blur((WHITE - panel).astype(np.float64), (_BLUR, _BLUR)) for panel in panels])
