"""The pixels that lie in files beside the labels, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vsa.errors import SettingsError

from ..arrays import PuzzleArrays
from ..pixels.render import render
from .finding import NUMBER, of_puzzles
from .npz import IMAGE_SHAPE, Labels, check_labels, meta_matrices, read_into, read_labels, structure_of

__all__ = ["Image", "NpzImage", "images_of", "read_images"]

Pixels = NDArray[np.uint8]


class Image(Protocol):
    """Where one puzzle's pixels lie; :attr:`PuzzleArrays.pixels` holds one for each puzzle.

    ``path`` is the file, ``held`` says whether it has pixels.
    """

    @property
    def path(self) -> Path: ...

    @property
    def held(self) -> bool: ...

    def fill(self, out: Pixels, target: int, matrix: NDArray[Any], structure: tuple[str, ...]) -> None:
        """Reads the pixels.

        Args:
            out: uint8 (16, 160, 160), where to.
            target: of the puzzle, for formats that hold it.
            matrix: its rules as :func:`datasets.files.npz.meta_matrices` gives them, likewise.
            structure: the tokens of its panels' tree, likewise.

        Raises:
            CorruptFileError: the file is damaged, or is of another puzzle.
        """


@dataclass(frozen=True)
class NpzImage:
    """Pixels in an npz of the published form.

    Args:
        path: the file.
        held: whether it has any.
    """

    path: Path
    held: bool = True

    def fill(self, out: Pixels, target: int, matrix: NDArray[Any], structure: tuple[str, ...]) -> None:
        """As :meth:`Image.fill`.

        Args:
            out: where to.
            target: must be the file's.
            matrix: must be the file's.
            structure: must be the file's.

        Raises:
            CorruptFileError: the file is damaged, or is of another puzzle.
        """
        puzzle = read_into(self.path, out)
        labels = Labels(puzzle.target, puzzle.meta_matrix, puzzle.structure, image=True)
        check_labels(self.path, labels, target, matrix, structure)


def images_of(puzzles: PuzzleArrays, *, draw: bool = False) -> Pixels:
    """The pixels of puzzles: those of their files where there are any, else drawn from the labels.

    Args:
        puzzles: N puzzles, made or read.
        draw: whether they are drawn anew even where the files have pixels.

    Returns:
        uint8 (N, 16, 160, 160), 255 is white.

    Raises:
        CorruptFileError: a file is damaged, or no longer the one whose labels were read.
        SettingsError: some files have pixels and others have not.
        UnsupportedError: puzzles that have no pixels, as I-RAVEN-X.
    """
    images = [] if puzzles.pixels is None or draw else puzzles.pixels.tolist()
    held = [image.held for image in images]
    if not any(held):
        return render(puzzles)
    if not all(held):
        number = puzzles.index[held.index(False)]
        raise SettingsError(
            "read images",
            received=f"puzzle {number} of {puzzles.constellation}, whose file has none, among others that have",
            expected="pixels in all files or in none",
            hint="images(draw=True) draws them all from their labels",
        )
    return _filled(images, puzzles)


def _filled(images: Sequence[Image], arrays: PuzzleArrays) -> Pixels:
    pixels = np.empty((len(arrays), *IMAGE_SHAPE), dtype=np.uint8)
    structure = structure_of(arrays.constellation)
    for i, (image, matrix) in enumerate(zip(images, meta_matrices(arrays), strict=True)):
        image.fill(pixels[i], int(arrays.target[i]), matrix, structure)
    return pixels


def read_images(folder: str | PathLike[str], arrays: PuzzleArrays) -> NDArray[np.uint8]:
    """The images of puzzles that were read from a tree of npz + xml.

    Args:
        folder: as for :func:`datasets.read`: the files may lie anywhere below it; or one npz or xml file.
        arrays: N puzzles of it.

    Returns:
        uint8 (N, 16, 160, 160).

    Raises:
        SettingsError: there is no file for a puzzle, or more than one.
        CorruptFileError: a file is damaged, or is of another puzzle: rules, target and structure must agree.
    """
    folder = Path(folder)
    found: dict[int, list[Path]] = {}
    for path in of_puzzles(folder, ".npz") if folder.is_dir() else [folder.with_suffix(".npz")]:
        name = NUMBER.fullmatch(path.stem)
        if name is not None:
            found.setdefault(int(name[1]), []).append(path)
    structure = structure_of(arrays.constellation)
    paths = []
    for number in arrays.index.tolist():
        here = found.get(number, [])
        if len(here) > 1:  # constellations count alike
            here = [path for path in here if read_labels(path).structure == structure]
        if len(here) != 1:
            received = f"{len(here)} npz files of puzzle {number} of {arrays.constellation} below {folder}"
            raise SettingsError(
                "read images", received=received, expected="one", hint="name the folder of one data set"
            )
        paths.append(here[0])
    return _filled(list(map(NpzImage, paths)), arrays)
