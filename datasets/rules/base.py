"""What a rule is: pure functions over arrays of puzzles, for values and for sets of slots alike.

A matrix is an integer array (N, R, n): R rows of n panels. What its entries are, the domain says
(:mod:`datasets.rules.domains`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vsa.errors import ShapeError, VSAError

from ..streams import Ints, Rows, Stream
from .domains import Bools, Domain
from .forms import PanelForm
from .registry import PUBLISHED, RULES, declares, rule_code, rule_name, rules_named

__all__ = [
    "PUBLISHED",
    "RULES",
    "LinearForm",
    "Placement",
    "Rule",
    "declares",
    "rule_code",
    "rule_name",
    "rules_named",
    "sets_of",
]


@dataclass(frozen=True)
class LinearForm:
    """The last panel of a row as a sum of the other panels' values with integer coefficients.

    Args:
        row: n - 1 coefficients, of the other panels of the same row.
        context: 2n - 1 coefficients, of another row whole and of the second other row without its last panel.
    """

    row: tuple[int, ...]
    context: tuple[int, ...]

    def apply(self, row: Ints, context: Ints) -> Ints:
        """Evaluates the form.

        Args:
            row: (N, n - 1).
            context: (N, 2n - 1).

        Returns:
            (N,).
        """
        return row @ np.asarray(self.row) + context @ np.asarray(self.context)


@dataclass(frozen=True)
class Placement:
    """Where the entities of a matrix are.

    Args:
        order: int64 (K, 3, 3, S), permutations of the slots: entity i of a panel is in slot order[..., i].
        count: int64 (K, 3, 3), how many entities a panel has.
    """

    order: Ints
    count: Ints


def sets_of(order: Ints, count: Ints) -> Ints:
    """Sets of slots as bit masks.

    Args:
        order: (..., S) permutations of the slots.
        count: (...), how many of them are occupied.

    Returns:
        int64 (...).
    """
    occupied = np.arange(order.shape[-1]) < count[..., None]
    return np.where(occupied, np.int64(1) << order, 0).sum(axis=-1)


class Rule(ABC):
    """One family of rules. Stateless; all methods are pure functions over the N puzzles of a batch.

    A rule declares what it is; nobody asks for its name:

    name, code: its own, stored with puzzles; codes are 0 .. 127 and 0 .. 3 are the published rules'.
    parameters: drawn with equal probability; ``(0,)`` where there is only one, otherwise none is 0.
    governs: some of Number/Position (both stay alike), Number, Position, Type, Size, Color.
    keeps_entities: on Position, the entities of a row move (:meth:`carries`) but stay the same.
    keeps_values: on Type, Size, Color, every entity keeps what it was drawn with, so a panel may show several values.
    reaches_maxval: in I-RAVEN-X it draws from 0 .. maxval; other rules stay below maxval.
    words: what the attribute does, for people: "stays the same".
    """

    name: ClassVar[str]
    code: ClassVar[int]
    parameters: ClassVar[tuple[int, ...]]
    governs: ClassVar[tuple[str, ...]]
    keeps_entities: ClassVar[bool] = False
    keeps_values: ClassVar[bool] = False
    reaches_maxval: ClassVar[bool] = False
    words: ClassVar[str] = ""

    def describe(self, parameter: int) -> str:
        """What the attribute does, in words.

        Args:
            parameter: one of ``parameters``; 0: not known.

        Returns:
            The end of a sentence that begins with the attribute.
        """
        words = self.words or f"follows {self.name}"
        return f"{words} ({parameter:+d})" if parameter else words

    def governs_part(self, attribute: str) -> bool:
        """Whether the rule says something of an attribute; a rule of Number/Position does of both.

        Args:
            attribute: Number, Position, Type, Size or Color.

        Returns:
            The answer.
        """
        both = attribute in ("Number", "Position") and "Number/Position" in self.governs
        return both or attribute in self.governs

    def carries(self, before: Ints, after: Ints, parameter: int) -> Bools:
        """Whether the entities of a panel may be those of the panel before it; for rules that keep entities.

        Args:
            before: (..., S) one number per slot that tells entities apart, -1 where none is.
            after: (..., S).
            parameter: one of ``parameters``.

        Returns:
            bool (...). By default the entities may be anywhere.
        """
        return np.asarray((np.sort(before, axis=-1) == np.sort(after, axis=-1)).all(axis=-1))

    def draw_wide(self, stream: Stream, maxval: int, parameter: Ints, rows: Rows, columns: int) -> Ints:
        """Draws matrices of I-RAVEN-X; by default as :meth:`draw` does.

        Args:
            stream: the puzzles' randomness.
            maxval: the data set's range.
            parameter: (K,).
            rows: (K,) the puzzles of the stream that draw.
            columns: n.

        Returns:
            int64 (K, n, n).
        """
        return self.draw(stream, 0, self.top(maxval), parameter, rows, columns)

    def top(self, maxval: int) -> int:
        """The largest value that the rule gives in I-RAVEN-X.

        Args:
            maxval: the data set's range.

        Returns:
            maxval or maxval - 1.
        """
        return maxval if self.reaches_maxval else maxval - 1

    @abstractmethod
    def first_range(self, low: int, high: int, parameter: int, columns: int = 3) -> tuple[int, int]:
        """Magnitudes that the first panel of a row may have so that the others exist.

        Args:
            low: smallest magnitude.
            high: largest magnitude.
            parameter: one of ``parameters``.
            columns: n.

        Returns:
            (low, high), inclusive; empty (low > high) when the rule is impossible.
        """

    @abstractmethod
    def first_count(self, slots: int, parameter: int) -> tuple[int, int]:
        """How many entities the first panel of a row may have when the rule governs Position.

        Args:
            slots: S.
            parameter: one of ``parameters``.

        Returns:
            (low, high), inclusive; empty when the rule is impossible.
        """

    @abstractmethod
    def draw(self, stream: Stream, low: int, high: int, parameter: Ints, rows: Rows, columns: int = 3) -> Ints:
        """Draws matrices of magnitudes as the original generator does.

        Args:
            stream: the puzzles' randomness.
            low: smallest magnitude of the attribute.
            high: largest magnitude of the attribute.
            parameter: (K,).
            rows: (K,) the puzzles of the stream that draw.
            columns: n.

        Returns:
            int64 (K, n, n).
        """

    @abstractmethod
    def place(self, stream: Stream, slots: int, parameter: Ints, rows: Rows) -> Placement:
        """Draws placements for a rule on Position, as the original generator does.

        Args:
            stream: the puzzles' randomness.
            slots: S.
            parameter: (K,).
            rows: (K,) the puzzles of the stream that draw.

        Returns:
            The placement of the K matrices.
        """

    @abstractmethod
    def complete(self, context: Ints, columns: int, parameter: int, domain: Domain) -> Ints:
        """The last panel, from all the others.

        Args:
            context: (N, R * n - 1) panels row by row, R >= 2.
            columns: n.
            parameter: one of ``parameters``.
            domain: values or sets.

        Returns:
            (N,), legal or not.
        """

    @abstractmethod
    def holds(self, matrix: Ints, parameter: int, domain: Domain) -> Bools:
        """Whether all rows follow the rule with this parameter.

        Args:
            matrix: (N, R, n).
            parameter: one of ``parameters``.
            domain: values or sets.

        Returns:
            bool (N,).
        """

    @abstractmethod
    def linear(self, columns: int, parameter: int) -> LinearForm | None:
        """The rule as a linear form over values.

        Args:
            columns: n.
            parameter: one of ``parameters``.

        Returns:
            The form, or None where the rule has none.

        Reference:
            Hersche et al. 2024, "Towards Learning Abductive Reasoning using VSA Distributed Representations" (the
            programmed rules).
        """

    def fits(self, matrix: Ints, domain: Domain, parameter: int | None = None) -> Bools:
        """Whether complete rows follow the rule.

        Args:
            matrix: (N, R, n), all legal.
            domain: values or sets.
            parameter: one of ``parameters``; None: any, but the same one in all rows.

        Returns:
            bool (N,).
        """
        if matrix.ndim != 3:
            raise ShapeError(f"{self.name}.fits", received=f"shape {matrix.shape}", expected="(N, R, n)")
        legal = domain.legal(matrix).all(axis=(1, 2))
        if parameter is not None and parameter not in self.parameters:
            raise VSAError(f"{self.name}.fits", received=f"parameter {parameter}", expected=f"one of {self.parameters}")
        found = np.zeros(len(matrix), dtype=np.bool_)
        for candidate in self.parameters if parameter is None else (parameter,):
            found |= self.holds(matrix, candidate, domain)
        return found & legal

    def extends(self, context: Ints, columns: int, domain: Domain, parameter: int | None = None) -> Bools:
        """Whether all panels but the last leave room for the rule: some legal last panel completes it.

        Args:
            context: (N, R * n - 1) panels row by row, R >= 2.
            columns: n.
            domain: values or sets.
            parameter: one of ``parameters``; None: any.

        Returns:
            bool (N,).
        """
        found = np.zeros(len(context), dtype=np.bool_)
        for candidate in self.parameters if parameter is None else (parameter,):
            answer = self.complete(context, columns, candidate, domain)
            matrix = np.concatenate([context, answer[:, None]], axis=1).reshape(len(context), -1, columns)
            found |= self.fits(matrix, domain, candidate)
        return found

    # -- what reasoners need beside the functions ---------------------------------------------------------------

    constant: ClassVar[bool] = False  # whether the panels of a row are alike: the name of what has no other rule
    pattern: ClassVar[str | None] = None  # one of forms.PATTERNS, for which reasoners have closed forms

    def form(self, columns: int, parameter: int) -> PanelForm | None:
        """The rule's matrices panel by panel.

        NVSA needs it of a rule without ``pattern``; for the symbolic solver it replaces a sum over whole rows.

        Args:
            columns: n.
            parameter: one of ``parameters``.

        Returns:
            The form, or None where there is none.
        """
        return None

    def moves(self, parameter: int) -> int | None:
        """On Position, where ``keeps_entities``: by how many slots each entity moves on from panel to panel.

        Args:
            parameter: one of ``parameters``.

        Returns:
            Slots; None: the entities of a row are the same ones in unknown places.
        """
        return None

    def label(self, parameter: int) -> str:
        """A short name of the rule with its parameter.

        Args:
            parameter: one of ``parameters``.

        Returns:
            Lower case words.
        """
        name = self.name.replace("_", " ").lower()
        return name if len(self.parameters) == 1 else f"{name} {parameter:+d}"

    def sentence(self, parameter: int) -> str:
        """What the rule says, as a clause.

        Args:
            parameter: one of ``parameters``.

        Returns:
            Such as "the last panel is like the one before".
        """
        return f"along a row the attribute {self.describe(parameter)}"


RULES.kind_of_rule = Rule
