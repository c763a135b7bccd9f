"""NVSA on positions: sets of slots, each slot occupied with a probability of its own.

Slots are independent given their occupancies, so the similarity of two panels is a product over slots and no table
over the 2**S - 1 sets is formed. A panel is never empty: all probabilities are those of non-empty sets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reasoning.learners.vector_rules.rules import STEPS, Evidence
from reasoning.learners.vector_rules.values import FLOOR, log_similarity

__all__ = ["difference_is", "equal", "sets_evidence", "union_is"]


def sets_evidence(context: Tensor) -> Evidence:
    """Evidence for the rules of sets in matrices of 3 x 3.

    Args:
        context: (B, 8, S) occupancies row by row.

    Returns:
        Evidence with (B, R) agreements and (B, R, S) predicted occupancies.
    """
    rows, last = context[:, :6].unflatten(1, (2, 3)), context[:, 6:]
    left = torch.cat([rows[:, :, 0], rows[:, :, 1], last[:, :1]], dim=1)  # (B, 5, S)
    right = torch.cat([rows[:, :, 1], rows[:, :, 2], last[:, 1:]], dim=1)

    alike = equal(left, right)
    constant = log_similarity(alike).sum(-1)

    moved = torch.stack([left.roll(step, -1) for step in STEPS], dim=1)  # (B, 4, 5, S)
    travelled = torch.stack([rows[:, :, 0].roll(2 * step, -1) for step in STEPS], dim=1)  # (B, 4, 2, S)
    progressions = (
        log_similarity(equal(moved, right.unsqueeze(1))).sum(-1)
        + log_similarity(equal(travelled, rows[:, None, :, 2])).sum(-1)
        + log_similarity(1 - alike).sum(-1, keepdim=True)
    )

    first = torch.cat([rows[:, :, 0], last[:, :1]], dim=1)  # (B, 3, S)
    second = torch.cat([rows[:, :, 1], last[:, 1:]], dim=1)
    third = rows[:, :, 2]
    plus = log_similarity(union_is(first[:, :2], second[:, :2], third)) + log_similarity(1 - equal(first[:, :2], third))
    minus = log_similarity(difference_is(first[:, :2], second[:, :2], third))
    union, difference = _union(first[:, 2], second[:, 2]), first[:, 2] * (1 - second[:, 2])
    adds = log_similarity(1 - (1 - second[:, 2] * (1 - first[:, 2])).prod(-1))
    leaves = log_similarity(1 - (1 - difference).prod(-1))

    # Rows shifted to the right or to the left: which panel of the row before stands where.
    orders = torch.tensor([[2, 0, 1], [1, 2, 0]], device=context.device)
    second_row = log_similarity(equal(rows[:, 0][:, orders], rows[:, 1].unsqueeze(1))).sum(-1)  # (B, 2)
    third_row = rows[:, 1][:, orders]  # (B, 2, 3, S)
    shifted = second_row + log_similarity(equal(third_row[:, :, :2], last.unsqueeze(1))).sum(-1)
    apart = log_similarity(1 - equal(rows[:, 0], rows[:, 0].roll(1, 1))).sum(-1)
    distribute = shifted.logsumexp(-1) + apart
    shared = (shifted.softmax(-1).unsqueeze(-1) * third_row[:, :, 2]).sum(1)

    agreement = torch.cat(
        [
            constant.unsqueeze(-1),
            progressions,
            (plus.sum(-1) + adds).unsqueeze(-1),
            (minus.sum(-1) + leaves).unsqueeze(-1),
            distribute.unsqueeze(-1),
        ],
        dim=-1,
    )
    predicted = torch.cat(
        [
            last[:, 1:],
            torch.stack([last[:, 1].roll(step, -1) for step in STEPS], dim=1),
            torch.stack([union, difference, shared], dim=1),
        ],
        dim=1,
    )
    factors = torch.tensor([5, *(12,) * len(STEPS), 5, 3, 8], device=context.device)
    return Evidence(agreement, factors, predicted)


def equal(a: Tensor, b: Tensor) -> Tensor:
    """Probability that two sets are the same, given that neither is empty.

    Args:
        a: (..., S) occupancies.
        b: (..., S).

    Returns:
        (...).
    """
    both_empty = _empty(a) * _empty(b)
    return (_match(a, b) - both_empty) / (_some(a) * _some(b))


def union_is(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Probability that the union of two sets is the third, given that none is empty.

    Args:
        a: (..., S) occupancies.
        b: (..., S).
        c: (..., S).

    Returns:
        (...).
    """
    # Inclusion and exclusion: without the first set the second must be the third, and the reverse.
    empty_a, empty_b, empty_c = _empty(a), _empty(b), _empty(c)
    joint = _match(_union(a, b), c) - empty_a * _match(b, c) - empty_b * _match(a, c) + empty_a * empty_b * empty_c
    return joint / (_some(a) * _some(b) * _some(c))


def difference_is(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Probability that the first set without the second is the third, given that none is empty.

    Args:
        a: (..., S) occupancies.
        b: (..., S).
        c: (..., S).

    Returns:
        (...).
    """
    left = a * (1 - b)
    empty_a, empty_b, empty_c = _empty(a), _empty(b), _empty(c)
    joint = _match(left, c) - _empty(left) * empty_c - empty_b * (_match(a, c) - empty_a * empty_c)
    return joint / (_some(a) * _some(b) * _some(c))


def _union(a: Tensor, b: Tensor) -> Tensor:
    return 1 - (1 - a) * (1 - b)


def _match(a: Tensor, b: Tensor) -> Tensor:
    return (a * b + (1 - a) * (1 - b)).prod(-1)


def _empty(a: Tensor) -> Tensor:
    return (1 - a).prod(-1)


def _some(a: Tensor) -> Tensor:
    return (1 - _empty(a)).clamp_min(FLOOR)
