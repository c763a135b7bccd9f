"""Distribute Three: every row has the same values, shifted cyclically from row to row (n values with n columns)."""

from __future__ import annotations

import numpy as np

from ..streams import Ints, Rows, Stream
from .base import RULES, LinearForm, Placement, Rule, sets_of
from .domains import Bools, Domain
from .forms import SHIFTS, PanelForm, Relation

__all__ = ["DistributeThree"]


class DistributeThree(Rule):
    """Distinct values, each row the row before it shifted by +1 or -1 as ``np.roll`` shifts.

    Reference:
        Zhang et al. 2019, "RAVEN"; Hersche et al. 2024 (n columns).
    """

    name = "Distribute_Three"
    code = 3
    parameters = (1, -1)
    governs = ("Number", "Position", "Type", "Size", "Color")
    keeps_entities = True
    reaches_maxval = True  # as the published generator
    words = "takes the same values in another order"

    def describe(self, parameter: int) -> str:
        return self.words

    def first_range(self, low: int, high: int, parameter: int, columns: int = 3) -> tuple[int, int]:
        return (low, high) if high - low + 1 >= columns else (low, low - 1)

    def first_count(self, slots: int, parameter: int) -> tuple[int, int]:
        # A full layout has one placement only; so do layouts with fewer than three slots not have three.
        return (1, slots - 1) if slots >= 3 else (1, 0)

    def draw(self, stream: Stream, low: int, high: int, parameter: Ints, rows: Rows, columns: int = 3) -> Ints:
        values = stream.distinct(low, high, columns, rows=rows)
        return np.take_along_axis(values[:, None, :], _shifted(parameter, columns), axis=2)

    def place(self, stream: Stream, slots: int, parameter: Ints, rows: Rows) -> Placement:
        k = len(rows)
        count = stream.between(1, slots - 1, rows=rows)
        lists = np.empty((k, 3, slots), dtype=np.int64)
        sets = np.empty((k, 3), dtype=np.int64)
        for c in range(3):
            todo = np.arange(k)
            while len(todo):  # three different sets of the same size
                lists[todo, c] = stream.permutations(slots, rows=rows[todo])
                sets[todo, c] = sets_of(lists[todo, c], count[todo])
                todo = todo[(sets[todo, :c] == sets[todo, c : c + 1]).any(axis=1)]
        which = _shifted(parameter, 3)
        order = lists[np.arange(k)[:, None, None], which]
        return Placement(order, np.repeat(np.repeat(count[:, None, None], 3, axis=1), 3, axis=2))

    def complete(self, context: Ints, columns: int, parameter: int, domain: Domain) -> Ints:
        rows = (context.shape[1] + 1) // columns
        return context[:, (columns - 1 - parameter * (rows - 1)) % columns]

    def holds(self, matrix: Ints, parameter: int, domain: Domain) -> Bools:
        first = np.sort(matrix[:, 0], axis=1)
        distinct = (first[:, 1:] != first[:, :-1]).all(axis=1)
        shifted = (np.roll(matrix[:, :-1], parameter, axis=2) == matrix[:, 1:]).all(axis=(1, 2))
        return distinct & shifted

    def linear(self, columns: int, parameter: int) -> LinearForm:
        # The other row has the same values: its sum less the panels seen.
        return LinearForm((-1,) * (columns - 1), (1,) * columns + (0,) * (columns - 1))

    pattern = SHIFTS

    def form(self, columns: int, parameter: int) -> PanelForm:
        shifted = tuple(
            Relation(row * columns + (k + parameter * row) % columns, (k,)) for row in (1, 2) for k in range(columns)
        )
        return PanelForm(columns, shifted, tuple((a, b) for b in range(columns) for a in range(b)))

    def label(self, parameter: int) -> str:
        return "distribute three"

    def sentence(self, parameter: int) -> str:
        return (
            "the last panel is what its row lacks of the values of another row; "
            "a set is where the shift of the rows puts it"
        )


def _shifted(parameter: Ints, columns: int) -> Ints:
    """(K, n, n): which value of the first row is where, for each row."""
    steps = np.arange(columns)
    return (steps[None, None, :] - parameter[:, None, None] * steps[None, :, None]) % columns


RULES.register(DistributeThree.name)(DistributeThree())
