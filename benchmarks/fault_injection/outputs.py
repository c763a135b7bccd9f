"""What a command left, but for times and hosts: two folders are compared by it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["READERS", "difference", "snapshot"]

# Times, hosts, memory, the words of the command line; checksums of what holds them.
_APART = re.compile(
    r"seconds.*|.*_seconds|memory_mb|started|machine|git|command|overrides|overwrite|sha256|ms_per_query"
    r"|exhaustive_ms_per_query|.*_ms|costs|metrics_bytes|peak.*|versions"
)


def snapshot(folder: Path) -> dict[str, Any]:
    """Path -> content of every file in a folder, without what may differ.

    Args:
        folder: an output.

    Returns:
        Parsed content of JSON, YAML and safetensors, else a hash.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.endswith(".lock"):  # a lock counts while somebody holds it
            continue
        name = re.sub(r"(?<=\.tmp-)[0-9a-f]+(?=-)", "*", str(path.relative_to(folder)))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
            continue
        data = path.read_bytes()
        try:
            found[name] = _plain(path, data)
        except Exception as error:  # whatever it holds: the hash of something unreadable is in no other snapshot
            found[name] = f"{type(error).__name__} {hashlib.sha256(data).hexdigest()}"
    return found


def _plain(path: Path, data: bytes) -> Any:
    if path.suffix in (".json", ".jsonl") and "rpm" not in data[:100].decode("latin1"):
        lines = data.splitlines() if path.suffix == ".jsonl" else [data]
        return [_without(json.loads(line)) for line in lines]
    if path.suffix == ".yaml":
        import yaml

        return _without(yaml.safe_load(data))
    if path.suffix == ".safetensors" and path.parent.name == "checkpoints":
        return _checkpoint(data)
    return hashlib.sha256(data).hexdigest()


def _checkpoint(data: bytes) -> Any:
    """A checkpoint holds the time that its training took: the tensors' bytes and the state are compared."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    state = json.loads(json.loads(header.pop("__metadata__")["run"])["state"])
    return [header, hashlib.sha256(data[8 + size :]).hexdigest(), _without(state)]


def _without(content: Any) -> Any:
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if not _APART.fullmatch(str(key))}
        if set(content) >= {"files", "status"}:  # of a run's record: checksums of files that are compared themselves
            kept["files"] = sorted(content["files"])
        return {key: _without(value) for key, value in kept.items()}
    return [_without(part) for part in content] if isinstance(content, list) else content


def difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first thing in which two snapshots differ.

    Args:
        found: of what is there.
        wanted: of what should be.

    Returns:
        A few words; none where they are equal.
    """
    for name in sorted({*found, *wanted}):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is there"
        if found[name] != wanted[name]:
            return f"{name} differs"
    return ""


def _read_puzzles(out: Path) -> None:
    import datasets

    datasets.read(out)


def _read_run(out: Path) -> None:
    from reasoning.records import runs

    for path in out.rglob("run.json"):
        record = getattr(runs, "read_record", runs.read_json)(path)
        for name in ("results.json", "rules.json"):
            if (path.parent / name).is_file() and record.get("status") == "finished":
                getattr(runs, "read_result", lambda folder, name: runs.read_json(folder / name))(path.parent, name)
    for path in out.rglob("*.safetensors"):
        from reasoning.records.checkpoints import read_tensors

        read_tensors(path)


def _read_json(out: Path) -> None:
    for path in (out.parent if out.suffix else out).rglob("*.json*"):
        text = path.read_text("utf-8")
        for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
            json.loads(line)


READERS: Mapping[str, Callable[[Path], None]] = {"puzzles": _read_puzzles, "run": _read_run, "json": _read_json}
