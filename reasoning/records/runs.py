"""Run folders: where a run's settings, versions, metrics and results are, and how they are told from another's."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from vsa.commands.files import (
    WriteError,
    checksum,
    is_stray,
    json_of,
    read_json,
    read_whole,
    sealed,
    unsealed,
    write_whole,
)
from vsa.errors import CorruptFileError, SettingsError

__all__ = [
    "RECORD",
    "SETTINGS",
    "begin_record",
    "code_version",
    "contents",
    "default_out",
    "environment",
    "fingerprint",
    "finish_record",
    "json_bytes",
    "peak_memory_mb",
    "prepare_folder",
    "read_record",
    "read_result",
    "read_settings",
    "same_code",
    "write_json",
    "write_record",
]

SETTINGS, RECORD = "settings.yaml", "run.json"
_ROOMS = ("vsa", "factorizers", "datasets", "reasoning")
_LIBRARIES = ("torch", "numpy", "hydra-core", "omegaconf", "safetensors", "einops", "rich")


def default_out(model: str, seed: int) -> Path:
    """``outputs/<model>/<date_time>-<seed>``, with a number behind it where that exists already."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    path = Path("outputs") / model / f"{stamp}-{seed}"
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{stamp}-{seed}-{number}")
    return path


def prepare_folder(path: Path, *, inner: bool = False) -> Path:
    """Create a folder and check that it can be written to.

    Args:
        path: the folder.
        inner: whether it is a part of a run's folder: then a link is refused, since it leads elsewhere.

    Returns:
        The same path.

    Raises:
        WriteError: it cannot be made or written to.
    """
    if inner and path.is_symlink():
        raise WriteError(
            f"write to {path}", received="a link", expected="a folder of the run itself", hint="remove the link"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"make the folder {path}", received=f"the system's refusal: {error.strerror}", hint="choose another out="
        ) from error
    if not os.access(path, os.W_OK):
        raise WriteError(f"write to {path}", received="a folder without write permission", hint="choose another out=")
    return path


def contents(folder: Path) -> list[str]:
    """What a folder holds, but for locks and what a killed program left behind.

    Args:
        folder: the folder; it may be missing.

    Returns:
        Names, sorted.
    """
    return sorted(p.name for p in folder.iterdir() if not is_stray(p.name)) if folder.is_dir() else []


def write_json(path: Path, content: Any) -> str:
    """Write JSON atomically, indented.

    Args:
        path: where to.
        content: JSON-able.

    Returns:
        Its checksum.

    Raises:
        WriteError: the file could not be written.
    """
    data = json_bytes(content)
    write_whole(path, data)
    return checksum(data)


def json_bytes(content: Any) -> bytes:
    """JSON as our files hold it, indented.

    Args:
        content: JSON-able.

    Returns:
        The text in UTF-8.
    """
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record that keeps a checksum of itself.

    Args:
        path: where to, such as ``run.json``.
        content: JSON-able.

    Raises:
        WriteError: the file could not be written.
    """
    write_json(path, sealed(content))


def read_record(path: Path) -> dict[str, Any]:
    """Read what :func:`write_record` wrote.

    Args:
        path: where from.

    Returns:
        The record.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is no record, or its checksum denies it.
    """
    return unsealed(read_json(path), str(path))


def begin_record(folder: Path, record: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write ``run.json``, then ``settings.yaml``: a folder without it was never begun.

    Other settings that are there are replaced: until they are, the record vouches for both.

    Args:
        folder: of the run.
        record: for run.json.
        settings: plain nested mapping.

    Raises:
        WriteError: a file could not be written.
    """
    text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True).encode()
    new = {**record, "files": {SETTINGS: checksum(text)}}
    held = checksum(read_whole(folder / SETTINGS)) if (folder / SETTINGS).is_file() else None
    if held is not None and held != checksum(text):
        write_record(folder / RECORD, {**new, "files": {SETTINGS: [held, checksum(text)]}})
        write_whole(folder / SETTINGS, text)
        write_record(folder / RECORD, new)
    else:
        write_record(folder / RECORD, new)
        write_whole(folder / SETTINGS, text)


