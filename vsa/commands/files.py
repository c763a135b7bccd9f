"""Files that survive a kill at any moment, written by one program at a time, read with limits.

A file is written under a random name beside its own, flushed to the disk and renamed, so that a reader sees the old
content or the new. Links are not followed where something is written. What a killed program leaves behind are strays:
the next program that has the folder to itself sweeps them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import CorruptFileError, SettingsError, VSAError

__all__ = [
    "LOCK",
    "WriteError",
    "alone",
    "checksum",
    "is_stray",
    "json_of",
    "open_regular",
    "read_json",
    "read_whole",
    "sealed",
    "strays",
    "sweep",
    "taking_apart",
    "unsealed",
    "write_together",
    "write_whole",
]

LOCK = ".lock"
LIMIT = 64 << 20  # bytes of a small file of ours: far more than any has, far less than would hurt
_STRAY = re.compile(r"\.tmp-[0-9a-f]{12}-(.+)", re.DOTALL)
_SEAL = "sha256"
_DEPTH = 64  # of nested JSON
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HASH = re.compile(r"[0-9a-f]{64}")


class WriteError(VSAError, OSError):
    """A file could not be written (full disk, quota, permissions)."""


def write_whole(
    path: Path, content: bytes, hint: str = "nothing that was there before is lost", *, durable: bool = True
) -> None:
    """Write a file so that a reader, or the next start after a kill, sees the old content or the new, never a part.

    Args:
        path: where to; its folder exists. A link there is replaced, not followed.
        content: the bytes.
        hint: what a user can do if the system refuses.
        durable: whether to wait for the disk (3 ms); not for one of thousands of files that a record with their hashes
            vouches for.

    Raises:
        WriteError: the disk is full, or the folder cannot be written to; the old file is intact.
    """
    temporary = path.with_name(f".tmp-{secrets.token_hex(6)}-{path.name}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError):
            raise
        refusal = f"the system's refusal: {error.strerror or error}"
        raise WriteError(f"write {path}", received=refusal, expected="space and permission", hint=hint) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where folders can be opened (not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_stray(name: str) -> bool:
    """Whether a file of this name is what a killed program of ours left behind."""
    return name == LOCK or bool(_STRAY.fullmatch(name))


def strays(folder: Path) -> list[Path]:
    """Unfinished files in a folder (not its lock)."""
    return [path for path in folder.iterdir() if _STRAY.fullmatch(path.name)] if folder.is_dir() else []


def sweep(output: Path) -> None:
    """Remove unfinished files; only for who has the output to himself.

    Args:
        output: a folder, of which what is below it stays; or a file, of which the unfinished ones are its own.
    """
    whole = output.is_dir()
    for path in strays(output if whole else output.parent):
        if whole or _STRAY.sub(r"\1", path.name) == output.name:
            with suppress(OSError):
                path.unlink()


def write_together(out: str, contents: Mapping[Path, bytes | None], *, overwrite: bool) -> None:
    """Write files that belong together: the same command goes on where it was killed, and old never stands beside new.

    Args:
        out: the setting that names them, for messages.
        contents: the files in the order of writing; None: one that must not be there. What holds its content already
            stays.
        overwrite: whether files with other content may be replaced; they are removed first.

    Raises:
        SettingsError: a file holds something else.
        WriteError: a file could not be written.
    """
    for path in contents:
        sweep(path)
    others = [path for path, content in contents.items() if path.exists() and not _holds(path, content)]
    if others and not (overwrite and all(path.is_file() for path in others)):
        raise SettingsError(
            f"out={out}", received=f"{others[0]}, which exists", hint="choose another, or say overwrite=true"
        )
    for path in others:
        path.unlink()
    for path, content in contents.items():
        if content is not None and not path.exists():
            write_whole(path, content)


def _holds(path: Path, content: bytes | None) -> bool:
    same = content is not None and path.is_file() and path.stat().st_size == len(content)
    return same and path.read_bytes() == content


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Have an output to oneself: a second program on the same folder or file is refused.

    The lock is the system's, on a file in the folder or beside the file. It goes with the process, however that ends.

    Args:
        path: the output; a folder is one that exists, anything else counts as a file.

    Raises:
        SettingsError: another program holds it.
        WriteError: the lock cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    beside = path / LOCK if path.is_dir() else path.with_name(f".{path.name}{LOCK}")
    try:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        refusal = f"the system's refusal: {error.strerror or error}"
        raise WriteError(f"lock {path}", received=refusal, expected="permission to write there") from error
    with os.fdopen(handle, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not (beside.exists() and os.path.samestat(os.fstat(file.fileno()), beside.stat())):
                raise BlockingIOError  # its holder was just removing it
        except BlockingIOError as error:
            raise SettingsError(
                f"out={path}",
                received="an output that another program is writing to",
                expected="one of its own",
                hint="wait for that program, or choose another out=",
            ) from error
        except OSError:  # a file system without locks
            yield
            return
        try:
            yield
        finally:
            with suppress(OSError):
                beside.unlink()


def read_whole(path: Path, limit: int = LIMIT) -> bytes:
    """Read a file that must be small.

    Args:
        path: where from.
        limit: bytes.

    Returns:
        The content.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is no regular file, too large, or cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            content = file.read(size + 1) if size <= limit else b""  # read(limit) would take that much memory
        except OSError as error:
            refusal = f"the system's refusal: {error.strerror or error}"
            raise CorruptFileError(f"read {path}", received=refusal) from error
    if size > limit or len(content) > limit:
        raise CorruptFileError(f"read {path}", received=f"more than {limit} bytes", expected="a small file")
    return content


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading that is one: a FIFO or a device would hang, or never end.

    Args:
        path: where from.

    Returns:
        The open file.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is no regular file, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise SettingsError(
            f"read {path}", received="no such file", expected="a file that was written before", hint="check the path"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        refusal = f"the system's refusal: {getattr(error, 'strerror', None) or error}"
        raise CorruptFileError(f"read {path}", received=refusal) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CorruptFileError(f"read {path}", received="a folder or a device", expected="a file")
    return os.fdopen(handle, "rb")


def read_json(path: Path, limit: int = LIMIT) -> Any:
    """Read a small JSON file.

    Args:
        path: where from.
        limit: bytes.

    Returns:
        Its content.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is no JSON, nested beyond reason, too large, or has a key twice.
    """
    return json_of(read_whole(path, limit), str(path))


def json_of(content: bytes | str, source: str) -> Any:
    """Parse JSON that a stranger may have written.

    Args:
        content: the text.
        source: where it is from, for messages.

    Returns:
        Nested dicts and lists.

    Raises:
        CorruptFileError: it is no JSON, nested beyond reason, or has a key twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key twice")
        return found

    def refuse(word: str) -> None:
        raise ValueError(f"{word}, which is no JSON")

    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        found = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()  # half a character cannot be shown or written
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:120]
        raise CorruptFileError(f"read {source}", received=f"unreadable content ({reason})") from error
    if isinstance(found, dict | list):
        _refuse_depth(found, source)
    return found


@contextmanager
def taking_apart(source: object, expected: str = "a file as this project writes it", hint: str = "") -> Iterator[None]:
    """Make a sentence of what content of another form does to the code that takes it apart.

    Args:
        source: where the content is from, for messages.
        expected: what would have been right.
        hint: what to do.

    Raises:
        CorruptFileError: something is missing, or of another type than it must be.
    """
    try:
        yield
    except VSAError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        received = f"content of another form ({type(error).__name__}: {str(error)[:120]})"
        raise CorruptFileError(f"read {source}", received=received, expected=expected, hint=hint) from error


def _refuse_depth(found: Any, source: str) -> None:
    level = [found]
    for _ in range(_DEPTH):
        inner = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return
    raise CorruptFileError(f"read {source}", received=f"content nested more than {_DEPTH} deep")


def checksum(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its own checksum: a flipped bit shows.

    Args:
        content: JSON-able, without the key ``sha256``.

    Returns:
        The same with the key ``sha256``.
    """
    bare = json.loads(json.dumps({key: value for key, value in content.items() if key != _SEAL}))  # keys are text now
    return {**bare, _SEAL: checksum(json.dumps(bare, sort_keys=True).encode())}


def unsealed(content: Any, source: str) -> dict[str, Any]:
    """A record whose checksum is right.

    Args:
        content: of :func:`sealed`, read back. One without a checksum, of an earlier version, passes.
        source: where it is from, for messages.

    Returns:
        The record without its checksum.

    Raises:
        CorruptFileError: it is no mapping, or its checksum denies it.
    """
    if not isinstance(content, dict):
        raise CorruptFileError(f"read {source}", received=type(content).__name__, expected="a record")
    bare = {key: value for key, value in content.items() if key != _SEAL}
    # Without its key a hash is one whose key was damaged.
    hashes = [value for value in content.values() if isinstance(value, str) and _HASH.fullmatch(value)]
    if (hashes or _SEAL in content) and sealed(bare)[_SEAL] != content.get(_SEAL):
        raise CorruptFileError(
            f"read {source}", received="content that its checksum denies", hint="restore it from a copy"
        )
    return bare
