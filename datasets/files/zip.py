"""Members of an npz and the arrays in them, read without trust and without copies.

What a directory entry or a header claims is compared before memory is taken; nothing is unpickled.
"""

from __future__ import annotations

import ast
import functools
import io
import math
import re
import zipfile
import zlib
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Members", "plain_array"]

_LOCAL_HEADER = 30
_END, _END_HEADER = b"PK\x05\x06", 22
_LONGEST_COMMENT = 1 << 16
_MOST_DIRECTORY = 1 << 16  # bytes that say what is inside: ours has 9 members, a shard about a hundred
_ENCRYPTED = 0x1

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1024
_PLAIN = re.compile(r"[<>|=]?[biufSU][0-9]{1,4}|\|?\?")


class Members:
    """The members of a zip file that is open.

    A stored member, which the published files have, is read in one piece and its checksum compared; any other goes
    through :mod:`zipfile`, which does both by small blocks and takes three times as long, and no further than the size
    that the directory claims.

    Args:
        file: a file open for reading; closed by the caller.
        most: bytes that the file may have.

    Raises:
        zipfile.BadZipFile: it is no zip file, too large, or has a member twice.
    """

    def __init__(self, file: io.BufferedReader | io.BytesIO, most: int) -> None:
        self._file = file
        size = file.seek(0, io.SEEK_END)
        if size > most:
            raise zipfile.BadZipFile(f"{size} bytes, more than {most}")
        self.bytes = size
        file.seek(max(size - _END_HEADER, 0))
        end = file.read()
        if not end.startswith(_END):  # a comment follows, or it is no zip file
            file.seek(max(size - _END_HEADER - _LONGEST_COMMENT, 0))
            end = file.read()
        at = end.rfind(_END)
        if at >= 0 and int.from_bytes(end[at + 12 : at + 16], "little") > _MOST_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of more than {_MOST_DIRECTORY} bytes")
        self._archive = zipfile.ZipFile(file)
        names = self._archive.namelist()
        self.names = frozenset(names)
        if len(names) != len(self.names):
            raise zipfile.BadZipFile("a member twice")

    def __enter__(self) -> Members:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def size(self, name: str) -> int:
        """How many bytes a member claims to have.

        Args:
            name: of the member.

        Returns:
            The uncompressed size.

        Raises:
            KeyError: there is no such member.
        """
        return self._archive.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        """A member's bytes; ask for its size first.

        Args:
            name: of the member.

        Returns:
            As many as :meth:`size` said.

        Raises:
            KeyError: there is no such member.
            ValueError: its bytes are not those of the checksum.
            zipfile.BadZipFile: it is damaged in another way.
        """
        info = self._archive.getinfo(name)
        if not self._enter(info):
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("a compression that numpy does not write")  # zipfile inflates the others without limit
            with self._archive.open(info) as member:
                return member.read(info.file_size)  # read() would inflate all there is, whatever was claimed
        data = self._file.read(info.file_size)
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise ValueError(f"{len(data)} bytes that don't fit their checksum")
        return data

    def read_into(self, name: str, header: bytes, out: NDArray[Any]) -> bool:
        """Reads a stored member that begins with a known header straight into an array.

        Args:
            name: of the member.
            header: its first bytes.
            out: contiguous, for the bytes after the header.

        Returns:
            False where the member is not stored, or is not the header and as many bytes: read it the other way then.

        Raises:
            KeyError: there is no such member.
            ValueError: its bytes are not those of the checksum.
        """
        info = self._archive.getinfo(name)
        if info.file_size != len(header) + out.nbytes or not self._enter(info):
            return False
        if self._file.read(len(header)) != header:
            return False
        view = out.reshape(-1).view(np.uint8).data
        count = self._file.readinto(view)
        if count != out.nbytes or zlib.crc32(view, zlib.crc32(header)) != info.CRC:
            raise ValueError(f"{len(header) + count} bytes that don't fit their checksum")
        return True

    def _enter(self, info: zipfile.ZipInfo) -> bool:
        """Moves to the first byte of a stored member; False where it is none, or has damage zipfile has words for."""
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            return False
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER)
        length = int.from_bytes(header[26:28], "little")
        if info.flag_bits & _ENCRYPTED or header[:4] != b"PK\x03\x04":
            return False
        if self._file.read(length) != info.orig_filename.encode("ascii", "replace"):
            return False
        self._file.seek(int.from_bytes(header[28:30], "little"), 1)
        return True


def plain_array(data: bytes) -> NDArray[Any]:
    """An array of numbers or text.

    numpy's own reader allocates what a header claims before it looks at how many bytes follow.

    Args:
        data: an npy file of format 1 or 2.

    Returns:
        The array, read-only.

    Raises:
        ValueError: the data is anything else; the message says what.
    """
    if data[:6] != _MAGIC or len(data) < 10:
        raise ValueError("no npy file")
    width = {1: 2, 2: 4}.get(data[6])
    if width is None:
        raise ValueError(f"npy format {data[6]}")
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    if length > _LONGEST_HEADER or start > len(data):
        raise ValueError(f"an npy header of {length} bytes")
    dtype, shape, fortran = _described(data[8 + width : start])
    if any(n > len(data) for n in shape):
        raise ValueError(f"an array of shape {str(shape)[:40]}")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"{len(data) - start} bytes for {dtype} of shape {shape}")
    flat = np.frombuffer(data, dtype=dtype, offset=start, count=math.prod(shape))
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


@functools.lru_cache(maxsize=256)  # the files of a data set have the same few
def _described(text: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Dtype, shape and whether the first axis runs fastest."""
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("an npy header that can't be read") from None
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("an npy header without its three entries")
    descr, shape = header["descr"], header["shape"]
    if descr in ("|O", "O"):
        raise ValueError("pickled objects, which are not loaded")
    if not isinstance(descr, str) or not _PLAIN.fullmatch(descr):
        raise ValueError(f"an array of {str(descr)[:40]!r}")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 8:
        raise ValueError(f"an array of shape {str(shape)[:40]}")
    try:
        return np.dtype(descr), shape, header["fortran_order"] is True
    except TypeError:
        raise ValueError(f"an array of {descr!r}") from None
