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

from reasoning.records.files import RunWriteError, write_atomically
from vsa.errors import CorruptFileError, SettingsError

__all__ = [
    "MetricsLog",
    "code_version",
    "default_out",
    "environment",
    "fingerprint",
    "peak_memory_mb",
    "prepare_folder",
    "read_json",
    "read_settings",
    "same_code",
    "write_json",
    "write_settings",
]

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


def prepare_folder(path: Path) -> Path:
    """Create a folder and check that it can be written to.

    Args:
        path: the folder.

    Returns:
        The same path.

    Raises:
        RunWriteError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunWriteError(
            f"make the folder {path}", received=f"the system's refusal: {error.strerror}", hint="choose another out="
        ) from error
    if not os.access(path, os.W_OK):
        raise RunWriteError(
            f"write to {path}", received="a folder without write permission", hint="choose another out="
        )
    return path


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented.

    Args:
        path: where to.
        content: JSON-able.

    Raises:
        RunWriteError: the file could not be written.
    """
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Args:
        path: where from.

    Returns:
        Its content.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"read {path}", received="no such file", expected="the folder of a run", hint="check the path"
        ) from None
    except (ValueError, OSError) as error:
        raise CorruptFileError(f"read {path}", received=f"unreadable content ({error})") from error


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Write settings as YAML, atomically.

    Args:
        path: where to.
        settings: plain nested mapping.

    Raises:
        RunWriteError: the file could not be written.
    """
    write_atomically(path, yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True).encode())


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings a run was started with.

    Args:
        folder: the run's folder.

    Returns:
        plain nested mapping.

    Raises:
        SettingsError: the folder is no run's.
        CorruptFileError: its settings are unreadable.
    """
    path = folder / "settings.yaml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"open the run {folder}",
            received="a folder without settings.yaml" if folder.is_dir() else "no such folder",
            expected="the folder of a training run",
            hint="python -m reasoning.train prints it",
        ) from None
    except (yaml.YAMLError, OSError) as error:
        raise CorruptFileError(f"read {path}", received=f"unreadable content ({error})") from error
    if not isinstance(settings, dict):
        raise CorruptFileError(f"read {path}", received="no mapping", expected="the settings of a run")
    return settings


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


class MetricsLog:
    """``metrics.jsonl``: one JSON object a line, appended; cut back to a checkpoint's point when a run goes on.

    Args:
        path: the file.
        keep_bytes: what is kept of an earlier life of the run; the lines after it are made again.
    """

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        self.path = path
        try:
            self._file = open(path, "ab")  # noqa: SIM115  # open for the life of the run
            self._file.truncate(min(keep_bytes, self._file.seek(0, os.SEEK_END)))
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise RunWriteError(f"open {path}", received=f"the system's refusal: {error.strerror}") from error

    def write(self, **values: Any) -> None:
        """Append a line."""
        self._guard(lambda: self._file.write((json.dumps(values) + "\n").encode()))

    def sync(self) -> int:
        """Bring all lines to the disk.

        Returns:
            Length of the file in bytes.
        """

        def flush() -> None:
            self._file.flush()
            os.fsync(self._file.fileno())

        self._guard(flush)
        return self._file.tell()

    def close(self) -> None:
        """Flush and close."""
        self._guard(self._file.close)

    def _guard(self, action: Any) -> None:
        try:
            action()
        except OSError as error:
            raise RunWriteError(
                f"write {self.path}",
                received=f"the system's refusal: {error.strerror or error}",
                hint="the last checkpoint is intact; make room, then go on with resume=",
            ) from error


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
