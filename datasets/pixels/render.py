"""Puzzles as pixels, exactly those of the published data sets.

Few distinct entities exist, so each is drawn once per process and kept as a *sprite*; a panel is put together from
sprites, for all puzzles of a batch at once.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import UnsupportedError, VSAError

from ..arrays import ComponentArrays, PuzzleArrays
from ..attributes import ANGLE, ATTRIBUTES, COLOR, SIZE, TYPE
from ..constellations import CONSTELLATIONS, Box
from .drawing import IMAGE_SIZE, WHITE, draw_colors, one_thread, opencv, window

__all__ = ["IMAGE_SIZE", "entity_codes", "prepare", "render", "sprites_of"]

_SIZES, _COLORS, _ANGLES = len(SIZE.values), len(COLOR.values), len(ANGLE.values)
_CODES = len(TYPE.values) * _SIZES * _COLORS * _ANGLES
_CHUNK = 64  # puzzles at a time: 26 MB of pixels, of which a chunk's sprites are gathered

Pixels = NDArray[np.uint8]
Codes = NDArray[np.int64]


def entity_codes(component: ComponentArrays) -> Codes:
    """One number for all that an entity's picture depends on.

    Args:
        component: (N, P, S).

    Returns:
        int64 (N, P, S): Type, Size, Color and Angle in mixed radix; -1 where no entity is.
    """
    type_, size, color, angle = (component.attributes[name].astype(np.int64) for name in ATTRIBUTES)
    code = ((type_ * _SIZES + size) * _COLORS + color) * _ANGLES + angle
    return np.where(component.exists, code, -1)


def split_code(code: int) -> tuple[int, int, int, int]:
    """The levels that :func:`entity_codes` put into a number.

    Args:
        code: at least 0.

    Returns:
        Type, Size, Color, Angle.
    """
    code, angle = divmod(code, _ANGLES)
    code, color = divmod(code, _COLORS)
    return (*divmod(code, _SIZES), color, angle)


class _Sprites:
    """The entities that were seen in one slot, cut out of their panels."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.rows, self.columns = window(box)
        self._place = np.full(_CODES, -1, dtype=np.int64)
        self._count = 0
        self._table = np.empty((0, self.rows.stop - self.rows.start, self.columns.stop - self.columns.start), np.uint8)
        self._lock = threading.Lock()

    def prepare(self, codes: Codes) -> None:
        """Draws what was not seen before; the more at once, the fewer rotations."""
        seen = np.zeros(_CODES, dtype=np.bool_)
        seen[codes] = True
        with self._lock:
            if (self._place[seen] < 0).any():
                seen |= _blackened(seen)  # masks are cut out of the black ones
                self._add(np.flatnonzero(seen & (self._place < 0)))

    def gather(self, codes: Codes) -> Pixels:
        """uint8 (M, h, w) for M codes."""
        self.prepare(codes)
        return self._table[self._place[codes]]

    def mask(self, type_: int, size: int, angle: int) -> NDArray[np.bool_]:
        """bool (160, 160), as :func:`datasets.pixels.drawing.mask_of`, from the entity in black."""
        code = ((type_ * _SIZES + size) * _COLORS + _COLORS - 1) * _ANGLES + angle
        mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.bool_)
        mask[self.rows, self.columns] = self.gather(np.array([code]))[0] == 0
        return mask

    def _add(self, codes: Codes) -> None:
        needed = self._count + len(codes)
        if needed > len(self._table):
            grown = np.empty((max(needed, 2 * len(self._table)), *self._table.shape[1:]), dtype=np.uint8)
            grown[: self._count] = self._table[: self._count]
            self._table = grown
        # Those that differ in color alone are drawn together.
        groups: dict[tuple[int, int, int], list[int]] = {}
        for code in codes.tolist():
            type_, size, color, angle = split_code(code)
            groups.setdefault((type_, size, angle), []).append(color)
        with one_thread():
            for (type_, size, angle), colors in groups.items():
                self._keep(type_, size, colors, angle)

    def _keep(self, type_: int, size: int, colors: list[int], angle: int) -> None:
        panels = draw_colors(self.box, type_, size, colors, angle)
        sprites = panels[:, self.rows, self.columns]
        if np.count_nonzero(panels != WHITE) != np.count_nonzero(sprites != WHITE):
            raise VSAError(f"draw an entity in {self.box}", received="pixels outside its slot", expected="none")
        places = range(self._count, self._count + len(colors))
        self._table[places.start : places.stop] = sprites
        for place, color in zip(places, colors, strict=True):
            self._place[((type_ * _SIZES + size) * _COLORS + color) * _ANGLES + angle] = place
        self._count = places.stop


