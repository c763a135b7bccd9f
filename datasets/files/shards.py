"""Shards: large sets of puzzles as a few files, labels as arrays, pixels drawn on demand or kept beside them.

``FOLDER/<constellation>/00000.npz`` holds the labels of up to a thousand consecutive puzzles (2 kB each instead of
411 kB), ``00000.images.npy`` their pixels where they were asked for, and ``FOLDER/manifest.json`` every file's hash.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vsa.commands.files import write_whole
from vsa.errors import CorruptFileError, SettingsError, UnknownNameError, VSAError

from ..arrays import PuzzleArrays
from ..constellations import CONSTELLATIONS, resolve_constellation
from ..data_sets import known_names
from ..pixels.render import render
from ..streams import Stream
from .cache import pack, unpack
from .faults import Fault, gathered
from .finding import content
from .form import clipped
from .images import images_of
from .manifest import MANIFEST, command, file_hash, files_of, read_manifest
from .npz import IMAGE_SHAPE

__all__ = ["SHARD_PUZZLES", "ShardImage", "Shards", "read_shards", "write_shard"]

SHARD_PUZZLES = 1000
_MOST_BYTES = 1 << 30
_NAME = re.compile(r"[0-9]{5,}")

Pixels = NDArray[np.uint8]


def write_shard(arrays: PuzzleArrays, folder: Path, number: int, *, images: bool) -> dict[str, str]:
    """Writes one shard.

    Args:
        arrays: its puzzles.
        folder: of the constellation; made if need be.
        number: of the shard.
        images: whether the pixels are kept too (410 kB for each puzzle).

    Returns:
        SHA-256 by file name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{number:05d}.npz": pack(arrays)}
    if images:
        pixels = render(arrays)
        header = _npy_header(pixels)
        files[f"{number:05d}.images.npy"] = header + pixels.tobytes()
    for name, data in files.items():
        write_whole(folder / name, data, durable=False)
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _npy_header(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(pixels))
    return buffer.getvalue()


@functools.lru_cache(maxsize=64)
def _pixels_in(path: Path, digest: str, changed: int) -> Pixels:
    """The pixels of a shard, its hash compared; ``changed`` is the file's time, so that a changed one is read anew."""
    if file_hash(path) != digest:
        raise ValueError("other bytes than the manifest's hash says")
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != IMAGE_SHAPE:
        raise ValueError(f"{pixels.dtype} of shape {pixels.shape}")
    return np.asarray(pixels)


@dataclass(frozen=True)
class ShardImage:
    """Pixels of one puzzle in a shard.

    Args:
        path: the file.
        digest: its SHA-256.
        row: which puzzle.
        again: the command that makes the file again.
    """

    path: Path
    digest: str
    row: int
    again: str

    @property
    def held(self) -> bool:
        """There is no object for a shard without pixels."""
        return True

    def fill(self, out: Pixels, target: int, matrix: NDArray[Any], structure: tuple[str, ...]) -> None:
        """As :meth:`datasets.files.images.Image.fill`.

        Args:
            out: where to.
            target: not looked at: the hash says that the file belongs to its labels.
            matrix: likewise.
            structure: likewise.

        Raises:
            CorruptFileError: the file is damaged or gone.
        """
        try:
            out[:] = _pixels_in(self.path, self.digest, self.path.stat().st_mtime_ns)[self.row]
        except (ValueError, IndexError, EOFError, OSError) as error:
            received = error.received if isinstance(error, VSAError) else getattr(error, "strerror", None) or error
            expected, hint = "uint8 (N, 16, 160, 160) as it was written", f"make it again: {self.again}"
            raise CorruptFileError(
                f"read {self.path}", received=clipped(received), expected=expected, hint=hint
            ) from None


