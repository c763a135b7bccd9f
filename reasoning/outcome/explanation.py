"""Reasons for an answer: rules, alternatives, expected values, agreement, and why the others are wrong.

In words, as JSON, as a picture. People count candidates and slots from 1; the data, as the files, from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reasoning.outcome.digits import two_digits
from reasoning.outcome.expectation import Expected, number, people
from reasoning.outcome.statements import Fault, Statement, faults_in_words
from reasoning.scene import CANDIDATES
from vsa.errors import VSAError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from datasets.puzzle import Puzzle
    from datasets.scans.pictured import PicturedPuzzle

__all__ = ["AttributeExplanation", "Expected", "Explanation", "Fault", "Statement"]

_SHOWN = 12  # attributes in words and picture; the JSON has all
_PERHAPS = 0.5  # probability up to which a rule is named with a reservation


@dataclass(frozen=True)
class AttributeExplanation:
    """One attribute of one component.

    Attributes:
        component: its name.
        attribute: its name.
        family: what the rule computes in these rows: Constant, Progression, ...; None: none of the known.
        rule: the learner's rule that explains the rows best.
        probability: of that rule among the learner's.
        runner_up: the next best rule; None where there is one rule only.
        runner_up_probability: its probability.
        confidence: how well the rules explain the complete rows; 1 is perfect.
        expected: what the missing panel should show; None where the learner does not say.
        agreement: of each candidate with what is expected.
        governed: whether a rule is claimed of it: of Number and Position, the one that governs.
        free: whether it is called Constant because its entities differ as they like, and not because of the rule.
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
    governed: bool = True
    free: bool = False

    @property
    def claimed(self) -> float | None:
        """With which probability the family is claimed: no surer than its rule explains the rows; None: it is not."""
        if not self.governed or self.family is None:
            return None
        return 1.0 if self.free else max(0.0, min(self.probability, self.confidence))

    @property
    def fixed(self) -> bool:
        """Whether the missing panel is known in it: a value, or that it is free."""
        return self.expected is not None and self.expected.decided

    def headline(self) -> str:
        """Family or unknown, with how sure it is where that is not above one half."""
        if self.claimed is None or self.family is None:
            return "unknown"
        return self.family if self.claimed > _PERHAPS else f"perhaps {self.family} ({two_digits(self.claimed)})"

    def says(self) -> str:
        """What is claimed of the rule, in words."""
        if not self.governed:
            return "no rule of its own"
        if self.free:
            return f"{self.family}: its entities differ, and no rule explains the complete rows"
        return f"{self.headline()}; {self.rule} {two_digits(self.probability)}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "attribute": self.attribute,
            "family": self.family,
            "governed": self.governed,
            "free": self.free,
            "claimed": number(self.claimed),
            "rule": self.rule,
            "probability": number(self.probability),
            "runner_up": self.runner_up,
            "runner_up_probability": number(self.runner_up_probability),
            "confidence": number(self.confidence),
            "expected": None if self.expected is None else self.expected.as_dict(),
            "agreement": [number(value) for value in self.agreement],
        }

    def __str__(self) -> str:
        words = f"{self.attribute}: {self.says()}"
        if self.governed and not self.free:
            if self.runner_up is not None and self.runner_up_probability is not None:
                words += f", runner-up {self.runner_up} {two_digits(self.runner_up_probability)}"
            words += f"; explains the complete rows to {two_digits(self.confidence)}"
        return words if self.expected is None else f"{words}; expects {self.expected}"


