"""The npz half of the published form: images, target and what the generator noted about rules and structure.

A rule that is not one of the published four has no column of its own there: its row says what it governs, no more. The
xml names it.

Members, in the published order: target, predict, image (16, 160, 160), meta_matrix (8, 9), meta_structure (21),
meta_target (9), structure. Nothing is unpickled, whatever a file holds.

Reference:
    Zhang et al. 2019 (RAVEN): the members of the released files.
"""

from __future__ import annotations

import functools
import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vsa.commands.files import open_regular
from vsa.errors import CorruptFileError, SettingsError, VSAError

from ..arrays import CANDIDATES, GOVERNED, PuzzleArrays
from ..constellations import CONSTELLATIONS
from ..pixels.drawing import IMAGE_SIZE, WHITE
from ..rules.base import PUBLISHED, rules_named
from ..splits import SPLITS
from .form import clipped
from .zip import Members, plain_array

__all__ = [
    *("IMAGE_SHAPE", "META_STRUCTURE", "MOST_BYTES", "PANELS", "Labels", "NpzPuzzle", "check_labels", "file_stem"),
    *("image_header", "meta_matrices", "npy_bytes", "read_image", "read_into", "read_labels", "read_npz"),
    "structure_of",
]

PANELS = 16
META_RULES = (*PUBLISHED, "Number", "Position", "Type", "Size", "Color")
META_STRUCTURE = (
    *("Singleton", "Left_Right", "Up_Down", "Out_In"),
    *("Left", "Right", "Up", "Down", "Out", "In", "Grid"),
    *("Center_Single", "Distribute_Four", "Distribute_Nine", "Left_Center_Single", "Right_Center_Single"),
    *("Up_Center_Single", "Down_Center_Single", "Out_Center_Single", "In_Center_Single", "In_Distribute_Four"),
)
IMAGE_SHAPE = (PANELS, IMAGE_SIZE, IMAGE_SIZE)
MOST_BYTES = 1 << 23
_MOST_OF = {"image": 1 << 22}  # a member that claims more than this is not what it should be
_FEW_BYTES = 1 << 14
_NOTES = ("target", "predict", "meta_matrix", "meta_target", "structure", "meta_structure")
_ENDS = (slice(None), slice(None, None, IMAGE_SIZE - 1), slice(None, None, IMAGE_SIZE - 1))  # the corners of a panel

Array = NDArray[Any]


@dataclass(frozen=True)
class NpzPuzzle:
    """What one npz holds.

    Args:
        image: uint8 (16, 160, 160), None where the file has none.
        target: which candidate is right, 0-7.
        predict: what the generator's own rule-checking solver answered.
        meta_matrix: uint8 (8, 9), a row per rule: which of META_RULES it is and what it governs.
        meta_target: uint8 (9,), the rows or-ed.
        structure: the panel's tree as tokens.
        meta_structure: uint8 (21,), which of META_STRUCTURE occur in it.
    """

    image: NDArray[np.uint8] | None
    target: int
    predict: int
    meta_matrix: Array
    meta_target: Array
    structure: tuple[str, ...]
    meta_structure: Array


@dataclass(frozen=True)
class Labels:
    """What one npz says beside its image, as far as the xml says it too.

    Args:
        target: which candidate is right, 0-7.
        matrix: uint8 (8, 9) as ``meta_matrix``; None where it is left out.
        structure: the panel's tree as tokens; None where it is left out.
        image: whether there is an image.
    """

    target: int
    matrix: Array | None
    structure: tuple[str, ...] | None
    image: bool


def file_stem(index: int) -> str:
    """The published name of a puzzle's two files.

    Args:
        index: its number.

    Returns:
        Such as ``RAVEN_12_train``.
    """
    split = next(name for name, digits in SPLITS.items() if index % 10 in digits)
    return f"RAVEN_{index}_{split}"


def structure_of(constellation: str) -> tuple[str, ...]:
    """The tokens of a panel's tree; a slash closes a node.

    Args:
        constellation: published name.

    Returns:
        8 or 12 tokens.
    """
    known = CONSTELLATIONS[constellation]
    tokens = ["Scene", known.structure]
    for component in known.components:
        tokens += [component.name, component.layout, "/", "/"]
    return (*tokens, "/", "/")


_STRUCTURES = frozenset(structure_of(name) for name in CONSTELLATIONS)


def meta_matrices(arrays: PuzzleArrays) -> Array:
    """The rules as the npz has them.

    Args:
        arrays: N puzzles.

    Returns:
        uint8 (N, 8, 9), a row for each rule of each component, the rest zero.
    """
    n = len(arrays)
    matrix = np.zeros((n, 8, len(META_RULES)), dtype=np.uint8)
    published = rules_named(PUBLISHED)
    for c, component in enumerate(arrays.components):
        for k in range(component.rules.shape[1]):
            for column, rule in enumerate(published):
                matrix[component.rules[:, k] == rule.code, 4 * c + k, column] = 1
            if k:
                matrix[:, 4 * c + k, 5 + k] = 1
        for name, columns in (("Number/Position", (4, 5)), ("Number", (4,)), ("Position", (5,))):
            for column in columns:
                matrix[component.governed == GOVERNED.index(name), 4 * c, column] = 1
    return matrix


