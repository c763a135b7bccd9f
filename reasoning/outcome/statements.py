"""What an explanation says, as data: so that it can be compared with the truth, and put into words in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reasoning.outcome.expectation import Expected, number, people

__all__ = ["Fault", "Statement", "faults_in_words"]


@dataclass(frozen=True)
class Fault:
    """Where a candidate is not as expected.

    Attributes:
        component: its name.
        attribute: its name.
        shown: what the candidate shows.
        expected: what it should show.
    """

    component: str
    attribute: str
    shown: Expected
    expected: Expected

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "component": self.component,
            "attribute": self.attribute,
            "shown": self.shown.words,
            "expected": self.expected.words,
            "probability": number(self.expected.probability),
        }

    def words(self, several: bool) -> str:
        """For people: "Color, which should be 7"."""
        name = f"{self.component} {self.attribute}" if several else self.attribute
        sure = "" if self.expected.certain else f" ({self.expected.probability:.2f})"
        return f"{name}, which should be {self.expected.words}{sure}"


@dataclass(frozen=True)
class Statement:
    """One thing that an explanation says.

    Attributes:
        kind: "rule" (the attribute follows it), "expects" (the missing panel shows it), "fault" (a candidate is wrong
            in it), "alone" (a candidate is right in all but this).
        component: its name.
        attribute: its name.
        value: the rule's name; else the level, slots, or None for entities that differ.
        probability: with which it is said.
        candidate: of the latter two, from 0.
    """

    kind: str
    component: str
    attribute: str
    value: str | int | tuple[int, ...] | None
    probability: float
    candidate: int | None = None


def faults_in_words(candidate: int, faults: Sequence[Fault], alone: bool, several: bool, otherwise: str) -> str:
    """Why a candidate is wrong.

    Args:
        candidate: from 0.
        faults: of it.
        alone: whether it is known to be right in all else.
        several: whether components must be told apart.
        otherwise: what is said without a fault.

    Returns:
        A line.
    """
    listed = [fault.words(several) for fault in faults]
    if not listed:
        said = otherwise
    elif len(listed) == 1 and alone:
        said = f"right in all but {listed[0]}"
    else:
        said = f"wrong in {', and in '.join(listed)}"
    return f"candidate {people(candidate)}: {said}"