@dataclass(frozen=True)
class Explanation:
    """The answer to one puzzle and its reasons.

    Attributes:
        puzzle: what was asked. Its target and rules, where it has them, are not looked at.
        answer: the chosen candidate, 0 to 7.
        scores: of the candidates.
        attributes: component by component.
        named: for each component the rules in the generator's terms: what is governed -> rule, or None.
        rules: the learner's rules in words.
        target: the right candidate, where whoever asks knows it.
        faults: for each candidate, where it is not as expected.
        unsure: for each candidate, whether it may be wrong in more than its faults: something is not known of it.
        tied: candidates with the answer's score, but for rounding: chance has decided.
        certainty: the probability that the answer is right, shared by those that tie; None where the learner does not
            say.
        probabilities: likewise of each candidate.
    """

    puzzle: Puzzle | PicturedPuzzle
    answer: int
    scores: tuple[float, ...]
    attributes: tuple[AttributeExplanation, ...]
    named: Mapping[str, Mapping[str, str | None]]
    rules: tuple[str, ...] = ()
    target: int | None = None
    faults: tuple[tuple[Fault, ...], ...] = ((),) * CANDIDATES
    unsure: tuple[bool, ...] = (True,) * CANDIDATES
    tied: tuple[int, ...] = ()
    certainty: float | None = None
    probabilities: tuple[float, ...] | None = None

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
        return self.puzzle.title

    @property
    def verdict(self) -> str:
        """The answer in words."""
        tied = " and ".join(f"candidate {people(k)}" for k in self.tied)
        tie = f", which ties with {tied}" if tied else ""
        right = {None: "", True: "; it is right", False: ""}[self.right]
        if self.right is False and self.target is not None:
            right = f"; it is wrong: candidate {people(self.target)} is right"
        certain = "" if self.certainty is None else f" (certainty {two_digits(self.certainty)})"
        return f"answer: candidate {people(self.answer)}{certain}{tie}{right}"

    def statements(self) -> tuple[Statement, ...]:
        """All that the words say about the puzzle, as data."""
        said = []
        for entry in self.attributes:
            where = entry.component, entry.attribute
            if entry.claimed is not None and entry.family is not None:
                said.append(Statement("rule", *where, entry.family, entry.claimed))
            if entry.expected is not None and entry.expected.decided:
                said.append(Statement("expects", *where, entry.expected.value, entry.expected.probability))
        for candidate, faults in enumerate(self.faults):
            kind = "alone" if len(faults) == 1 and not self.unsure[candidate] else "fault"
            for fault in faults:
                where, what = (fault.component, fault.attribute), fault.expected
                said.append(Statement(kind, *where, what.value, what.probability, candidate))
        return tuple(said)

    @property
    def shown(self) -> tuple[AttributeExplanation, ...]:
        """The attributes that words and picture have room for."""
        return self.attributes[:_SHOWN]

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns:
            Nested dicts, lists, text and finite numbers; everything that is known.
        """
        return {
            "puzzle": self.puzzle.record(),
            "answer": self.answer,
            "tied": list(self.tied),
            "certainty": number(self.certainty),
            "target": self.target,
            "right": self.right,
            "scores": [number(score) for score in self.scores],
            "components": [
                {
                    "name": name,
                    "named": dict(rules),
                    "attributes": [entry.as_dict() for entry in self.attributes if entry.component == name],
                }
                for name, rules in self.named.items()
            ],
            "faults": [[fault.as_dict() for fault in faults] for faults in self.faults],
            "rules": list(self.rules),
        }

    def __str__(self) -> str:
        return "\n".join([self.title, self.verdict, self.reasons()])

    def reasons(self) -> str:
        """The words below title and verdict."""
        lines = []
        for name, rules in self.named.items():
            said = [f"{governed} {self._headline(name, governed)}" for governed in rules]
            lines += ["", f"{name}: {', '.join(said[:_SHOWN])}{', ...' if len(said) > _SHOWN else ''}"]
            lines += [f"  {entry}" for entry in self.shown if entry.component == name]
        if len(self.attributes) > len(self.shown):
            lines.append(f"  and {len(self.attributes) - len(self.shown)} more attributes, which the JSON has")
        lines += ["", *self.why(), "", *self._agreement()]
        if self.rules:
            lines += ["", "the rules:", *(f"  {sentence}" for sentence in self.rules)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def why(self) -> list[str]:
        """Of each candidate but the answer, why it is wrong; of the answer, where it is not as expected."""
        several = len(self.named) > 1
        lines = []
        for candidate, (faults, unsure) in enumerate(zip(self.faults, self.unsure, strict=True)):
            if candidate == self.answer:
                if faults:
                    lines.append(f"{faults_in_words(candidate, faults, not unsure, several, '')}; the others fit less")
                continue
            unlike = "nothing that is expected speaks against it, it agrees less in what is not certain"
            otherwise = "as good as the answer" if candidate in self.tied else unlike
            lines.append(faults_in_words(candidate, faults, not unsure, several, otherwise))
        return lines

    def _headline(self, component: str, governed: str) -> str:
        """What the detail says of the rule, too."""
        name = "Position" if governed == "Number/Position" else governed
        entries = (entry for entry in self.attributes if (entry.component, entry.attribute) == (component, name))
        entry = next(entries, None)
        return "unknown" if entry is None else entry.headline()

    def _agreement(self) -> list[str]:
        """How the candidates agree, as a table."""
        rows = [("agreement of candidate", [str(people(k)) for k in range(CANDIDATES)])]
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
