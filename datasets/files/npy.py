"""Reads an array out of an npz member without trust: no pickles, and no memory before the size is known to be right."""

from __future__ import annotations

import ast
import functools
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["plain_array"]

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1024
_PLAIN = re.compile(r"[<>|=]?[biufSU][0-9]{1,4}|\|?\?")


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
