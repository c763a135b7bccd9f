"""Where the panels of a puzzle are on a sheet: a matrix of 3 x 3 above its candidates, as ``datasets.show`` draws it.

A panel is told from the paper around it by its frame, or because the paper has another shade. Scale, margins, words
between the panels and a mark around a candidate do not matter; the place of the missing panel is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import SettingsError

from ..arrays import CANDIDATES
from ..pixels.drawing import opencv

__all__ = ["Box", "inside", "panels_of", "within_frames"]

Box = tuple[int, int, int, int]  # x, y, width, height
Grey = NDArray[np.uint8]

_SHADE = 16  # levels by which ink differs from paper
_FILLED = 0.9  # of its box: from here on a shape is a rectangle
_SQUARE = 1.12  # of the shorter side: up to here a rectangle is a square
_SMALLEST = 12  # pixels of a panel's side
_UNLIKE = 2.5  # of the median side: panels and candidates may differ by this much
_DEEP = 0.12  # of a panel's side: no frame is thicker
_THIN = 0.015  # of a sheet's side, likewise
_ALIKE = 0.97  # of a line's pixels: from here on it is all of one shade
_MOSTLY = 0.85  # from here on it may be one of the paper, with a little ink
_SAME = 0.015  # of a side: panels within their frames differ by less
_QUARTER = 0.25  # of the panels whose frames are seen, at least
_FRAMES = 3  # around the whole sheet, at most
_TABLES = ((3, 3), (2, 4), (1, CANDIDATES), (4, 2))  # rows and columns of panels that share their lines
_MATRIX = ((3, 3, 2), (3, 3, 3))  # panels in its rows: the missing one may have a frame
_ANSWERS = ((4, 4), (CANDIDATES,), (2, 2, 2, 2))


def panels_of(grey: Grey, what: str) -> list[Box]:
    """The panels of a sheet.

    Args:
        grey: uint8 (height, width).
        what: its name, for messages.

    Returns:
        Sixteen boxes, frames included: the context row by row, then the candidates.

    Raises:
        SettingsError: it is no such sheet.
    """
    x = y = 0
    found: list[Box] = []
    for _ in range(_FRAMES):
        components = list(_components(grey))
        found = _panels(grey, components)
        around = _around(components, grey.shape)
        if len(found) >= 2 * CANDIDATES or around is None:
            break
        left, top, width, height = inside(grey, around, _THIN)
        grey, x, y = grey[top : top + height, left : left + width], x + left, y + top
    rows = _rows([(left + x, top + y, width, height) for left, top, width, height in found])
    return _ordered(rows, what)


def inside(grey: Grey, box: Box, deep: float = _DEEP) -> Box:
    """A panel without its frame.

    Args:
        grey: the picture.
        box: the panel with its frame, if it has one.
        deep: how thick the frame may be, of the panel's side.

    Returns:
        The box within the frame; the very same where there is none.
    """
    x, y, width, height = box
    panel = grey[y : y + height, x : x + width]
    top, bottom = _depth(panel, deep), _depth(panel[::-1], deep)
    left, right = _depth(panel.T, deep), _depth(panel.T[::-1], deep)
    return x + left, y + top, width - left - right, height - top - bottom


def within_frames(panels: Sequence[tuple[Grey, Box]]) -> list[Box]:
    """Panels of one size without their frames; where entities hide how thick a frame is, the others tell.

    Args:
        panels: each with the picture it is on.

    Returns:
        The boxes within the frames.
    """
    found = [inside(grey, box) for grey, box in panels]
    # A frame that is overlooked leaves a panel too large, and none is taken for thicker than it is.
    width, height = (int(np.quantile([box[axis] for box in found], _QUARTER, method="lower")) for axis in (2, 3))
    for number, ((_, outer), box) in enumerate(zip(panels, found, strict=True)):
        if abs(box[2] - width) > max(2, _SAME * width) or abs(box[3] - height) > max(2, _SAME * height):
            left, top = (outer[axis] + (outer[2 + axis] - size) // 2 for axis, size in ((0, width), (1, height)))
            if all(0 <= outer[axis] - size <= 2 * _DEEP * size for axis, size in ((2, width), (3, height))):
                found[number] = (left, top, width, height)
    return found


def _depth(panel: Grey, deep: float) -> int:
    """How many lines belong to the frame: lines of one shade each, up to the last change of shade near the edge."""
    across = panel.shape[1]
    start, shade = 0, None
    for depth, line in enumerate(panel[: max(1, int(deep * len(panel)))]):
        middle = line[across // 10 : across - across // 10].astype(np.int16)
        here = int(np.median(middle))
        alike = np.mean(abs(middle - here) <= _SHADE)
        if alike >= _MOSTLY and shade is not None and abs(here - shade) > _SHADE:
            start = depth
        if alike < _ALIKE:
            break
        shade = here
    return start


def _components(grey: Grey) -> Iterator[tuple[Box, bool]]:
    """What stands out from the paper: the boxes of the shapes, and whether each fills its box."""
    cv2 = opencv()
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = int(np.bincount(edge, minlength=256).argmax())
    ink = (abs(grey.astype(np.int16) - paper) > _SHADE).astype(np.uint8)
    contours, _ = cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        x, y, width, height = cv2.boundingRect(contour)
        if min(width, height) >= _SMALLEST:
            area = cv2.contourArea(contour)  # through the middles of the pixels
            yield (x, y, width, height), area >= _FILLED * (width - 1) * (height - 1)


def _panels(grey: Grey, components: Sequence[tuple[Box, bool]]) -> list[Box]:
    """Squares of like size; those of tables one by one."""
    found = []
    for box, filled in components:
        if filled:
            cells = _cells(grey, box)
            found += cells or ([box] if _square(box) else [])
    sides = sorted((max(box[2:]) for box in found), reverse=True)
    if not sides:
        return []
    usual = sides[: 2 * CANDIDATES + 1][min(len(sides), 2 * CANDIDATES + 1) // 2]
    return [box for box in found if usual / _UNLIKE <= max(box[2:]) <= usual * _UNLIKE]


def _square(box: Box) -> bool:
    return max(box[2:]) <= _SQUARE * min(box[2:])


def _cells(grey: Grey, box: Box) -> list[Box]:
    """The panels of a table whose lines they share; none where it is no table."""
    x, y, width, height = box
    picture: Any = grey[y : y + height, x : x + width]
    for rows, columns in _TABLES:
        if not _square((0, 0, width * rows, height * columns)):
            continue
        down = [_line(picture, k * height // rows, height // rows) for k in range(1, rows)]
        across = [_line(picture.T, k * width // columns, width // columns) for k in range(1, columns)]
        if None in (*down, *across):
            continue
        tops, lefts = (
            [0, *(place for place in lines if place is not None), end]
            for lines, end in ((down, height - 1), (across, width - 1))
        )
        return [
            (x + left, y + top, right - left + 1, bottom - top + 1)
            for top, bottom in pairwise(tops)
            for left, right in pairwise(lefts)
        ]
    return []


def _line(picture: Grey, place: int, side: int) -> int | None:
    """Where a line as the outer frame goes right across near a place."""
    reach = max(2, side // 20)
    frame = int(np.median(picture[0]))
    for at in sorted(range(place - reach, place + reach + 1), key=lambda at: abs(at - place)):
        if np.mean(abs(picture[at].astype(np.int16) - frame) <= 2 * _SHADE) >= _ALIKE:
            return at
    return None


def _around(components: Sequence[tuple[Box, bool]], shape: tuple[int, ...]) -> Box | None:
    """A frame around nearly everything."""
    boxes = [box for box, filled in components if filled and box[2] * box[3] > shape[0] * shape[1] / 2]
    return boxes[0] if len(boxes) == 1 else None


def _rows(boxes: Sequence[Box]) -> list[list[Box]]:
    """The same, row by row from above, each from the left."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: box[1] + box[3] / 2):
        middle = box[1] + box[3] / 2
        if rows and abs(middle - (rows[-1][0][1] + rows[-1][0][3] / 2)) < min(box[3], rows[-1][0][3]) / 2:
            rows[-1].append(box)
        else:
            rows.append([box])
    return [sorted(row) for row in rows]


def _ordered(rows: list[list[Box]], what: str) -> list[Box]:
    """The sixteen panels in order."""
    counts = tuple(map(len, rows))
    for matrix in _MATRIX:
        for answers in _ANSWERS:
            if counts not in ((*matrix, *answers), (*answers, *matrix)):
                continue
            first = 0 if counts[: len(matrix)] == matrix else len(answers)
            top = rows[first : first + len(matrix)]
            if abs(top[2][1][0] - top[1][1][0]) > top[1][1][2] / 2:  # the third row begins at its left, too
                continue
            below = rows[:first] + rows[first + len(matrix) :]
            context = [box for row in top for box in row][:CANDIDATES]
            return context + [box for row in below for box in row]
    found = sum(counts)
    seen = f"{found} panels in rows of {', '.join(map(str, counts))}" if 0 < found <= 60 else f"{found} panels"
    raise SettingsError(
        f"find the panels of {what}",
        received=seen,
        expected=f"one puzzle: 3 x 3 panels, the last one missing, above {CANDIDATES} candidates, each with a frame",
        hint="or give the 16 panels as files: the context row by row, then the candidates",
    )