@functools.cache
def image_header() -> bytes:
    """The bytes with which the member ``image`` begins.

    Returns:
        An npy header.
    """
    return npy_bytes(np.empty(IMAGE_SHAPE, dtype=np.uint8))[: -math.prod(IMAGE_SHAPE)]


def npy_bytes(array: Array) -> bytes:
    """An array as an npy file.

    Args:
        array: of numbers or text.

    Returns:
        The file.
    """
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_npz(path: str | PathLike[str], *, image: bool = True) -> NpzPuzzle:
    """Reads one npz of the published form, written by Python 2 or 3.

    Args:
        path: the file.
        image: whether the image is read and checked.

    Returns:
        Its members, checked.

    Raises:
        CorruptFileError: the file is damaged, holds pickles, or a member has another shape, dtype, range, axis order or
            polarity than published; the sentence names the member.
        VSAError: the file can't be read.
    """
    return read_into(Path(path), np.empty(IMAGE_SHAPE, dtype=np.uint8) if image else None)


def read_image(path: Path) -> Array:
    """Reads the member ``image`` of an npz, whatever it is, and nothing else: no label is looked at.

    Args:
        path: the file.

    Returns:
        The array as it is stored; errors are those of :func:`read_npz`.
    """
    with _opened(path) as archive:
        image = _found(archive, path, "image")
    if image is None:
        _refuse(path, "image", "no such member", f"uint8 of shape {IMAGE_SHAPE}")
    return image


def read_labels(path: Path) -> Labels:
    """Reads what an npz shares with its xml; the image is passed over.

    Args:
        path: the file.

    Returns:
        Its labels, checked each by itself.

    Raises:
        CorruptFileError: the file is damaged, or a member is.
        SettingsError: there is no such file.
    """
    with _opened(path) as archive:
        image = "image.npy" in archive.names
        target = _number(path, "target", _found(archive, path, "target"))
        matrix, structure = _found(archive, path, "meta_matrix"), _found(archive, path, "structure")
    return Labels(
        target,
        None if matrix is None else _bits(path, "meta_matrix", matrix, (8, len(META_RULES))),
        None if structure is None else _tokens(path, structure),
        image,
    )


def read_into(path: Path, out: NDArray[np.uint8] | None) -> NpzPuzzle:
    """Reads one npz, its image into an array.

    Args:
        path: the file.
        out: uint8 (16, 160, 160), or None to leave the image out.

    Returns:
        Its members, checked.
    """
    with _opened(path) as archive:
        members = {name: _found(archive, path, name) for name in _NOTES}
        image = None if out is None else _found(archive, path, "image", out)
    puzzle = _checked(path, members, out)
    if out is not None:
        checked = _check_image(path, image)
        if checked is not out:
            out[:] = checked
    return puzzle


@contextmanager
def _opened(path: Path) -> Iterator[Members]:
    """The members of a file; a sentence for whatever is no npz."""
    try:
        with open_regular(path) as file, Members(file, MOST_BYTES) as archive:
            yield archive
    except SettingsError:
        expected = "an npz of a puzzle"
        raise SettingsError("read images", received=f"{path}, which does not exist", expected=expected) from None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, VSAError):
            raise
        received = clipped(error) or type(error).__name__
        raise CorruptFileError(f"read {path}", received=received, expected="a whole npz") from None
    except OSError as error:
        raise CorruptFileError(
            f"read {path}", received=error.strerror or repr(error), expected="a file that may be read"
        ) from error


def _found(archive: Members, path: Path, name: str, out: NDArray[np.uint8] | None = None) -> Array | None:
    if f"{name}.npy" not in archive.names:
        return None
    size, most = archive.size(f"{name}.npy"), _MOST_OF.get(name, _FEW_BYTES)
    if size > most:
        _refuse(path, name, f"{size} bytes", f"at most {most}")
    try:
        if out is not None and archive.read_into(f"{name}.npy", image_header(), out):
            return out
        return plain_array(archive.read(f"{name}.npy"))
    except (ValueError, zlib.error, zipfile.BadZipFile) as error:
        _refuse(path, name, error, "a plain array")


def _refuse(path: Path, member: str, received: object, expected: object, hint: str = "") -> NoReturn:
    raise CorruptFileError(f"read {path}, {member}", received=clipped(received), expected=expected, hint=hint)


