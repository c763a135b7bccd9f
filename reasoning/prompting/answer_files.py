"""Files of answers: read and refused line by line, and brought together with the prompts that they answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reasoning.evaluation.cells import Evaluation
from reasoning.prompting import inspect_logs
from reasoning.prompting.answers import AnswerSet, ids
from reasoning.prompting.files import PromptSettings, read_sidecar
from reasoning.setup.settings import BenchmarkSettings, PerceptionSettings
from vsa.commands import is_stray
from vsa.commands.files import read_whole
from vsa.errors import CorruptFileError, SettingsError

__all__ = ["adopt", "answer_sets", "counts", "find_prompts", "prompt_settings", "read_answers"]

_MOST_BYTES = 1 << 30  # of a file
_LONGEST_LINE = 10_000_000  # characters
_OURS = ("dataset", "perception", "constellation", "seeds")  # what the prompts decide


def adopt(settings: BenchmarkSettings, named: Sequence[str]) -> BenchmarkSettings:
    """The benchmark on the puzzles of the prompts, so that models of ours beside the answers solve the same.

    Args:
        settings: with answers.
        named: keys that the command line sets.

    Returns:
        Settings with the data set, perception and constellations of the prompts.

    Raises:
        SettingsError: the command line chooses puzzles too.
    """
    for key in named:
        if key.partition(".")[0] in _OURS:
            raise SettingsError(
                f"setting {key}", received="answers as well", expected="neither puzzles nor seeds: prompts say which"
            )
    asked = prompt_settings(settings)
    return replace(
        settings,
        dataset=asked.dataset,
        constellation=asked.constellation,
        perception=PerceptionSettings(asked.perception.name, asked.perception.options),
        prompts=str(find_prompts(settings)),
    )


def prompt_settings(settings: BenchmarkSettings) -> PromptSettings:
    """Those of the prompts that were answered."""
    return read_sidecar(find_prompts(settings))[0]


def find_prompts(settings: BenchmarkSettings) -> Path:
    """The prompts' settings: those named, else the only ones beside the answers.

    Args:
        settings: with answers.

    Returns:
        A file.

    Raises:
        SettingsError: there are none, or several.
    """
    if settings.prompts is not None:
        return Path(settings.prompts).expanduser()
    given = settings.answers or {}
    files = [given] if isinstance(given, str) else list(given.values())
    logs = [Path(file).expanduser() for file in files if inspect_logs.is_log(Path(file))]
    if logs:
        return logs[0]
    beside = {path for file in files for path in Path(file).expanduser().parent.glob("*.settings.json")}
    found = sorted(path for path in beside if not is_stray(path.name))
    if len(found) != 1:
        raise SettingsError(
            "find the prompts",
            received=f"{len(found)} files *.settings.json beside the answers",
            expected="one",
            hint="write prompts=FILE.jsonl, the file that python -m reasoning.prompts wrote",
        )
    return found[0]


def answer_sets(file: str, prompts: str) -> list[AnswerSet]:
    """The answers of one language model, puzzle set by puzzle set.

    Args:
        file: of the answers.
        prompts: the prompts or their settings.

    Returns:
        One entry for each puzzle set of the prompts.

    Raises:
        VSAError: a file that cannot be read, or answers to other prompts.
    """
    settings, sets = read_sidecar(Path(prompts).expanduser())
    known = {name: ids(name, puzzles.arrays) for name, puzzles in sets.items()}
    answers = read_answers(Path(file).expanduser(), [entry for part in known.values() for entry in part])
    form = settings.text_form()
    return [
        AnswerSet(name, puzzles.arrays, form, {entry: answers[entry] for entry in known[name] if entry in answers})
        for name, puzzles in sets.items()
    ]


def counts(sets: Sequence[Evaluation]) -> dict[str, dict[str, int]]:
    """What was answered, for run.json.

    Args:
        sets: those of :func:`answer_sets`.

    Returns:
        puzzle set -> prompts; how many were understood, and right; missing; not understood.
    """
    marked = {part.name: part.mark() for part in sets if isinstance(part, AnswerSet)}
    return {
        name: {
            "prompts": len(part.right),
            "understood": part.understood,
            "right": sum(part.right),
            "missing": len(part.missing),
            "unreadable": len(part.unreadable),
        }
        for name, part in marked.items()
    }


def read_answers(path: Path, known: Sequence[str]) -> dict[str, str]:
    """A file of answers: one JSON object a line, with ``id`` and ``answer``; or a log of Inspect.

    Args:
        path: the file.
        known: ids of the prompts.

    Returns:
        id -> answer as text; an answer of null is left out.

    Raises:
        SettingsError: no such file.
        CorruptFileError: a line that is no such object, an id that no prompt has, or two answers to one prompt.
    """
    if inspect_logs.is_log(path):
        return inspect_logs.answers(path, known)
    try:
        content = read_whole(path, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"read {path}", received=f"unreadable content ({error})") from error
    wanted, found, lines = set(known), dict[str, str](), dict[str, int]()
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"read {path}, line {number}"
        name, answer = _entry(where, line)
        if name not in wanted:
            near = "" if not known else f"for example {known[0]}"
            raise CorruptFileError(where, received=f"id {name[:80]!r}, which no prompt has", expected=near)
        if name in lines:
            raise CorruptFileError(
                where, received=f"a second answer to {name} (the first is in line {lines[name]})", expected="one"
            )
        lines[name] = number
        if answer is not None:
            found[name] = answer
    return found


def _entry(where: str, line: str) -> tuple[str, str | None]:
    """Id and answer of one line."""
    expected = 'an object like {"id": "...", "answer": "..."}'
    if len(line) > _LONGEST_LINE:
        raise CorruptFileError(where, received=f"{len(line)} characters", expected=expected)
    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(where, received=f"no JSON ({error})", expected=expected) from error
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or "answer" not in entry:
        raise CorruptFileError(where, received="no id (text) or no answer", expected=expected)
    answer = entry["answer"]
    if isinstance(answer, list) and all(isinstance(part, int | str | None) for part in answer):
        answer = f"({', '.join('?' if part is None else str(part) for part in answer)})"
    if isinstance(answer, int) and not isinstance(answer, bool):
        answer = str(answer)
    if answer is not None and not isinstance(answer, str):
        raise CorruptFileError(where, received=f"an answer that is a {type(answer).__name__}", expected="text")
    return entry["id"], answer
