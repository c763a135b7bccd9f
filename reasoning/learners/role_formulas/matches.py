"""Panels whose entities differ: the same formulas that copy one panel, read over its entities.

A *bundle* holds the same entities in unknown places; a *layout* holds each in its own slot, moved on by the offset.
Both are compared slot by slot: two entities are alike as far as their vectors are similar.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from datasets.panels import ROWS
from reasoning.learners.role_formulas.follow import Evidence, groups, softened
from reasoning.learners.role_formulas.formula import Formula, Place, places
from reasoning.learners.role_formulas.seen import Slots
from reasoning.learners.role_formulas.writing.alphabet import Alphabet
from reasoning.learners.role_formulas.writing.vectors import Vectors

__all__ = ["follow_bundle", "follow_layout", "permanent"]

_ROUNDING = 0.5  # of a count that is read


def follow_bundle(formula: Formula, seen: Slots, alphabet: Alphabet, columns: int, eps: float) -> Evidence | None:
    """How well a formula explains panels as holding the entities of another, in any places.

    Args:
        formula: which.
        seen: the entities of B puzzles.
        alphabet: writes and reads.
        columns: n.
        eps: share of panels that follow nothing.

    Returns:
        The evidence; None where the formula does not copy a single panel.
    """
    if not formula.copies or formula.offset or formula.distinct:
        return None
    missing = ROWS * columns - 1
    pairs = _pairs(places(formula, columns), missing, seen.occupied.shape[1] - missing)
    compare = _counted if seen.certain and alphabet.backend.exact else _matched
    return _evidence(compare(seen, alphabet, pairs), pairs, missing, seen, eps)


def follow_layout(
    formula: Formula, seen: Slots, alphabet: Alphabet, columns: int, eps: float, *, filtered: bool = True
) -> Evidence | None:
    """How well a formula explains panels as holding the entities of another, each moved on by the offset.

    Args:
        formula: which.
        seen: the entities of B puzzles.
        alphabet: writes and reads.
        columns: n.
        eps: share of panels that follow nothing.
        filtered: whether predicted entities are made surer by what predicts them.

    Returns:
        The evidence; None where the formula does not copy a single panel.
    """
    if not formula.copies or formula.distinct:
        return None
    missing = ROWS * columns - 1
    order = places(formula, columns)
    pairs = _pairs(order, missing, seen.occupied.shape[1] - missing)
    if not filtered or (seen.certain and alphabet.backend.exact):
        return _evidence(_kept(seen, alphabet, pairs, formula.offset), pairs, missing, seen, eps)
    belief: dict[int, Tensor] = {}  # panel -> (B, S, W), mean 1
    found: dict[int, Tensor] = {}
    last: dict[int, Tensor] = {}
    for group in groups(order, lambda place: place.level):
        sources = [place.plus[0] for place in group]
        before = torch.stack([belief.get(panel, _mean_one(seen.ratios[:, panel])) for panel in sources], 1)
        pmf = torch.nn.functional.pad(before / seen.size, (seen.low, seen.values - seen.high)).roll(formula.offset, 2)
        predicted = _read(alphabet, pmf, seen.values)  # (B, T, S, V + 1)
        at = [place.panel for place in group if place.panel != missing]
        if at:
            same = (predicted[:, : len(at)] * seen.pmfs[:, at]).sum(-1)
            share = (1 + seen.occupied[:, at] * (seen.size * same - 1)).prod(-1)
            found.update(zip(at, share.unbind(1), strict=True))
            surer = before[:, : len(at)].roll(formula.offset, 2) * seen.ratios[:, at]
            belief.update(zip(at, _mean_one(surer).unbind(1), strict=True))
        last[group[-1].panel] = predicted[:, -1:]
    final = slice(missing, None)
    same = (last[missing] * seen.pmfs[:, final]).sum(-1)
    candidates = (1 + seen.occupied[:, final] * (seen.size * same - 1)).prod(-1)
    ratios = torch.cat([*(found[place.panel].unsqueeze(1) for place in order[:-1]), candidates], 1)
    return _evidence(ratios, pairs, missing, seen, eps)


def _pairs(order: tuple[Place, ...], missing: int, candidates: int) -> list[tuple[int, int]]:
    """(panel copied, panel predicted), the missing panel once for each candidate."""
    known = [(place.plus[0], place.panel) for place in order if place.panel != missing]
    return [*known, *((order[-1].plus[0], missing + k) for k in range(candidates))]


def _evidence(ratios: Tensor, pairs: list[tuple[int, int]], missing: int, seen: Slots, eps: float) -> Evidence:
    """From (B, pairs), against entities drawn one by one."""
    at = [panel for _, panel in pairs]
    shares = softened(ratios / seen.chance[:, at].clamp_min(1e-30), eps)
    known = sum(panel < missing for panel in at)
    context = shares[:, :known].log().sum(1)
    nothing = context.new_zeros(len(context), seen.values + 1)
    return Evidence(context, shares[:, known:], torch.ones_like(context), nothing)


def _counted(seen: Slots, alphabet: Alphabet, pairs: list[tuple[int, int]]) -> Tensor:
    """(B, pairs), where everything is certain: equal counts, times the number of ways to draw them."""
    bundles = alphabet.write((seen.occupied.unsqueeze(-1) * seen.pmfs).sum(2), seen.values)
    counts = alphabet.read(bundles, seen.values)  # (B, P, V + 1)
    one, two = (list(part) for part in zip(*pairs, strict=True))
    equal = ((counts[:, one] - counts[:, two]).abs() < _ROUNDING).all(-1)
    here = counts.round()[:, two]
    total = here.sum(-1)
    ways = torch.lgamma(here + 1).sum(-1) + total * torch.tensor(float(seen.size)).log() - torch.lgamma(total + 1)
    return equal * ways.exp()


def _matched(seen: Slots, alphabet: Alphabet, pairs: list[tuple[int, int]]) -> Tensor:
    """(B, pairs): the sum over all ways to match the slots of two panels, a permanent of similarities."""
    entities = _read(alphabet, seen.pmfs, seen.values)  # (B, P, S, V + 1)
    one, two = (list(part) for part in zip(*pairs, strict=True))
    same = entities[:, one] @ seen.pmfs[:, two].transpose(-1, -2)
    here, there = seen.occupied[:, one].unsqueeze(3), seen.occupied[:, two].unsqueeze(2)
    both = here * there * seen.size * same + (1 - here) * (1 - there)
    count, slots = seen.occupied[:, one].sum(-1), seen.occupied.shape[-1]
    orders = torch.lgamma(count + 1) + torch.lgamma(slots - count + 1)
    return (permanent(both.double()).clamp_min(0) / orders.double().exp()).to(same)


def _kept(seen: Slots, alphabet: Alphabet, pairs: list[tuple[int, int]], offset: int) -> Tensor:
    """(B, pairs): slot by slot, moved on; a slot that was empty says nothing."""
    one, two = (list(part) for part in zip(*pairs, strict=True))
    if seen.certain and alphabet.backend.exact:
        entities = alphabet.atoms(seen.values, seen.pmfs.argmax(-1))
        same = _similar(alphabet, entities[:, one].roll(offset, 2), entities[:, two])
    else:
        entities = _read(alphabet, seen.pmfs, seen.values)
        same = (entities[:, one].roll(offset, 2) * seen.pmfs[:, two]).sum(-1)
    there = seen.occupied[:, one].roll(offset, 2) * seen.occupied[:, two]
    return (1 + there * (seen.size * same - 1)).prod(-1)


def _similar(alphabet: Alphabet, x: Tensor, y: Tensor) -> Tensor:
    return alphabet.algebra.similarity(x, y).to(torch.get_default_dtype()).clamp_min(0)


def _read(alphabet: Alphabet, pmfs: Tensor, values: int) -> Tensor:
    """(..., V + 1) -> (..., V + 1): written as vectors, read with every atom."""
    return Vectors.written_in(alphabet, values, pmfs, None).read()


def _mean_one(ratios: Tensor) -> Tensor:
    return ratios / ratios.mean(-1, keepdim=True).clamp_min(1e-30)


@lru_cache(maxsize=16)
def _subsets(size: int) -> tuple[Tensor, Tensor]:
    numbers = torch.arange(1, 2**size)
    members = ((numbers[:, None] >> torch.arange(size)) & 1).double()
    signs = 1 - 2 * ((size - members.sum(-1)) % 2)
    return members.T.contiguous(), signs


def permanent(matrix: Tensor) -> Tensor:
    """The sum over all permutations of the products of a matrix's entries, by Ryser's formula.

    Args:
        matrix: float64 (..., S, S).

    Returns:
        (...).
    """
    members, signs = (part.to(matrix.device) for part in _subsets(matrix.shape[-1]))
    return (matrix @ members).prod(-2) @ signs