def _blackened(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The codes of the same entities in black."""
    shaped = seen.reshape(-1, _COLORS, _ANGLES)
    black = np.zeros_like(shaped)
    black[:, -1] = shaped.any(axis=1)
    return black.reshape(-1)


@functools.cache
def sprites_of(constellation: str) -> tuple[tuple[_Sprites, ...], ...]:
    """What was drawn so far in this process.

    Args:
        constellation: published name.

    Returns:
        The sprites of each slot of each component.
    """
    return tuple(tuple(_Sprites(box) for box in layout.boxes) for layout in CONSTELLATIONS[constellation].components)


def render(arrays: PuzzleArrays) -> Pixels:
    """Draws all panels.

    Args:
        arrays: N puzzles of RAVEN's attributes.

    Returns:
        uint8 (N, 16, 160, 160): the eight context panels row by row, then the candidates; 255 is white.

    Raises:
        UnsupportedError: I-RAVEN-X has no pixels, or the angles are unknown.
        VSAError: OpenCV 4 is not there.
    """
    prepare(arrays)
    images = np.empty((len(arrays), arrays.panels, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    for start in range(0, len(arrays), _CHUNK):
        part = slice(start, start + _CHUNK)
        _compose(arrays[part], images[part])
    return images


def prepare(arrays: PuzzleArrays) -> None:
    """Draws the entities of puzzles that are to be rendered part by part: all at once is faster.

    Args:
        arrays: N puzzles of RAVEN's attributes.

    Raises:
        VSAError: as :func:`render`.
    """
    check_drawable(arrays)
    for component, slots in zip(arrays.components, sprites_of(arrays.constellation), strict=True):
        codes = entity_codes(component)
        for s, sprites in enumerate(slots):
            here = codes[..., s]
            sprites.prepare(here[here >= 0])


def check_drawable(arrays: PuzzleArrays) -> None:
    """Refuses puzzles that have no picture.

    Args:
        arrays: the puzzles.

    Raises:
        UnsupportedError: I-RAVEN-X has no pixels, or the angles are unknown.
        VSAError: OpenCV 4 is not there, or a level is out of range.
    """
    if arrays.maxval is not None or arrays.columns != 3:
        raise UnsupportedError(
            "draw puzzles",
            received=f"{arrays.columns} columns, values 0 to {arrays.maxval}",
            expected="RAVEN's levels and three columns",
            hint="I-RAVEN-X is defined by values alone",
        )
    if not all(ANGLE.name in component.attributes for component in arrays.components):
        raise UnsupportedError("draw puzzles", received="no angles", expected="Type, Size, Color and Angle")
    for component in arrays.components:
        for name, attribute in ATTRIBUTES.items():
            levels = component.attributes[name][component.exists]
            if levels.size and not attribute.low <= levels.min() <= levels.max() <= attribute.high:
                received = f"{name} levels {levels.min()} to {levels.max()}"
                raise VSAError("draw puzzles", received=received, expected=f"{attribute.low} to {attribute.high}")
    opencv()


def _compose(arrays: PuzzleArrays, images: Pixels) -> None:
    """Fills (N, P, 160, 160)."""
    flat: Any = images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    flat[...] = WHITE
    constellation = CONSTELLATIONS[arrays.constellation]
    for c, (component, slots) in enumerate(zip(arrays.components, sprites_of(arrays.constellation), strict=True)):
        codes = entity_codes(component).reshape(len(flat), -1)
        for s, sprites in enumerate(slots):
            panels = np.flatnonzero(codes[:, s] >= 0)
            drawn = sprites.gather(codes[panels, s])
            everywhere = slice(None) if len(panels) == len(flat) else panels
            if _overlaps(constellation.structure, c):  # what lies above hides what is below, its ink only
                below = flat[everywhere, sprites.rows, sprites.columns]
                drawn = np.where(drawn < WHITE, drawn, below)
            flat[everywhere, sprites.rows, sprites.columns] = drawn
    middle = IMAGE_SIZE // 2
    if constellation.structure == "Left_Right":
        flat[:, :, middle] = 0
    elif constellation.structure == "Up_Down":
        flat[:, middle, :] = 0


def _overlaps(structure: str, component: int) -> bool:
    return structure == "Out_In" and component > 0
