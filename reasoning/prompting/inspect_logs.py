"""Logs of Inspect (``inspect_ai``) as files of answers: what a model said, and the settings of its prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vsa.errors import CorruptFileError, SettingsError, UnsupportedError

__all__ = ["METADATA", "answers", "is_log", "record"]

METADATA = "vsa_reasoning"  # the key in a task's metadata under which the settings of its prompts are


def is_log(path: Path) -> bool:
    """Whether a file is a log of Inspect, by its name."""
    return path.suffix == ".eval"


def record(path: Path) -> dict[str, Any]:
    """The settings of the prompts.

    Args:
        path: of a log.

    Returns:
        What lies beside prompts that are written to files.

    Raises:
        VSAError: no such file, or the log of another task.
    """
    found = (_log(path).eval.metadata or {}).get(METADATA)
    if not isinstance(found, dict):
        raise CorruptFileError(
            f"read {path}",
            received="a log of another task",
            expected="one of inspect eval reasoning/iraven or iraven_x",
        )
    return found


def answers(path: Path, known: Sequence[str]) -> dict[str, str]:
    """What the model said.

    Args:
        path: of a log.
        known: ids of the prompts.

    Returns:
        id -> text of the first epoch; samples that broke off are left out.

    Raises:
        VSAError: no such file, or samples that no prompt has.
    """
    wanted, found = set(known), dict[str, str]()
    for sample in _log(path).samples or []:
        if sample.id not in wanted:
            raise CorruptFileError(f"read {path}", received=f"sample {sample.id!r}, which no prompt has")
        if sample.epoch == 1 and sample.error is None and sample.output.choices:
            found[str(sample.id)] = sample.output.completion
    return found


def _log(path: Path) -> Any:
    """An ``EvalLog``."""
    try:
        from inspect_ai.log import read_eval_log
    except ImportError as error:
        raise UnsupportedError(
            f"read {path}", received="no package inspect_ai", hint="pip install -c constraints.txt -e '.[llm]'"
        ) from error
    if not path.is_file():
        raise SettingsError(f"read {path}", received="no such file", expected="a log of Inspect")
    try:
        return read_eval_log(str(path))
    except Exception as error:  # whatever its reader finds wrong with a stranger's file
        raise CorruptFileError(f"read {path}", received=f"no log of Inspect ({type(error).__name__})") from error
