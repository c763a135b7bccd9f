"""The rules that NVSA weighs, and how many rows of panels each admits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.arrays import RULE_NAMES

__all__ = ["DISTRIBUTE", "FAMILIES", "MINUS", "NAMES", "PLUS", "PROGRESSIONS", "STEPS", "Evidence", "count_sets", "count_values"]

STEPS = (-2, -1, 1, 2)
NAMES = ("constant", *(f"progression by {step:+d}" for step in STEPS), "sum", "difference", "distribute three")
CONSTANT, PLUS, MINUS, DISTRIBUTE = 0, 5, 6, 7
PROGRESSIONS = slice(1, 1 + len(STEPS))
FAMILIES = tuple(
    RULE_NAMES.index(name)
    for name in ("Constant", *("Progression",) * len(STEPS), "Arithmetic", "Arithmetic", "Distribute_Three")
)
"""Codes into ``datasets.RULE_NAMES``, one per rule."""


@dataclass(frozen=True)
class Evidence:
    """What the context says about one or several attributes.

    Attributes:
        agreement: (..., R) log of the product of similarities that the rule asks for.
        factors: (R,) how many similarities that are.
        predicted: (..., R, V) what the rule predicts for the missing panel; for sets the occupancies (..., R, S).
    """

    agreement: Tensor
    factors: Tensor
    predicted: Tensor


def count_values(low: int, high: int, columns: int) -> Tensor:
    """Log of the number of value combinations that each rule admits, in a whole matrix.

    Args:
        low: smallest magnitude of the attribute.
        high: largest magnitude.
        columns: n.

    Returns:
        float64 (R,); infinite where a rule is impossible. Rows are independent of each other, so a row's number is
        cubed, except for Distribute_Three.
    """
    values = high - low + 1
    counts = [values, *(values - abs(step) * (columns - 1) for step in STEPS)]
    # n - 1 magnitudes of at least `low` whose sum is at most `high`; for a difference they are all but the first.
    spare = high - low * (columns - 1)
    sums = math.comb(spare + columns - 1, columns - 1) if spare >= 0 else 0
    counts += [sums, sums]
    return _logs(counts, math.perm(values, columns))


def count_sets(slots: int) -> Tensor:
    """The same for sets of slots, in rows of three.

    Args:
        slots: S.

    Returns:
        float64 (R,).
    """
    sizes = range(1, slots + 1)
    ways = {size: math.comb(slots, size) for size in range(slots + 1)}
    counts = [2**slots - 1]
    # A moving set leaves two slots free per step, as in the original generator.
    counts += [sum(ways[size] for size in range(1, slots - 2 * abs(step) + 1)) for step in STEPS]
    counts.append(sum(ways[size] * (2**slots - 2**size) for size in sizes))  # the second set adds something
    counts.append(sum(ways[size] * (2**slots - 2 ** (slots - size) - 1) for size in sizes))  # something is left
    return _logs(counts, sum(math.perm(ways[size], 3) for size in sizes))


def _logs(counts: list[int], distributions: int) -> Tensor:
    logs = [3 * math.log(count) if count > 0 else math.inf for count in counts]
    logs.append(math.log(distributions) if distributions > 0 else math.inf)
    return torch.tensor(logs, dtype=torch.float64)