class Shards:
    """A folder of shards, opened for reading; every file's hash is compared when it is first used.

    Args:
        folder: where ``python -m datasets.generate format=shards`` wrote.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        if manifest["form"] != "shards":
            raise VSAError(
                f"read {self.folder}",
                received=f"puzzles in the form {manifest['form']!r}",
                expected="shards",
                hint="datasets.read(folder) reads the others",
            )
        self._manifest, self._settings = manifest, manifest["settings"]
        if self._settings.get("dataset") not in known_names():
            self._refuse(MANIFEST, f"dataset {self._settings.get('dataset')!r}", ", ".join(known_names()))
        self._files: dict[str, dict[str, dict[str, str]]] = {}
        for name, unit in sorted(manifest["units"].items()):
            constellation, _, number = name.partition("/")
            files_of("shards", name, unit)
            if not _NAME.fullmatch(number):
                self._refuse(f"{MANIFEST}, unit {name[:60]!r}", "no shard", "<constellation>/<number> with its files")
            self._files.setdefault(constellation, {})[number] = unit["files"]
        self._arrays: dict[str, PuzzleArrays] = {}

    def _refuse(self, field: str, received: object, expected: object, hint: str = "") -> NoReturn:
        raise CorruptFileError(f"read {self.folder}, {field}", received=clipped(received), expected=expected, hint=hint)

    @property
    def constellations(self) -> tuple[str, ...]:
        """Published names of what the folder holds."""
        return tuple(name for name in CONSTELLATIONS if name in self._files)

    def _resolve(self, constellation: str) -> str:
        name = resolve_constellation(constellation)
        if name not in self._files:
            raise UnknownNameError(
                f"read {self.folder}", name=constellation, known=self.constellations, kind="constellation"
            )
        return name

    def _path(self, constellation: str, name: str, digest: str | None) -> Path:
        """A file of the folder, its hash compared."""
        path = self.folder / constellation / name
        field = f"{constellation}/{name}"
        again = f"make it again: {command(self.folder, self._manifest)}"
        if digest is None:
            self._refuse(field, "no hash in the manifest", "one", again)
        try:
            found = file_hash(path)
        except VSAError as error:
            self._refuse(field, error.received, "the file that the manifest names", again)
        if found != digest:
            self._refuse(field, "other bytes than the manifest's hash says", "the file as it was written", again)
        return path

    def arrays(self, constellation: str) -> PuzzleArrays:
        """The labels of a constellation's puzzles.

        Args:
            constellation: published or short name.

        Returns:
            The puzzles in the order of their numbers.

        Raises:
            CorruptFileError: a shard is missing or damaged.
        """
        name = self._resolve(constellation)
        if name not in self._arrays:
            self._arrays[name] = PuzzleArrays.concatenate(self.parts(name))
        return self._arrays[name]

    def parts(self, constellation: str, faults: list[Fault] | None = None) -> list[PuzzleArrays]:
        """The labels of a constellation's puzzles, shard by shard.

        Args:
            constellation: published name of one that the folder holds.
            faults: gathers what is wrong with single shards, which are left out then; None: the first is raised.

        Returns:
            A part for each shard.

        Raises:
            CorruptFileError: a shard is missing or damaged.
        """
        parts = []
        for number, files in self._files[constellation].items():
            file = f"{number}.npz"
            with gathered(faults, self.folder / constellation / file):
                part = self._labels(constellation, self._path(constellation, file, files.get(file)))
                parts.append(self._with_pixels(part, constellation, number))
        return parts

    def _with_pixels(self, part: PuzzleArrays, constellation: str, number: str) -> PuzzleArrays:
        file = f"{number}.images.npy"
        digest = self._files[constellation][number].get(file)
        if digest is None:
            return part
        path, again = self.folder / constellation / file, command(self.folder, self._manifest)
        pixels = np.empty(len(part), dtype=object)
        pixels[:] = [ShardImage(path, digest, row, again) for row in range(len(part))]
        return replace(part, pixels=pixels)

    def _labels(self, constellation: str, path: Path) -> PuzzleArrays:
        settings = self._settings
        try:
            return unpack(
                content(path, _MOST_BYTES, "labels of puzzles"),
                settings["dataset"],
                constellation,
                columns=settings.get("columns", 3),
                maxval=settings.get("maxval"),
            ).validate()
        except (ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
            self._refuse(f"{constellation}/{path.name}", f"{type(error).__name__}: {error}", "labels of puzzles")

    def images(self, constellation: str, rows: NDArray[np.int64] | slice | None = None) -> Pixels:
        """Pixels: from the shards where they keep them, else drawn.

        Args:
            constellation: published or short name.
            rows: which puzzles, by place; None for all.

        Returns:
            uint8 (N, 16, 160, 160).

        Raises:
            CorruptFileError: a shard is missing or damaged.
        """
        name = self._resolve(constellation)
        arrays = self.arrays(name)
        chosen = np.arange(len(arrays))[slice(None) if rows is None else rows]
        return images_of(arrays[chosen])

    def batches(
        self, constellation: str, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0
    ) -> Iterator[tuple[PuzzleArrays, Pixels]]:
        """The batches of one epoch, labels and pixels, ready to be moved to a GPU.

        Args:
            constellation: published or short name.
            batch_size: B.
            shuffle: whether the order is drawn anew for each epoch, as :meth:`PuzzleDataset.order` does.
            seed: the run's seed.
            epoch: counted from 0.

        Yields:
            B puzzles and their pixels, uint8 (B, 16, 160, 160), contiguous.

        Raises:
            SettingsError: a batch size that makes no sense.
        """
        if batch_size < 1:
            raise SettingsError("batches", received=f"batch_size = {batch_size}", expected="at least 1")
        arrays = self.arrays(constellation)
        places = np.arange(len(arrays))
        if shuffle:
            places = np.argsort(Stream(seed, ("shuffle", epoch), places).bits(), kind="stable")
        for start in range(0, len(arrays), batch_size):
            rows = places[start : start + batch_size]
            yield arrays[rows], self.images(constellation, rows)


def read_shards(folder: str | PathLike[str], faults: list[Fault] | None = None) -> dict[str, PuzzleArrays]:
    """The labels of all constellations of a folder.

    Args:
        folder: where ``python -m datasets.generate format=shards`` wrote.
        faults: gathers what is wrong with single shards, which are left out then; None: the first is raised.

    Returns:
        Puzzles by published constellation name.
    """
    shards = Shards(folder)
    found = {name: shards.parts(name, faults) for name in shards.constellations}
    return {name: PuzzleArrays.concatenate(parts) for name, parts in found.items() if parts}
