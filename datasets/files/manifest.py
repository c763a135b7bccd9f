"""The manifest of a folder that ``python -m datasets.generate`` made: what was ordered, and a hash of every file.

It carries its own checksum. Who reads the folder compares the hashes of what he reads; the command that made it
compares all, and makes again what differs.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vsa.commands.files import json_of, open_regular, sealed, unsealed, write_whole
from vsa.errors import CorruptFileError, SettingsError, VSAError

from ..constellations import CONSTELLATIONS
from .finding import content
from .form import shown
from .npz import MOST_BYTES, file_stem
from .raven import npz_hash

__all__ = [
    *("FORMAT", "MANIFEST", "broken", "command", "differing", "file_hash", "files_of", "is_ours", "read_manifest"),
    *("shortened", "write_manifest"),
]

MANIFEST = "manifest.json"
FORMAT = 1
_MOST_BYTES = 1 << 26
_MOST_PUZZLES = 100_000  # of a unit
_NUMBERS = {"n": (1, 10**18), "start": (0, 10**18), "seed": (-(2**63), 2**63 - 1), "columns": (3, 1000)}
_NUMBERS |= {"maxval": (1, 2**15 - 1), "confounders": (0, 10**6)}
_SHORT = 16  # hexadecimal digits of a hash, where there is one for each of thousands of files


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder that ``python -m datasets.generate`` made.

    Args:
        folder: the folder.

    Returns:
        Its form, settings and units.

    Raises:
        CorruptFileError: it is no manifest of ours, or damaged.
        SettingsError: there is none.
    """
    path = folder / MANIFEST
    try:
        data = content(path, _MOST_BYTES, "a manifest")
    except SettingsError:
        raise SettingsError(f"read {folder}", received=f"no {MANIFEST}", expected="a folder of shards") from None
    try:
        manifest = unsealed(json_of(data, str(path)), str(path))
    except CorruptFileError as error:
        raise CorruptFileError(
            error.operation,
            received=error.received,
            expected="a manifest as it was written",
            hint="the command that made the folder makes it again with overwrite=true",
        ) from None
    wanted = {"format": int, "form": str, "settings": dict, "units": dict}
    for key, kind in wanted.items():
        if not isinstance(manifest.get(key), kind):
            raise CorruptFileError(f"read {path}, {key}", received="no such entry", expected=f"a {kind.__name__}")
    if manifest["format"] != FORMAT:
        raise CorruptFileError(
            f"read {path}, format", received=manifest["format"], expected=FORMAT, hint="make the puzzles again"
        )
    for key, value in manifest["settings"].items():
        if not _is_setting(key, value):
            raise CorruptFileError(f"read {path}, settings, {key}", received=shown(value), expected="as it was ordered")
    return manifest


