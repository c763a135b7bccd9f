"""Panels as people have them, made into those that front-ends take: 160 x 160 bytes, black on white."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import DtypeError, SettingsError, ShapeError

from ..arrays import CANDIDATES
from ..pixels.drawing import IMAGE_SIZE, WHITE, opencv

__all__ = ["PANELS", "as_images", "normal"]

PANELS = 2 * CANDIDATES
_MIDDLE = 128
_CLOSE = 6  # levels from white: as good as white in a picture that was copied or resized
_NOISE = 0.02  # of the pixels around panels that are nearly white and not white: more is noise
_FAINT = 64  # levels between ink and paper, at least
_SKEW = 1.03  # of the shorter side: a panel that is cut so is made square

Images = NDArray[np.uint8]


def as_images(images: Any, what: str = "images") -> tuple[Images, tuple[str, ...]]:
    """Sixteen panels in one array, of any size and polarity.

    Args:
        images: (16, height, width), bytes or numbers from 0 to 1; or a list of 16 panels.
        what: their name, for messages.

    Returns:
        uint8 (16, 160, 160), and what was changed, in sentences.

    Raises:
        DtypeError: no array of numbers.
        ShapeError: not 16 panels.
        SettingsError: panels that cannot be used.
    """
    if isinstance(images, Sequence) and not isinstance(images, str):
        images = list(images)
        if len({np.shape(one) for one in images}) > 1:
            return normal([_bytes(one, what) for one in images], what)
    array = _bytes(images, what)
    if array.ndim != 3 or len(array) != PANELS:
        axis = next((k for k, length in enumerate(array.shape) if length == PANELS), None)
        hint = f"move axis {axis} to the front: numpy.moveaxis(images, {axis}, 0)" if axis and array.ndim == 3 else ""
        received, expected = f"shape {array.shape}", f"({PANELS}, {IMAGE_SIZE}, {IMAGE_SIZE}): one puzzle"
        raise ShapeError(what, received=received, expected=expected, hint=hint)
    return normal(list(array), what)


def _bytes(images: Any, what: str) -> Images:
    array = np.asarray(images)
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * WHITE
    if array.dtype.kind not in "iuf" or not array.size or not np.isfinite(array).all():
        raise DtypeError(what, received=f"an array of {array.dtype}", expected="bytes, 255 is white")
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(array * WHITE).astype(np.uint8)
    if low >= 0 and high <= WHITE:
        return np.rint(array).astype(np.uint8)
    raise DtypeError(what, received=f"numbers from {low:g} to {high:g}", expected="0 to 255, or 0 to 1 in floats")


def normal(panels: Sequence[Images], what: str) -> tuple[Images, tuple[str, ...]]:
    """Panels black on white, of the size of the published ones.

    Args:
        panels: uint8 (height, width) each; 16 of them.
        what: their name, for messages.

    Returns:
        uint8 (16, 160, 160), and what was changed, in sentences.

    Raises:
        ShapeError: another number of panels, or panels that are no squares.
        SettingsError: panels of both polarities, without contrast, or blank.
    """
    if len(panels) != PANELS:
        raise ShapeError(what, received=f"{len(panels)} panels", expected=f"{PANELS}: 8 of the context, 8 candidates")
    for number, panel in enumerate(panels):
        if panel.ndim != 2 or not panel.size or max(panel.shape) > _SKEW * min(panel.shape) + 2:
            size = " x ".join(map(str, panel.shape[::-1]))
            raise ShapeError(f"{what}, {_name(number)}", received=f"{size} pixels", expected="a square")
    notes = []
    papers = [int(np.median(_ring(panel))) for panel in panels]
    dark = sum(paper < _MIDDLE for paper in papers)
    if dark == PANELS:
        panels, papers = [WHITE - panel for panel in panels], [WHITE - paper for paper in papers]
        notes.append("white on black: turned round")
    elif dark:
        odd = next(k for k, paper in enumerate(papers) if (paper < _MIDDLE) == (2 * dark <= PANELS))
        raise SettingsError(
            f"{what}, {_name(odd)}",
            received="a dark background" if 2 * dark <= PANELS else "a light background",
            expected="black on white as the others, or all of them white on black",
        )
    panels = _stretched(panels, papers, what, notes)
    sizes = {panel.shape for panel in panels}
    if sizes != {(IMAGE_SIZE, IMAGE_SIZE)}:
        spelled = sorted({f"{width} x {height}" for height, width in sizes})
        shown = " or ".join(spelled) if len(spelled) <= 2 else f"{spelled[0]} to {spelled[-1]}"
        notes.append(f"panels of {shown} pixels: resized to {IMAGE_SIZE} x {IMAGE_SIZE}")
        panels = [_resized(panel) for panel in panels]
    for number, panel in enumerate(panels):
        if int(panel.min()) > WHITE - _FAINT // 2:
            raise SettingsError(
                f"{what}, {_name(number)}", received="a blank panel", expected="something in every panel"
            )
    return np.stack(panels), tuple(notes)


def _stretched(panels: Sequence[Images], papers: Sequence[int], what: str, notes: list[str]) -> list[Images]:
    """Paper white and ink black; the very same where they are so."""
    paper, black = float(np.median(papers)), float(min(panel.min() for panel in panels))
    nearly = np.concatenate([_ring(panel) for panel in panels])
    if (min(papers), black) == (WHITE, 0) and np.mean((nearly < WHITE) & (nearly >= WHITE - _CLOSE)) < _NOISE:
        return list(panels)
    if paper - black < _FAINT:
        raise SettingsError(
            what, received=f"grey levels from {black:g} to {paper:g}", expected="black entities on white paper"
        )
    if paper < WHITE - _CLOSE or black > _CLOSE:
        notes.append(f"grey levels from {black:g} to {paper:g}: stretched from black to white")
    found = []
    for panel in panels:
        levels = np.clip((panel.astype(np.float32) - black) * (WHITE / (paper - black)), 0, WHITE)
        found.append(np.where(levels >= WHITE - _CLOSE, WHITE, np.rint(levels)).astype(np.uint8))
    return found


def _resized(panel: Images) -> Images:
    """One panel of 160 x 160: averaged over areas where there are more pixels."""
    cv2 = opencv()
    way = cv2.INTER_AREA if min(panel.shape) >= IMAGE_SIZE else cv2.INTER_LINEAR
    grey = np.asarray(cv2.resize(panel, (IMAGE_SIZE, IMAGE_SIZE), interpolation=way))
    return np.where(grey >= WHITE - _CLOSE, np.uint8(WHITE), grey)


def _ring(panel: Images) -> Images:
    return np.concatenate([panel[0], panel[-1], panel[:, 0], panel[:, -1]])


def _name(number: int) -> str:
    """Of a panel, for people."""
    return f"panel {number + 1}" if number < CANDIDATES else f"candidate {number + 1 - CANDIDATES}"
