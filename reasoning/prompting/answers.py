"""Answers of language models to the prompts of :mod:`reasoning.prompts`: understood, marked, counted as models' are.

What cannot be understood, and what is missing, counts as wrong and is said to be so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reasoning.evaluation.cells import CellResult, data_hash
from reasoning.outcome.metrics import Metrics, RuleKey, RuleTally, Tally
from reasoning.prompting.choices import choice
from reasoning.prompting.named_rules import count_rules
from reasoning.prompting.number_lists import numbers
from reasoning.prompting.text import Form, answer_values
from reasoning.records import runs

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays

__all__ = ["AnswerSet", "Marked", "agrees", "choice", "ids", "numbers", "read", "truths"]

_LISTED = 3  # ids in a sentence


def ids(name: str, arrays: PuzzleArrays) -> list[str]:
    """The ids of a set's prompts, in order."""
    return [f"{name}-{number}" for number in arrays.index]


def read(text: str, form: Form, count: int) -> list[int | None] | None:
    """What an answer says.

    Args:
        text: free text.
        form: of the prompt.
        count: of the numbers of a panel.

    Returns:
        The candidate (0 to 7) alone, or the numbers; None: not understood.
    """
    if form.form == "predictive":
        return numbers(text, count)
    chosen = choice(text)
    return None if chosen is None else [chosen]


def truths(arrays: PuzzleArrays, form: Form) -> list[list[int | None]]:
    """What :func:`read` should find: the target, or the numbers of the panel, None where any will do."""
    if form.form == "predictive":
        return answer_values(arrays, form)
    return [[int(target)] for target in arrays.target]


def agrees(given: Sequence[int | None], truth: Sequence[int | None]) -> bool:
    """Whether what was read is right."""
    return all(want is None or want == got for want, got in zip(truth, given, strict=True))


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

    @property
    def understood(self) -> int:
        """How many answers were."""
        return len(self.right) - len(self.missing) - len(self.unreadable)

    def sentence(self) -> str:
        """What was and was not answered."""
        parts = [f"{self.understood} of {len(self.right)} answers understood"]
        if 0 < self.understood < len(self.right):
            parts[0] += f" ({sum(self.right)} of these right, {100 * sum(self.right) / self.understood:.1f} %)"
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
        right, missing, unreadable = [], [], []
        for name, truth in zip(ids(self.name, self.arrays), truths(self.arrays, self.form), strict=True):
            right.append(False)
            if name not in self.answers:
                missing.append(name)
                continue
            given = read(self.answers[name], self.form, len(truth))
            if given is None:
                unreadable.append(name)
            else:
                right[-1] = agrees(given, truth)
        return Marked(tuple(right), tuple(missing), tuple(unreadable))

    def marks(self) -> dict[str, str]:
        digest = hashlib.sha256(json.dumps(sorted(self.answers.items())).encode()).hexdigest()
        settings = runs.fingerprint([digest, repr(self.form)])
        return {"settings": settings, "code": runs.code_version(), "data": data_hash(self.arrays)}

    def compute(self) -> CellResult:
        """Right answers as the benchmark counts them, and rules where the prompts ask for them."""
        from datasets.judging.defensible import ambiguous

        marked = self.mark()
        right = np.array(marked.right, dtype=np.bool_)
        rules: Mapping[RuleKey, RuleTally] = {}
        if self.form.rules:
            texts = [self.answers.get(name) for name in ids(self.name, self.arrays)]
            rules = count_rules(self.arrays, self.form, texts, marked.right)
        metrics = Metrics(Tally.of(right), rules, unambiguous=Tally.of(right[~ambiguous(self.arrays)]))
        return CellResult(metrics, (marked.sentence(),), 0.0, 0.0)