def _checked(path: Path, members: dict[str, Array | None], image: NDArray[np.uint8] | None) -> NpzPuzzle:
    numbers = {name: _number(path, name, members[name]) for name in ("target", "predict")}
    shapes = {"meta_matrix": (8, len(META_RULES)), "meta_target": (len(META_RULES),)}
    shapes["meta_structure"] = (len(META_STRUCTURE),)
    bits = {name: _bits(path, name, members[name], shape) for name, shape in shapes.items()}
    if (np.bitwise_or.reduce(bits["meta_matrix"]) != bits["meta_target"]).any():
        _refuse(path, "meta_target", bits["meta_target"].tolist(), "the rows of meta_matrix, or-ed")
    structure = _tokens(path, members["structure"])
    if [name in structure for name in META_STRUCTURE] != bits["meta_structure"].astype(bool).tolist():
        _refuse(path, "meta_structure", bits["meta_structure"].tolist(), "the nodes that structure names")
    return NpzPuzzle(image, numbers["target"], numbers["predict"], **bits, structure=structure)


def _number(path: Path, name: str, number: Array | None) -> int:
    if number is None:
        _refuse(path, name, "no such member", "one number")
    if number.size != 1 or number.dtype.kind not in "iu" or not 0 <= int(number.reshape(())) < CANDIDATES:
        _refuse(path, name, _described(number), f"0 to {CANDIDATES - 1}")
    return int(number.reshape(()))


def _bits(path: Path, name: str, array: Array | None, shape: tuple[int, ...]) -> Array:
    plain = array is not None and array.shape == shape and array.dtype.kind in "biu"
    if array is None or not plain or (array.astype(bool) != array).any():
        _refuse(path, name, _described(array), f"zeros and ones of shape {shape}")
    return array


def _tokens(path: Path, array: Array | None) -> tuple[str, ...]:
    if array is None or array.dtype.kind not in "SU" or array.ndim != 1:
        _refuse(path, "structure", _described(array), "bytes or text of shape (8,) or (12,)")
    try:
        tokens = tuple(token.decode("ascii") if isinstance(token, bytes) else str(token) for token in array.tolist())
    except UnicodeDecodeError:
        _refuse(path, "structure", "bytes that are no text", "names of nodes")
    if tokens not in _STRUCTURES:
        _refuse(path, "structure", " ".join(tokens)[:80], "the tree of one of the seven constellations")
    return tokens


def _check_image(path: Path, image: Array | None) -> Array:
    expected = f"uint8 of shape {IMAGE_SHAPE}"
    if image is None:
        _refuse(path, "image", "no such member", expected, "the file was made without images: draw them")
    if image.shape != IMAGE_SHAPE or image.dtype != np.uint8:
        _refuse(path, "image", _described(image), expected, _remedy(image))
    corners = image[_ENDS]
    if (corners != WHITE).any():
        inverted = not corners.any()
        received = "a black background" if inverted else f"a corner of grey level {corners[corners != WHITE][0]}"
        _refuse(path, "image", received, f"white corners ({WHITE})", "invert it: 255 - image" if inverted else "")
    blank = np.flatnonzero(image.reshape(PANELS, -1).min(axis=1) == WHITE)
    if len(blank):
        _refuse(path, "image", f"panel {blank[0]}, which is blank", "an entity in every panel", "copy or make it again")
    return image


def _remedy(image: Array) -> str:
    """What makes an image of another shape or kind the published one."""
    if image.shape != IMAGE_SHAPE:
        return "move the panels to the first axis" if sorted(image.shape) == sorted(IMAGE_SHAPE) else ""
    if image.dtype.kind not in "biuf":
        return ""
    top = float(np.nan_to_num(image.max()))
    if image.dtype.kind == "f" and top > WHITE:
        return ""
    if top <= 1:
        return "scale it: numpy.uint8(numpy.round(255.0 * image))"
    return "convert it: image.astype(numpy.uint8)" if top <= WHITE else "scale it: numpy.uint8(image // 257)"


def _described(array: Array | None) -> str:
    if array is None:
        return "no such member"
    return str(array.reshape(-1)[0])[:60] if array.size == 1 else f"{array.dtype} of shape {array.shape}"


def check_labels(path: Path, labels: Labels, target: int, matrix: Array, structure: tuple[str, ...]) -> None:
    """Refuses an npz that is not of the puzzle at hand.

    Args:
        path: the npz.
        labels: what it says.
        target: of the puzzle.
        matrix: of the puzzle, as :func:`meta_matrices` gives it.
        structure: of the puzzle.

    Raises:
        CorruptFileError: they differ.
    """
    hint = "the two files are of different puzzles: copy or make them again"
    if labels.structure not in (None, structure):
        _refuse(path, "structure", " ".join(labels.structure or ()), f"{' '.join(structure)}, as in the xml", hint)
    if labels.target != target:
        _refuse(path, "target", labels.target, f"{target}, as in the puzzle's arrays", hint)
    if labels.matrix is not None and (labels.matrix != matrix).any():
        _refuse(path, "meta_matrix", "other rules than the xml", "the rules of the xml beside it", hint)
