"""Puzzles as pictures: the matrix above its candidates, contact sheets of many; PNG without another library."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import VSAError

from ..arrays import CANDIDATES, PuzzleArrays
from .drawing import IMAGE_SIZE

__all__ = ["contact_sheet", "page", "png"]

GAP = 12  # pixels between panels
FRAME = 2  # pixels around a panel
COLUMNS = 4  # of the candidates
_PAPER, _INK, _MARK = (255, 255, 255), (0, 0, 0), (0, 140, 60)
_QUESTION = (" ### ", "#   #", "    #", "   # ", "  #  ", "     ", "  #  ")
_STRETCH = 10  # pixels for each dot of the question mark

RGB = NDArray[np.uint8]


def page(images: NDArray[np.uint8], target: int | None = None) -> RGB:
    """One puzzle: the matrix with a question mark, the candidates below.

    Args:
        images: uint8 (16, 160, 160).
        target: the candidate to mark, None for no mark.

    Returns:
        uint8 (height, width, 3).
    """
    if images.shape != (8 + CANDIDATES, IMAGE_SIZE, IMAGE_SIZE):
        raise VSAError("picture of a puzzle", received=f"shape {images.shape}", expected="(16, 160, 160)")
    matrix = [*images[:8], _question()]
    top = _grid(matrix, 3, None)
    below = _grid(list(images[8:]), COLUMNS, target)
    height, width = top.shape[0] + GAP + below.shape[0], max(top.shape[1], below.shape[1])
    sheet = _paper(height, width)
    for part, y in ((top, 0), (below, top.shape[0] + GAP)):
        x = (width - part.shape[1]) // 2
        sheet[y : y + part.shape[0], x : x + part.shape[1]] = part
    return sheet


def contact_sheet(arrays: PuzzleArrays, columns: int = 4, *, answer: bool = False, scale: int = 2) -> RGB:
    """Many puzzles beside each other, small.

    Args:
        arrays: N puzzles.
        columns: puzzles in a row.
        answer: whether the right candidates are marked.
        scale: by how much each is made smaller.

    Returns:
        uint8 (height, width, 3).

    Raises:
        VSAError: no puzzles, or sizes below one.
    """
    if not len(arrays) or columns < 1 or scale < 1:
        received = f"{len(arrays)} puzzles, columns={columns}, scale={scale}"
        raise VSAError("contact sheet", received=received, expected="at least 1 each")
    from ..files.images import images_of  # here: puzzles that are made do without the readers

    images = images_of(arrays)
    pages = [
        _smaller(page(pixels, int(target) if answer else None), scale)
        for pixels, target in zip(images, arrays.target, strict=True)
    ]
    height, width = pages[0].shape[:2]
    rows = -(-len(pages) // columns)
    gap = 2 * GAP
    sheet = _paper(rows * (height + gap) + gap, min(columns, len(pages)) * (width + gap) + gap)
    for k, picture in enumerate(pages):
        y, x = gap + (k // columns) * (height + gap), gap + (k % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet


def png(picture: RGB) -> bytes:
    """A picture as a PNG file.

    Args:
        picture: uint8 (height, width, 3).

    Returns:
        The file.
    """
    height, width = picture.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = picture.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def _paper(height: int, width: int) -> RGB:
    sheet = np.empty((height, width, 3), dtype=np.uint8)
    sheet[...] = _PAPER
    return sheet


def _grid(panels: list[Any], columns: int, marked: int | None) -> RGB:
    side = IMAGE_SIZE + 2 * FRAME
    rows = -(-len(panels) // columns)
    sheet = _paper(rows * (side + GAP) + GAP, columns * (side + GAP) + GAP)
    for k, panel in enumerate(panels):
        y, x = GAP + (k // columns) * (side + GAP), GAP + (k % columns) * (side + GAP)
        if k == marked:
            wide = GAP // 2
            sheet[y - wide : y + side + wide, x - wide : x + side + wide] = _MARK
        sheet[y : y + side, x : x + side] = _MARK if k == marked else _INK
        sheet[y + FRAME : y + side - FRAME, x + FRAME : x + side - FRAME] = panel[:, :, None]
    return sheet


def _question() -> NDArray[np.uint8]:
    dots = np.array([[dot == "#" for dot in line] for line in _QUESTION])
    mark = np.kron(dots, np.ones((_STRETCH, _STRETCH), dtype=bool))
    panel = np.full((IMAGE_SIZE, IMAGE_SIZE), 255, dtype=np.uint8)
    y, x = (IMAGE_SIZE - mark.shape[0]) // 2, (IMAGE_SIZE - mark.shape[1]) // 2
    panel[y : y + mark.shape[0], x : x + mark.shape[1]][mark] = 0
    return panel


def _smaller(picture: RGB, scale: int) -> RGB:
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    blocks = picture[: height * scale, : width * scale].reshape(height, scale, width, scale, 3)
    return np.asarray(blocks.mean(axis=(1, 3))).astype(np.uint8)
