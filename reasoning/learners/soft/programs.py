"""Programmed formulas: the linear forms that the rules of the data declare, as term weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from datasets.rules.base import PUBLISHED, rules_named
from reasoning.learners.soft.formula import input_names
from vsa.errors import ShapeError, VSAError


def default_terms(columns: int) -> int:
    """Terms per formula: 12 at n = 3 and 2n + 2 beyond (22 at n = 10), as published."""
    return 12 if columns == 3 else 2 * columns + 2


def term_weights(linear: Sequence[int], columns: int, terms: int) -> Tensor:
    """One formula's one-hot term weights from integer coefficients.

    Args:
        linear: 3n - 2 coefficients of x1..x(n-1), c1..c(2n-1); positive ones are bound, negative ones unbound.
        columns: n, panels in a row.
        terms: T, even.

    Returns:
        (T, 3n - 1) one-hot rows; unused terms are the identity.

    Raises:
        ShapeError: not one coefficient per input.
        VSAError: more coefficients than terms.
    """
    identity = len(input_names(columns)) - 1
    if len(linear) != identity:
        raise ShapeError("term_weights", received=f"{len(linear)} coefficients", expected=f"{identity} for n={columns}")
    half = terms // 2
    bound = [index for index, times in enumerate(linear) for _ in range(times)]
    unbound = [index for index, times in enumerate(linear) for _ in range(-times)]
    most = max(len(bound), len(unbound))
    if most > half:
        raise VSAError(
            "term_weights",
            received=f"{len(bound)} inputs to bind and {len(unbound)} to unbind",
            expected=f"at most {half} of each for {terms} terms",
            hint=f"use at least {2 * most} terms",
        )
    chosen = [*bound, *[identity] * (half - len(bound)), *unbound, *[identity] * (half - len(unbound))]
    return torch.nn.functional.one_hot(torch.tensor(chosen), identity + 1).float()


def program(columns: int, terms: int, grammar: Sequence[str] = PUBLISHED) -> Tensor:
    """Term weights of the distinct linear forms that the rules of the data have; rules without one are left out.

    Args:
        columns: n, panels in a row.
        terms: T, even.
        grammar: names of the rules that may be at work.

    Returns:
        (R, T, 3n - 1), of the published rules: constant, progression, plus, minus, distribute-three.

    Raises:
        VSAError: none of the rules has a linear form, or one has more coefficients than terms.
    """
    forms: dict[tuple[int, ...], None] = {}
    for rule in rules_named(grammar):
        for parameter in rule.parameters:
            form = rule.linear(columns, parameter)
            if form is not None:
                forms[(*form.row, *form.context)] = None
    if not forms:
        raise VSAError(
            "program formulas",
            received=f"rules {', '.join(grammar) or 'none'}, none of which has a linear form",
            expected="at least one that has (Rule.linear)",
        )
    return torch.stack([term_weights(form, columns, terms) for form in forms])
