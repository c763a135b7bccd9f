"""What a panel shows or should show of one attribute: levels from magnitudes, and words for them.

People count from 1: candidates and slots in words. Levels are those of the files, and so are the numbers in JSON.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reasoning.learners.base import EXPLAINED
from reasoning.scene import AttributeKey

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from datasets.scans.pictured import PicturedPuzzle

__all__ = ["UNDECIDED", "Expected", "capped", "expect", "number", "people"]

_NEGLIGIBLE = 1e-3  # probability
_LIKELIER = 0.5  # probability above which something is likelier than all else together
UNDECIDED = "undecided"  # nothing is likelier than all else together


@dataclass(frozen=True)
class Expected:
    """What a learner expects of one attribute in the missing panel.

    Attributes:
        value: the level (Number: the count; Position: the occupied slots, from 0) that is likelier than all others
            together; None: there is none.
        words: the same for people; where there is no value, why: the entities differ, or it is undecided.
        probability: of what the words say; of the likeliest where it is undecided.
        distribution: by level from ``lowest`` on; of Position: that each slot is occupied.
        lowest: the level of the first entry.
    """

    value: int | tuple[int, ...] | None
    words: str
    probability: float
    distribution: tuple[float, ...]
    lowest: int = 0

    @property
    def certain(self) -> bool:
        """Whether it is as sure as what explains: fit to be compared with a candidate."""
        return self.probability >= EXPLAINED

    @property
    def decided(self) -> bool:
        """Whether the words say something of the panel."""
        return self.words != UNDECIDED

    def as_dict(self) -> dict[str, Any]:
        """For JSON: value, words, probability, and the probabilities that are not negligible."""
        shares = {
            str(level): round(share, 4)
            for level, share in enumerate(self.distribution, start=self.lowest)
            if share >= _NEGLIGIBLE
        }
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"value": value, "words": self.words, "probability": number(self.probability), "distribution": shares}

    def __str__(self) -> str:
        return f"{self.words} ({self.probability:.2f})" if self.decided else "nothing for certain"


def expect(
    arrays: PuzzleArrays | PicturedPuzzle, key: AttributeKey, values: Sequence[float], ceiling: float = 1.0
) -> Expected:
    """From magnitudes to levels and words.

    Args:
        arrays: tell what the values of an attribute are.
        key: the attribute.
        values: V of a PMF, or S occupancies.
        ceiling: what it rests on is no surer than this, so neither is it.

    Returns:
        What is expected, or shown.
    """
    from datasets.attributes import ATTRIBUTES

    shares = tuple(values)
    if key.name == "Position":
        slots = tuple(slot for slot, share in enumerate(shares) if share >= _LIKELIER)
        probability = math.prod(max(share, 1 - share) for share in shares)
        words = f"slot{'s' if len(slots) > 1 else ''} {', '.join(str(people(slot)) for slot in slots)}"
        found = Expected(slots, words, min(1.0, probability), shares)
        return capped(found if slots else replace(found, probability=0.0), ceiling)
    lowest = -ATTRIBUTES[key.name].offset if arrays.maxval is None and key.name in ATTRIBUTES else 0
    highest = max(shares)
    missing = max(0.0, 1.0 - sum(shares))
    level = shares.index(highest) + lowest
    words = str(level)
    if arrays.maxval is None and key.name == "Type" and 0 <= level < len(ATTRIBUTES["Type"].values):
        words = str(ATTRIBUTES["Type"].values[level])
    found = Expected(level, words, min(1.0, highest), shares, lowest)
    if missing > highest:  # a single entity has one value: there a rule has left the range, which tells nothing
        differ = arrays.layouts[key.component].slots > 1 and key.name != "Number"
        found = Expected(None, "entities that differ", missing if differ else 0.0, shares, lowest)
    return capped(found, ceiling)


def capped(expected: Expected, ceiling: float) -> Expected:
    """An expectation that is no surer than what it rests on.

    Args:
        expected: something.
        ceiling: a probability.

    Returns:
        The same with a probability of at most ``ceiling``; undecided where that is not above one half.
    """
    if _LIKELIER < expected.probability <= ceiling:
        return expected
    probability = max(0.0, min(expected.probability, ceiling))
    if probability > _LIKELIER:
        return replace(expected, probability=probability)
    return replace(expected, value=None, words=UNDECIDED, probability=probability)


def people(index: int) -> int:
    """The number of a candidate or slot in words."""
    return index + 1


def number(value: float | None) -> float | None:
    """For JSON, which has neither infinities nor NaN."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
