"""Files that show puzzles: npz of the published form, one PNG sheet, or sixteen PNG files in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsa.errors import SettingsError

from ..files.npz import read_image
from .panels import PANELS, as_images, normal
from .png import Picture, read_png
from .sheet import Box, panels_of, within_frames

__all__ = ["Scan", "read_scans"]

_COLORED = 40  # levels by which the three colors of a pixel differ: more is no tint of paper or of a screen
_COLORS = 0.005  # of a panel's pixels: more makes a colored picture
_FORMS = "npz files of puzzles, one PNG sheet, or 16 PNG files: the context row by row, then the candidates"


@dataclass(frozen=True)
class Scan:
    """One puzzle in pixels.

    Args:
        name: of its file.
        images: uint8 (16, 160, 160), 255 is white.
        notes: what was changed, in sentences.
    """

    name: str
    images: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def read_scans(paths: Sequence[str | PathLike[str]]) -> list[Scan]:
    """The puzzles that files show; neither their labels nor marks on a sheet are looked at.

    Args:
        paths: npz files, one PNG sheet, or sixteen PNG files.

    Returns:
        One puzzle each npz; else one.

    Raises:
        SettingsError: other files, or files that show no puzzle.
        CorruptFileError: a file is damaged.
        VSAError: a file cannot be read, OpenCV is not installed.
    """
    files = [Path(path) for path in paths]
    kinds = [file.suffix.lower() for file in files]
    if files and all(kind == ".npz" for kind in kinds):
        return [_from_npz(file) for file in files]
    if ".npz" in kinds or len(files) not in (1, PANELS):
        other = f"{kinds.count('.npz')} npz and {len(files) - kinds.count('.npz')} other files"
        received = other if ".npz" in kinds else f"{len(files)} files"
        raise SettingsError("read a puzzle", received=received, expected=_FORMS)
    if len(files) == 1:
        return [_from_sheet(files[0])]
    return [_from_panels(files)]


def _from_npz(path: Path) -> Scan:
    images, notes = as_images(read_image(path), f"read {path}, image")
    return Scan(path.name, images, notes)


def _from_sheet(path: Path) -> Scan:
    picture = read_png(path)
    framed = [(picture.grey, box) for box in panels_of(picture.grey, str(path))]
    boxes = within_frames(framed[: PANELS // 2]) + within_frames(framed[PANELS // 2 :])
    for box in boxes:
        _refuse_colors(picture, box, str(path))
    return _scan(path.name, [picture.grey[_slices(box)] for box in boxes], str(path))


def _from_panels(paths: Sequence[Path]) -> Scan:
    pictures = [read_png(path) for path in paths]
    boxes = within_frames([(one.grey, (0, 0, *one.grey.shape[::-1])) for one in pictures])
    for path, picture, box in zip(paths, pictures, boxes, strict=True):
        _refuse_colors(picture, box, str(path))
    panels = [picture.grey[_slices(box)] for picture, box in zip(pictures, boxes, strict=True)]
    first, last = paths[0].name, paths[-1].name
    return _scan(f"{first} to {last}", panels, f"{first} to {last}")


def _scan(name: str, panels: Sequence[NDArray[np.uint8]], what: str) -> Scan:
    images, notes = normal(panels, f"read {what}")
    return Scan(name, images, notes)


def _slices(box: Box) -> tuple[slice, slice]:
    x, y, width, height = box
    return slice(y, y + height), slice(x, x + width)


def _refuse_colors(picture: Picture, box: Box, what: str) -> None:
    if np.mean(picture.chroma[_slices(box)] > _COLORED) > _COLORS:
        raise SettingsError(
            f"read {what}", received="a picture in colors", expected="grey entities on white paper, as RAVEN has them"
        )
