"""Which formulas explain a training set best, and how often each is at work.

Formulas are chosen greedily by the likelihood of the mixture of all chosen, less a price for each; how often each is at
work is fitted by expectation and maximisation, for every kind of attribute by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reasoning.learners.role_formulas.formula import Formula

__all__ = ["Table", "fit", "select"]

_STEPS = 12  # of expectation and maximisation where a formula is tried
_FITTED = 60  # where all are fitted
_PSEUDO = 0.5  # cases that each hypothesis is taken to have explained beforehand
_FIRST = 0.2  # how often a formula that is tried is taken to be at work, before it is fitted


@dataclass
class Table:
    """Log evidence of F formulas, by kind of attribute.

    Attributes:
        formulas: F of them.
        evidence: kind -> (N, Q, F), of N cases under Q readings; -inf where a reading says nothing.
    """

    formulas: tuple[Formula, ...]
    evidence: Mapping[int, Tensor]

    def of(self, rows: Sequence[int]) -> dict[int, Tensor]:
        """Kind -> (N, Q * R + 1): some formulas, reading by reading, after "no rule"."""
        return {
            kind: torch.cat([table.new_zeros(len(table), 1), table[..., list(rows)].flatten(1)], 1)
            for kind, table in self.evidence.items()
        }

    def joined(self, other: Table) -> Table:
        """With more formulas of the same cases."""
        both = {kind: torch.cat([table, other.evidence[kind]], -1) for kind, table in self.evidence.items()}
        return Table((*self.formulas, *other.formulas), both)


def fit(evidence: Tensor, pseudo: float = _PSEUDO) -> Tensor:
    """How often each hypothesis is at work.

    Args:
        evidence: (N, H) log.
        pseudo: cases that each hypothesis that says anything is taken to have explained beforehand.

    Returns:
        (H,) log probabilities; -inf for hypotheses that never say anything.
    """
    able = (evidence > -torch.inf).any(0)
    log = torch.where(able, 0.0, -torch.inf).log_softmax(0)
    for _ in range(_FITTED):
        counts = (evidence + log).softmax(1).sum(0) + pseudo * able
        log = (counts / counts.sum()).log()
    return log


def likelihood(evidence: Mapping[int, Tensor]) -> tuple[float, dict[int, Tensor]]:
    """Log likelihood of all cases under the fitted mixture, and (N,) of each by kind."""
    mixed = {kind: torch.logsumexp(table + fit(table), 1) for kind, table in evidence.items()}
    return float(sum(float(one.sum()) for one in mixed.values())), mixed


def select(table: Table, price: float, start: Sequence[int] = (), most: int = 32) -> list[int]:
    """The formulas that explain the cases best.

    Args:
        table: of all formulas.
        price: nats for each formula and each unit of its complexity.
        start: formulas that are chosen to begin with, and may be let go.
        most: how many at most.

    Returns:
        Rows of the table.
    """
    prices = torch.tensor([price * (1 + formula.complexity) for formula in table.formulas])
    chosen = list(start)
    total, mixed = likelihood(table.of(chosen))
    while len(chosen) < most:
        gains = _gains(table, mixed) - prices
        gains[chosen] = -torch.inf
        best = int(gains.argmax())
        if float(gains[best]) <= 0:
            break
        reached, now = likelihood(table.of([*chosen, best]))
        if reached - total <= float(prices[best]):
            break
        chosen, total, mixed = [*chosen, best], reached, now
    return _without_idle(table, chosen, total, prices)


def _gains(table: Table, mixed: Mapping[int, Tensor]) -> Tensor:
    """(F,): how much likelier the cases become at most with one more formula."""
    gains = torch.zeros(len(table.formulas))
    for kind, evidence in table.evidence.items():
        ratio = (evidence - mixed[kind][:, None, None]).clamp(max=60).double().exp()  # (N, Q, F)
        share = torch.full(ratio.shape[1:], _FIRST, dtype=ratio.dtype)
        for _ in range(_STEPS):
            new = share * ratio
            share = (new / (1 - share + new)).mean(0)
        gain = (1 - share + share * ratio).log().sum(0)
        gains += torch.where((evidence > -torch.inf).any(0), gain, 0.0).clamp_min(0).sum(0).float()
    return gains


def _without_idle(table: Table, chosen: list[int], total: float, prices: Tensor) -> list[int]:
    """Without the formulas that cost more than they explain, once all are there."""
    while len(chosen) > 1:
        left = [(likelihood(table.of([one for one in chosen if one != idle]))[0], idle) for idle in chosen]
        saved, idle = max((reached - total + float(prices[idle]), idle) for reached, idle in left)
        if saved <= 0:
            break
        chosen = [one for one in chosen if one != idle]
        total = likelihood(table.of(chosen))[0]
    return chosen
