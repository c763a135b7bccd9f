"""Why a solver gave its answer: rules, alternatives, expected values, agreement; in words, as JSON, as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reasoning.outcome.digits import two_digits
from reasoning.scene import CANDIDATES
from vsa.errors import VSAError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from datasets.puzzle import Puzzle

__all__ = ["AttributeExplanation", "Expected", "Explanation"]

_SHOWN = 12  # attributes in words and picture; the JSON has all
_NEGLIGIBLE = 1e-3  # probability


@dataclass(frozen=True)
class Expected:
    """What a learner expects of one attribute in the missing panel.

    Attributes:
        value: the likeliest level (Number: the count; Position: the occupied slots); None: no single value.
        words: the same for people.
        probability: of ``value``; of no single value where that is likelier.
        distribution: by level from ``lowest`` on; of Position: that each slot is occupied.
        lowest: the level of the first entry.
    """

    value: int | tuple[int, ...] | None
    words: str
    probability: float
    distribution: tuple[float, ...]
    lowest: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: value, words, probability, and the probabilities that are not negligible."""
        shares = {
            str(level): round(share, 4)
            for level, share in enumerate(self.distribution, start=self.lowest)
            if share >= _NEGLIGIBLE
        }
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"value": value, "words": self.words, "probability": _number(self.probability), "distribution": shares}


@dataclass(frozen=True)
class AttributeExplanation:
    """One attribute of one component.

    Attributes:
        component: its name.
        attribute: its name.
        family: what the rule computes in these rows: Constant, Progression, ...; None: none of the known.
        rule: the learner's rule that explains the rows best.
        probability: of that rule.
        runner_up: the next best rule; None where there is one rule only.
        runner_up_probability: its probability.
        confidence: how well the rules explain the complete rows; 1 is perfect.
        expected: what the missing panel should show; None where the learner does not say.
        agreement: of each candidate with what is expected.
    """

    component: str
    attribute: str
    family: str | None
    rule: str
    probability: float
    runner_up: str | None
    runner_up_probability: float | None
    confidence: float
    expected: Expected | None
    agreement: tuple[float, ...]

    def named(self, unknown: str) -> str:
        """The rule in words, with its family where the learner's own name does not say it.

        Args:
            unknown: the family of what computes none of the known ones.
        """
        family = self.family or unknown
        return self.rule if self.rule.startswith(family) else f"{family}; {self.rule}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "attribute": self.attribute,
            "family": self.family,
            "rule": self.rule,
            "probability": _number(self.probability),
            "runner_up": self.runner_up,
            "runner_up_probability": _number(self.runner_up_probability),
            "confidence": _number(self.confidence),
            "expected": None if self.expected is None else self.expected.as_dict(),
            "agreement": [_number(value) for value in self.agreement],
        }

    def __str__(self) -> str:
        other = ""
        if self.runner_up is not None and self.runner_up_probability is not None:
            other = f", runner-up {self.runner_up} {two_digits(self.runner_up_probability)}"
        expects = "" if self.expected is None else f"; expects {self.expected.words} ({self.expected.probability:.2f})"
        return (
            f"{self.attribute}: {self.named('no known rule')} {self.probability:.2f}{other}; "
            f"explains the complete rows to {two_digits(self.confidence)}{expects}"
        )


