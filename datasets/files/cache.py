"""Generated puzzles, kept on disk: made on first use, checked by hash on every later one.

A folder per kind of puzzle and seed holds shards of consecutive puzzle numbers (npz without pickles) and a
``manifest.json`` with their hashes, the settings and the version of the generator. Files appear by atomic renames and
a shard is a function of its settings, so an interruption or a second process can cost time but break nothing: a shard
that the manifest does not vouch for is made again.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import logging
import os
import re
import sys
import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa import seeding
from vsa.commands.files import checksum, read_json, read_whole, sealed, unsealed, write_whole
from vsa.errors import SettingsError, VSAError

from ..arrays import ComponentArrays, PuzzleArrays
from ..constellations import CONSTELLATIONS
from ..data_sets import data_set
from .form import clipped
from .zip import Members, plain_array

__all__ = ["cache_root", "cached", "generator_version"]

log = logging.getLogger(__name__)

FORMAT = 1
SHARD_PUZZLES = 1000
SHARD_VALUES = 4_000_000  # int16 levels in a shard at most, about 8 MB: puzzles with 300 confounders are large
_MOST_BYTES = 1 << 30  # of a shard
_MEMBER = re.compile(
    r"target|index|modified|[01]\.(exists|uniformity|rules|governed|parameters)"
    r"|[01]\.attributes\.(Type|Size|Color|Angle|Confounder[0-9]{1,5})"
)
STALE_SECONDS = 3600.0  # a temporary file older than this was left by a killed process
NOT_THE_GENERATOR = {
    *("loaders.py", "holdout.py", "panels.py", "pmf.py", "puzzle.py", "splits.py"),
    *("check.py", "generate.py", "probe.py"),
}
NOT_THE_ROOMS = ("files", "judging", "pixels")


@dataclass(frozen=True)
class _Kind:
    """What a folder of shards holds."""

    name: str
    constellation: str
    seed: int
    columns: int
    maxval: int | None
    confounders: int
    fingerprint: str = ""  # of rules and makers that are not ours

    @property
    def folder(self) -> str:
        extent = "" if self.maxval is None else f"-n{self.columns}-maxval{self.maxval}-nconf{self.confounders}"
        own = f"-{self.fingerprint}" if self.fingerprint else ""
        return f"{self.name}{own}/{self.constellation}{extent}/seed{self.seed}"

    @property
    def shard_puzzles(self) -> int:
        slots = sum(component.slots for component in CONSTELLATIONS[self.constellation].components)
        values = (self.columns * self.columns + 7) * slots * (4 + self.confounders)
        return max(10, min(SHARD_PUZZLES, SHARD_VALUES // values // 10 * 10))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "constellation": self.constellation,
            "seed": self.seed,
            "columns": self.columns,
            "maxval": self.maxval,
            "confounders": self.confounders,
            "shard_puzzles": self.shard_puzzles,
            **({"fingerprint": self.fingerprint} if self.fingerprint else {}),
        }

    def generate(self, start: int, n: int) -> PuzzleArrays:
        from ..making.generation import generate

        return generate(
            self.name,
            self.constellation,
            n=n,
            seed=self.seed,
            start=start,
            columns=self.columns,
            maxval=self.maxval,
            confounders=self.confounders,
        )


def cache_root(root: str | PathLike[str] | None = None) -> Path:
    """Where generated puzzles are kept.

    Args:
        root: a folder, or None for the environment's RAVEN_CACHE, else the user's cache folder of the platform.

    Returns:
        The folder; it need not exist.
    """
    if root is not None:
        return Path(root)
    if os.environ.get("RAVEN_CACHE"):
        return Path(os.environ["RAVEN_CACHE"]).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "raven-puzzles"


@functools.cache
def generator_version() -> str:
    """The version of the generator: a hash of its source, so that nobody can forget to raise a number.

    Returns:
        12 hexadecimal digits.
    """
    here = Path(__file__).parents[1]
    files = [p for p in here.rglob("*.py") if p.name not in NOT_THE_GENERATOR and p.parent.name not in NOT_THE_ROOMS]
    digest = hashlib.sha256(Path(seeding.__file__).read_bytes())
    for path in sorted(files, key=lambda p: p.relative_to(here).as_posix()):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def cached(
    name: str,
    constellation: str,
    indices: NDArray[np.int64],
    *,
    seed: int = 0,
    columns: int = 3,
    maxval: int | None = None,
    confounders: int = 0,
    root: str | PathLike[str] | None = None,
) -> PuzzleArrays:
    """Generated puzzles by number, from the cache where it has them.

    Args:
        name: a data set that can be generated.
        constellation: published name.
        indices: int64 (N,), the puzzles' numbers.
        seed: of the generator.
        columns: n.
        maxval: value range of I-RAVEN-X, or None.
        confounders: of I-RAVEN-X.
        root: cache folder, see :func:`cache_root`.

    Returns:
        The N puzzles in the order asked for.

    Raises:
        VSAError: the generator refuses the settings. A cache that can't be written is a warning.
    """
    indices = np.asarray(indices, dtype=np.int64)
    if indices.ndim != 1 or not len(indices) or indices.min() < 0:
        raise VSAError(
            "load generated puzzles", received=f"{len(indices)} puzzle numbers", expected="at least one, >= 0"
        )
    fingerprint = data_set(name, "load generated puzzles").fingerprint()
    kind = _Kind(name, constellation, seed, columns, maxval, confounders, fingerprint)
    folder = cache_root(root) / generator_version() / kind.folder
    size = kind.shard_puzzles
    shards = indices // size
    parts, places = [], np.empty(len(indices), dtype=np.int64)
    done = 0
    for shard in np.unique(shards):
        wanted = np.flatnonzero(shards == shard)
        parts.append(_shard(kind, folder, int(shard))[indices[wanted] - shard * size])
        places[wanted] = done + np.arange(len(wanted))
        done += len(wanted)
    joined = PuzzleArrays.concatenate(parts) if len(parts) > 1 else parts[0]
    return joined if (places[1:] > places[:-1]).all() else joined[places]


def _shard(kind: _Kind, folder: Path, number: int) -> PuzzleArrays:
    """One shard, from disk if it is there and whole."""
    path = folder / f"{number:05d}.npz"
    entry = _manifest(folder, kind)["shards"].get(path.name)
    if entry is not None:
        try:
            data = read_whole(path, _MOST_BYTES)
        except VSAError as error:
            log.warning("cached puzzles %s can't be read (%s): made again", path, error.received)
        else:
            if checksum(data) == entry:
                return unpack(data, kind.name, kind.constellation, columns=kind.columns, maxval=kind.maxval)
            log.warning("cached puzzles %s are damaged (their hash is not the manifest's): made again", path)
    arrays = kind.generate(number * kind.shard_puzzles, kind.shard_puzzles)
    data = pack(arrays)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        write_whole(path, data, durable=False)
        manifest = _manifest(folder, kind)  # read again: another process may have added shards
        manifest["shards"][path.name] = checksum(data)
        manifest["shards"] = dict(sorted(manifest["shards"].items()))
        write_whole(folder / "manifest.json", (json.dumps(sealed(manifest), indent=1) + "\n").encode(), durable=False)
    except OSError as error:
        _warn_once(folder, error)
    return arrays


_WARNED: set[Path] = set()


def _warn_once(folder: Path, error: OSError) -> None:
    """A cache that can't be written costs time, nothing else; a process says so once."""
    root = folder.parents[3]
    if root not in _WARNED:
        _WARNED.add(root)
        refusal = error.__cause__ if isinstance(error.__cause__, OSError) else error
        log.warning(
            "cached puzzles can't be written to %s (%s): they are made anew each time; free some space, or name "
            "another folder by cache_dir or RAVEN_CACHE",
            root,
            refusal.strerror or repr(refusal),
        )


