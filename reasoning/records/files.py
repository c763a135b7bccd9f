"""Files that survive a kill at any moment: written under a temporary name, flushed to the disk, renamed."""

from __future__ import annotations

import os
from pathlib import Path

from vsa.errors import VSAError

__all__ = ["TEMPORARY", "RunWriteError", "write_atomically"]

TEMPORARY = ".partial"  # ending of a file that is being written


class RunWriteError(VSAError, OSError):
    """A file of a run could not be written (full disk, quota, permissions)."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or the next start after a kill, sees the old content or the new, never a part.

    Args:
        path: where to; its folder exists.
        content: the bytes.

    Raises:
        RunWriteError: the disk is full, or the folder cannot be written to; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunWriteError(
            f"write {path}",
            received=f"the system's refusal: {error.strerror or error}",
            hint="nothing that was there before is lost; make room or choose another folder, then go on with resume=",
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where folders can be opened (not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
