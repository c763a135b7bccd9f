"""How well a formula explains what is seen: predictions are bound, compared by reading, and multiplied.

A predicted panel is the binding of the panels that enter, each to the power of its coefficient, with the power of the
base that adds the offset. Its evidence is the inner product with what is seen there, against chance. Where a single
panel enters and panels are uncertain, what is predicted and what is seen are multiplied and written back before the
next panel is predicted: a row's panels add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby

import torch
from torch import Tensor

from datasets.panels import ROWS
from reasoning.learners.fora.alphabet import Alphabet
from reasoning.learners.fora.formula import Formula, Place, places
from reasoning.learners.fora.seen import Seen

__all__ = ["Evidence", "Norm", "follow", "groups", "norm", "softened"]

_LEAST = 1e-12  # valid share of a formula's predictions below which it cannot be


@dataclass(frozen=True)
class Norm:
    """What a formula makes of a puzzle of which nothing is seen: its share of valid predictions.

    Attributes:
        panels: panel -> share.
        last: of the missing panel.
        distinct: chance that the panels of the first row differ.
    """

    panels: dict[int, float]
    last: float
    distinct: float = 1.0

    @property
    def possible(self) -> bool:
        """Whether anything can follow the formula."""
        return min((*self.panels.values(), self.last)) > _LEAST


@dataclass(frozen=True)
class Evidence:
    """About B puzzles, against chance.

    Attributes:
        context: (B,) log, of the context panels.
        candidates: (B, 8) of each candidate.
        mass: (B,) of a candidate of which nothing is seen.
        predicted: (B, V + 1) the missing panel, up to a factor.
    """

    context: Tensor
    candidates: Tensor
    mass: Tensor
    predicted: Tensor


def softened(evidence: Tensor, eps: float) -> Tensor:
    """A panel follows the formula but for a share ``eps`` of all panels, which follow nothing."""
    return (1 - eps) * evidence + eps


def norm(formula: Formula, seen: Seen, alphabet: Alphabet, columns: int, eps: float) -> Norm:
    """What a formula makes of a puzzle of which nothing is seen.

    Args:
        formula: which.
        seen: for the background.
        alphabet: writes and reads.
        columns: n.
        eps: as for :func:`follow`.

    Returns:
        Its shares of valid predictions.
    """
    panels, last, distinct = _shares(formula, seen.flat(), alphabet, columns, eps, filtered=True)
    return Norm({panel: float(share) for panel, share in panels.items()}, float(last.mass), float(distinct))


def follow(
    formula: Formula, seen: Seen, alphabet: Alphabet, columns: int, eps: float, flat: Norm, *, filtered: bool = True
) -> Evidence:
    """How well a formula explains the context and each candidate.

    Args:
        formula: which.
        seen: B puzzles.
        alphabet: writes and reads.
        columns: n.
        eps: share of panels that follow nothing.
        flat: of :func:`norm`.
        filtered: whether predicted panels are made surer by what predicts them.

    Returns:
        The evidence.
    """
    panels, last, distinct = _shares(formula, seen, alphabet, columns, eps, filtered)
    shares = [softened(share / flat.panels[panel], eps) for panel, share in panels.items()]
    if formula.distinct:
        shares.append(softened(distinct / flat.distinct, eps))
    context = sum((share.log() for share in shares), last.mass.new_zeros(last.mass.shape))
    return Evidence(
        context,
        softened(last.candidates / flat.last, eps),
        softened(last.mass / flat.last, eps),
        last.predicted,
    )


@dataclass(frozen=True)
class _Last:
    candidates: Tensor
    mass: Tensor
    predicted: Tensor


def _shares(
    formula: Formula, seen: Seen, alphabet: Alphabet, columns: int, eps: float, filtered: bool
) -> tuple[dict[int, Tensor], _Last, Tensor]:
    """Panel -> (B,) its share of what is seen; the same of the candidates; how distinct the first row is."""
    certain = seen.certain if alphabet.backend.exact else None
    if certain is None:
        states = alphabet.write(seen.weights, seen.support)
    else:
        states = alphabet.atoms(seen.values, certain)
    missing = ROWS * columns - 1
    found: dict[int, Tensor] = {}
    updated: dict[int, Tensor] = {}
    updates = filtered and certain is None
    last = None

    def state(panel: int) -> Tensor:
        return updated[panel] if panel in updated else states[:, panel]

    for group in groups(formula, columns, by_level=updates):
        x = _bound(alphabet, group, formula.offset, states, state if updates else None)
        at = [place.panel for place in group if place.panel != missing]
        if at:
            support = None if seen.support is None else seen.support[:, at]
            told = certain.unsqueeze(-1)[:, at] if certain is not None else support
            share = alphabet.read(x[:, : len(at)], seen.values, told)  # (B, T, J)
            ratio = seen.ratio[:, at]
            if certain is not None:
                ratio = ratio.sum(-1, keepdim=True)
            evidence = (share * ratio).sum(-1)
            found.update(zip(at, evidence.unbind(1), strict=True))
            if updates and formula.inputs == 1:
                chance = seen.background if support is None else seen.background[support]
                belief = ratio * ((1 - eps) * share + eps * chance)
                belief = belief / belief.sum(-1, keepdim=True).clamp_min(1e-30)
                updated.update(zip(at, alphabet.write(belief, support).unbind(1), strict=True))
        if group[-1].panel == missing:
            last = x[:, -1]
    assert last is not None
    share = alphabet.read(last, seen.values)
    distinct = share.new_ones(())
    if formula.distinct:
        row = torch.stack([state(panel) for panel in range(columns)], 1)
        same = alphabet.algebra.similarity(row.unsqueeze(2), row.unsqueeze(1))
        distinct = torch.stack([1 - same[:, i, j].clamp(0, 1) for i in range(columns) for j in range(i)]).prod(0)
        final = torch.stack([state(panel) for panel in range(missing - columns + 1, missing)], 1)
        share = share * (1 - alphabet.read(final, seen.values).clamp(0, 1)).prod(1)
    share = share * (seen.background > 0)
    if seen.weights.shape[1] > missing:
        shown = share.unsqueeze(1)
        if seen.support is not None:
            shown = shown.expand(-1, seen.support.shape[1] - missing, -1).gather(-1, seen.support[:, missing:])
        candidates = (shown * seen.ratio[:, missing:]).sum(-1)
    else:
        candidates = share.new_zeros(len(share), 0)
    return found, _Last(candidates, share.sum(-1), share), distinct


def groups(formula: Formula, columns: int, *, by_level: bool) -> Iterable[Sequence[Place]]:
    """The panels that a formula predicts, in groups that can be predicted at once.

    Args:
        formula: which.
        columns: n.
        by_level: whether a predicted panel has to wait for those that it is predicted from.

    Yields:
        Groups with equally many panels added and subtracted; the missing panel is the last of its group.
    """

    def kind(place: Place) -> tuple[int, int, int]:
        return (place.level if by_level else 0, len(place.plus), len(place.minus))

    ordered = sorted(places(formula, columns), key=lambda place: (*kind(place), place.panel))
    for _, group in groupby(ordered, key=kind):
        yield list(group)


def _bound(
    alphabet: Alphabet, group: Sequence[Place], offset: int, states: Tensor, state: object | None
) -> Tensor:
    """(B, T, D): the panels that enter, bound."""
    algebra = alphabet.algebra

    def taken(panels: Sequence[int]) -> Tensor:
        if callable(state):
            return torch.stack([state(panel) for panel in panels], 1)
        return states[:, list(panels)]

    plus = [taken([place.plus[k] for place in group]) for k in range(len(group[0].plus))]
    minus = [taken([place.minus[k] for place in group]) for k in range(len(group[0].minus))]
    if len(plus) > 2:
        plus = [algebra.bind_all(torch.stack(plus), dim=0)]
    if len(minus) > 2:
        minus = [algebra.bind_all(torch.stack(minus), dim=0)]
    if plus:
        x = reduce(algebra.unbind, minus, reduce(algebra.bind, plus))
    else:
        x = algebra.inverse(reduce(algebra.bind, minus))
    return algebra.bind(x, alphabet.step(offset, x)) if offset else x