def _manifest(folder: Path, kind: _Kind) -> dict[str, Any]:
    """The manifest of a folder; an empty one where there is none that fits."""
    empty = {"format": FORMAT, "generator": generator_version(), "settings": kind.settings, "shards": {}}
    path = folder / "manifest.json"
    try:
        manifest = unsealed(read_json(path), str(path))
    except SettingsError:
        return empty  # there is none
    except VSAError:
        if folder.is_dir():
            log.warning("the manifest of %s can't be read: its puzzles are made again", folder)
        return empty
    if any(manifest.get(key) != empty[key] for key in ("format", "generator", "settings")) or not isinstance(
        manifest.get("shards"), dict
    ):
        log.warning("the manifest of %s does not fit the settings: its puzzles are made again", folder)
        return empty
    return manifest


def _sweep(folder: Path) -> None:
    """Removes what killed processes left."""
    for path in folder.glob(".tmp-*"):
        try:
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue  # another process was quicker


def pack(arrays: PuzzleArrays) -> bytes:
    """Labels as an npz; the same puzzles give the same bytes.

    Args:
        arrays: N puzzles of any kind.

    Returns:
        The file.
    """
    members: dict[str, Any] = {"target": arrays.target, "index": arrays.index}
    if arrays.modified is not None:
        members["modified"] = arrays.modified
    for c, component in enumerate(arrays.components):
        for field in ("exists", "uniformity", "rules", "governed", "parameters"):
            if getattr(component, field) is not None:
                members[f"{c}.{field}"] = getattr(component, field)
        members.update({f"{c}.attributes.{name}": levels for name, levels in component.attributes.items()})
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    return buffer.getvalue()


def unpack(data: bytes, dataset: str, constellation: str, *, columns: int, maxval: int | None) -> PuzzleArrays:
    """Reads what :func:`pack` wrote; nothing is unpickled.

    Args:
        data: the file.
        dataset: which data set it is of.
        constellation: published name.
        columns: n.
        maxval: value range of I-RAVEN-X, or None.

    Returns:
        The puzzles, not validated.

    Raises:
        ValueError: it is no shard; the message says why.
        KeyError: a member is missing.
        zipfile.BadZipFile: it is damaged.
    """
    with Members(io.BytesIO(data), len(data)) as file:
        members = {}
        for name in file.names:
            member = name.removesuffix(".npy")
            if not _MEMBER.fullmatch(member):
                raise ValueError(f"a member {clipped(name, 40)!r}, which no shard has")
            if file.size(name) > len(data):
                raise ValueError(f"a member {member} that claims {file.size(name)} bytes")
            members[member] = plain_array(file.read(name)).copy()  # the bytes are read-only
    components = []
    for c in range(len(CONSTELLATIONS[constellation].components)):
        prefix = f"{c}.attributes."
        attributes = {name.removeprefix(prefix): v for name, v in members.items() if name.startswith(prefix)}
        components.append(
            ComponentArrays(
                exists=members[f"{c}.exists"],
                attributes=attributes,
                uniformity=members.get(f"{c}.uniformity"),
                rules=members[f"{c}.rules"],
                governed=members[f"{c}.governed"],
                parameters=members[f"{c}.parameters"],
            )
        )
    return PuzzleArrays(
        dataset=dataset,
        constellation=constellation,
        columns=columns,
        maxval=maxval,
        components=tuple(components),
        target=members["target"],
        index=members["index"],
        modified=members.get("modified"),
    )
