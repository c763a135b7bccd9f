"""What is seen of one attribute in all panels, and what it would be by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from reasoning.learners.role_formulas.writing.alphabet import Alphabet
from reasoning.learners.role_formulas.writing.vectors import Vectors

__all__ = ["DIFFERS", "Seen", "Slots", "even", "numbers"]

DIFFERS = 0.5  # how likely it is by chance that the entities of a panel with several slots differ


@dataclass(frozen=True)
class Seen:
    """PMFs of the panels of B puzzles over V values and "the entities differ", which stands last.

    Attributes:
        weights: (B, P, V + 1), or (B, P, N) of the values in ``support``.
        background: (V + 1,) what a panel shows by chance; 0 for what no panel shows.
        support: long (B, P, N), or None.
    """

    weights: Tensor
    background: Tensor
    support: Tensor | None = None

    @property
    def values(self) -> int:
        """V."""
        return len(self.background) - 1

    @cached_property
    def ratio(self) -> Tensor:
        """(B, P, N): how much likelier what is seen becomes by each value than by chance."""
        chance = self.background if self.support is None else self.background[self.support]
        return torch.where(chance > 0, self.weights / torch.where(chance > 0, chance, 1.0), 0.0)

    @cached_property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest value that a panel may show."""
        legal = self.background[:-1].nonzero()
        return int(legal.min()), int(legal.max())

    @cached_property
    def even(self) -> bool:
        """Whether a panel shows all of its values alike by chance."""
        low, high = self.range
        chance = self.background[low : high + 1]
        return not bool(self.background[-1]) and bool((chance == chance[0]).all())

    @cached_property
    def sums(self) -> dict[object, Vectors]:
        """Of panels of few values, by their panels: formulas have them in common."""
        return {}

    @cached_property
    def certain(self) -> Tensor | None:
        """long (B, P): the value that each panel shows, where all of them are certain; else None."""
        if self.weights.requires_grad:
            return None
        best, at = self.weights.max(-1)
        if not bool((best == 1).all()):
            return None
        return at if self.support is None else self.support.gather(-1, at.unsqueeze(-1)).squeeze(-1)

    def __getitem__(self, puzzles: Tensor) -> Seen:
        """Some of the puzzles."""
        support = None if self.support is None else self.support[puzzles]
        return Seen(self.weights[puzzles], self.background, support)

    def held(self, alphabet: Alphabet, panels: Sequence[int] | None = None) -> Vectors:
        """The panels as vectors.

        Args:
            alphabet: writes them.
            panels: which, as vectors; those that are left out cannot be asked for. None: all, as is cheaper.

        Returns:
            (B, P).
        """
        if panels is None:
            return Vectors.written_in(alphabet, self.values, self.weights, self.support)
        chosen = list(panels)
        support = None if self.support is None else self.support[:, chosen]
        some = Vectors.written_in(alphabet, self.values, self.weights[:, chosen], support, dense=True)
        return some.numbered(chosen)

    def flat(self) -> Seen:
        """One puzzle, in double precision, of which nothing is seen."""
        chance = self.background.double()
        return Seen(chance.expand(1, self.weights.shape[1], -1), chance)


def even(low: int, high: int, values: int, mixed: bool, like: Tensor) -> Tensor:
    """What a panel shows by chance.

    Args:
        low: the lowest value.
        high: the highest.
        values: V.
        mixed: whether entities may differ.
        like: for dtype and device.

    Returns:
        (V + 1,).
    """
    result = like.new_zeros(values + 1)
    result[low : high + 1] = (1 - DIFFERS * mixed) / (high - low + 1)
    result[-1] = DIFFERS * mixed
    return result


def numbers(slots: int, values: int, like: Tensor) -> Tensor:
    """What number of entities a panel has by chance, all sets of slots but the empty one being alike.

    Args:
        slots: S.
        values: V, more than S.
        like: for dtype and device.

    Returns:
        (V + 1,).
    """
    result = like.new_zeros(values + 1)
    for count in range(1, slots + 1):
        result[count] = math.comb(slots, count) / (2**slots - 1)
    return result


@dataclass(frozen=True)
class Slots:
    """The entities in the slots of a component, of one attribute.

    Attributes:
        occupied: (B, P, S), probabilities.
        pmfs: (B, P, S, V + 1), of the entity, should there be one; the last is 0.
        low: the lowest value.
        high: the highest.
        differs: how likely it is by chance that the entities of a panel differ; 0: they are alike, 1: drawn one by one.
    """

    occupied: Tensor
    pmfs: Tensor
    low: int
    high: int
    differs: float = DIFFERS

    @property
    def values(self) -> int:
        """V."""
        return self.pmfs.shape[-1] - 1

    @property
    def size(self) -> int:
        """W, how many values there are."""
        return self.high - self.low + 1

    @cached_property
    def certain(self) -> bool:
        """Whether it is certain which slots are occupied, and by what."""
        if self.pmfs.requires_grad or self.occupied.requires_grad:
            return False
        clear = (self.occupied == 0) | (self.occupied == 1)
        known = (self.pmfs.amax(-1) == 1) | (self.occupied == 0)
        return bool((clear & known).all())

    @cached_property
    def ratios(self) -> Tensor:
        """(B, P, S, W): how much likelier what is seen of a slot becomes by each value of its entity."""
        inside = self.pmfs[..., self.low : self.high + 1]
        return 1 + self.occupied.unsqueeze(-1) * (self.size * inside - 1)

    @cached_property
    def alike(self) -> Tensor:
        """(B, P, W): the same of a panel whose entities are alike, against entities drawn one by one."""
        return self.ratios.prod(2)

    @cached_property
    def chance(self) -> Tensor:
        """(B, P): what is seen of a panel by chance, against entities drawn one by one: they may be alike or not."""
        return (1 - self.differs) * self.alike.mean(-1) + self.differs

    def panel(self) -> Tensor:
        """(B, P, V + 1): the PMF of the panel, one value or that its entities are drawn one by one."""
        result = self.alike.new_zeros(*self.alike.shape[:2], self.values + 1)
        result[..., self.low : self.high + 1] = (1 - self.differs) * self.alike / self.size
        result[..., -1] = self.differs
        return result / result.sum(-1, keepdim=True).clamp_min(1e-30)
