"""What rules relate: magnitudes, and sets of slots as bit masks (bit s: slot s is occupied)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..streams import Ints

__all__ = ["Bools", "Domain", "SlotSets", "Values"]

Bools = NDArray[np.bool_]


class Domain(Protocol):
    """The things that a rule relates."""

    def step(self, value: Ints, by: Any) -> Ints:
        """``value`` moved by ``by`` steps."""

    def add(self, left: Ints, right: Ints) -> Ints:
        """Sum or union."""

    def subtract(self, left: Ints, right: Ints) -> Ints:
        """Difference."""

    def legal(self, value: Ints) -> Bools:
        """Whether a panel may have this value."""

    def steps(self, step: int, columns: int) -> bool:
        """Whether a progression by ``step`` is possible at all in rows of ``columns`` panels."""

    def tells(self, operands: Ints, sign: int) -> Bools:
        """Whether operands (N, R, n - 1) of a sum (+1) or difference (-1) show that it is one."""


@dataclass(frozen=True)
class Values:
    """Magnitudes in [low, high].

    Args:
        low: the smallest.
        high: the largest.
        white: whether the generator keeps sums and differences apart where zero is a value (:meth:`tells`); RAVEN does.
    """

    low: int
    high: int
    white: bool = True

    def step(self, value: Ints, by: Any) -> Ints:
        """``value + by``."""
        return value + by

    def add(self, left: Ints, right: Ints) -> Ints:
        """The sum."""
        return left + right

    def subtract(self, left: Ints, right: Ints) -> Ints:
        """The difference."""
        return left - right

    def legal(self, value: Ints) -> Bools:
        """In range."""
        return (value >= self.low) & (value <= self.high)

    def steps(self, step: int, columns: int) -> bool:
        """The whole row fits into the range."""
        return self.high - self.low >= abs(step) * (columns - 1)

    def tells(self, operands: Ints, sign: int) -> Bools:
        """One of the first two rows adds or subtracts something (the white rule of Color, where zero is a value)."""
        if not self.white:
            return np.ones(len(operands), dtype=np.bool_)
        return (operands[:, :2, 1:] != 0).any(axis=(1, 2))


@dataclass(frozen=True)
class SlotSets:
    """Non-empty sets of ``slots`` slots."""

    slots: int

    @property
    def full(self) -> int:
        """The set of all slots."""
        return (1 << self.slots) - 1

    def step(self, value: Ints, by: Any) -> Ints:
        """Every entity moved on by ``by`` slots, cyclically."""
        by = np.asarray(by) % self.slots
        return ((value << by) | (value >> (self.slots - by))) & self.full

    def add(self, left: Ints, right: Ints) -> Ints:
        """The union."""
        return left | right

    def subtract(self, left: Ints, right: Ints) -> Ints:
        """The set difference."""
        return left & ~right

    def legal(self, value: Ints) -> Bools:
        """Not empty."""
        return value > 0

    def steps(self, step: int, columns: int) -> bool:
        """As the original: a row must leave a slot free per step."""
        return self.slots > abs(step) * (columns - 1)

    def tells(self, operands: Ints, sign: int) -> Bools:
        """In every row a union adds something and a difference leaves something."""
        first, second = operands[:, :, 0], operands[:, :, 1]
        gain = second & ~first if sign > 0 else first & ~second
        return (gain != 0).all(axis=1)
