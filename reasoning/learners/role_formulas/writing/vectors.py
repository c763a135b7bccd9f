"""Superpositions of a few atoms, as vectors or as the atoms that they are made of.

Binding and similarity are linear in a superposition. Where few atoms are superposed and an atom has a form much smaller
than a vector (the positions of one-hot blocks), it is cheaper to bind and compare the atoms and add up afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from reasoning.learners.role_formulas.writing.alphabet import Alphabet

__all__ = ["Vectors", "bound"]


@dataclass(frozen=True)
class Vectors:
    """Superpositions over V values, (B, ...) of them.

    Attributes:
        alphabet: writes and reads.
        values: V.
        x: (B, ..., D) vectors; or (B, ..., N, W) atoms in compact form, (1, ..., N, W) if they are the same everywhere.
        weights: (B, ..., N) of the atoms; None: ``x`` are vectors.
        places: which panels the second axis holds; None: all.
    """

    alphabet: Alphabet
    values: int
    x: Tensor
    weights: Tensor | None = None
    places: tuple[int, ...] | None = None

    @classmethod
    def known(cls, alphabet: Alphabet, values: int, rows: Tensor) -> Vectors:
        """Single atoms.

        Args:
            alphabet: writes them.
            values: V.
            rows: long (B, ...), the values.

        Returns:
            (B, ...).
        """
        weights = torch.ones((*rows.shape, 1), device=rows.device)
        return cls(alphabet, values, alphabet.atoms(values, rows.unsqueeze(-1)), weights)

    @classmethod
    def written_in(
        cls, alphabet: Alphabet, values: int, weights: Tensor, support: Tensor | None, *, dense: bool = False
    ) -> Vectors:
        """PMFs.

        Args:
            alphabet: writes them.
            values: V.
            weights: (B, ..., V + 1), or (B, ..., N).
            support: long (B, ..., N).
            dense: whether vectors are wanted in any case.

        Returns:
            (B, ...): as atoms where that is cheaper.
        """
        if dense or not alphabet.by_atoms(weights.shape[-1], shared=support is None):
            return cls(alphabet, values, alphabet.write(weights, values, support))
        rows = torch.arange(values + 1, device=weights.device) if support is None else support
        return cls(alphabet, values, _leading(alphabet.atoms(values, rows), weights.dim() + 1), weights)

    def numbered(self, places: Sequence[int]) -> Vectors:
        """The same, whose second axis holds these panels."""
        return replace(self, places=tuple(places))

    def __getitem__(self, index: Any) -> Vectors:
        """An index on the leading axes."""
        if self.weights is None:
            return Vectors(self.alphabet, self.values, self.x[index])
        weights = self.weights[index]
        x = _leading(self.x, weights.dim() + 1) if self._shared else self.x[index]
        return Vectors(self.alphabet, self.values, x, weights)

    def of(self, panels: Sequence[int]) -> Vectors:
        """(B, T): some panels."""
        at = list(panels) if self.places is None else [self.places.index(panel) for panel in panels]
        return self[:, at]

    def written(self, panels: Sequence[int], weights: Tensor, support: Tensor | None) -> Vectors:
        """With other superpositions in some panels.

        Args:
            panels: T of them.
            weights: (B, T, V + 1), or (B, T, N).
            support: long (B, T, N), the values that the panels had.

        Returns:
            (B, P).
        """
        at = torch.tensor(list(panels), device=weights.device)
        if self.weights is not None:
            return replace(self, weights=self.weights.index_copy(1, at, weights))
        return replace(self, x=self.x.index_copy(1, at, self.alphabet.write(weights, self.values, support)))

    def moved(self, offset: int) -> Vectors:
        """With an offset added to every value."""
        return replace(self, x=self.alphabet.algebra.bind(self.x, self.alphabet.step(offset, self.x)))

    def inverse(self) -> Vectors:
        """With every value negated."""
        return replace(self, x=self.alphabet.algebra.inverse(self.x))

    def read(self, support: Tensor | None = None) -> Tensor:
        """The PMFs.

        Args:
            support: long (B, ..., N): only these values.

        Returns:
            (B, ..., V + 1), or (B, ..., N).
        """
        if self.weights is None:
            return self.alphabet.read(self.x, self.values, support)
        rows = torch.arange(self.values + 1, device=self.x.device) if support is None else support
        return self._shares(self.weights, self.alphabet.atoms(self.values, rows))

    def without(self, others: Sequence[Vectors]) -> Vectors:
        """Superpositions of the values that no other has.

        Args:
            others: (B, ...) each.

        Returns:
            (B, ...), up to a factor.
        """
        if self.weights is None:
            kept = self.read()
            for other in others:
                kept = kept * (1 - other.read().clamp(0, 1))
            return Vectors(self.alphabet, self.values, self.alphabet.write(kept, self.values))
        weights = self.weights
        for other in others:
            said = other.read() if other.weights is None else other._shares(other.weights, self.x)
            weights = weights * (1 - said.clamp(0, 1))
        return replace(self, weights=weights)

    @property
    def _shared(self) -> bool:
        """Whether all superpositions are of the same atoms."""
        return self.x.shape[:-2].numel() == 1 and self.x.shape[-2] > 1

    def _shares(self, weights: Tensor, atoms: Tensor) -> Tensor:
        """(..., N, W) -> (B, ..., N): the weights of these atoms, of those that are superposed."""
        alike = self.alphabet.algebra.similarity(self.x.unsqueeze(-2), atoms.unsqueeze(-3)).to(weights)
        alike = torch.where(alike > self.alphabet.floor(self.values, alike), alike, 0.0)
        if alike.shape[:-2].numel() == 1:
            return weights @ alike.flatten(0, -2)
        return (weights.unsqueeze(-2) @ alike).squeeze(-2)


def _leading(atoms: Tensor, dim: int) -> Tensor:
    """(N, W), or (1, ..., N, W), as (1, ..., N, W) of so many axes; others as they are."""
    if atoms.shape[:-2].numel() > 1:
        return atoms
    return atoms.reshape((1,) * (dim - 2) + atoms.shape[-2:])


def bound(plus: Sequence[Vectors], minus: Sequence[Vectors]) -> Vectors:
    """The binding of some superpositions with the inverses of others.

    Args:
        plus: of vectors or of single atoms.
        minus: as these.

    Returns:
        The values added and subtracted.
    """
    first = (*plus, *minus)[0]
    algebra = first.alphabet.algebra

    def product(parts: Sequence[Vectors]) -> Tensor:
        if len(parts) > 2:
            return algebra.bind_all(torch.stack([part.x for part in parts]), dim=0)
        return reduce(algebra.bind, [part.x for part in parts])

    if not minus:
        x = product(plus)
    elif not plus:
        x = algebra.inverse(product(minus))
    else:
        x = algebra.unbind(product(plus), product(minus))
    return replace(first, x=x, places=None)
