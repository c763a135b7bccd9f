"""One entity as pixels: the shapes, radii and rounding of the published puzzles, drawn by OpenCV 4.

Centres and radii are cut to whole pixels before anything is drawn, outlines are two pixels wide, and rotation
interpolates: a picture is the same only if all of this is. OpenCV 5 rotates in floating point and draws other pixels.

Reference:
    Zhang et al. 2019 (RAVEN): the geometry of the released generator; the pixels are tested against its puzzles.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import VSAError

from ..attributes import ANGLE, COLOR, SIZE, TYPE
from ..constellations import Box

__all__ = [
    *("IMAGE_SIZE", "OUTLINE", "corners", "draw", "draw_colors", "mask_of"),
    *("one_thread", "opencv", "real_box", "run_lengths", "window"),
]

IMAGE_SIZE = 160  # pixels of a panel, both ways
OUTLINE = 2  # pixels
WHITE = 255
_CHANNELS = 4  # OpenCV rotates up to four channels at once

Pixels = NDArray[np.uint8]


@functools.cache
def opencv() -> ModuleType:
    """OpenCV, imported on first use.

    Returns:
        The module cv2.

    Raises:
        VSAError: it is not installed, or of a version that draws other pixels.
    """
    hint = "pip install -c constraints.txt -e '.[images]'"
    expected = "opencv-python-headless >= 4.10, < 5"
    try:
        import cv2
    except ImportError:
        raise VSAError("draw puzzles", received="no module cv2", expected=expected, hint=hint) from None
    if not cv2.__version__.startswith("4."):
        raise VSAError("draw puzzles", received=f"OpenCV {cv2.__version__}", expected=expected, hint=hint)
    return cv2


def centre(box: Box) -> tuple[int, int]:
    """The pixel (x, y) that an entity is drawn and rotated about.

    Args:
        box: [y, x, h, w] of its slot.

    Returns:
        Column and row.
    """
    return int(box[1] * IMAGE_SIZE), int(box[0] * IMAGE_SIZE)


def window(box: Box) -> tuple[slice, slice]:
    """The pixels that the entities of a slot can reach.

    Args:
        box: [y, x, h, w] of the slot.

    Returns:
        Rows and columns.
    """
    # Outline and interpolation add at most two pixels to the largest radius.
    reach = int(_unit(box) * float(SIZE.values[-1])) + OUTLINE
    x, y = centre(box)
    rows, columns = (slice(max(at - reach, 0), min(at + reach + 1, IMAGE_SIZE)) for at in (y, x))
    return rows, columns


def _unit(box: Box) -> float:
    """Half of the slot's shorter side in pixels: the radius of a shape of relative size one."""
    return min(box[2], box[3]) * IMAGE_SIZE / 2


def corners(box: Box, type_level: int, size_level: int) -> NDArray[np.int32]:
    """The corners of a polygon before it is rotated.

    Args:
        box: of the slot.
        type_level: 1-4; of a square the two opposite corners are what OpenCV is given, so all four are in order.
        size_level: 0-5.

    Returns:
        int32 (corners, 2), columns and rows.
    """
    x, y = centre(box)
    size = float(SIZE.values[size_level])
    name = TYPE.values[type_level]
    if name == "square":
        r = int(_unit(box) / 2 * math.sqrt(2) * size)
        points = [(x - r, y - r), (x - r, y + r), (x + r, y + r), (x + r, y - r)]
    else:
        r = int(_unit(box) * size)
        half, wide = int(r / 2.0), int(r / 2.0 * math.sqrt(3))
        if name == "triangle":
            points = [(x, y - r), (x + wide, y + half), (x - wide, y + half)]
        elif name == "pentagon":
            far, high = int(r * math.cos(math.pi / 10)), int(r * math.sin(math.pi / 10))
            near, low = int(r * math.sin(math.pi / 5)), int(r * math.cos(math.pi / 5))
            points = [(x, y - r), (x - far, y - high), (x - near, y + low), (x + near, y + low), (x + far, y - high)]
        else:
            left, right = x - wide, x + wide
            points = [(x, y - r), (left, y - half), (left, y + half), (x, y + r), (right, y + half), (right, y - half)]
    return np.array(points, dtype=np.int32)


def _is_circle(type_level: int) -> bool:
    return TYPE.values[type_level] == "circle"


def _rotation(box: Box, angle_level: int) -> Any:
    return opencv().getRotationMatrix2D(centre(box), int(ANGLE.values[angle_level]), 1)


