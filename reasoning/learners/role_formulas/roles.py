"""What the panels that enter a formula are called: by their role for the panel that it predicts, or by their place.

*Relative* roles are FORA's own: the first of the row, the one to the left, those between. They name panels of rows of
any length, so that one formula speaks of every panel. *Absolute* roles are those of ARLC: x1 and x2 are the panels of
the row itself, c1 to c5 those of the other rows, and a formula speaks of the last panel of each row. They are there for
comparison.

Reference: Camposampiero et al., "Towards learning abductive reasoning using VSA distributed representations" (ARLC),
2024, for the inputs x and c of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reasoning.learners.soft.formula import input_names, row_inputs
from vsa.errors import UnknownNameError

__all__ = ["ROLES", "ROLE_SETS", "Roles", "role_set"]


@dataclass(frozen=True)
class Roles:
    """The names that formulas give to panels.

    Attributes:
        words: name -> in a sentence.
        at: (row, column, n) -> name -> panels, row by row; names that no panel has are left out.
        page: formulas of the published rules.
        columns: the only length of rows that they name; None: any.
        every: whether a formula may speak of every panel of a row; otherwise of the last alone.
        several: names that several panels of a long row have together.
        whole: names that take in the whole of a row, however long.
        partly: names that a sum over a long row leaves panels out with.
        predicted: whether sums may take panels that the formula predicts itself.
    """

    words: Mapping[str, str]
    at: Callable[[int, int, int], dict[str, tuple[int, ...]]]
    page: tuple[str, ...]
    columns: int | None = None
    every: bool = True
    several: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    predicted: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of a formula's coefficients."""
        return tuple(self.words)


def _relative(row: int, column: int, columns: int) -> dict[str, tuple[int, ...]]:
    start, above = row * columns, (row - 1) * columns
    found: dict[str, tuple[int, ...]] = {}
    if column >= 1:
        found["first"], found["left"] = (start,), (start + column - 1,)
    if column >= 2:
        found["left2"], found["between"] = (start + column - 2,), tuple(range(start + 1, start + column))
    if row >= 1:
        for name, step in (("above_left", -1), ("above", 0), ("above_right", 1)):
            found[name] = (above + (column + step) % columns,)
    return found


def _absolute(row: int, column: int, columns: int) -> dict[str, tuple[int, ...]]:
    if column < columns - 1:
        return {}
    names = input_names(columns)[:-1]  # without the identity
    return {name: (panel,) for name, panel in zip(names, row_inputs(columns)[row], strict=True)}


ROLE_SETS: Mapping[str, Roles] = {
    "relative": Roles(
        {
            "first": "the first panel of the row",
            "left": "the panel to the left",
            "left2": "the panel two to the left",
            "between": "the panels between the first and itself",
            "above_left": "the panel above to the left",
            "above": "the panel above",
            "above_right": "the panel above to the right",
        },
        _relative,
        page=(
            "panel = left",
            "panel = left + 1",
            "panel = left + 2",
            "panel = left - 1",
            "panel = left - 2",
            "panel = above_left, row distinct",
            "panel = above_right, row distinct",
            "last = first + between",
            "last = first - between",
        ),
        several=("between",),
        whole=("first", "between"),
        partly=("left", "left2"),
    ),
    "absolute": Roles(
        {
            "x1": "the first panel of the row",
            "x2": "the second panel of the row",
            **{f"c{place}": f"panel {place} of the other rows" for place in range(1, 6)},
        },
        _absolute,
        page=(
            "last = x2",
            "last = x2 + 1",
            "last = x2 + 2",
            "last = x2 - 1",
            "last = x2 - 2",
            "last = c1 + c2 + c3 - x1 - x2",
            "last = x1 + x2",
            "last = x1 - x2",
        ),
        columns=3,
        every=False,
        predicted=True,
    ),
}
ROLES = ROLE_SETS["relative"].names


def role_set(name: str) -> Roles:
    """Roles by name.

    Args:
        name: relative or absolute.

    Returns:
        What they are.

    Raises:
        UnknownNameError: neither.
    """
    if name not in ROLE_SETS:
        raise UnknownNameError("FORA", name=name, known=tuple(ROLE_SETS), kind="set of roles")
    return ROLE_SETS[name]
