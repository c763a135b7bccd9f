"""The kernels of :mod:`reasoning.learners.grammar.values` where each panel shows few of many values.

The same sums, over what has mass alone: a rule's matrices are counted by the few values of the first panel that is
looked at. Sums of many panels are added panel by panel, equal ones together, and none beyond the range.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from datasets.rules.base import RULES
from datasets.rules.forms import ALIKE, SHIFTS, STEPS, TOTALS
from reasoning.learners.grammar.values import DIRECT, Hypothesis, ValueRange, total_log_weight
from reasoning.sparse import SparsePMF

__all__ = ["few_evidence", "few_kernels", "takes_few"]

_FEW = 8  # values of a panel; with more of them, pairs of them take longer than the whole axis
_PATTERNS = (ALIKE, STEPS, TOTALS, SHIFTS)


def takes_few(pmf: SparsePMF, columns: int, limits: ValueRange, rules: tuple[Hypothesis, ...]) -> bool:
    """Whether :func:`few_kernels` has these rules.

    Args:
        pmf: (B, P, V).
        columns: n.
        limits: of the magnitudes.
        rules: of ``hypotheses``.
    """
    tables = columns == 3 and limits.size <= DIRECT
    known = all(RULES.get(rule.rule).pattern in _PATTERNS for rule in rules)
    return known and not tables and limits.low == 0 and limits.size == pmf.width and pmf.values.shape[-1] <= _FEW


def few_evidence(
    pmf: SparsePMF, columns: int, limits: ValueRange, rules: tuple[Hypothesis, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """How well rules explain panels, and what they expect.

    Args:
        pmf: (B, 3 n - 1 + 8, W), context and candidates in double precision; all mass is there.
        columns: n.
        limits: of the magnitudes.
        rules: of ``hypotheses``.

    Returns:
        (B, H, 9), log likelihood ratios of the context with each candidate, and of the context alone; kernels and
        scale as of :func:`few_kernels`.
    """
    panels = 3 * columns - 1
    kernels, scale = few_kernels(pmf[:, :panels], columns, limits, rules)
    candidates = pmf[:, panels:]
    places = candidates.values.flatten(1).unsqueeze(1).expand(-1, len(rules), -1)
    likely = kernels.gather(2, places).unflatten(2, candidates.values.shape[1:])  # (B, H, 8, K)
    seen = limits.size * (likely * candidates.weights.unsqueeze(1)).sum(-1)
    seen = seen / candidates.sum(-1).unsqueeze(1)  # against a random value
    evidence = torch.cat([seen, kernels.sum(-1, keepdim=True)], dim=2)
    return evidence.log() + scale.unsqueeze(-1), kernels, scale


def few_kernels(
    context: SparsePMF, columns: int, limits: ValueRange, rules: tuple[Hypothesis, ...]
) -> tuple[Tensor, Tensor]:
    """The kernels of all rules, and their scale.

    Args:
        context: (B, 3 n - 1, W) PMFs in double precision, whose mass is all there.
        columns: n.
        limits: of the magnitudes.
        rules: of ``hypotheses``.

    Returns:
        (B, H, W), those of ``value_kernels`` divided by e to the power of the scale; and the scale, (B, H), so that
        long rows stay in the range of floats: of a row of 100 that adds up there are 1e130 others with its total.
    """
    peak = context.weights.amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    weights, values = context.weights / peak, context.values
    scale = (peak.log().sum((1, 2)) + values.shape[1] * math.log(limits.size)).unsqueeze(1).repeat(1, len(rules))
    rows = [_Panels(values[:, at], weights[:, at]) for at in (slice(columns), slice(columns, 2 * columns))]
    rows.append(_Panels(values[:, 2 * columns :], weights[:, 2 * columns :]))
    kernels = weights.new_zeros(len(weights), len(rules), limits.size)
    middle: list[_Panels] | None = None
    for number, rule in enumerate(rules):
        pattern = RULES.get(rule.rule).pattern
        if pattern == SHIFTS:
            at, found = _distribute(_Panels(values, weights), columns, rule.parameter)
            scale[:, number] -= sum(math.log(limits.size - k) for k in range(columns))
        elif pattern == TOTALS:
            if middle is None:
                middle = [_sums(row[:, 1 : columns - 1], limits.size) for row in rows]
            at, found, log = _arithmetic(rows, middle, rule.parameter, limits.size)
            scale[:, number] += log
        else:
            at, found = _steps(rows, rule.parameter if pattern == STEPS else 0, limits.size)
        inside = (at >= 0) & (at < limits.size)
        kernels[:, number].scatter_add_(1, torch.where(inside, at, 0), torch.where(inside, found, 0.0))
    return kernels, scale


class _Panels:
    """Values (B, P, K) with weights, or sums (B, M) of them."""

    def __init__(self, values: Tensor, weights: Tensor) -> None:
        self.values, self.weights = values, weights

    def at(self, asked: Tensor) -> Tensor:
        """The weights of values (..., Q) that are asked of each panel (..., K)."""
        same = asked.unsqueeze(-1) == self.values.unsqueeze(-2)
        return (same * self.weights.unsqueeze(-2)).sum(-1)

    def __getitem__(self, index: object) -> _Panels:
        return _Panels(self.values[index], self.weights[index])  # type: ignore[index]


def _steps(rows: list[_Panels], step: int, size: int) -> tuple[Tensor, Tensor]:
    """Constant and Progression: twice (B, K), by the value of the last panel."""
    columns = rows[0].values.shape[1]
    length = size - abs(step) * (columns - 1)

    def along(row: _Panels) -> tuple[Tensor, Tensor]:
        """The values of the first panel, and the product over the row's panels."""
        first, others = row[:, 0], row[:, 1:]
        move = step * torch.arange(1, row.values.shape[1], device=first.values.device)
        fits = others.at(first.values.unsqueeze(1) + move[:, None]).prod(1)
        last = first.values + step * (columns - 1)
        return last, first.weights * fits * ((last >= 0) & (last < size)) / length

    whole = [along(row)[1].sum(-1, keepdim=True) for row in rows[:2]]
    last, product = along(rows[2])
    return last, product * whole[0] * whole[1]


