"""Sums of panels of few values: atoms are bound pair by pair, and equal ones become one with the sum of their weights.

The sum of many panels that show three values each takes few values, too: its atoms are much less than a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from reasoning.learners.role_formulas.vectors import Vectors

__all__ = ["few_bound"]

_NOTHING = 1e-9  # weight of an atom in a sum below which it is left out
_ODD = 0x9E3779B97F4A7C15 - 2**64  # multiplies the parts of an atom to a number that stands for it


def few_bound(plus: Sequence[Vectors], minus: Sequence[Vectors], known: dict[object, Vectors]) -> Vectors | None:
    """The binding of some superpositions of atoms with the inverses of others.

    Args:
        plus: (B, T) each, with ``places`` that name their panels.
        minus: as these.
        known: sums that were made before, by their panels; more are put in.

    Returns:
        As :func:`~reasoning.learners.role_formulas.vectors.bound`; None where whole vectors are cheaper.
    """
    added, taken = (_total(parts, known) if parts else None for parts in (plus, minus))
    if (plus and added is None) or (minus and taken is None):
        return None
    if taken is not None:
        taken = taken.inverse()
    return _times(added, taken) if added is not None and taken is not None else added or taken


def _total(parts: Sequence[Vectors], known: dict[object, Vectors]) -> Vectors | None:
    """The sum of some panels; of the last ones first, which other formulas add up, too."""
    total: Vectors | None = parts[-1]
    for place in range(len(parts) - 2, -1, -1):
        name = tuple(part.places for part in parts[place:])
        if name not in known:
            if total is None or (total := _times(parts[place], total)) is None:
                return None
            known[name] = total
        total = known[name]
    return total


def _times(one: Vectors, two: Vectors) -> Vectors | None:
    if one.weights is None or two.weights is None or one.x.is_floating_point() or one.x.is_complex():
        return None
    algebra, width = one.alphabet.algebra, one.alphabet.algebra.embedding.width
    if one.weights.shape[-1] * two.weights.shape[-1] * one.x.shape[-1] > width:
        return None
    x = algebra.bind(one.x.unsqueeze(-2), two.x.unsqueeze(-3)).flatten(-3, -2)
    weights = (one.weights.unsqueeze(-1) * two.weights.unsqueeze(-2)).flatten(-2)
    return replace(one, **dict(zip(("x", "weights"), _merged(x, weights), strict=True)), places=None)


def _merged(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Atoms (..., M, W) with weights (..., M): equal ones once, and what weighs nothing left out."""
    name = x[..., 0].long()
    for part in x.unbind(-1)[1:]:
        name = name * _ODD + part.long()
    heavy = weights > _NOTHING
    name, order = torch.where(heavy, name, torch.iinfo(torch.int64).max).sort(-1)
    weights = torch.where(heavy, weights, 0.0).gather(-1, order)
    place = torch.nn.functional.pad((name[..., 1:] != name[..., :-1]).long().cumsum(-1), (1, 0))
    count = int(torch.where(weights > 0, place, 0).max()) + 1 if place.numel() else 1
    shape = (*weights.shape[:-1], count + 1)  # what weighs nothing stands last
    total = weights.new_zeros(shape).scatter_add(-1, place, weights)[..., :count]
    at = order.new_zeros(shape).scatter(-1, place, order)[..., :count]
    return x.gather(-2, at.unsqueeze(-1).expand(*at.shape, x.shape[-1])), total
