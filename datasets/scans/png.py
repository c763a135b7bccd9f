"""PNG files of any kind as grey pixels: RGB, RGBA, grey, palette, 1 to 16 bits."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.commands.files import read_whole
from vsa.errors import CorruptFileError, SettingsError

from ..pixels.drawing import WHITE, opencv

__all__ = ["Picture", "read_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 1 << 26  # 8192 x 8192: far more than a sheet needs, little enough for the memory
_CHUNK = 12  # bytes of a chunk beside its data: length, kind, checksum


@dataclass(frozen=True)
class Picture:
    """What a picture shows.

    Args:
        grey: uint8 (height, width), 255 is white.
        chroma: uint8 (height, width), by how much the three colors differ; 0 is grey.
    """

    grey: NDArray[np.uint8]
    chroma: NDArray[np.uint8]


def read_png(path: Path) -> Picture:
    """Reads a PNG file; what is transparent is white.

    Args:
        path: the file.

    Returns:
        The picture.

    Raises:
        SettingsError: there is no such file, or it is no PNG, or too large.
        CorruptFileError: it is damaged, or cannot be read.
        VSAError: OpenCV is not installed.
    """
    content = read_whole(path)
    if not content.startswith(_SIGNATURE):
        raise SettingsError(f"read {path}", received="no PNG", expected="an npz or PNG files", hint="save it as PNG")
    width, height = _size(path, content)
    if not 0 < width * height <= _MOST_PIXELS:
        raise SettingsError(
            f"read {path}", received=f"{width} x {height} pixels", expected=f"1 to {_MOST_PIXELS:,} in all"
        )
    cv2 = opencv()
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape[:2] != (height, width):
        raise CorruptFileError(f"read {path}", received="a PNG that cannot be decoded", expected="a whole one")
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257.0).astype(np.uint8)  # 65535 / 255
    if pixels.ndim == 2:
        return Picture(pixels, np.zeros_like(pixels))
    if pixels.shape[2] == 4:
        opaque = pixels[..., 3:].astype(np.float32) / WHITE
        pixels = np.rint(pixels[..., :3] * opaque + WHITE * (1 - opaque)).astype(np.uint8)
    chroma = pixels.max(-1) - pixels.min(-1)
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGR2GRAY))
    return Picture(grey, chroma)


def _size(path: Path, content: bytes) -> tuple[int, int]:
    """Width and height, after looking whether all chunks are there: a decoder may pass over an end that is missing."""
    kinds: list[bytes] = []
    place, view = len(_SIGNATURE), memoryview(content)
    while place + _CHUNK <= len(content) and kinds[-1:] != [b"IEND"]:
        length = int.from_bytes(view[place : place + 4], "big")
        body = view[place + 4 : place + 8 + length]
        stored = view[place + 8 + length : place + _CHUNK + length]
        if len(stored) < 4 or zlib.crc32(body) != int.from_bytes(stored, "big"):
            break
        kinds.append(bytes(body[:4]))
        place += _CHUNK + length
    if kinds[:1] != [b"IHDR"] or kinds[-1] != b"IEND" or b"IDAT" not in kinds:
        raise CorruptFileError(
            f"read {path}", received="a PNG with damaged or missing parts", expected="a whole one", hint="copy it again"
        )
    width, height = struct.unpack(">II", content[16:24])
    return width, height
