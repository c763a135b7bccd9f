"""Arithmetic: the last panel of a row is the sum or the difference of the others."""

from __future__ import annotations

import numpy as np

from vsa.errors import VSAError

from ..streams import Ints, Rows, Stream
from .base import RULES, LinearForm, Placement, Rule, sets_of
from .domains import Bools, Domain
from .forms import TOTALS, PanelForm, Relation

__all__ = ["Arithmetic"]


class Arithmetic(Rule):
    """Sum (+1) or difference (-1) of magnitudes; union or difference of sets of slots.

    With n columns the sum is over the first n - 1 panels, the difference is the first panel minus the others.

    Reference:
        Zhang et al. 2019, "RAVEN"; Hersche et al. 2024 (n columns).
    """

    name = "Arithmetic"
    code = 2
    parameters = (1, -1)
    governs = ("Number", "Position", "Size", "Color")
    words = "adds up"

    def describe(self, parameter: int) -> str:
        return "is the difference" if parameter < 0 else self.words

    def first_range(self, low: int, high: int, parameter: int, columns: int = 3) -> tuple[int, int]:
        if high <= low:  # with a single value nothing can be told (the outer component's Color)
            return low, low - 1
        others = low * (columns - 2)
        return (low, high - others) if parameter > 0 else (low + others, high)

    def first_count(self, slots: int, parameter: int) -> tuple[int, int]:
        return (1, slots - 1) if parameter > 0 else ((slots + 1) // 2, slots - 1)

    def draw(self, stream: Stream, low: int, high: int, parameter: Ints, rows: Rows, columns: int = 3) -> Ints:
        if columns != 3:
            raise VSAError(
                "draw an arithmetic row",
                received=f"{columns} columns",
                expected="3",
                hint="datasets.making.iraven_x has n columns",
            )
        add = parameter > 0
        start = np.where(add, low, 2 * low)
        first = stream.between(start[:, None], np.where(add, high - low, high)[:, None], 3, rows=rows)
        second = np.empty_like(first)
        second[:, 0] = stream.between(low, self._limit(first[:, 0], add, low, high), rows=rows)
        if low == 0:
            # Zero is neutral: rows 1 and 2 with a zero second panel would not tell + from -. When row 1 has one, row 2
            # gets another second panel, and another first one where that would leave no choice. Row 3 is left alone.
            alarm = second[:, 0] == 0
            stuck = np.flatnonzero(alarm & (first[:, 1] == np.where(add, high, 0)))
            first[stuck, 1] = stream.below(high, rows=rows[stuck]) + ~add[stuck]
        second[:, 1] = stream.between(low, self._limit(first[:, 1], add, low, high), rows=rows)
        if low == 0:
            again = np.flatnonzero(alarm & (second[:, 1] == 0))
            second[again, 1] = stream.between(1, self._limit(first[again, 1], add[again], low, high), rows=rows[again])
        second[:, 2] = stream.between(low, self._limit(first[:, 2], add, low, high), rows=rows)
        third = np.where(add[:, None], first + second, first - second)
        return np.stack([first, second, third], axis=2)

    def draw_wide(self, stream: Stream, maxval: int, parameter: Ints, rows: Rows, columns: int) -> Ints:
        operands = _operands(stream, rows, columns, maxval)
        total = operands.sum(axis=2, keepdims=True)
        add = (parameter > 0)[:, None, None]
        return np.where(add, np.concatenate([operands, total], axis=2), np.concatenate([total, operands], axis=2))

    @staticmethod
    def _limit(first: Ints, add: Bools, low: int, high: int) -> Ints:
        """The largest second panel."""
        return np.where(add, high - first, first - low)

    def place(self, stream: Stream, slots: int, parameter: Ints, rows: Rows) -> Placement:
        add = parameter > 0
        least = np.where(add, 1, (slots + 1) // 2)
        k = len(rows)
        order = np.empty((k, 3, 3, slots), dtype=np.int64)
        count = np.empty((k, 3, 3), dtype=np.int64)
        for r in range(3):
            order[:, r, 0] = stream.permutations(slots, rows=rows)
            count[:, r, 0] = stream.between(least, slots - 1, rows=rows)
            first = sets_of(order[:, r, 0], count[:, r, 0])
            second = np.zeros_like(first)
            todo = np.arange(k)
            # A union must add something, a difference must leave something. A difference may take nothing away, though,
            # and a union may equal its second panel: so in the published data, where a row alone can look constant.
            while len(todo):
                order[todo, r, 1] = stream.permutations(slots, rows=rows[todo])
                count[todo, r, 1] = stream.between(least[todo], slots - 1, rows=rows[todo])
                second[todo] = sets_of(order[todo, r, 1], count[todo, r, 1])
                todo = todo[~self._tells(first[todo], second[todo], add[todo])]
            third = np.where(add, first | second, first & ~second)
            member = (third[:, None] >> np.arange(slots)) & 1
            order[:, r, 2] = np.argsort(-member, axis=1, kind="stable")  # the entities are redrawn: any order will do
            count[:, r, 2] = member.sum(axis=1)
        return Placement(order, count)

    @staticmethod
    def _tells(first: Ints, second: Ints, add: Bools) -> Bools:
        return np.where(add, (second & ~first) != 0, (first & ~second) != 0)

    def complete(self, context: Ints, columns: int, parameter: int, domain: Domain) -> Ints:
        return self._result(context[:, -(columns - 1) :], parameter, domain)

    @staticmethod
    def _result(operands: Ints, parameter: int, domain: Domain) -> Ints:
        """(..., n - 1) operands to (...)."""
        total = operands[..., 0]
        for k in range(1, operands.shape[-1]):
            total = domain.add(total, operands[..., k]) if parameter > 0 else domain.subtract(total, operands[..., k])
        return total

    def holds(self, matrix: Ints, parameter: int, domain: Domain) -> Bools:
        operands, last = matrix[:, :, :-1], matrix[:, :, -1]
        right = (self._result(operands, parameter, domain) == last).all(axis=1)
        return right & domain.tells(operands, parameter)

    def linear(self, columns: int, parameter: int) -> LinearForm:
        sign = 1 if parameter > 0 else -1
        row = (1,) + (sign,) * (columns - 2)
        return LinearForm(row, (0,) * (2 * columns - 1))

    pattern = TOTALS

    def form(self, columns: int, parameter: int) -> PanelForm:
        others = tuple(range(1, columns - 1))
        last = columns - 1
        total = Relation(last, (0, *others)) if parameter > 0 else Relation(last, (0,), others)
        return PanelForm.of_rows(columns, (total,))

    def label(self, parameter: int) -> str:
        return "sum" if parameter > 0 else "difference"

    def sentence(self, parameter: int) -> str:
        if parameter > 0:
            return "the last panel is the sum of the others; the union of sets"
        return "the last panel is the first less the others; the difference of sets"


def _operands(stream: Stream, rows: Rows, columns: int, maxval: int) -> Ints:
    """The summands of arithmetic rows, (K, n, n - 1): a limit in the upper half of the range is spent step by step."""
    shape = (len(rows), columns, columns - 1)
    operands = np.zeros(shape, dtype=np.int64)
    todo = np.ones(shape[:2], dtype=np.bool_)
    while todo.any():  # a row of zeros is drawn again
        active = np.flatnonzero(todo.any(axis=1))
        left = stream.between(maxval // 2, maxval - 1, columns, rows=rows[active])
        drawn = np.empty((len(active), columns, columns - 1), dtype=np.int64)
        for c in range(columns - 1):
            drawn[:, :, c] = stream.between(0, left, columns, rows=rows[active])
            left = left - drawn[:, :, c]
        operands[active] = np.where(todo[active][:, :, None], drawn, operands[active])
        todo[active] &= (drawn == 0).all(axis=2)
    operands = np.take_along_axis(operands, stream.permutations(columns - 1, columns, rows=rows), axis=2)
    # The last summand is never zero: it changes places with the first that is not.
    first = np.argmax(operands != 0, axis=2)[:, :, None]
    zero = operands[:, :, -1:] == 0
    value = np.take_along_axis(operands, first, axis=2)
    swapped = operands.copy()
    np.put_along_axis(swapped, first, np.where(zero, 0, value), axis=2)
    swapped[:, :, -1:] = np.where(zero, value, operands[:, :, -1:])
    return swapped


RULES.register(Arithmetic.name)(Arithmetic())