def _is_setting(key: str, value: object) -> bool:
    """Whether a setting may have a value; what a version to come adds may have any."""
    if key in _NUMBERS:
        least, most = _NUMBERS[key]
        return (type(value) is int and least <= value <= most) or (key == "maxval" and value is None)
    if key == "constellations":
        return isinstance(value, list) and all(isinstance(name, str) and name in CONSTELLATIONS for name in value)
    return isinstance(value, {"dataset": str, "form": str, "images": bool}.get(key, object))


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes a manifest with its checksum.

    Args:
        folder: where.
        manifest: its content.
    """
    write_whole(
        folder / MANIFEST, (json.dumps(sealed(manifest), indent=1, sort_keys=True) + "\n").encode(), durable=False
    )


def is_ours(folder: Path) -> bool:
    """Whether a folder has a manifest of ours; somebody else's file of that name does not count.

    Args:
        folder: any.

    Returns:
        True where there is one.

    Raises:
        CorruptFileError: there is one that is damaged, or that may be.
    """
    path = folder / MANIFEST
    if not path.exists():
        return False
    held = json_of(content(path, _MOST_BYTES, "a manifest"), str(path))
    if not isinstance(held, dict) or not {"format", "units"} & held.keys():
        return False
    read_manifest(folder)
    return True


def files_of(form: str, name: str, entry: object) -> list[str]:
    """The files of a unit that is done, relative to the folder.

    Args:
        form: of the manifest.
        name: of the unit, ``<constellation>/<number>``.
        entry: of the unit.

    Returns:
        Paths that stay within the folder.

    Raises:
        CorruptFileError: the entry is none of ours.
    """
    constellation = name.partition("/")[0]
    given = entry if isinstance(entry, dict) and constellation in CONSTELLATIONS else {}
    span, files = given.get("puzzles"), given.get("files")
    if form == "raven" and isinstance(span, list) and [type(k) for k in span] == [int, int]:
        if 0 <= span[0] <= span[1] <= span[0] + _MOST_PUZZLES:
            stems = [f"{constellation}/{file_stem(k)}" for k in range(*span)]
            return [f"{stem}{suffix}" for suffix in (".npz", ".xml") for stem in stems]
    elif form != "raven" and isinstance(files, dict) and all(map(_is_file, files.items())):
        return [file if form == "json" else f"{constellation}/{file}" for file in files]
    expected = "<constellation>/<number> with its files"
    raise CorruptFileError(f"read {MANIFEST}, unit {name[:60]!r}", received="no such unit", expected=expected)


def _is_file(named: tuple[str, object]) -> bool:
    """Whether a name stays within its folder and a hash is one."""
    name, digest = named
    return isinstance(digest, str) and Path(name).name == name and name not in ("", "..") and "\0" not in name


def shortened(written: Mapping[Path, str]) -> dict[str, str]:
    """What the manifest holds of puzzles that are files each.

    Args:
        written: the hashes of npz and xml files, in the order of the puzzles.

    Returns:
        Their beginnings, one after the other, by suffix.
    """
    return {
        suffix: "".join(hash_[:_SHORT] for path, hash_ in written.items() if path.suffix == f".{suffix}")
        for suffix in ("npz", "xml")
    }


def differing(
    folder: Path, form: str, name: str, entry: object, known: Mapping[Path, bytes] | None = None
) -> Iterator[tuple[Path, str]]:
    """The files of a unit that are not as they were written.

    Args:
        folder: the folder.
        form: of the manifest.
        name: of the unit.
        entry: of the unit.
        known: SHA-256 of the xml files that were read already; the npz are left alone then.

    Yields:
        Each such file, with what is wrong.

    Raises:
        CorruptFileError: the entry is none of ours.
    """
    files = files_of(form, name, entry)
    held: dict[str, Any] = entry if isinstance(entry, dict) else {}
    for place, file in enumerate(files):
        path = folder / file
        if not path.is_file():
            yield path, "gone"
            continue
        if form == "raven":
            half = len(files) // 2
            if known is not None and path.suffix == ".npz":
                continue
            hashes = held.get(path.suffix[1:])
            if not isinstance(hashes, str):  # of a version that kept none
                continue
            at = place % half * _SHORT
            wanted = hashes[at : at + _SHORT]
        else:
            wanted = held["files"][path.name]
        if form == "raven" and path.suffix == ".npz":
            found = npz_hash(content(path, MOST_BYTES, "an npz"), verify=True)
        else:
            found = known[path].hex() if known is not None and path in known else file_hash(path)
        if found[: len(wanted)] != wanted or not wanted:
            yield path, "not as it was written (its hash is not the manifest's)"


def file_hash(path: Path) -> str:
    """The SHA-256 of a file of any size.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.

    Raises:
        VSAError: it can't be read.
    """
    found = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while block := file.read(1 << 20):
                found.update(block)
    except OSError as error:
        raise CorruptFileError(f"read {path}", received=error.strerror or repr(error)) from error
    return found.hexdigest()


def command(folder: Path, manifest: Mapping[str, Any]) -> str:
    """The command that makes again what is missing or damaged in a folder.

    Args:
        folder: the folder.
        manifest: its manifest.

    Returns:
        A line for a shell.
    """
    settings = dict(manifest["settings"])
    names = settings.pop("constellations", [])
    parts = {
        "dataset": settings.get("dataset"),
        "constellation": f"[{','.join(map(str, names))}]" if isinstance(names, list) else names,
        **{key: settings.get(key) for key in ("n", "start", "seed")},
        "format": manifest["form"],
    }
    if "images" in settings:
        parts["images"] = str(settings["images"]).lower()
    if settings.get("maxval") is not None:
        parts |= {f"dataset.{key}": settings.get(key) for key in ("columns", "maxval", "confounders")}
    parts["out"] = folder
    return " ".join(["python -m datasets.generate", *(shlex.quote(f"{key}={value}") for key, value in parts.items())])


def broken(path: Path, what: str, folder: Path, manifest: Mapping[str, Any]) -> VSAError:
    """The sentence for a file that is not as it was written.

    Args:
        path: the file.
        what: what is wrong.
        folder: the folder of its manifest.
        manifest: the manifest.

    Returns:
        The error.
    """
    return CorruptFileError(
        f"read {path}",
        received=f"a file that is {what}",
        expected="the file that the manifest names",
        hint=f"make it again: {command(folder, manifest)}",
    )
