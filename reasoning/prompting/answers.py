"""Answers of language models to the prompts of :mod:`reasoning.prompts`: understood, marked, counted as models' are.

What cannot be understood, and what is missing, counts as wrong and is said to be so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reasoning.evaluation.cells import CellResult, data_hash
from reasoning.outcome.metrics import Metrics, Tally
from reasoning.prompting.choices import choice
from reasoning.prompting.number_lists import numbers
from reasoning.prompting.text import Form, answer_values
from reasoning.records import runs

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays

__all__ = ["AnswerSet", "Marked", "choice", "ids", "numbers"]

_LISTED = 3  # ids in a sentence


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
