"""Progression: from panel to panel the value grows by the same step."""

from __future__ import annotations

import numpy as np

from ..streams import Ints, Rows, Stream
from .base import RULES, LinearForm, Placement, Rule
from .domains import Bools, Domain
from .forms import STEPS, PanelForm, Relation

__all__ = ["Progression"]


class Progression(Rule):
    """A step of +-1 or +-2 per panel, the same in all rows. Sets of slots move on cyclically.

    Reference:
        Zhang et al. 2019, "RAVEN".
    """

    name = "Progression"
    code = 1
    parameters = (-2, -1, 1, 2)
    governs = ("Number", "Position", "Type", "Size", "Color")
    keeps_entities = True
    words = "steps"

    def describe(self, parameter: int) -> str:
        return f"{self.words} by {parameter:+d}" if parameter else self.words

    def first_range(self, low: int, high: int, parameter: int, columns: int = 3) -> tuple[int, int]:
        travel = parameter * (columns - 1)
        return low - min(travel, 0), high - max(travel, 0)

    def first_count(self, slots: int, parameter: int) -> tuple[int, int]:
        # Moving needs no room, yet the original leaves two free slots per step; its data have no fuller panels.
        return 1, slots - 2 * abs(parameter)

    def draw(self, stream: Stream, low: int, high: int, parameter: Ints, rows: Rows, columns: int = 3) -> Ints:
        travel = parameter * (columns - 1)
        first = stream.between(
            (low - np.minimum(travel, 0))[:, None], (high - np.maximum(travel, 0))[:, None], columns, rows=rows
        )
        return first[:, :, None] + parameter[:, None, None] * np.arange(columns)

    def place(self, stream: Stream, slots: int, parameter: Ints, rows: Rows) -> Placement:
        order = stream.permutations(slots, 3, 1, rows=rows)
        count = stream.between(1, (slots - 2 * np.abs(parameter))[:, None, None], 3, 1, rows=rows)
        moved = (order + parameter[:, None, None, None] * np.arange(3)[:, None]) % slots
        return Placement(moved, np.repeat(count, 3, axis=2))

    def carries(self, before: Ints, after: Ints, parameter: int) -> Bools:
        return np.asarray((np.roll(before, parameter, axis=-1) == after).all(axis=-1))

    def complete(self, context: Ints, columns: int, parameter: int, domain: Domain) -> Ints:
        return domain.step(context[:, -1], parameter)

    def holds(self, matrix: Ints, parameter: int, domain: Domain) -> Bools:
        if not domain.steps(parameter, matrix.shape[2]):
            return np.zeros(len(matrix), dtype=np.bool_)
        moved = domain.step(matrix[:, :, :-1], parameter)
        # A full panel moves onto itself: that is no progression.
        return ((moved == matrix[:, :, 1:]) & (matrix[:, :, 1:] != matrix[:, :, :-1])).all(axis=(1, 2))

    def linear(self, columns: int, parameter: int) -> LinearForm:
        # last + second - first, whatever the step; at n = 3 the second is the last: 2 x2 - x1
        row = np.zeros(columns - 1, dtype=np.int64)
        row[0] -= 1
        row[1] += 1
        row[-1] += 1
        return LinearForm(tuple(int(k) for k in row), (0,) * (2 * columns - 1))

    pattern = STEPS

    def form(self, columns: int, parameter: int) -> PanelForm:
        steps = tuple(Relation(k, (k - 1,), step=parameter) for k in range(1, columns))
        return PanelForm.of_rows(columns, steps, tuple((k - 1, k) for k in range(1, columns)))

    def moves(self, parameter: int) -> int:
        return parameter

    def sentence(self, parameter: int) -> str:
        return f"each panel is the one before it {parameter:+d}; a set moves on by {parameter:+d} slots"


RULES.register(Progression.name)(Progression())
