"""How well each rule explains values: exact sums over all matrices that the rule can produce, weighted by the PMFs.

The missing panel enters linearly, so a rule's whole answer is a kernel over its values: the probability of a candidate
is the inner product of the kernel with the candidate's PMF, and the kernel itself is the prediction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from datasets.rules import Values
from datasets.rules.base import PUBLISHED, RULES, rules_named
from datasets.rules.forms import ALIKE, SHIFTS, STEPS, TOTALS
from reasoning.learners.grammar.forms import Kind, form_kernel, row_kernel

__all__ = ["DIRECT", "Hypothesis", "ValueRange", "general_kernel", "hypotheses", "total_log_weight", "value_kernels"]

_ROUNDING = 1e-10  # of the largest sum
DIRECT = 32  # up to this many values sums are tables; beyond, Fourier transforms


@dataclass(frozen=True)
class Hypothesis:
    """A rule with its parameter, and the probability with which the grammar draws it."""

    rule: str
    code: int
    parameter: int
    prior: float

    def __str__(self) -> str:
        return f"{self.rule} {self.parameter:+d}" if self.parameter else self.rule


@dataclass(frozen=True)
class ValueRange:
    """The magnitudes low .. high that an attribute may have.

    Args:
        low: the smallest.
        high: the largest.
        white: whether a sum that adds nothing in both complete rows is no Arithmetic (RAVEN's Color).
        split: whether the generator draws the total of a sum and splits it (I-RAVEN-X, and whatever has more than three
            columns), or draws one operand after the other (RAVEN).
    """

    low: int
    high: int
    white: bool = False
    split: bool = False

    @property
    def size(self) -> int:
        """How many there are."""
        return self.high - self.low + 1


@lru_cache(maxsize=256)
def hypotheses(
    governed: str | None, limits: ValueRange, columns: int, grammar: tuple[str, ...] = PUBLISHED
) -> tuple[Hypothesis, ...]:
    """The rules that may govern an attribute: families alike, the parameters of a family alike, as generated.

    Args:
        governed: Type, Size, Color or Number; None: any attribute.
        limits: of its magnitudes.
        columns: n.
        grammar: names of the rules that may be at work.

    Returns:
        Those whose rows fit into the range. Of Number, the Constant is left out: the grammar has it for Position too.
    """
    found = []
    for rule in rules_named(grammar):
        if governed is not None and governed not in rule.governs:
            continue
        ranges = {step: rule.first_range(limits.low, limits.high, step, columns) for step in rule.parameters}
        possible = [parameter for parameter, (low, high) in ranges.items() if low <= high]
        # RAVEN draws among all parameters of a family, so that those of impossible ones are lost; I-RAVEN-X does not.
        share = 1 / (len(possible) if limits.split else len(rule.parameters)) if possible else 0
        found += [(rule, parameter, share) for parameter in possible]
    total = sum(share for _, _, share in found)
    return tuple(Hypothesis(rule.name, rule.code, parameter, share / total) for rule, parameter, share in found)


def value_kernels(panels: Tensor, columns: int, limits: ValueRange, rules: tuple[Hypothesis, ...]) -> Tensor:
    """The kernels of all rules.

    Args:
        panels: float64 (B, P, W), P = 3 n - 1 context panels: how much more probable what is seen becomes if the
            panel has this value (for a PMF: W times it). W runs over the magnitudes low .. high.
        columns: n.
        limits: of the magnitudes.
        rules: of :func:`hypotheses`.

    Returns:
        (B, H, W). The inner product with a candidate's row is the likelihood ratio of context and candidate under the
        rule, against values drawn at random; the sum over W that of the context alone.
    """
    rows = (panels[:, :columns], panels[:, columns : 2 * columns], panels[:, 2 * columns :])
    kernels = []
    for rule in rules:
        pattern = RULES.get(rule.rule).pattern
        if pattern == ALIKE:
            kernels.append(_constant(rows))
        elif pattern == STEPS:
            kernels.append(_progression(rows, rule.parameter))
        elif pattern == TOTALS:
            kernels.append(_arithmetic(rows, rule.parameter, limits))
        elif pattern == SHIFTS:
            kernels.append(_distribute(panels, columns, rule.parameter))
        else:
            domain = Values(limits.low, limits.high, limits.white)
            kernels.append(general_kernel(panels, columns, rule, domain, tuple(range(limits.low, limits.high + 1))))
    return torch.stack(kernels, dim=1)


def general_kernel(
    panels: Tensor,
    columns: int,
    rule: Hypothesis,
    domain: Kind,
    values: tuple[int, ...],
    prior: Tensor | None = None,
) -> Tensor:
    """The kernel of a rule without a pattern.

    Args:
        panels: float64 (B, 3 n - 1, W).
        columns: n.
        rule: with its parameter.
        domain: of values, or of sets of slots.
        values: the W legal ones.
        prior: (W,), how likely each value is for a panel that does not follow from others, where the rule declares a
            form; otherwise, and by default, all matrices are equally likely.

    Returns:
        (B, W).

    Raises:
        VSAError: the rule declares no form, and has too many rows to try them all.
    """
    form = RULES.get(rule.rule).form(columns, rule.parameter)
    if form is None:
        return row_kernel(panels, columns, rule.rule, rule.parameter, domain, values)
    return form_kernel(panels, form, domain, values, prior)


def _constant(rows: tuple[Tensor, ...]) -> Tensor:
    size = rows[0].shape[-1]
    whole = [row.prod(1).sum(-1, keepdim=True) / size for row in rows[:2]]
    return rows[2].prod(1) / size * whole[0] * whole[1]


def _progression(rows: tuple[Tensor, ...], step: int) -> Tensor:
    size, columns = rows[0].shape[-1], rows[0].shape[1]
    length = size - abs(step) * (columns - 1)
    start = max(0, -step * (columns - 1))

    def along(row: Tensor) -> Tensor:
        """(B, length): product over the row's panels, by the value of its first."""
        result = torch.ones_like(row[:, 0, :length])
        for j in range(row.shape[1]):
            result = result * row[:, j, start + step * j :][:, :length]
        return result / length

    whole = [along(row).sum(-1, keepdim=True) for row in rows[:2]]
    kernel = torch.zeros_like(rows[2][:, 0])
    last = start + step * (columns - 1)
    kernel[:, last : last + length] = along(rows[2]) * whole[0] * whole[1]
    return kernel


def _arithmetic(rows: tuple[Tensor, ...], sign: int, limits: ValueRange) -> Tensor:
    columns = rows[0].shape[1]
    if columns == 3 and limits.size <= DIRECT:
        table = _sum_table(sign, limits.low, limits.high, limits.split).to(rows[0])

        def last(row: Tensor, nothing: bool = False) -> Tensor:
            """(B, W) by the value of the last panel; ``nothing``: the second panel is zero."""
            pairs = row[:, 0, :, None] * row[:, 1, None, :]
            if nothing:
                return pairs[:, :, 0] * table.unflatten(0, (limits.size, -1))[:, 0].diagonal()
            return pairs.flatten(1) @ table

        whole = [(last(row) * row[:, 2]).sum(-1, keepdim=True) for row in rows[:2]]
        evidence = whole[0] * whole[1]
        if limits.white:  # not where the second panel is zero in both complete rows
            told = [(last(row, True) * row[:, 2]).sum(-1, keepdim=True) for row in rows[:2]]
            evidence = evidence - told[0] * told[1]
        return last(rows[2]) * evidence
    spectra, damping = _spectra(torch.cat(rows, dim=1))
    parts = spectra[:, :columns], spectra[:, columns : 2 * columns], spectra[:, 2 * columns :]
    weight = total_log_weight(limits.size, columns).exp().to(rows[0])
    size = limits.size

    def back(spectrum: Tensor) -> Tensor:
        found = torch.fft.irfft(spectrum, n=damping.shape[-1])[:, :size] / damping[:size]
        return _without_noise(found)

    if sign > 0:  # the last panel is the total
        whole = [
            (back(part[:, :-1].prod(1)) * weight * row[:, -1]).sum(-1, keepdim=True)
            for row, part in zip(rows[:2], parts[:2], strict=True)
        ]
        return back(parts[2].prod(1)) * weight * whole[0] * whole[1]
    # The first panel is the total of all others; the missing one is what they leave of it.
    whole = [
        (back(part[:, 1:].prod(1)) * weight * row[:, 0]).sum(-1, keepdim=True)
        for row, part in zip(rows[:2], parts[:2], strict=True)
    ]
    others = back(parts[2][:, 1:].prod(1))
    length = 2 * size
    left = torch.fft.rfft(rows[2][:, 0] * weight, n=length) * torch.fft.rfft(others, n=length).conj()
    return _without_noise(torch.fft.irfft(left, n=length)[:, :size]) * whole[0] * whole[1]


def _without_noise(sums: Tensor) -> Tensor:
    """Zero for what the transforms' rounding may have made: small totals split in few ways, so they weigh much."""
    return torch.where(sums > _ROUNDING * sums.amax(-1, keepdim=True), sums, torch.zeros_like(sums))


@lru_cache(maxsize=64)
def _sum_table(sign: int, low: int, high: int, split: bool) -> Tensor:
    """float64 (W * W, W): probability of the first two magnitudes of a row, at the column of the third."""
    size = high - low + 1
    table = torch.zeros(size, size, size, dtype=torch.float64)
    firsts = range(low, high - low + 1) if sign > 0 else range(2 * low, high + 1)
    for first in firsts:
        seconds = range(low, high - first + 1) if sign > 0 else range(low, first - low + 1)
        for second in seconds:
            total = first + second if sign > 0 else first
            chance = 1 / (size * (total + 1)) if split else 1 / (len(firsts) * len(seconds))
            table[first - low, second - low, first + sign * second - low] = chance
    return table.flatten(0, 1)


@lru_cache(maxsize=64)
def total_log_weight(size: int, columns: int) -> Tensor:
    """float64 (W,) log: probability of a row's total, alike for all, over the number of ways to split it."""
    total = torch.arange(size, dtype=torch.float64)
    parts = columns - 1
    ways = torch.lgamma(total + parts) - torch.lgamma(total + 1) - math.lgamma(parts)
    return -ways - math.log(size)


def _spectra(panels: Tensor) -> tuple[Tensor, Tensor]:
    """Transforms of damped rows: sums beyond the range, which would wrap around, come back a 1e16th as large."""
    size = panels.shape[-1]
    length = 1 << (4 * size - 1).bit_length()
    damping = torch.exp(torch.arange(length, dtype=panels.dtype, device=panels.device) * (-math.log(1e16) / length))
    return torch.fft.rfft(panels * damping[:size], n=length), damping


def _distribute(panels: Tensor, columns: int, shift: int) -> Tensor:
    size = panels.shape[-1]
    # Value k of the first row is at column (k + shift * r) % n of row r.
    own = (columns - 1 - 2 * shift) % columns  # the value that the missing panel has
    chains = []
    for k in range(columns):
        places = [r * columns + (k + shift * r) % columns for r in range(3)]
        chain = panels[:, places[0]] * panels[:, places[1]]
        chains.append(chain if k == own else chain * panels[:, places[2]])
    missing = chains.pop(own)
    prior = math.exp(-sum(math.log(size - k) for k in range(columns)))
    if columns == 3:  # distinct values, by inclusion and exclusion
        one, two = chains
        sums = [chain.sum(-1, keepdim=True) for chain in chains]
        both = (one * two).sum(-1, keepdim=True)
        return prior * missing * (sums[0] * sums[1] - both - sums[1] * one - sums[0] * two + 2 * one * two)
    stack = torch.stack(chains, dim=1)  # (B, n - 1, W)
    mass = stack.sum(-1, keepdim=True)
    share = stack / mass.clamp_min(1e-300)
    alike = share @ share.transpose(1, 2)  # probability that two are the same value; coincidences taken as independent
    apart = (1 - torch.triu(alike, diagonal=1)).clamp_min(0).flatten(1).prod(-1, keepdim=True)
    return prior * missing * mass.squeeze(-1).prod(-1, keepdim=True) * apart * (1 - share).clamp_min(0).prod(1)
