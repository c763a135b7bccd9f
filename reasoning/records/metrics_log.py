"""The lines that a training writes as it goes, cut back where it goes on."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from vsa.commands.files import WriteError

__all__ = ["MetricsLog"]

log = logging.getLogger(__name__)


class MetricsLog:
    """``metrics.jsonl``: one JSON object a line, appended; cut back to a checkpoint's point when a run goes on.

    Args:
        path: the file.
        keep_bytes: what is kept of an earlier life of the run; the lines after it are made again.
    """

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        self.path = path
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(path, flags, 0o666), "r+b")
            size = self._file.seek(0, os.SEEK_END)
            self._file.truncate(min(keep_bytes, size))
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            refusal = "a link" if path.is_symlink() else f"the system's refusal: {error.strerror}"
            raise WriteError(f"open {path}", received=refusal) from error
        if size < keep_bytes:
            missing = keep_bytes - size
            log.warning("%s lacks %d of the bytes that it had at the checkpoint: the run goes on", path, missing)

    def write(self, **values: Any) -> None:
        """Append a line."""
        self._guard(lambda: self._file.write((json.dumps(values) + "\n").encode()))

    def sync(self) -> int:
        """Bring all lines to the disk.

        Returns:
            Length of the file in bytes.
        """

        def flush() -> None:
            self._file.flush()
            os.fsync(self._file.fileno())

        self._guard(flush)
        return self._file.tell()

    def close(self) -> None:
        """Flush and close."""
        self._guard(self._file.close)

    def _guard(self, action: Any) -> None:
        try:
            action()
        except OSError as error:
            raise WriteError(
                f"write {self.path}",
                received=f"the system's refusal: {error.strerror or error}",
                hint="the last checkpoint is intact; make room, then go on with resume=",
            ) from error
