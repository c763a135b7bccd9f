"""Sums of panels of few values: atoms are bound pair by pair, and equal ones become one with the sum of their weights.

The sum of many panels that show three values each takes few values, too: its atoms are much less than a vector. Of
values that are not negative only those partial sums are kept that can be a value themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from reasoning.learners.role_formulas.formula import Place
from reasoning.learners.role_formulas.seen import Seen
from reasoning.learners.role_formulas.writing.alphabet import Alphabet
from reasoning.learners.role_formulas.writing.vectors import Vectors

__all__ = ["few_bound", "valid_share"]

_MANY = 128  # atoms from which on it pays to leave out those that are too large
_NOTHING = 1e-25  # weight of an atom in a sum, relative to the heaviest, below which it is left out: in long rows
# neighbours of zero add up, and what is right is far below what is likeliest
_ODD = 0x9E3779B97F4A7C15 - 2**64  # multiplies the parts of an atom to a number that stands for it


def valid_share(place: Place, offset: int, seen: Seen, alphabet: Alphabet) -> float:
    """How many of the sums that are predicted of a panel are values, all values of the panels that enter being alike.

    Args:
        place: the panel.
        offset: of the formula.
        seen: for the range of values.
        alphabet: whose sums wrap around.

    Returns:
        The share. Of long rows it is far below the rounding of a vector: 1e-358 of 99 panels.
    """
    low, high = seen.range
    size, plus, minus = high - low + 1, len(place.plus), len(place.minus)
    start = low * plus - high * minus  # the lowest sum; entry k of ``chance`` is that of start + k
    chance = torch.zeros((size - 1) * (plus + minus) + 1, dtype=torch.float64)
    chance[(size - 1) * minus] = 1.0  # nothing is added yet: the sum of the lowest less that of the lowest
    for _ in range(plus):
        total = chance.cumsum(0)
        total[size:] -= chance.cumsum(0)[:-size]
        chance = total / size
    for _ in range(minus):  # summed from above, so that what is rare there is not lost beside what is common
        total = chance.flip(0).cumsum(0)
        total[size:] -= chance.flip(0).cumsum(0)[:-size]
        chance = total.flip(0) / size
    sums = torch.arange(len(chance)) + start + offset
    if alphabet.period is not None:
        sums = torch.where((sums - low).remainder(alphabet.period) < size, low, low - 1)
    return float(chance[(sums >= low) & (sums <= high)].sum())


def few_bound(group: Sequence[Place], offset: int, seen: Seen, alphabet: Alphabet) -> Vectors | None:
    """The binding of panels of few values.

    Args:
        group: T panels, of which equally many others are added and subtracted.
        offset: that is added.
        seen: B puzzles.
        alphabet: writes them.

    Returns:
        (B, T); None where whole vectors are cheaper.
    """
    if seen.support is None or not alphabet.by_atoms(seen.support.shape[-1]):
        return None
    states = seen.held(alphabet)
    plus, minus = (list(zip(*panels, strict=True)) for panels in zip(*((p.plus, p.minus) for p in group), strict=True))
    high, totals = seen.range[1], []
    for panels, most in ((plus, high * (1 + len(minus))), (minus, high * len(plus))):  # else it is no value
        if panels:
            total = _total(states, panels, most + abs(offset), seen)
            if total is None:
                return None
            totals.append(total)
    x = totals[0] if plus else totals[0].inverse()
    if len(totals) > 1:
        both = _times(totals[0], totals[1].inverse(), None)
        if both is None:
            return None
        x = both
    return x.moved(offset) if offset else x


def _total(states: Vectors, panels: Sequence[tuple[int, ...]], most: int, seen: Seen) -> Vectors | None:
    """The sum of some panels, (T,) each; of the last ones first, which other formulas add up, too."""
    total = states.of(panels[-1])
    if total.weights is None or total.x.is_floating_point() or total.x.is_complex():
        return None
    total = replace(total, weights=total.weights.double())
    low, high = seen.range
    period = total.alphabet.period
    names = None
    if low >= 0 and (period is None or high * len(panels) + most < period):
        names = _name(total.alphabet.powers(torch.arange(most + 1))).sort().values.to(total.x.device)
    for place in range(len(panels) - 2, -1, -1):
        name = (most, *panels[place:])
        if name not in seen.sums:
            product = _times(states.of(panels[place]), total, names)
            if product is None:
                return None
            seen.sums[name] = product
        total = seen.sums[name]
    return total


def _times(one: Vectors, two: Vectors, names: Tensor | None) -> Vectors | None:
    """Bound, atom by atom; of many those alone that ``names`` has, if it is given."""
    if one.weights is None or two.weights is None:
        return None
    algebra = one.alphabet.algebra
    if one.weights.shape[-1] * two.weights.shape[-1] * one.x.shape[-1] > algebra.embedding.width:
        return None
    x = algebra.bind(one.x.unsqueeze(-2), two.x.unsqueeze(-3)).flatten(-3, -2)
    weights = (one.weights.unsqueeze(-1) * two.weights.unsqueeze(-2)).flatten(-2)
    name = _name(x)
    if names is not None and weights.shape[-1] > _MANY:
        at = torch.searchsorted(names, name).clamp_max(len(names) - 1)
        weights = torch.where(names[at] == name, weights, 0.0)
    x, weights = _merged(x, weights, name)
    return replace(one, x=x, weights=weights, places=None)


def _name(x: Tensor) -> Tensor:
    """A number for each atom (..., W) in compact form."""
    name = x[..., 0].long()
    for part in x.unbind(-1)[1:]:
        name = name * _ODD + part.long()
    return name


def _merged(x: Tensor, weights: Tensor, name: Tensor) -> tuple[Tensor, Tensor]:
    """Atoms (..., M, W) with weights (..., M): equal ones once, and what weighs nothing left out."""
    heavy = weights > _NOTHING * weights.detach().amax(-1, keepdim=True)
    name, order = torch.where(heavy, name, torch.iinfo(torch.int64).max).sort(-1)
    weights = torch.where(heavy, weights, 0.0).gather(-1, order)
    place = torch.nn.functional.pad((name[..., 1:] != name[..., :-1]).long().cumsum(-1), (1, 0))
    count = int(torch.where(weights > 0, place, 0).max()) + 1 if place.numel() else 1
    shape = (*weights.shape[:-1], count + 1)  # what weighs nothing stands last
    total = weights.new_zeros(shape).scatter_add(-1, place, weights)[..., :count]
    at = order.new_zeros(shape).scatter(-1, place, order)[..., :count]
    return x.gather(-2, at.unsqueeze(-1).expand(*at.shape, x.shape[-1])), total