def finish_record(folder: Path, contents: Mapping[str, Any], **changes: Any) -> None:
    """Write the results of a run and, last, ``run.json`` with their checksums: a run without it goes on.

    Args:
        folder: of the run.
        contents: file name -> JSON-able.
        changes: for run.json.

    Raises:
        WriteError: a file could not be written.
    """
    sums = {name: write_json(folder / name, content) for name, content in contents.items()}
    record = read_record(folder / RECORD)
    write_record(folder / RECORD, {**record, "status": "finished", **changes, "files": {**record["files"], **sums}})


def read_result(folder: Path, name: str) -> Any:
    """Read a file of a finished run and compare it with its checksum.

    Args:
        folder: of the run.
        name: such as ``results.json``.

    Returns:
        Its content.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is no JSON, or not what the run wrote.
    """
    data = read_whole(folder / name)
    _compare(folder, name, data)
    return json_of(data, str(folder / name))


def _compare(folder: Path, name: str, data: bytes) -> None:
    """Refuse a file that was changed since the run wrote it; runs of earlier versions have no checksums."""
    record = read_record(folder / RECORD) if (folder / RECORD).is_file() else {}
    known = record.get("files", {}).get(name) if isinstance(record.get("files"), dict) else None
    if known is not None and checksum(data) not in (known if isinstance(known, list) else (known,)):
        raise CorruptFileError(
            f"read {folder / name}",
            received="a file that was changed since the run wrote it",
            expected="the run's own",
            hint="restore it from a copy, or start a new run",
        )


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings a run was started with.

    Args:
        folder: the run's folder.

    Returns:
        plain nested mapping.

    Raises:
        SettingsError: the folder is no run's.
        CorruptFileError: its settings are unreadable, or were changed since.
    """
    path = folder / SETTINGS
    if not path.is_file():
        begun = (folder / RECORD).is_file()
        raise SettingsError(
            f"open the run {folder}",
            received="a folder without settings.yaml" if folder.is_dir() else "no such folder",
            expected="the folder of a training run",
            hint="the command that was to begin this run begins it" if begun else "python -m reasoning.train prints it",
        )
    data = read_whole(path)
    _compare(folder, SETTINGS, data)
    try:
        settings = yaml.load(data.decode("utf-8"), Loader=_Plain)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CorruptFileError(f"read {path}", received=f"unreadable content ({reason})") from error
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise CorruptFileError(f"read {path}", received="no mapping of names", expected="the settings of a run")
    return settings


class _Plain(yaml.SafeLoader):
    """YAML as we write it: an alias could stand for a mapping of any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias, which no run writes")
        return super().compose_node(parent, index)


def environment(arguments: Sequence[str], module: str, plugins: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a result depends on beside the settings.

    Args:
        arguments: the command line, program name excluded.
        module: the module that was run.
        plugins: of :func:`vsa.plugins.origins`.

    Returns:
        command, versions, git commit (if any), hash of our sources, other packages' members (if any), and the kind of
        machine.
    """
    return {
        "command": shlex.join(["python", "-m", module, *arguments]),
        "overrides": list(arguments),
        "versions": {"python": platform.python_version(), **_versions()},
        "code": code_version(),
        **({"plugins": dict(plugins)} if plugins else {}),
        "git": _git(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


@lru_cache(maxsize=1)
def code_version() -> str:
    """Hash of the sources that a result can depend on: equal code, equal version, committed or not."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def same_code(record: Mapping[str, Any], plugins: Mapping[str, Any]) -> bool:
    """Whether a run was made by the code that is there now, other packages' included.

    Args:
        record: its run.json.
        plugins: of :func:`vsa.plugins.origins`, now.
    """
    return bool(record.get("code") == code_version() and record.get("plugins", {}) == dict(plugins))


def fingerprint(content: Any) -> str:
    """Short hash of anything JSON-able; equal content, equal fingerprint."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MiB."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def _versions() -> dict[str, str]:
    found = {}
    for name in ("vsa-reasoning", *_LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git() -> dict[str, Any] | None:
    root = Path(__file__).resolve().parents[2]

    def ask(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "changed": bool(ask("status", "--porcelain", "--untracked-files=no"))}
