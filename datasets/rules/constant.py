"""Constant: the panels of a row are alike."""

from __future__ import annotations

import numpy as np

from ..streams import Ints, Rows, Stream
from .base import RULES, LinearForm, Placement, Rule
from .domains import Bools, Domain
from .forms import ALIKE, PanelForm, Relation

__all__ = ["Constant"]


class Constant(Rule):
    """The panels of a row are alike; rows differ freely.

    Reference:
        Zhang et al. 2019, "RAVEN".
    """

    name = "Constant"
    code = 0
    parameters = (0,)
    governs = ("Number/Position", "Type", "Size", "Color")
    keeps_entities = True
    keeps_values = True
    words = "stays the same"

    def first_range(self, low: int, high: int, parameter: int, columns: int = 3) -> tuple[int, int]:
        return low, high

    def first_count(self, slots: int, parameter: int) -> tuple[int, int]:
        return 1, slots

    def draw(self, stream: Stream, low: int, high: int, parameter: Ints, rows: Rows, columns: int = 3) -> Ints:
        return np.repeat(stream.between(low, high, columns, 1, rows=rows), columns, axis=2)

    def place(self, stream: Stream, slots: int, parameter: Ints, rows: Rows) -> Placement:
        order = stream.permutations(slots, 3, 1, rows=rows)
        count = stream.between(1, slots, 3, 1, rows=rows)
        return Placement(np.repeat(order, 3, axis=2), np.repeat(count, 3, axis=2))

    def carries(self, before: Ints, after: Ints, parameter: int) -> Bools:
        return np.asarray((before == after).all(axis=-1))

    def complete(self, context: Ints, columns: int, parameter: int, domain: Domain) -> Ints:
        return context[:, -1]

    def holds(self, matrix: Ints, parameter: int, domain: Domain) -> Bools:
        return (matrix == matrix[:, :, :1]).all(axis=(1, 2))

    def linear(self, columns: int, parameter: int) -> LinearForm:
        return LinearForm((0,) * (columns - 2) + (1,), (0,) * (2 * columns - 1))

    constant = True
    pattern = ALIKE

    def form(self, columns: int, parameter: int) -> PanelForm:
        return PanelForm.of_rows(columns, tuple(Relation(k, (k - 1,)) for k in range(1, columns)))

    def moves(self, parameter: int) -> int:
        return 0

    def sentence(self, parameter: int) -> str:
        return "the last panel is like the one before"


RULES.register(Constant.name)(Constant())
