"""The laws of what a rule declares for reasoners: its form and its pattern say what its functions say."""

from __future__ import annotations

import numpy as np

from ..streams import Ints, Stream
from .base import Rule
from .domains import Bools, Domain, Values
from .forms import ALIKE, PATTERNS, ROWS, SHIFTS, STEPS, TOTALS, PanelForm, Relation

__all__ = ["follows_form", "follows_pattern", "is_pattern", "matrices_of"]


def follows_form(form: PanelForm, matrix: Ints, domain: Domain) -> Bools:
    """Whether the last three rows are as a form says.

    Args:
        form: of a rule.
        matrix: (N, R, n), R >= 3.
        domain: values or sets.

    Returns:
        bool (N,).
    """
    panels = matrix[:, -ROWS:].reshape(len(matrix), -1)
    kept = np.ones(len(matrix), dtype=np.bool_)
    for relation in form.relations:
        kept &= _related(relation, panels, domain) == panels[:, relation.panel]
    for one, other in form.apart:
        kept &= panels[:, one] != panels[:, other]
    return kept


def follows_pattern(rule: Rule, matrix: Ints, parameter: int, domain: Domain) -> Bools | None:
    """Whether all rows are as the rule's pattern says.

    Args:
        rule: declares the pattern.
        matrix: (N, R, n).
        parameter: of the rule.
        domain: values or sets.

    Returns:
        bool (N,); None where the rule has no pattern, or one that does not exist.
    """
    before, after = matrix[:, :, :-1], matrix[:, :, 1:]
    if rule.pattern == ALIKE:
        found = before == after
    elif rule.pattern == STEPS:
        found = domain.step(before, parameter) == after
    elif rule.pattern == TOTALS:
        total = matrix[:, :, 0]
        for k in range(1, matrix.shape[2] - 1):
            total = (domain.add if parameter > 0 else domain.subtract)(total, matrix[:, :, k])
        found = (total == matrix[:, :, -1])[:, :, None]
    elif rule.pattern == SHIFTS:
        found = np.roll(matrix[:, :-1], parameter, axis=2) == matrix[:, 1:]
    else:
        return None
    return np.asarray(found.all(axis=(1, 2)))


def matrices_of(form: PanelForm, domain: Values, n: int, seed: int) -> Ints:
    """Matrices of three rows that a form admits: free panels are drawn, the others follow.

    Args:
        form: of a rule.
        domain: their values.
        n: how many are tried; most forms admit a part of them.
        seed: of the free panels.

    Returns:
        int64 (K, 3, n), K <= n.
    """
    panels = Stream(seed, ("check form",), np.arange(n)).between(domain.low, domain.high, ROWS * form.columns)
    for relation in form.relations:
        panels[:, relation.panel] = _related(relation, panels, domain)
    matrix = panels.reshape(n, ROWS, form.columns)
    return matrix[domain.legal(matrix).all(axis=(1, 2)) & follows_form(form, matrix, domain)]


def is_pattern(name: str | None) -> bool:
    """Whether there is such a pattern; to have none is no fault."""
    return name is None or name in PATTERNS


def _related(relation: Relation, panels: Ints, domain: Domain) -> Ints:
    """(N,): the panel that a relation gives."""
    first, *others = relation.plus
    total = panels[:, first]
    for panel in others:
        total = domain.add(total, panels[:, panel])
    for panel in relation.minus:
        total = domain.subtract(total, panels[:, panel])
    return domain.step(total, relation.step) if relation.step else total
