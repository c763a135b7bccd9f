"""Rules and data sets of the tests: a rule that no published data set has, one of several parameters, and their sets.

Importing this module registers them, as a user's own module would.
"""

from __future__ import annotations

import numpy as np

from datasets.data_sets import DATA_SETS, like
from datasets.rules.base import PUBLISHED, RULES, LinearForm, Placement, Rule, sets_of
from datasets.rules.domains import Bools, Domain
from datasets.rules.forms import PanelForm, Relation
from datasets.streams import Ints, Rows, Stream


class Alternate(Rule):
    """Along a row two different values take turns: a b a b ...; rows differ freely."""

    name = "Alternate"
    code = 17
    parameters = (0,)
    governs = ("Number", "Position", "Type", "Size", "Color")
    words = "takes turns"

    def first_range(self, low: int, high: int, parameter: int, columns: int = 3) -> tuple[int, int]:
        return (low, high) if low < high else (low, low - 1)

    def first_count(self, slots: int, parameter: int) -> tuple[int, int]:
        return (1, slots) if slots > 1 else (1, 0)

    def draw(self, stream: Stream, low: int, high: int, parameter: Ints, rows: Rows, columns: int = 3) -> Ints:
        first = stream.between(low, high, columns, rows=rows)
        other = low + (first - low + stream.between(1, high - low, columns, rows=rows)) % (high - low + 1)
        return np.stack([first, other], axis=2)[:, :, np.arange(columns) % 2]

    def place(self, stream: Stream, slots: int, parameter: Ints, rows: Rows) -> Placement:
        order = stream.permutations(slots, 3, 2, rows=rows)
        count = stream.between(1, slots, 3, 2, rows=rows)
        while True:  # two different sets in every row
            sets = sets_of(order, count)
            todo = np.flatnonzero((sets[:, :, 0] == sets[:, :, 1]).any(axis=1))
            if not len(todo):
                turns = np.arange(3) % 2
                return Placement(order[:, :, turns], count[:, :, turns])
            order[todo] = stream.permutations(slots, 3, 2, rows=rows[todo])
            count[todo] = stream.between(1, slots, 3, 2, rows=rows[todo])

    def complete(self, context: Ints, columns: int, parameter: int, domain: Domain) -> Ints:
        return context[:, -2]

    def holds(self, matrix: Ints, parameter: int, domain: Domain) -> Bools:
        turns = (matrix[:, :, 2:] == matrix[:, :, :-2]).all(axis=(1, 2))
        return np.asarray(turns & (matrix[:, :, 0] != matrix[:, :, 1]).all(axis=1))

    def linear(self, columns: int, parameter: int) -> LinearForm:
        row = tuple(int(k == columns - 3) for k in range(columns - 1))
        return LinearForm(row, (0,) * (2 * columns - 1))

    def form(self, columns: int, parameter: int) -> PanelForm:
        turns = tuple(Relation(panel, (panel - 2,)) for panel in range(2, columns))
        return PanelForm.of_rows(columns, turns, ((0, 1),))


class Leap(Rule):
    """The last panel of a row is the first one and a step; the panels between are free. Of Size and Color alone."""

    name = "Leap"
    code = 40
    parameters = (-3, -2, 1, 2, 3)
    governs = ("Size", "Color")
    words = "leaps"

    def first_range(self, low: int, high: int, parameter: int, columns: int = 3) -> tuple[int, int]:
        return low - min(parameter, 0), high - max(parameter, 0)

    def first_count(self, slots: int, parameter: int) -> tuple[int, int]:
        return 1, 0  # it does not govern Position

    def draw(self, stream: Stream, low: int, high: int, parameter: Ints, rows: Rows, columns: int = 3) -> Ints:
        least, most = low - np.minimum(parameter, 0), high - np.maximum(parameter, 0)
        matrix = stream.between(low, high, columns, columns, rows=rows)
        matrix[:, :, 0] = stream.between(least[:, None], most[:, None], columns, rows=rows)
        matrix[:, :, -1] = matrix[:, :, 0] + parameter[:, None]
        return matrix

    def place(self, stream: Stream, slots: int, parameter: Ints, rows: Rows) -> Placement:
        raise NotImplementedError("Leap does not govern Position")

    def complete(self, context: Ints, columns: int, parameter: int, domain: Domain) -> Ints:
        return domain.step(context[:, -(columns - 1)], parameter)

    def holds(self, matrix: Ints, parameter: int, domain: Domain) -> Bools:
        return np.asarray((domain.step(matrix[:, :, 0], parameter) == matrix[:, :, -1]).all(axis=1))

    def linear(self, columns: int, parameter: int) -> None:
        return None  # the step is no coefficient


RULES.register(Alternate.name)(Alternate())
RULES.register(Leap.name)(Leap())
DATA_SETS.register("alternating")(like("iraven", "alternating", rules=(*PUBLISHED, "Alternate")))
DATA_SETS.register("alternating_x")(like("iraven_x", "alternating_x", rules=(*PUBLISHED, "Alternate")))
DATA_SETS.register("leaping")(like("raven_fair", "leaping", rules=(*PUBLISHED, "Alternate", "Leap")))
