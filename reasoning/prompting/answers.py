"""Answers of language models to the prompts of :mod:`reasoning.prompts`: understood, marked, counted as models' are.

What cannot be understood, and what is missing, counts as wrong and is said to be so.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reasoning.evaluation.cells import CellResult, data_hash
from reasoning.outcome.metrics import Metrics, Tally
from reasoning.prompting.text import Form, answer_values
from reasoning.records import runs

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays

__all__ = ["AnswerSet", "Marked", "choice", "ids", "numbers"]

_LISTED = 3  # ids in a sentence
_MARK = re.compile(r"\banswer\b[\s*_:=]*(?:is\b)?[\s*_:=]*", re.IGNORECASE)
_CHOICE = re.compile(
    r"[\s*_`\"'$({\[\\#:=]*(?:boxed\{|text\{)*(?:(?:candidate|option|choice|panel|number)\b[\s*_`:#]*)?"
    r"[(\[]?([1-8A-Ha-h])(?![0-9A-Za-z])(?!\.\d)(.*)",
    re.IGNORECASE | re.DOTALL,
)
_AND = re.compile(r"[\s)\]*]*(?:or|and|/|,|&|\|)\s*[(\[]?[1-8A-Ha-h](?![0-9A-Za-z])", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\d{1,9}")
_UNSURE = ("?", "-", "_", "none", "noise", "null", "n/a", "x", "*")


def choice(text: str) -> int | None:
    """The candidate that an answer in the discriminative form names.

    Args:
        text: free text; what stands behind the last "answer", else all of it, else its last line.

    Returns:
        0 to 7, for 1 to 8 or A to H; None: none, several, or nothing that could be understood.
    """
    for part in _parts(text):
        found = _CHOICE.match(part)
        if not found:
            continue
        sign, rest = found.group(1), found.group(2)
        if _AND.match(rest) or (sign.islower() and re.search(r"\w", rest.partition("\n")[0])):
            return None  # two of them, or an article ("a panel")
        return int(sign) - 1 if sign.isdigit() else ord(sign.upper()) - ord("A")
    return None


def numbers(text: str, count: int) -> list[int | None] | None:
    """The numbers that an answer in the predictive form gives.

    Args:
        text: free text; what stands behind the last "answer", else all of it, else its last line.
        count: how many numbers are wanted.

    Returns:
        As many numbers, None for a place left open ("?"); None: not as many, or nothing that could be understood.
    """
    for part in _parts(text):
        line = next((line for line in part.splitlines() if re.search(r"[\w?]", line)), "")
        groups = re.findall(r"[(\[]([^()\[\]]*)[)\]]", line)
        for words in map(_words, ([groups[0], " ".join(groups)] if groups else [line])):
            if len(words) == count and all(_NUMBER.fullmatch(word) or word.lower() in _UNSURE for word in words):
                return [int(word) if _NUMBER.fullmatch(word) else None for word in words]
    return None


def _words(text: str) -> list[str]:
    return re.split(r"[\s,;/|]+", text.strip(" \t*`$.:=\"'"))


def _parts(text: str) -> list[str]:
    """Where an answer may stand: behind the mark; without one, the whole text or its last line."""
    marks = list(_MARK.finditer(text))
    if marks:
        return [text[marks[-1].end() :]]
    lines = [line for line in text.splitlines() if line.strip()]
    return [line for line in lines[-1:] if len(line) <= 200]


def ids(name: str, arrays: PuzzleArrays) -> list[str]:
    """The ids of a set's prompts, in order."""
    return [f"{name}-{number}" for number in arrays.index]


@dataclass(frozen=True)
class Marked:
    """The answers to one set of prompts, marked.

    Attributes:
        right: bool (N,).
        missing: ids without an answer.
        unreadable: ids whose answer could not be understood.
    """

    right: tuple[bool, ...]
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]

    def sentence(self) -> str:
        """What was and was not answered."""
        total = len(self.right)
        parts = [f"{total - len(self.missing) - len(self.unreadable)} of {total} answers understood"]
        for what, which in (("missing", self.missing), ("not understood", self.unreadable)):
            if which:
                more = ", ..." if len(which) > _LISTED else ""
                parts.append(f"{len(which)} {what} ({', '.join(which[:_LISTED])}{more})")
        wrong = ": these count as wrong" if len(parts) > 1 else ""
        return ", ".join(parts) + wrong


@dataclass(frozen=True)
class AnswerSet:
    """A language model's answers to the prompts of one puzzle set.

    Attributes:
        name: puzzle set.
        arrays: the puzzles, made again.
        form: how they were written.
        answers: id -> text, of this set.
    """

    name: str
    arrays: PuzzleArrays
    form: Form
    answers: Mapping[str, str]

    def mark(self) -> Marked:
        """Compare with the right answers.

        Returns:
            What is right, missing, unreadable. In the predictive form an answer is right when the numbers of all
            properties that follow a rule are.
        """
        predictive = self.form.form == "predictive"
        targets: list[list[int | None]] = [[int(target)] for target in self.arrays.target]
        truths = answer_values(self.arrays, self.form) if predictive else targets
        right, missing, unreadable = [], [], []
        for name, truth in zip(ids(self.name, self.arrays), truths, strict=True):
            right.append(False)
            if name not in self.answers:
                missing.append(name)
                continue
            text = self.answers[name]
            chosen = None if predictive else choice(text)
            given = numbers(text, len(truth)) if predictive else None if chosen is None else [chosen]
            if given is None:
                unreadable.append(name)
            else:
                right[-1] = all(want is None or want == got for want, got in zip(truth, given, strict=True))
        return Marked(tuple(right), tuple(missing), tuple(unreadable))

    def marks(self) -> dict[str, str]:
        digest = hashlib.sha256(json.dumps(sorted(self.answers.items())).encode()).hexdigest()
        settings = runs.fingerprint([digest, repr(self.form)])
        return {"settings": settings, "code": runs.code_version(), "data": data_hash(self.arrays)}

    def compute(self) -> CellResult:
        """Right answers as the benchmark counts them; a language model names no rules."""
        from datasets.judging.defensible import ambiguous

        marked = self.mark()
        right = np.array(marked.right, dtype=np.bool_)
        metrics = Metrics(Tally.of(right), unambiguous=Tally.of(right[~ambiguous(self.arrays)]))
        return CellResult(metrics, (marked.sentence(),), 0.0, 0.0)
