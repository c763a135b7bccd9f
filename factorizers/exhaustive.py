"""Exhaustive search: compare the query with every product, in bounded memory. The first competitor of every method."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

import vsa

from . import FACTORIZERS
from .base import Factorizer, Outcome
from .certificate import Certificate
from .sweeps import Products, expand, reader_for, sign_atoms, widest

__all__ = ["Exhaustive"]


@FACTORIZERS.register("exhaustive")
@dataclass(eq=False)
class Exhaustive(Factorizer):
    """Brute force: the most similar of all products, for every algebra.

    Products of all factors but the largest are unbound from the query, chunk by chunk, and the largest codebook is read
    through its backend. Signs are read in int8; block codes in index form drop combinations that cannot win any more.
    A real query to sign codebooks is rounded to 1/32 of its root mean square.

    Similarity is the cosine, for block codes in index form the share of agreeing blocks; for block codes in dense form
    the cosine, too, so that missing and corrupted blocks count for what they hold. Of equals the first wins. Reads are
    counted, unbinding is not, as in ``Problem.exhaustive_macs``.

    Args:
        books: F codebooks of one algebra.
        early_exit: a query is done with the chunk in which a product equals it; nothing can beat that. On a backend
            that is not exact no query leaves early.
        elements: similarities, and entries of unbound vectors, held at once; it bounds the memory.
    """

    early_exit: bool = field(default=True, kw_only=True)
    elements: int = field(default=2**19, kw_only=True)
    name: ClassVar[str] = "exhaustive"

    def __post_init__(self) -> None:
        super().__post_init__()
        vsa.validation.check_count(self.name, "elements", self.elements)

    @cached_property
    def _last(self) -> int:
        return widest(self.problem)

    @cached_property
    def _products(self) -> Products:
        atoms = sign_atoms(self.problem) or tuple(book.atoms for book in self.problem.books)
        return Products(self.problem, tuple(f for f in range(self.problem.factors) if f != self._last), atoms)

    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        count, size = len(queries), self.problem.sizes[self._last]
        reader = reader_for(self.problem, queries, self._last)
        rows = max(1, self.elements // max(size, self.problem.algebra.embedding.width))  # products unbound at once
        best = torch.full((count,), -float("inf"), device=queries.device)
        where = torch.zeros(count, dtype=torch.int64, device=queries.device)
        macs = torch.zeros_like(where)
        active = torch.arange(count, device=queries.device)
        for start, products in self._products.chunks(rows):
            for part in active.split(max(1, rows // len(products))):
                value, at, spent = reader.best(part, products, best[part])
                better = value > best[part]
                best[part[better]] = value[better].to(best)
                where[part[better]] = at[better] + start * size
                macs[part] += spent
            if self.early_exit:
                active = active[best[active] < reader.perfect]
                if not len(active):
                    break
        indices = expand(self._products, self._last, where // size, where % size)
        return Outcome(
            indices=indices, similarities=best.unsqueeze(-1).expand(-1, self.problem.factors).clone(),
            iterations=torch.ones_like(where), converged=torch.ones_like(where, dtype=torch.bool), macs=macs,
        )  # fmt: skip
