"""Puzzles to look at in a notebook or at a prompt."""

from __future__ import annotations

import base64
import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from vsa.errors import DtypeError, UnsupportedError, VSAError

from ..arrays import PuzzleArrays
from ..puzzle import Puzzle
from .drawing import opencv
from .picture import contact_sheet, png
from .views import html, picture, text

if TYPE_CHECKING:
    from ..loaders import PuzzleDataset

__all__ = ["View", "show"]


class View:
    """Something to look at: a picture in a notebook, text in a terminal.

    Args:
        words: the text.
        page: the HTML.
        drawn: a PNG file, or None.
    """

    def __init__(self, words: str, page: str, drawn: bytes | None) -> None:
        self._words, self._page, self._drawn = words, page, drawn

    def __repr__(self) -> str:
        return self._words

    def _repr_html_(self) -> str:
        return self._page

    def _repr_png_(self) -> bytes | None:
        return self._drawn

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes the picture.

        Args:
            path: a PNG file.
            overwrite: whether an existing file may be replaced.

        Returns:
            The file.

        Raises:
            VSAError: there is no picture, or the file exists or can't be written.
        """
        path = Path(path)
        if self._drawn is None:
            opencv()  # says what to install, if that is why
            raise UnsupportedError(f"write {path}", received="a puzzle without pixels", expected="RAVEN's levels")
        if path.exists() and not overwrite:
            raise VSAError(
                f"write {path}", received="a file that exists", expected="a new name", hint="or overwrite=True"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._drawn)
        except OSError as error:
            raise VSAError(f"write {path}", received=os.strerror(error.errno or 0), expected="a folder") from error
        return path


def show(puzzles: Puzzle | PuzzleArrays | PuzzleDataset, *, answer: bool = False, columns: int = 4) -> View:
    """Puzzles to look at: the last line of a notebook's cell, or at a terminal's prompt.

    Args:
        puzzles: a puzzle, or many as arrays or a data set (a contact sheet).
        answer: whether right candidates are marked.
        columns: of a contact sheet.

    Returns:
        What shows itself; ``save("puzzle.png")`` keeps the picture. Without OpenCV a notebook shows vector drawings.

    Raises:
        DtypeError: something else than puzzles.
        VSAError: no puzzles, or columns below one.
    """
    if isinstance(puzzles, Puzzle):
        drawn = picture(puzzles, answer=answer)
        return View(text(puzzles, answer=answer), html(puzzles, answer=answer), drawn)
    puzzles = getattr(puzzles, "arrays", puzzles)  # of a PuzzleDataset, whose module needs torch
    if not isinstance(puzzles, PuzzleArrays):
        raise DtypeError("show", received=type(puzzles).__name__, expected="a Puzzle, PuzzleArrays or a PuzzleDataset")
    each = [Puzzle.from_arrays(puzzles, k) for k in range(len(puzzles))]
    drawn = None
    if puzzles.maxval is None:
        try:
            drawn = png(contact_sheet(puzzles, columns, answer=answer))
        except VSAError:
            if _drawable(puzzles):
                raise
    if drawn is None:
        body = "".join(html(puzzle, answer=answer) for puzzle in each)
    else:
        body = f'<img alt="contact sheet" src="data:image/png;base64,{base64.b64encode(drawn).decode()}"/>'
    return View("\n\n".join(text(puzzle, answer=answer) for puzzle in each), body, drawn)


def _drawable(puzzles: PuzzleArrays) -> bool:
    """Whether pixels can be had: they are held, or OpenCV draws them."""
    if puzzles.pixels is not None and all(image.held for image in puzzles.pixels):
        return True
    try:
        opencv()
    except VSAError:
        return False
    return True
