"""Which files of a folder are puzzles: what programs and file systems strew about is passed over.

Names that begin with a dot (``._x.xml`` of macOS, ``.ipynb_checkpoints``, what a killed program left) are no puzzles. A
file is known by its number, wherever below the folder it lies.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NoReturn

from vsa.commands.files import read_whole
from vsa.errors import CorruptFileError, SettingsError

__all__ = ["NUMBER", "content", "json_files", "of_puzzles"]

NUMBER = re.compile(r"RAVEN_([0-9]{1,18})_(train|val|test)")


def of_puzzles(folder: Path, suffix: str) -> list[Path]:
    """The files below a folder that end in a suffix.

    Args:
        folder: the top of the tree; links to folders are not followed.
        suffix: ``.xml`` or ``.npz``; of npz only those named as puzzles are.

    Returns:
        The files in order.
    """
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if name.endswith(suffix) and not name.startswith(".")]
    return sorted(path for path in found if suffix != ".npz" or NUMBER.fullmatch(path.stem))


def _refuse(error: OSError) -> NoReturn:
    received = error.strerror or repr(error)
    raise CorruptFileError(f"read {error.filename}", received=received, expected="a folder that may be read") from error


def json_files(folder: Path, *others: str) -> list[Path]:
    """The JSON files in a folder.

    Args:
        folder: where; not below it.
        others: names that are no puzzles.

    Returns:
        The files in order.
    """
    named = (path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    return sorted(path for path in named if path.name not in others)


def content(path: Path, most: int, expected: str) -> bytes:
    """A file's bytes.

    Args:
        path: the file.
        most: bytes that it may have.
        expected: what it should be.

    Returns:
        Its bytes.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is too large, a device, or can't be read.
    """
    try:
        return read_whole(path, most)
    except CorruptFileError as error:
        raise CorruptFileError(error.operation, received=error.received, expected=expected) from None
    except SettingsError:
        raise SettingsError("read puzzles", received=f"{path}, which does not exist", expected=expected) from None
