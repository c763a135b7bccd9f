"""How a codebook asks a stored matrix in half precision: inner products overflow where similarities do not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import arithmetic
from .backends.base import StoredMatrix

__all__ = ["Question", "ask"]


@dataclass(frozen=True)
class Question:
    """A query as a stored matrix is asked it.

    Args:
        stored: the matrix.
        query: (..., E), what it is given.
        power: (..., 1), what the query was multiplied by; None: nothing.
        dtype: of the query before.
        poison: (..., 1), whether the query holds NaN, of a matrix that does not read every entry; None: nowhere.
    """

    stored: StoredMatrix
    query: Tensor
    power: Tensor | None
    dtype: torch.dtype
    poison: Tensor | None

    def products(self, found: Tensor) -> Tensor:
        """Inner products with the query as it was, wider than half precision.

        Args:
            found: (..., N), what was read.

        Returns:
            (..., N).
        """
        wide = arithmetic.widened(found)
        if self.poison is not None:
            wide = torch.where(self.poison, torch.nan, wide)
        return wide if self.power is None else wide / self.power

    def answer(self, found: Tensor) -> Tensor:
        """What is handed out: in half precision again, where the query was.

        Args:
            found: (..., N).

        Returns:
            (..., N).
        """
        return found.to(self.dtype) if self.dtype in arithmetic.HALVES else found


def ask(stored: StoredMatrix, query: Tensor, given: Tensor) -> Question:
    """A query of any size, so that its inner products have room.

    An exact matrix is read in half precision, which is fast, with the query near norm one; another is read in float32,
    where it takes that.

    Args:
        stored: the matrix.
        query: (..., E), float or int8, the embedding of
        given: (..., D), the vector.
    """
    scaled, power = query, None
    if query.dtype in arithmetic.HALVES:
        if not stored.exact and stored.dtype is None:
            scaled = query.float()
        elif stored.exact and query.dtype == torch.float16:
            scaled, power = arithmetic.near_one(query)
    poison = arithmetic.poison(query) if stored.kind == "onehot_blocks" and given.is_floating_point() else None
    return Question(stored, scaled, power, query.dtype, poison)