def _canvas(box: Box, type_level: int, size_level: int, fill: int) -> Pixels:
    """A whole panel with one entity before it is rotated: 0 where there is none of it, 255 its outline."""
    cv2 = opencv()
    canvas = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    if _is_circle(type_level):
        radius = int(_unit(box) * float(SIZE.values[size_level]))
        if fill:
            cv2.circle(canvas, centre(box), radius, fill, -1)
        cv2.circle(canvas, centre(box), radius, WHITE, OUTLINE)
    elif TYPE.values[type_level] == "square":
        points = corners(box, type_level, size_level).tolist()
        if fill:
            cv2.rectangle(canvas, points[0], points[2], fill, -1)
        cv2.rectangle(canvas, points[0], points[2], WHITE, OUTLINE)
    else:
        outline = corners(box, type_level, size_level).reshape(-1, 1, 2)
        if fill:
            cv2.fillConvexPoly(canvas, outline, fill)
        cv2.polylines(canvas, [outline], True, WHITE, OUTLINE)
    return canvas


def _ink(box: Box, type_level: int, size_level: int, fills: Sequence[int], angle_level: int) -> Pixels:
    """uint8 (K, 160, 160), an entity in up to four fills (0: hollow), which rotate together for the price of one."""
    cv2 = opencv()
    canvases = [_canvas(box, type_level, size_level, fill) for fill in fills]
    channels = canvases[0] if len(fills) == 1 else cv2.merge(canvases)
    matrix, shape = _rotation(box, angle_level), (IMAGE_SIZE, IMAGE_SIZE)
    turned = cv2.warpAffine(channels, matrix, shape, flags=cv2.INTER_LINEAR)
    return np.asarray(turned)[None] if len(fills) == 1 else np.stack(cv2.split(turned))


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV on one thread while small pictures are drawn: handing out their rows costs more than drawing them."""
    cv2 = opencv()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def draw_colors(box: Box, type_level: int, size_level: int, color_levels: Sequence[int], angle_level: int) -> Pixels:
    """Panels that hold one entity, in several colors.

    Args:
        box: [y, x, h, w] of its slot.
        type_level: 1-5.
        size_level: 0-5.
        color_levels: each 0-9, white to black; a white entity is hollow.
        angle_level: 0-7.

    Returns:
        uint8 (K, 160, 160), 255 the background and the outline 0.
    """
    fills = [WHITE - int(COLOR.values[level]) for level in color_levels]
    parts = [
        _ink(box, type_level, size_level, fills[k : k + _CHANNELS], angle_level)
        for k in range(0, len(fills), _CHANNELS)
    ]
    return WHITE - np.concatenate(parts)


def draw(box: Box, type_level: int, size_level: int, color_level: int, angle_level: int) -> Pixels:
    """A panel that holds one entity.

    Args:
        box: [y, x, h, w] of its slot.
        type_level: 1-5.
        size_level: 0-5.
        color_level: 0-9, white to black; a white entity is hollow.
        angle_level: 0-7.

    Returns:
        uint8 (160, 160), 255 the background and the outline 0.
    """
    return draw_colors(box, type_level, size_level, [color_level], angle_level)[0]


def mask_of(box: Box, type_level: int, size_level: int, angle_level: int) -> NDArray[np.bool_]:
    """Which pixels an entity covers wholly; what rotation blends at its edge does not count.

    Args:
        box: of its slot.
        type_level: 1-5.
        size_level: 0-5.
        angle_level: 0-7.

    Returns:
        bool (160, 160).
    """
    return _ink(box, type_level, size_level, [WHITE], angle_level)[0] == WHITE


def run_lengths(mask: NDArray[np.bool_]) -> str:
    """A mask as the xml has it: start (from 1) and length of every run, row by row.

    Args:
        mask: bool (160, 160).

    Returns:
        ``[start,length,start,length,...]``.
    """
    edges = np.flatnonzero(np.diff(mask.ravel().astype(np.int8), prepend=0, append=0))
    starts, stops = edges[::2], edges[1::2]
    runs = np.stack([starts + 1, stops - starts], axis=1)
    return "[" + ",".join(map(str, runs.ravel().tolist())) + "]"


def real_box(box: Box, type_level: int, size_level: int, angle_level: int) -> list[float]:
    """The box that an entity fills, as the xml has it.

    Args:
        box: of its slot.
        type_level: 1-5.
        size_level: 0-5.
        angle_level: 0-7.

    Returns:
        [y, x, h, w] in units of the panel, four digits, with one and a half outlines added to both sides.
    """
    margin = OUTLINE * 1.5 / IMAGE_SIZE
    if _is_circle(type_level):
        x, y = centre(box)
        side = 2 * (_unit(box) * float(SIZE.values[size_level])) / IMAGE_SIZE + margin
        values = [y / IMAGE_SIZE, x / IMAGE_SIZE, side, side]
    else:
        points = corners(box, type_level, size_level)
        turned = _rotation(box, angle_level) @ np.column_stack([points, np.ones(len(points), dtype=np.int32)]).T
        (left, top), (right, bottom) = turned.min(axis=1) / IMAGE_SIZE, turned.max(axis=1) / IMAGE_SIZE
        values = [(top + bottom) / 2, (left + right) / 2, bottom - top + margin, right - left + margin]
    return [float(value) for value in np.round(values, 4)]
