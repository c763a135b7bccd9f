"""Counts of right answers and of rightly named rules: added, never averaged; a rate is one division at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reasoning.outcome.reliability import Reliability
from vsa.commands.files import taking_apart
from vsa.errors import CorruptFileError, ShapeError, VSAError

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from reasoning.learners.base import Prediction

__all__ = ["Metrics", "RuleKey", "RuleTally", "Tally", "observe", "reading_counts", "total"]

_COUNTS = ("answers", "tied", "unambiguous")  # the Tallies of Metrics
_SLOTS = ("Type", "Size", "Color", "Number/Position")
_UNSAID = Reliability()
_NOT_GOVERNED = -1  # an attribute whose rule governs nothing but itself


@dataclass(frozen=True)
class Tally:
    """How many of how many were right."""

    correct: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.total:
            raise VSAError("Tally", received=f"{self.correct} of {self.total}", expected="0 <= correct <= total")

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.correct + other.correct, self.total + other.total)

    @property
    def rate(self) -> float | None:
        """correct / total; None where nothing was counted."""
        return self.correct / self.total if self.total else None

    @property
    def percent(self) -> float | None:
        """The rate in percent."""
        return None if self.rate is None else 100 * self.rate

    def as_dict(self) -> dict[str, int]:
        """The JSON form."""
        return {"correct": self.correct, "total": self.total}

    @staticmethod
    def from_dict(stored: Any) -> Tally:
        """Back from the JSON form, of whatever form it is.

        Raises:
            KeyError: a count is missing.
            TypeError: something else than whole numbers.
            VSAError: impossible counts.
        """
        return Tally(_count(stored["correct"]), _count(stored["total"]))

    @staticmethod
    def of(right: NDArray[np.bool_]) -> Tally:
        """Count a mask."""
        return Tally(int(np.count_nonzero(right)), int(right.size))


class RuleKey(NamedTuple):
    """One row of the detailed table: which component, what is governed, by which rule.

    ``attribute`` is Type, Size, Color, or what the first rule of a component governs: Number, Position, or
    Number/Position where it is constant in both.
    """

    component: int
    attribute: str
    rule: str

    @property
    def slot(self) -> str:
        """The attribute with Number and Position joined, as in results.json."""
        return "Number/Position" if self.attribute in ("Number", "Position") else self.attribute


@dataclass(frozen=True)
class RuleTally:
    """How the puzzles with one rule fared.

    Attributes:
        named: the rule named is the generator's.
        consistent: the rule named is one that the eight context panels do not exclude. A label that they exclude, as
            files may have it, is named and yet not consistent.
        answers: the answer to the puzzle is right.
        total: puzzles with this rule.
        ambiguous: puzzles whose context panels more than one family of rules fits.
    """

    named: int = 0
    consistent: int = 0
    answers: int = 0
    total: int = 0
    ambiguous: int = 0

    def __post_init__(self) -> None:
        parts = (self.named, self.consistent, self.answers, self.ambiguous)
        if not all(0 <= part <= self.total for part in parts):
            raise VSAError(
                "RuleTally", received=str(self), expected="0 <= named, consistent, answers, ambiguous <= total"
            )

    def __add__(self, other: RuleTally) -> RuleTally:
        return RuleTally(
            self.named + other.named,
            self.consistent + other.consistent,
            self.answers + other.answers,
            self.total + other.total,
            self.ambiguous + other.ambiguous,
        )

    def as_dict(self) -> dict[str, int]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Metrics:
    """Counts over some puzzles of one set. ``a + b`` is what counting both at once would have given.

    Attributes:
        answers: right answers.
        rules: the detailed table.
        tied: answers whose score another candidate has too, but for rounding: chance decided. Nothing of nothing where
            nobody scores candidates.
        unambiguous: right answers to the puzzles that have no second answer which can be defended.
        certainty: answers by how certain they were; nothing where the learner does not say.
        answered: right answers among those that were not withheld for being too uncertain; None where all were given.
    """

    answers: Tally = Tally()
    rules: Mapping[RuleKey, RuleTally] = field(default_factory=dict)
    tied: Tally = Tally()
    unambiguous: Tally = Tally()
    certainty: Reliability = _UNSAID
    answered: Tally | None = None

    def __add__(self, other: Metrics) -> Metrics:
        rules = dict(self.rules)
        for key, tally in other.rules.items():
            rules[key] = rules.get(key, RuleTally()) + tally
        tied, unambiguous = self.tied + other.tied, self.unambiguous + other.unambiguous
        certainty = self.certainty + other.certainty
        answered = [part.answered for part in (self, other) if part.answered is not None]
        given = sum(answered, Tally()) if answered else None
        return Metrics(self.answers + other.answers, rules, tied, unambiguous, certainty, given)

    @property
    def ambiguous(self) -> int:
        """Puzzles with a second answer that can be defended."""
        return self.answers.total - self.unambiguous.total

    @property
    def given(self) -> Tally | None:
        """The answers that were not withheld, of all; None where there was no reason to withhold any."""
        return None if self.answered is None else Tally(self.answered.total, self.answers.total)

    def by_slot(self) -> dict[str, RuleTally]:
        """Rules by Number/Position, Type, Size, Color: components and rules summed; absent attributes are absent."""
        slots: dict[str, RuleTally] = {}
        for key, tally in self.rules.items():
            slots[key.slot] = slots.get(key.slot, RuleTally()) + tally
        return {slot: slots[slot] for slot in sorted(slots, key=_SLOTS.index)}

    @property
    def rule(self) -> RuleTally:
        """All rules together: components, attributes and rules summed."""
        return sum(self.rules.values(), RuleTally())

    def results(self) -> dict[str, Any]:
        """The entry of ``results.json``."""
        rules = {
            slot: {"correct": tally.named, "total": tally.total, "consistent": tally.consistent}
            for slot, tally in self.by_slot().items()
        }
        return {**self.counts(), "rules": rules}

    def counts(self) -> dict[str, dict[str, Any]]:
        """The counts of answers: right, tied, right where one alone can be defended; by certainty, where it is said."""
        found: dict[str, dict[str, Any]] = {name: getattr(self, name).as_dict() for name in _COUNTS}
        if self.certainty.count:
            found["certainty"] = self.certainty.as_dict()
        if self.answered is not None:
            found["answered"] = self.answered.as_dict()
        return found

    def detail(self) -> list[dict[str, Any]]:
        """The entry of ``rules.json``: one row per component, attribute and rule."""
        return [{**key._asdict(), **self.rules[key].as_dict()} for key in sorted(self.rules)]

    @staticmethod
    def from_json(counts: Mapping[str, Any], detail: Iterable[Any], source: object = "metrics") -> Metrics:
        """Back from the forms of :meth:`counts` and :meth:`detail`.

        Args:
            counts: ``{"answers": {"correct": ..., "total": ...}, ...}``; :meth:`results` has them, too.
            detail: rows of :meth:`detail`, as they were read: of any form.
            source: where they are from, for messages.

        Returns:
            The metrics.

        Raises:
            CorruptFileError: a field is missing or impossible.
        """
        hint = "restore it from a copy, or say overwrite=true"
        with reading_counts(source, hint):
            rules = {
                _key(row): RuleTally(*(_count(row[name]) for name in RuleTally.__dataclass_fields__)) for row in detail
            }
            names = (*_COUNTS, "answered") if "answered" in counts else _COUNTS
            tallies = {name: Tally.from_dict(counts[name]) for name in names}
            certainty = Reliability.from_dict(counts["certainty"]) if "certainty" in counts else _UNSAID
        return Metrics(rules=rules, certainty=certainty, **tallies)


@contextmanager
def reading_counts(source: object, hint: str = "") -> Iterator[None]:
    """Make a sentence of counts that are missing, of another form or impossible.

    Args:
        source: where they are from, for messages.
        hint: what to do.

    Raises:
        CorruptFileError: they are.
    """
    try:
        with taking_apart(source, hint=hint):
            yield
    except CorruptFileError:
        raise
    except VSAError as error:  # more than all
        raise CorruptFileError(f"read {source}", received=error.received, expected=error.expected, hint=hint) from error


def _key(row: Any) -> RuleKey:
    component, attribute, rule = _count(row["component"]), row["attribute"], row["rule"]
    if isinstance(attribute, str) and isinstance(rule, str):
        key = RuleKey(component, attribute, rule)
        if key.slot in _SLOTS:
            return key
    raise ValueError(f"rules of {str(row)[:80]}")


def _count(value: object) -> int:
    if type(value) is not int:  # True and 1.5 would pass for 1
        raise TypeError(f"{str(value)[:80]!r} for a count")
    return value


def total(parts: Iterable[Metrics]) -> Metrics:
    """The sum of some metrics."""
    result = Metrics()
    for part in parts:
        result = result + part
    return result


def observe(arrays: PuzzleArrays, prediction: Prediction, abstain: float | None = None) -> Metrics:
    """Count one batch.

    Args:
        arrays: B puzzles with their labels.
        prediction: a learner's output for them.
        abstain: the certainty below which an answer is withheld, of a learner that says how certain it is; None: never.

    Returns:
        The counts. A rule is counted where the scene has its attribute: a single-slot component has no Number/Position.

    Raises:
        ShapeError: puzzles and predictions differ in number.
    """
    from datasets.arrays import GOVERNED, NUMBER, RULE_SLOTS
    from datasets.judging.defensible import ambiguous as ambiguous_puzzles
    from datasets.rules import rule_name
    from datasets.rules.consistency import consistent_families, consistent_in
    from reasoning.learners.base import component_rules

    answers = prediction.answers.cpu().numpy()
    if len(answers) != len(arrays):
        raise ShapeError(
            "observe", received=f"{len(answers)} answers", expected=f"one for each of {len(arrays)} puzzles"
        )
    right = answers == arrays.target
    rules: dict[RuleKey, RuleTally] = {}
    grammar = arrays.grammar
    codes = [rule.code for rule in grammar]
    still = [rule.code for rule in grammar if RULE_SLOTS[0] in rule.governs]  # these show on Position
    for number, component in enumerate(arrays.components):
        found = component_rules(prediction, number, [rule.name for rule in grammar])
        predicted = {slot: codes.cpu().numpy() for slot, codes in found.items()}
        possible = consistent_families(arrays, number)
        for column, slot in enumerate(RULE_SLOTS):
            if slot not in predicted:
                continue
            label, family = component.rules[:, column], predicted[slot]
            ambiguous = consistent_in(possible, slot, grammar).sum(axis=1) > 1
            named = family == label
            if slot == "Number/Position":
                governed, guessed = component.governed, predicted["governed"]
                # A constant rule governs number and position alike, so what it is said to govern says nothing.
                named &= np.isin(label, still) | (guessed == governed)
                fits = np.where(
                    (guessed == NUMBER) & ~np.isin(family, still),
                    _fits(possible["Number"], codes, family),
                    _fits(possible["Position"], codes, family),
                )
            else:
                governed, fits = np.full(len(arrays), _NOT_GOVERNED), _fits(possible[slot], codes, family)
            for code in np.unique(governed):
                attribute = slot if code == _NOT_GOVERNED else GOVERNED[code]
                for rule in np.unique(label[governed == code]):
                    chosen = (governed == code) & (label == rule)
                    rules[RuleKey(number, attribute, rule_name(int(rule)))] = RuleTally(
                        int(named[chosen].sum()),
                        int(fits[chosen].sum()),
                        int(right[chosen].sum()),
                        int(chosen.sum()),
                        int(ambiguous[chosen].sum()),
                    )
    tied = prediction.best.cpu().numpy().sum(axis=1) > 1
    unambiguous = Tally.of(right[~ambiguous_puzzles(arrays)])
    if prediction.certainty is None:
        return Metrics(Tally.of(right), rules, Tally.of(tied), unambiguous)
    certainty = prediction.certainty.detach().cpu().numpy()
    answered = None if abstain is None else Tally.of(right[certainty >= abstain])
    return Metrics(Tally.of(right), rules, Tally.of(tied), unambiguous, Reliability.of(certainty, right), answered)


def _fits(possible: NDArray[np.bool_], codes: list[int], family: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether each puzzle's family (N,) is possible (bool (N, F), columns as ``codes``); an unknown one (-1) is not."""
    found = np.zeros(len(family), dtype=np.bool_)
    for column, code in enumerate(codes):
        found |= (family == code) & possible[:, column]
    return found
