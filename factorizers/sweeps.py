"""Products of some factors in chunks of bounded memory, and the numbers by which combinations go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .problem import Problem

__all__ = ["Products", "best_of_each", "digits", "expand", "widest"]

TABLE_BYTES = 2**26  # of products that are kept; beyond it they are multiplied out chunk by chunk


class Products:
    """All products of some factors. Product number i is i in mixed radix, the last factor fastest.

    Args:
        problem: the codebooks.
        factors: which; none gives one product, the identity.
        atoms: of every factor, in the form in which they are bound; not always those of the problem.
    """

    def __init__(self, problem: Problem, factors: tuple[int, ...], atoms: tuple[Tensor, ...]) -> None:
        self.factors = factors
        self.sizes = tuple(len(atoms[f]) for f in factors)
        self.count = math.prod(self.sizes)
        self._problem = problem
        self._atoms = [atoms[f] for f in factors]
        self._signs = problem.algebra.laws.signs and atoms[0].dtype == torch.int8
        width = atoms[0].shape[-1] * atoms[0].element_size()
        split, inner = len(factors), 1
        while split and (inner == 1 or inner * self.sizes[split - 1] * width <= TABLE_BYTES):
            inner *= self.sizes[split - 1]
            split -= 1
        self._split, self._inner = split, self._multiply_out(self._atoms[split:], atoms[0])

    def indices(self, numbers: Tensor) -> Tensor:
        """(...) numbers of products to (..., F') rows of their atoms."""
        columns = digits(numbers, self.sizes)
        return torch.stack(columns, -1) if columns else numbers.new_zeros((*numbers.shape, 0))

    def chunks(self, rows: int) -> Iterator[tuple[int, Tensor]]:
        """In order, at most so many at once.

        Args:
            rows: M, at least 1.

        Yields:
            The number of the first product, and products (<= M, D').
        """
        inner = self._inner
        if not self._split:
            for start in range(0, len(inner), rows):
                yield start, inner[start : start + rows]
            return
        outer = self.count // len(inner)
        together = max(1, rows // len(inner))
        for first in range(0, outer, together):
            heads = self._heads(torch.arange(first, min(first + together, outer), device=inner.device))
            for start in range(0, len(inner), rows):
                products = self.bind(heads.unsqueeze(1), inner[start : start + rows])
                yield first * len(inner) + start, products.flatten(0, 1)

    def bind(self, x: Tensor, y: Tensor) -> Tensor:
        """Bind in the form of the atoms: signs multiply."""
        return x * y if self._signs else self._problem.algebra.bind(x, y)

    def _heads(self, numbers: Tensor) -> Tensor:
        columns = digits(numbers, self.sizes[: self._split])
        parts = [atoms[column] for atoms, column in zip(self._atoms, columns, strict=False)]
        heads = parts[0]
        for part in parts[1:]:
            heads = self.bind(heads, part)
        return heads

    def _multiply_out(self, atoms: list[Tensor], like: Tensor) -> Tensor:
        if not atoms:
            if self._signs:
                return torch.ones(1, like.shape[-1], dtype=torch.int8, device=like.device)
            return self._problem.algebra.identity(1, dtype=like.dtype, device=like.device)
        table = atoms[0]
        for more in atoms[1:]:
            table = self.bind(table.unsqueeze(1), more).flatten(0, 1)
        return table


def digits(numbers: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Mixed-radix digits, the last size running fastest.

    Args:
        numbers: (...), int64.
        sizes: the radices.

    Returns:
        One tensor (...) per size.
    """
    columns = []
    for size in reversed(sizes):
        columns.append(numbers % size)
        numbers = numbers // size
    return columns[::-1]


def best_of_each(count: int, owners: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The largest score of each owner, and of equal ones the first.

    Args:
        count: owners in all.
        owners: (H,), whose each score is.
        scores: (H,), int64.

    Returns:
        Scores (count,), and their places (count,) in H; -1 for owners without scores.
    """
    if not len(owners):
        nothing = torch.full((count,), -1, dtype=torch.int64, device=owners.device)
        return nothing, nothing
    span, least = len(owners), int(scores.min())
    key = (scores - least) * span + torch.arange(span - 1, -1, -1, device=owners.device)  # both in one number
    top = torch.full((count,), -1, dtype=torch.int64, device=owners.device).scatter_reduce(0, owners, key, "amax")
    found = top >= 0
    place = torch.where(found, span - 1 - top % span, -1)
    return torch.where(found, top.div(span, rounding_mode="floor") + least, -1), place


def widest(problem: Problem) -> int:
    """The factor with the largest codebook, the last of equals."""
    return max(range(problem.factors), key=lambda f: (problem.sizes[f], f))


def expand(products: Products, last: int, numbers: Tensor, atoms: Tensor) -> Tensor:
    """(..., F) rows of all factors.

    Args:
        products: of all factors but one.
        last: that one.
        numbers: (...), of products.
        atoms: (...), rows of the last codebook.
    """
    parts = dict(zip(products.factors, products.indices(numbers).unbind(-1), strict=True))
    parts[last] = atoms
    return torch.stack([parts[f] for f in sorted(parts)], -1)