def _sums(panels: _Panels, size: int) -> _Panels:
    """The distribution (B, M) of the sum of P panels; sums beyond the range are left out."""
    values, weights = panels.values.unbind(1), panels.weights.unbind(1)
    total, chance = values[0], weights[0]
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total = (total.unsqueeze(-1) + value.unsqueeze(1)).flatten(1)
        chance = (chance.unsqueeze(-1) * weight.unsqueeze(1)).flatten(1)
        total, order = torch.where((total < size) & (chance > 0), total, size).sort(dim=1)
        chance = chance.gather(1, order) * (total < size)
        place = torch.zeros_like(total)
        place[:, 1:] = (total[:, 1:] != total[:, :-1]).cumsum(1)
        count = int(place.max()) + 1 if place.numel() else 1
        chance = chance.new_zeros(len(chance), count).scatter_add_(1, place, chance)
        total = total.new_full((len(total), count), size).scatter_(1, place, total)
    return _Panels(total, chance)


def _arithmetic(rows: list[_Panels], middle: list[_Panels], sign: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of all panels but the last, or but the first: twice (B, K * M), by the value of the last panel; (B,) log.

    ``middle`` has the sums of the panels between a row's first and last one.
    """
    chances = total_log_weight(size, rows[0].values.shape[1]).to(rows[0].weights)
    scale = torch.zeros_like(rows[0].weights[:, 0, 0])
    evidence = torch.ones_like(scale)
    for row, between in zip(rows[:2], middle[:2], strict=True):
        part, total = (row[:, 0], row[:, -1]) if sign > 0 else (row[:, -1], row[:, 0])
        # Between the two is what is added to the one to make the other.
        rest = between.at((total.values.unsqueeze(1) - part.values.unsqueeze(2)).flatten(1))
        whole = rest.unflatten(1, (part.values.shape[1], -1)) * part.weights.unsqueeze(2)
        share, most = _shares(chances[total.values].unsqueeze(1), whole > 0)
        scale = scale + most
        evidence = evidence * (whole * total.weights.unsqueeze(1) * share).sum((1, 2))
    first, between = rows[2][:, 0], middle[2]
    found = first.weights.unsqueeze(2) * between.weights.unsqueeze(1)
    if sign > 0:
        last = first.values.unsqueeze(2) + between.values.unsqueeze(1)
        share, most = _shares(chances[last.clamp_max(size - 1)], (last < size) & (found > 0))
    else:
        last = first.values.unsqueeze(2) - between.values.unsqueeze(1)
        share, most = _shares(chances[first.values].unsqueeze(2), (last >= 0) & (found > 0))
    return last.flatten(1), (found * share).flatten(1) * evidence.unsqueeze(1), scale + most


def _shares(log: Tensor, possible: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities over that of the likeliest possible one, and its log (B,), which may be far below all floats."""
    most = torch.where(possible, log, -torch.inf).flatten(1).amax(1)
    most = torch.where(most > -torch.inf, most, 0.0)
    return (log - most[:, None, None]).clamp_max(0.0).exp(), most


def _distribute(panels: _Panels, columns: int, shift: int) -> tuple[Tensor, Tensor]:
    """As in ``values``, chain by chain, all sets of values counted as one: twice (B, K), by the last panel's value."""
    own = (columns - 1 - 2 * shift) % columns  # the value that the missing panel has
    order = [own, *(k for k in range(columns) if k != own)]
    first, second, third = ([r * columns + (k + shift * r) % columns for k in order] for r in range(3))
    heads = panels[:, first]
    chains = heads.weights * panels[:, second].at(heads.values)
    missing = heads.values[:, 0], chains[:, 0]
    others = _Panels(heads.values[:, 1:], chains[:, 1:] * panels[:, third[1:]].at(heads.values[:, 1:]))
    mass = others.weights.sum(-1, keepdim=True)
    here = missing[0].unsqueeze(1).expand(-1, columns - 1, -1)
    if columns == 3:
        one, two = others.at(here).unbind(1)
        both = (others[:, 0].weights * others[:, 1].at(others[:, 0].values)).sum(-1, keepdim=True)
        sums = mass.unbind(1)
        apart = sums[0] * sums[1] - both - sums[1] * one - sums[0] * two + 2 * one * two
        return missing[0], missing[1] * apart
    share = _Panels(others.values, others.weights / mass.clamp_min(1e-300))
    left, right = torch.triu_indices(columns - 1, columns - 1, 1, device=mass.device)
    alike = (share[:, left].weights * share[:, right].at(share[:, left].values)).sum(-1)
    apart = (1 - alike).clamp_min(0).prod(-1, keepdim=True) * mass.squeeze(-1).prod(-1, keepdim=True)
    return missing[0], missing[1] * apart * (1 - share.at(here)).clamp_min(0).prod(1)
