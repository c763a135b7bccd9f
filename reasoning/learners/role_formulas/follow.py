"""How well a formula explains what is seen: predictions are bound, compared by reading, and multiplied.

A predicted panel is the binding of the panels that enter, each to the power of its coefficient, with the power of the
base that adds the offset. Its evidence is the inner product with what is seen there, against chance. Where a single
panel enters and panels are uncertain, what is predicted and what is seen are multiplied and written back before the
next panel is predicted: a row's panels add up, and an attribute that misses more panels than it may is let go. Where
several enter, rows follow one by one, and an attribute of which no complete row is explained is let go before the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from datasets.panels import ROWS
from reasoning.learners.role_formulas.formula import Formula, Place, places
from reasoning.learners.role_formulas.misses import followed, missed, softened, tolerated
from reasoning.learners.role_formulas.seen import Seen
from reasoning.learners.role_formulas.sums import few_bound, valid_share
from reasoning.learners.role_formulas.writing.alphabet import Alphabet
from reasoning.learners.role_formulas.writing.vectors import Vectors, bound

__all__ = ["Evidence", "Norm", "follow", "groups", "norm", "softened"]

_LEAST = 1e-250  # valid share of a formula's predictions below which it cannot be

_COMPARED = 2**21  # pairs of atoms that are compared at a time


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
        return min((*self.panels.values(), self.last)) >= _LEAST


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


def norm(formula: Formula, seen: Seen, alphabet: Alphabet, columns: int, eps: float) -> Norm:
    """What a formula makes of a puzzle of which nothing is seen.

    Args:
        formula: which.
        seen: for the background.
        alphabet: whose sums wrap around; it need not be exact.
        columns: n.
        eps: as for :func:`follow`.

    Returns:
        Its shares of valid predictions.
    """
    if formula.sums and seen.even:
        alike = {(len(place.plus), len(place.minus)): place for place in places(formula, columns)}
        counted = {kind: valid_share(place, formula.offset, seen, alphabet) for kind, place in alike.items()}
        shares = {place.panel: counted[len(place.plus), len(place.minus)] for place in places(formula, columns)}
        return Norm(shares, shares[ROWS * columns - 1])
    ideal = alphabet.ideal(columns * seen.values)
    found = _shares(formula, seen.flat(), ideal, columns, eps, None, filtered=True)
    panels = {panel: float(share) for panel, share in found.panels.items()}
    return Norm(panels, float(found.mass), float(found.distinct))


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
    found = _shares(formula, seen, alphabet, columns, eps, flat, filtered)
    shares = [share.double() / flat.panels[panel] for panel, share in found.panels.items()]
    if formula.distinct:
        shares.append((found.distinct.double() / flat.distinct).expand_as(shares[0]))
    candidates, mass = (softened(part.double() / flat.last, eps) for part in (found.candidates, found.mass))
    return Evidence(followed(torch.stack(shares, 1), eps), candidates, mass, found.predicted)


@dataclass(frozen=True)
class _Found:
    """What is read of the predictions of one formula."""

    panels: dict[int, Tensor]  # panel -> (B,), the share of what is seen there that is as predicted
    candidates: Tensor  # (B, 8)
    mass: Tensor  # (B,)
    predicted: Tensor  # (B, V + 1)
    distinct: Tensor  # (B,) or (): how distinct the first row is


def _shares(
    formula: Formula, seen: Seen, alphabet: Alphabet, columns: int, eps: float, flat: Norm | None, filtered: bool
) -> _Found:
    order = places(formula, columns)
    if (certain := seen.certain) is not None and alphabet.backend.exact:
        return _at_once(formula, seen, certain, alphabet, order, columns)
    if filtered and all(len(place.plus) + len(place.minus) == 1 for place in order):
        return _one_by_one(formula, seen, alphabet, order, columns, eps, flat)
    return _row_by_row(formula, seen, alphabet, order, columns, eps, flat)


def _at_once(
    formula: Formula, seen: Seen, certain: Tensor, alphabet: Alphabet, order: Sequence[Place], columns: int
) -> _Found:
    """Where everything is certain: all panels at once."""
    missing = ROWS * columns - 1
    states = Vectors.known(alphabet, seen.values, certain)
    found: dict[int, Tensor] = {}
    last: dict[int, Vectors] = {}
    for group in groups(order, lambda place: 0):
        x = _bound(states, group, formula.offset)
        at = [place.panel for place in group if place.panel != missing]
        if at:
            share = x[:, : len(at)].read(certain[:, at].unsqueeze(-1)).squeeze(-1)
            found.update(zip(at, (share * seen.ratio[:, at].sum(-1)).unbind(1), strict=True))
        last[group[-1].panel] = x[:, -1]
    return _finished(formula, seen, last[missing], states, columns, found)


def _one_by_one(
    formula: Formula,
    seen: Seen,
    alphabet: Alphabet,
    order: Sequence[Place],
    columns: int,
    eps: float,
    flat: Norm | None,
) -> _Found:
    """Where a single panel enters: what is predicted becomes surer before it predicts.

    Puzzles that miss more than they may are let go.
    """
    missing = ROWS * columns - 1
    most = tolerated(len(order) - 1, eps)
    going = _Going(seen)
    states = seen.held(alphabet)
    given = states
    misses = torch.zeros(len(seen.weights), dtype=torch.long, device=seen.weights.device)
    last: dict[int, Vectors] = {}
    for group in groups(order, lambda place: place.level):
        x = _bound(states, group, formula.offset)
        at = [place.panel for place in group if place.panel != missing]
        if at:
            support = None if seen.support is None else seen.support[:, at]
            share = x[:, : len(at)].read(support)  # (B, T, N)
            ratio = seen.ratio[:, at]
            here = (share * ratio).sum(-1)
            going.put(at, here)
            chance = seen.background if support is None else seen.background[support]
            belief = ratio * ((1 - eps) * share + eps * chance)
            belief = belief / belief.sum(-1, keepdim=True).clamp_min(1e-30)
            states = states.written(at, belief, support)
            if flat is not None and group[-1].panel != missing:
                misses = misses + missed(here / here.new_tensor([flat.panels[panel] for panel in at]))
                keep = misses <= most
                if 2 * int(keep.sum()) < len(keep):
                    seen, states, given, misses = going.on(keep), states[keep], given[keep], misses[keep]
        last[group[-1].panel] = x[:, -1]
    return going.whole(_finished(formula, seen, last[missing], states, columns, going.found, given))


def _row_by_row(
    formula: Formula,
    seen: Seen,
    alphabet: Alphabet,
    order: Sequence[Place],
    columns: int,
    eps: float,
    flat: Norm | None,
) -> _Found:
    """Where several panels enter: puzzles of which a complete row is explained go on to the last."""
    missing = ROWS * columns - 1
    going = _Going(seen)
    finished: list[_Found] = []
    explained: list[Tensor] = []
    for row, of_row in groupby(order, key=lambda place: place.panel // columns):
        seen = going.seen
        share = []
        for group in groups(list(of_row), lambda place: 0):
            x = few_bound(group, formula.offset, seen, alphabet)
            if x is None:
                entering = sorted({panel for place in group for panel in (*place.plus, *place.minus)})
                x = _bound(seen.held(alphabet, panels=entering), group, formula.offset)
            at = [place.panel for place in group if place.panel != missing]
            if at:
                support = None if seen.support is None else seen.support[:, at]
                here = (x[:, : len(at)].read(support) * seen.ratio[:, at]).sum(-1)
                share.append(here / here.new_tensor([1.0 if flat is None else flat.panels[panel] for panel in at]))
                going.put(at, here)
            if group[-1].panel == missing:
                finished.append(_finished(formula, seen, x[:, -1], None, columns, going.found))
        if share:
            explained.append(torch.cat(share, 1).detach().amin(1) >= eps)
        if row == ROWS - 2 and flat is not None and explained:
            going.on(torch.stack(explained).any(0))
    (last,) = finished
    return going.whole(last)


class _Going:
    """Which of B puzzles go on, and what was found of all of them."""

    def __init__(self, seen: Seen) -> None:
        self.seen, self.puzzles = seen, len(seen.weights)
        self.rows: Tensor | None = None
        self.found: dict[int, Tensor] = {}

    def on(self, keep: Tensor) -> Seen:
        """Go on with some; bool, of those that are left."""
        if not bool(keep.all()):
            rows = torch.arange(len(keep), device=keep.device) if self.rows is None else self.rows
            self.rows, self.seen = rows[keep], self.seen[keep]
        return self.seen

    def put(self, panels: Sequence[int], shares: Tensor) -> None:
        """Note the shares (left, T) of some panels; those of puzzles that were let go are 0."""
        self.found.update(zip(panels, self._all(shares).unbind(1), strict=True))

    def whole(self, last: _Found) -> _Found:
        """What was found of those that are left, for all."""
        candidates, mass, predicted = (self._all(part) for part in (last.candidates, last.mass, last.predicted))
        distinct = self._all(last.distinct) if last.distinct.ndim else last.distinct
        return replace(last, candidates=candidates, mass=mass, predicted=predicted, distinct=distinct)

    def _all(self, part: Tensor) -> Tensor:
        if self.rows is None:
            return part
        return part.new_zeros(self.puzzles, *part.shape[1:]).index_copy(0, self.rows, part)


def _finished(
    formula: Formula,
    seen: Seen,
    last: Vectors,
    states: Vectors | None,
    columns: int,
    found: dict[int, Tensor],
    given: Vectors | None = None,
) -> _Found:
    """With what the predicted missing panel says of the candidates."""
    missing = ROWS * columns - 1
    distinct = seen.weights.new_ones(())
    if formula.distinct and states is not None:
        distinct = _apart(seen, given or states, columns)
        last = last.without([states[:, panel] for panel in range(missing - columns + 1, missing)])
    share = _whole(last) * (seen.background > 0)
    if seen.weights.shape[1] > missing:
        shown = share.unsqueeze(1)
        if seen.support is not None:
            shown = shown.expand(-1, seen.support.shape[1] - missing, -1).gather(-1, seen.support[:, missing:])
        candidates = (shown * seen.ratio[:, missing:]).sum(-1)
    else:
        candidates = share.new_zeros(len(share), 0)
    return _Found(found, candidates, share.sum(-1), share, distinct)


def _whole(last: Vectors) -> Tensor:
    """(B, V + 1): read in parts, where each of many atoms is compared with those of all values."""
    if last.weights is None:
        return last.read()
    part = max(1, _COMPARED // (last.weights.shape[-1] * last.values))
    return torch.cat([last[start : start + part].read() for start in range(0, max(len(last.weights), 1), part)])


def _apart(seen: Seen, states: Vectors, columns: int) -> Tensor:
    """(B,): how likely the panels of the first row differ, pair by pair."""
    apart = []
    for panel in range(1, columns):
        before = states[:, :panel]
        weights = seen.weights[:, panel].unsqueeze(1)
        support = None if seen.support is None else seen.support[:, panel].unsqueeze(1).expand(-1, panel, -1)
        same = before.read(support)
        apart.append(1 - (same * weights).sum(-1).clamp(0, 1))
    return torch.cat(apart, 1).prod(1)


def groups(order: Sequence[Place], level: Callable[[Place], int]) -> Iterator[list[Place]]:
    """Panels that can be predicted at once, since equally many are added and subtracted.

    Args:
        order: the panels.
        level: which of them have to wait for others.

    Yields:
        Groups by level; the missing panel is its group's last.
    """

    def kind(place: Place) -> tuple[int, int, int]:
        return (level(place), len(place.plus), len(place.minus))

    for _, group in groupby(sorted(order, key=lambda place: (*kind(place), place.panel)), key=kind):
        yield list(group)


def _bound(states: Vectors, group: Sequence[Place], offset: int) -> Vectors:
    """(B, T): the panels that enter, bound."""
    plus = [states.of([place.plus[k] for place in group]) for k in range(len(group[0].plus))]
    minus = [states.of([place.minus[k] for place in group]) for k in range(len(group[0].minus))]
    x = bound(plus, minus)
    return x.moved(offset) if offset else x
