"""Names for formulas: a formula is named after the rules whose matrices it explains."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from datasets.arrays import UNKNOWN
from datasets.panels import ROWS
from datasets.rules.base import PUBLISHED, rules_named
from datasets.streams import Ints, Stream
from reasoning.learners.role_formulas.formula import Formula, places

__all__ = ["code_of", "explains", "names_of"]

_DRAWN = 64  # matrices of each rule
_WIDE = 60  # values that their panels are drawn from, and ten for each column


def explains(formula: Formula, matrices: Ints) -> bool:
    """Whether a formula says every panel that it speaks of rightly, in all matrices.

    Args:
        formula: which.
        matrices: (N, 3, n) values.

    Returns:
        Whether it does.
    """
    columns = matrices.shape[-1]
    panels = matrices.reshape(len(matrices), ROWS * columns)
    for place in places(formula, columns):
        said = panels[:, list(place.plus)].sum(1) - panels[:, list(place.minus)].sum(1) + formula.offset
        if not (said == panels[:, place.panel]).all():
            return False
    if formula.distinct:
        ordered = np.sort(matrices[:, 0], axis=-1)
        return bool((np.diff(ordered, axis=-1) > 0).all())
    return True


@lru_cache(maxsize=64)
def _matrices(name: str, parameter: int, columns: int) -> Ints:
    (rule,) = rules_named((name,))
    rows = np.arange(_DRAWN)
    stream = Stream(0, ("fora", "naming", name), rows)
    drawn = rule.draw_wide(stream, _WIDE + 10 * columns, np.full(_DRAWN, parameter), rows, columns)
    return drawn[:, :ROWS]


@lru_cache(maxsize=1024)
def names_of(formula: Formula, columns: int, grammar: tuple[str, ...] = PUBLISHED) -> tuple[str, ...]:
    """The rules that a formula computes, for at least one of their parameters.

    Args:
        formula: which.
        columns: n.
        grammar: names of the rules that may be at work.

    Returns:
        Their names, in the order of the grammar.
    """
    return tuple(
        rule.name
        for rule in rules_named(grammar)
        if any(explains(formula, _matrices(rule.name, parameter, columns)) for parameter in rule.parameters)
    )


def code_of(formula: Formula, columns: int, grammar: tuple[str, ...] = PUBLISHED) -> int:
    """The code of the first rule that a formula computes; UNKNOWN where it computes none."""
    names = names_of(formula, columns, grammar)
    return next((rule.code for rule in rules_named(grammar) if rule.name in names), UNKNOWN)
