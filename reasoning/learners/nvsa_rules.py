"""The rules that NVSA weighs, and how many value combinations each admits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from datasets.arrays import RULE_NAMES
from datasets.panels import ROWS

__all__ = ["CONSTANT", "FAMILIES", "NAMES", "STEPS", "WORDS", "Evidence", "count_numbers", "count_sets", "count_values"]

STEPS = (-2, -1, 1, 2)
NAMES = ("constant", *(f"progression {step:+d}" for step in STEPS), "sum", "difference", "distribute three")
WORDS = (
    "the last panel is like the one before",
    *(f"each panel is the one before it {step:+d}; a set moves on by {step:+d} slots" for step in STEPS),
    "the last panel is the sum of the others; the union of sets",
    "the last panel is the first less the others; the difference of sets",
    "the last panel is what its row lacks of the values of another row; a set is where the shift of the rows puts it",
)
CONSTANT = NAMES.index("constant")
FAMILIES = tuple(
    RULE_NAMES.index(name)
    for name in ("Constant", *("Progression",) * len(STEPS), "Arithmetic", "Arithmetic", "Distribute_Three")
)
"""Codes into ``datasets.RULE_NAMES``, one per rule."""


@dataclass(frozen=True)
class Evidence:
    """What the context says of one or several attributes.

    Attributes:
        agreement: (..., R), log of the product of similarities that a rule asks for.
        factors: (R,), how many similarities that are.
        predicted: (..., R, V), what each rule predicts for the missing panel; of sets the occupancies (..., R, S).
    """

    agreement: Tensor
    factors: Tensor
    predicted: Tensor


# A rule's probability is what its similarities say, divided by the number of matrices that it admits: a rule that
# leaves less open explains more. Rows are independent, so a row's number is cubed; but not that of Distribute_Three,
# whose first row settles the others. The functions give logs, (R,) float64; infinite where a rule is impossible.


@lru_cache(maxsize=256)
def count_values(low: int, high: int, columns: int) -> Tensor:
    """How many matrices of values each rule admits.

    Args:
        low: smallest magnitude of the attribute.
        high: largest magnitude.
        columns: n.

    Returns:
        (R,) logs.
    """
    values = high - low + 1
    rows = [values, *(values - abs(step) * (columns - 1) for step in STEPS)]
    # n - 1 magnitudes of at least `low`, the sum of which is at most `high`: the operands, or all but the first panel.
    spare = high - low * (columns - 1)
    sums = math.comb(spare + columns - 1, columns - 1) if spare >= 0 else 0
    return _logs([*rows, sums, sums], math.perm(values, columns) if values >= columns else 0)


@lru_cache(maxsize=16)
def count_sets(slots: int) -> Tensor:
    """How many matrices of non-empty sets of slots each rule admits, in rows of three.

    Args:
        slots: S.

    Returns:
        (R,) logs.
    """
    ways, sizes = _ways(slots), range(1, slots + 1)
    rows = [sum(ways)]
    # A moving set leaves two slots free per step, as in the original generator.
    rows += [sum(ways[1 : max(1, slots - 2 * abs(step) + 1)]) for step in STEPS]
    rows.append(sum(ways[size] * (2**slots - 2**size) for size in sizes))  # the second set adds something
    rows.append(sum(ways[size] * (2**slots - 2 ** (slots - size) - 1) for size in sizes))  # something is left
    return _logs(rows, sum(math.perm(ways[size], 3) for size in sizes))


@lru_cache(maxsize=16)
def count_numbers(slots: int) -> Tensor:
    """How many matrices of sets each rule on their sizes admits, in rows of three: comparable to :func:`count_sets`.

    Args:
        slots: S.

    Returns:
        (R,) logs.
    """
    ways, sizes = _ways(slots), range(1, slots + 1)

    def rows_of(triples: Iterable[tuple[int, int, int]]) -> int:
        return sum(math.prod(ways[size] for size in triple) for triple in triples if set(triple) <= set(sizes))

    rows = [rows_of((size, size, size) for size in sizes)]
    rows += [rows_of((size, size + step, size + 2 * step) for size in sizes) for step in STEPS]
    sums = rows_of((a, b, a + b) for a in sizes for b in sizes)
    distinct = [(a, b, c) for a in sizes for b in sizes for c in sizes if len({a, b, c}) == 3]
    return _logs([*rows, sums, sums], sum(rows_of([triple]) ** ROWS for triple in distinct))


def _ways(slots: int) -> list[int]:
    """How many sets of each size there are; none is empty."""
    return [0, *(math.comb(slots, size) for size in range(1, slots + 1))]


def _logs(rows: list[int], distributed: int) -> Tensor:
    logs = [ROWS * math.log(count) if count > 0 else math.inf for count in rows]
    logs.append(math.log(distributed) if distributed > 0 else math.inf)
    return torch.tensor(logs, dtype=torch.float64)
