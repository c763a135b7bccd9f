"""Shards: large sets of puzzles as a few files, labels as arrays, pixels drawn on demand or kept beside them.

``FOLDER/<constellation>/00000.npz`` holds the labels of up to a thousand consecutive puzzles (2 kB each instead of
411 kB), ``00000.images.npy`` their pixels where they were asked for, and ``FOLDER/manifest.json`` every file's hash.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vsa.errors import CorruptFileError, SettingsError, UnknownNameError, VSAError

from ..arrays import PuzzleArrays
from ..constellations import CONSTELLATIONS, resolve_constellation
from ..data_sets import known_names
from ..pixels.drawing import IMAGE_SIZE
from ..pixels.render import render
from ..streams import Stream
from .cache import FORMAT, pack, unpack
from .form import clipped
from .npz import PANELS
from .raven import write_whole

__all__ = ["SHARD_PUZZLES", "Shards", "is_shards", "read_manifest", "write_shard"]

SHARD_PUZZLES = 1000
MANIFEST = "manifest.json"
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
        write_whole(folder / name, data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _npy_header(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(pixels))
    return buffer.getvalue()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder that ``python -m datasets.generate`` made.

    Args:
        folder: the folder.

    Returns:
        Its form, settings and units.

    Raises:
        CorruptFileError: it is no manifest of ours, or damaged.
        VSAError: there is none.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise VSAError(f"read {folder}", received=f"no {MANIFEST}", expected="a folder of shards") from None
    except OSError as error:
        raise VSAError(f"read {path}", received=error.strerror, expected="a file that may be read") from error
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"read {path}", received=f"no JSON ({error})", expected="a manifest") from None
    wanted = {"format": int, "form": str, "settings": dict, "units": dict}
    for key, kind in wanted.items():
        if not isinstance(manifest, dict) or not isinstance(manifest.get(key), kind):
            raise CorruptFileError(f"read {path}, {key}", received="no such entry", expected=f"a {kind.__name__}")
    if manifest["format"] != FORMAT:
        raise CorruptFileError(
            f"read {path}, format", received=manifest["format"], expected=FORMAT, hint="make the puzzles again"
        )
    return manifest


def is_shards(folder: Path) -> bool:
    """Whether a folder holds shards.

    Args:
        folder: any.

    Returns:
        True where a manifest says so.
    """
    try:
        return bool(read_manifest(folder)["form"] == "shards")
    except VSAError:
        return False


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
        self._settings = manifest["settings"]
        if self._settings.get("dataset") not in known_names():
            self._refuse(MANIFEST, f"dataset {self._settings.get('dataset')!r}", ", ".join(known_names()))
        self._files: dict[str, dict[str, dict[str, str]]] = {}
        for name, unit in sorted(manifest["units"].items()):
            constellation, _, number = name.partition("/")
            files: Any = unit.get("files") if isinstance(unit, dict) else None
            if constellation not in CONSTELLATIONS or not _NAME.fullmatch(number) or not self._are_files(files):
                self._refuse(f"{MANIFEST}, unit {name[:60]!r}", "no shard", "<constellation>/<number> with its files")
            self._files.setdefault(constellation, {})[number] = files
        self._arrays: dict[str, PuzzleArrays] = {}
        self._pixels: dict[str, list[Pixels]] = {}

    @staticmethod
    def _are_files(files: object) -> bool:
        return isinstance(files, dict) and all(isinstance(digest, str) for digest in files.values())

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
        again = "make it again: python -m datasets.generate with the same settings goes on where files are missing"
        if digest is None:
            self._refuse(field, "no hash in the manifest", "one", again)
        try:
            with open(path, "rb") as file:
                found = hashlib.sha256()
                while block := file.read(1 << 20):
                    found.update(block)
        except OSError as error:
            self._refuse(field, error.strerror or repr(error), "the file that the manifest names", again)
        if found.hexdigest() != digest:
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
            parts = [
                self._labels(name, self._path(name, f"{number}.npz", files.get(f"{number}.npz")))
                for number, files in self._files[name].items()
            ]
            self._arrays[name] = PuzzleArrays.concatenate(parts)
        return self._arrays[name]

    def _labels(self, constellation: str, path: Path) -> PuzzleArrays:
        settings = self._settings
        try:
            return unpack(
                path.read_bytes(),
                settings["dataset"],
                constellation,
                columns=settings.get("columns", 3),
                maxval=settings.get("maxval"),
            ).validate()
        except (VSAError, ValueError, KeyError, TypeError, EOFError, OSError) as error:
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
        kept = self._kept(name)
        if kept is None:
            return render(arrays[chosen])
        starts = np.cumsum([0, *(len(part) for part in kept)])
        out = np.empty((len(chosen), PANELS, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
        places = np.searchsorted(starts, chosen, side="right") - 1
        for k in np.unique(places).tolist():
            here = np.flatnonzero(places == k)
            out[here] = kept[k][chosen[here] - starts[k]]
        return out

    def _kept(self, constellation: str) -> list[Pixels] | None:
        files = self._files[constellation]
        if any(f"{number}.images.npy" not in names for number, names in files.items()):
            return None
        if constellation not in self._pixels:
            parts = []
            for number, names in files.items():
                name = f"{number}.images.npy"
                path = self._path(constellation, name, names[name])
                try:
                    part = np.load(path, mmap_mode="r", allow_pickle=False)
                except (ValueError, EOFError, OSError) as error:
                    self._refuse(f"{constellation}/{name}", str(error), "an array of pixels")
                if part.dtype != np.uint8 or part.shape[1:] != (PANELS, IMAGE_SIZE, IMAGE_SIZE):
                    self._refuse(
                        f"{constellation}/{name}", f"{part.dtype} of shape {part.shape}", "uint8 (N, 16, 160, 160)"
                    )
                parts.append(part)
            if sum(map(len, parts)) != len(self.arrays(constellation)):
                self._refuse(constellation, f"{sum(map(len, parts))} images", f"{len(self.arrays(constellation))}")
            self._pixels[constellation] = parts
        return self._pixels[constellation]

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


def read_shards(folder: str | PathLike[str]) -> Mapping[str, PuzzleArrays]:
    """The labels of all constellations of a folder.

    Args:
        folder: where ``python -m datasets.generate format=shards`` wrote.

    Returns:
        Puzzles by published constellation name.
    """
    shards = Shards(folder)
    return {name: shards.arrays(name) for name in shards.constellations}