@dataclass(frozen=True)
class Explanation:
    """The answer to one puzzle and its reasons.

    Attributes:
        puzzle: what was asked. Its target and rules are not looked at.
        answer: the chosen candidate, 0 to 7.
        scores: of the candidates.
        attributes: component by component.
        named: for each component the rules in the generator's terms: what is governed -> rule, or None.
        rules: the learner's rules in words.
        target: the right candidate, where whoever asks knows it.
    """

    puzzle: Puzzle
    answer: int
    scores: tuple[float, ...]
    attributes: tuple[AttributeExplanation, ...]
    named: Mapping[str, Mapping[str, str | None]]
    rules: tuple[str, ...] = ()
    target: int | None = None

    @property
    def right(self) -> bool | None:
        """Whether the answer is right; None where the target is not known."""
        return None if self.target is None else self.answer == self.target

    def judged(self, target: int) -> Explanation:
        """The same, with the right candidate known.

        Args:
            target: 0 to 7.

        Returns:
            A new explanation.
        """
        if not 0 <= target < CANDIDATES:
            raise VSAError("judge an explanation", received=f"target {target}", expected=f"0 to {CANDIDATES - 1}")
        return replace(self, target=target)

    @property
    def title(self) -> str:
        """Which puzzle."""
        puzzle = self.puzzle
        extent = "" if puzzle.maxval is None else f", {puzzle.columns} columns, values 0 to {puzzle.maxval}"
        return f"puzzle {puzzle.index} of {puzzle.dataset}, {puzzle.constellation}{extent}"

    @property
    def verdict(self) -> str:
        """The answer in words."""
        known = {None: "", True: ", which is right", False: f", which is wrong: {self.target} is right"}[self.right]
        return f"answer: candidate {self.answer}{known}"

    @property
    def shown(self) -> tuple[AttributeExplanation, ...]:
        """The attributes that words and picture have room for."""
        return self.attributes[:_SHOWN]

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns:
            Nested dicts, lists, text and finite numbers; everything that is known.
        """
        puzzle = self.puzzle
        return {
            "puzzle": {
                "dataset": puzzle.dataset,
                "constellation": puzzle.constellation,
                "index": puzzle.index,
                "columns": puzzle.columns,
                "maxval": puzzle.maxval,
            },
            "answer": self.answer,
            "target": self.target,
            "right": self.right,
            "scores": [_number(score) for score in self.scores],
            "components": [
                {
                    "name": name,
                    "named": dict(rules),
                    "attributes": [entry.as_dict() for entry in self.attributes if entry.component == name],
                }
                for name, rules in self.named.items()
            ],
            "rules": list(self.rules),
        }

    def __str__(self) -> str:
        lines = [self.title, self.verdict]
        for name, rules in self.named.items():
            said = [f"{governed} {rule or 'unknown'}" for governed, rule in rules.items()]
            lines += ["", f"{name}: {', '.join(said[:_SHOWN])}{', ...' if len(said) > _SHOWN else ''}"]
            lines += [f"  {entry}" for entry in self.shown if entry.component == name]
        if len(self.attributes) > len(self.shown):
            lines.append(f"  and {len(self.attributes) - len(self.shown)} more attributes, which the JSON has")
        lines += ["", *self._agreement()]
        if self.rules:
            lines += ["", "the rules:", *(f"  {sentence}" for sentence in self.rules)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _agreement(self) -> list[str]:
        """How the candidates agree, as a table."""
        rows = [("agreement of candidate", [str(k) for k in range(CANDIDATES)])]
        for entry in self.shown:
            rows.append((f"{entry.component} {entry.attribute}", [two_digits(value) for value in entry.agreement]))
        rows.append(("score", [two_digits(value) for value in self.scores]))
        marks = ["" for _ in range(CANDIDATES)]
        if self.target is not None:
            marks[self.target] = "right"
        marks[self.answer] = "answer" if not self.right else "right!"
        rows.append(("", marks))
        first = max(len(name) for name, _ in rows)
        width = max(6, *(len(cell) for _, cells in rows for cell in cells))
        return [f"{name:<{first}}  {'  '.join(f'{cell:>{width}}' for cell in cells)}".rstrip() for name, cells in rows]

    def plot(self) -> Figure:
        """Draw the puzzle, the rules and the agreement of the candidates.

        Returns:
            A figure; ``savefig`` writes it.

        Raises:
            VSAError: matplotlib is not installed.
        """
        from reasoning.outcome.explanation_plot import draw

        return draw(self)

    def _repr_png_(self) -> bytes | None:
        """For notebooks; without matplotlib they show the words."""
        from reasoning.outcome.explanation_plot import png

        try:
            return png(self)
        except VSAError:
            return None


def _number(value: float | None) -> float | None:
    """For JSON, which has neither infinities nor NaN."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
