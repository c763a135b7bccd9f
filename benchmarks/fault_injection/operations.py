"""Counts the file operations of a process below one folder, and disturbs one of them.

Three hooks see them. An audit hook sees what Python itself announces: opening, renaming, removing, linking, making and
removing folders, truncating by path, locking; however it is called, and before it happens. What is not announced is
wrapped in ``os``: ``write``, ``fsync``, ``fdatasync``, ``ftruncate``, ``close``. Files that ``open`` makes write
through a raw file of ours, so that each flush of a buffer is one write. Reads are left alone.

What native code writes by itself is not seen: ``torch.save`` to a path, ``safetensors.save_file``, ``numpy.save`` and
``ndarray.tofile`` to a file, memory maps, Pillow's encoders, child processes. :meth:`Operations.unseen` finds such
files: they are larger than all that was seen to be written to them. A kill is one of the process, not of the machine:
what was written and not flushed to the disk is still there afterwards.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["FAULTS", "Operations"]

FAULTS = ("kill", "full", "broken")  # SIGKILL; ENOSPC from here on; EIO once
_ERRNO = {"full": errno.ENOSPC, "broken": errno.EIO}
_NEEDS_SPACE = ("open", "write", "fsync", "rename", "mkdir", "link", "symlink")
_AUDITED = {  # event -> (operation, how many of its first arguments are paths)
    "os.rename": ("rename", 2),
    "os.remove": ("unlink", 1),
    "os.mkdir": ("mkdir", 1),
    "os.rmdir": ("rmdir", 1),
    "os.link": ("link", 2),
    "os.symlink": ("symlink", 2),
    "os.truncate": ("truncate", 1),
    "fcntl.flock": ("lock", 1),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_RANDOM = re.compile(r"(?<=\.tmp-)[0-9a-f]+(?=-)")


class Operations:
    """File operations of this process below a folder, once :meth:`watch` was called; it cannot be undone.

    Args:
        root: the folder.
        at: the number of the operation that is disturbed, from 1; 0: none.
        fault: one of FAULTS.
        tell: called with each operation, as ``"rename out/run.json"``, before it happens.
    """

    def __init__(self, root: Path, at: int = 0, fault: str = "kill", tell: Callable[[str], None] | None = None) -> None:
        self.root, self.at, self.fault = os.path.realpath(root) + os.sep, at, fault
        self.count = 0
        self._tell = tell or (lambda _: None)
        self._written: Counter[int] = Counter()  # by inode
        self._inside = False  # the hooks' own calls do not count
        self._real = {name: getattr(os, name) for name in ("write", "fsync", "fdatasync", "ftruncate", "close")}

    def watch(self) -> None:
        """Begin; what is there already counts as seen."""
        for path in Path(self.root).rglob("*"):
            if path.is_file() and not path.is_symlink():
                self._written[path.stat().st_ino] = path.stat().st_size
        sys.addaudithook(self._audit)
        for name, real in self._real.items():
            setattr(os, name, self._wrapped(name, real))
        io.open = builtins.open = self._open  # type: ignore[assignment]

    def unseen(self, folder: Path) -> list[str]:
        """Files of which not every byte was seen: native code wrote them.

        Args:
            folder: where to look.

        Returns:
            Their paths below it.
        """
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        found = [path for path in files if self._written[path.stat().st_ino] < path.stat().st_size]
        return [str(path.relative_to(folder)) for path in found]

    # -- hooks -------------------------------------------------------------------------------------------------

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._inside:
            return
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, int) and flags & _WRITING:  # an integer: it was opened before
                self._meet("open", path)
        elif event in _AUDITED:
            operation, paths = _AUDITED[event]
            self._meet(operation, *arguments[:paths][::-1])  # the goal of a renaming first

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(handle: Any, *arguments: Any) -> Any:
            operation = {"fdatasync": "fsync", "ftruncate": "truncate"}.get(name, name)
            if name == "write":
                return self._write(handle, arguments[0], lambda data: real(handle, data))
            self._meet(operation, handle, meanwhile=(lambda: real(handle)) if name == "close" else None)
            return real(handle, *arguments)

        return call

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        if not set(mode) & set("wax+"):
            return _open(file, mode, buffering, *rest, **named)
        names = ("encoding", "errors", "newline", "closefd", "opener")
        options = {**dict(zip(names, rest, strict=False)), **named}
        raw = _Raw(
            self, file, mode.replace("b", "").replace("t", ""), options.get("closefd", True), options.get("opener")
        )
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, *(options.get(name) for name in names[:3]), line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text

    # -- the fault ---------------------------------------------------------------------------------------------

    def _write(self, handle: int, data: Any, real: Callable[[Any], int]) -> int:
        """A write is disturbed in its middle."""
        half = memoryview(data).cast("B")[: memoryview(data).nbytes // 2]
        self._meet("write", handle, meanwhile=lambda: real(half))
        written = real(data)
        if self._path(handle) is not None:
            self._written[os.fstat(handle).st_ino] += written
        return written

    def _meet(self, operation: str, *places: Any, meanwhile: Callable[[], Any] | None = None) -> None:
        path = next((found for place in places if (found := self._path(place)) is not None), None)
        if path is None:
            return
        self.count += 1
        again = self.fault == "full" and operation in _NEEDS_SPACE
        hit = self.at and (self.count == self.at or (again and self.count > self.at))
        self._inside = True
        try:
            if self.count == self.at or not self.at:
                self._tell(f"{operation} {_RANDOM.sub('*', path.removeprefix(self.root))}")
            if hit and meanwhile is not None:
                meanwhile()
            if hit and self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            self._inside = False
        if hit:
            number = _ERRNO[self.fault]
            raise OSError(number, os.strerror(number), path)

    def _path(self, place: Any) -> str | None:
        """Where a path or an open file is; None where that is not below the folder."""
        before, self._inside = self._inside, True
        try:
            if isinstance(place, int):
                path = os.readlink(f"/proc/self/fd/{place}")
            else:
                head, tail = os.path.split(os.path.abspath(os.fspath(place)))
                path = os.path.join(os.path.realpath(head), tail)
        except (OSError, TypeError, ValueError):
            return None
        finally:
            self._inside = before
        path = os.fsdecode(path)
        return path if path.startswith(self.root) else None


_open = io.open


class _Raw(io.FileIO):
    """A file whose writes are seen."""

    def __init__(self, seen: Operations, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        super().__init__(file, mode, closefd, opener)
        self._seen = seen

    def write(self, data: Any, /) -> int:
        return self._seen._write(self.fileno(), data, super().write)

    def truncate(self, size: int | None = None, /) -> int:
        self._seen._meet("truncate", self.fileno())
        return super().truncate(size)

    def close(self) -> None:
        if not self.closed and self.closefd and hasattr(self, "_seen"):
            self._seen._meet("close", self.fileno(), meanwhile=super().close)
        super().close()
