"""Exhaustive search: the query against every product. The first competitor of every factorizer, so it is made fast.

The largest codebook is read; the products of the others are unbound from the query, a piece at a time. Integers where
the codebooks are bipolar, comparisons of positions where they are block codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

import vsa

from . import FACTORIZERS
from .base import Factorizer, Outcome
from .certificate import Certificate
from .problem import Problem

__all__ = ["Exhaustive", "digits"]


@FACTORIZERS.register("exhaustive")
@dataclass(eq=False)
class Exhaustive(Factorizer):
    """The product with the largest inner product with the query, found by looking at all of them.

    Args:
        books: F codebooks of one algebra.
        early_exit: stop looking for a query at a product that equals it, which no other can beat.
        elements: similarities held at once; it bounds the memory.
    """

    early_exit: bool = field(default=True, kw_only=True)
    elements: int = field(default=2**17, kw_only=True)
    name: ClassVar[str] = "exhaustive"

    def __post_init__(self) -> None:
        super().__post_init__()
        vsa.validation.check_count(self.name, "elements", self.elements)

    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        problem = self.problem
        last = max(range(problem.factors), key=lambda f: problem.sizes[f])
        rest = [f for f in range(problem.factors) if f != last]
        others = math.prod(problem.sizes[f] for f in rest)
        search = _search(problem, queries, last, rest)
        active = torch.arange(len(queries), device=queries.device)
        best = torch.full((len(queries),), -math.inf, device=queries.device)
        at = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)  # other * N + row of the last book
        seen = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
        size, start = problem.sizes[last], 0
        while start < others and len(active):
            stop = min(others, start + max(1, self.elements // (size * len(active))))
            for rows in active.split(max(1, self.elements // size)):
                scores = search.scores(rows, torch.arange(start, stop, device=queries.device)).flatten(1)
                top = scores.amax(-1).float()
                better = (top > best[rows]).nonzero().squeeze(-1)
                chosen = rows[better]
                at[chosen] = start * size + scores[better].argmax(-1)
                best[chosen] = top[better]
                seen[rows] += (stop - start) * size
            start = stop
            if self.early_exit and search.perfect is not None:
                active = active[best[active] < search.perfect]
        indices = torch.empty(len(queries), problem.factors, dtype=torch.int64, device=queries.device)
        indices[:, last] = at % size
        for factor, column in zip(rest, digits(at // size, [problem.sizes[f] for f in rest]), strict=True):
            indices[:, factor] = column
        similarity = (best / search.unit).unsqueeze(-1).expand(-1, problem.factors)
        ones = torch.ones_like(seen)
        return Outcome(indices, similarity, ones, ones.bool(), seen * problem.read_macs)


class _Search:
    """Scores of products: larger is better.

    Attributes:
        unit: the score of a perfect match.
        perfect: the score that ends the search for a query; None where no score is known to be the largest.
    """

    unit: float
    perfect: float | None = None

    def __init__(self, problem: Problem, queries: Tensor, last: int, rest: list[int]) -> None:
        self.problem, self.queries, self.last, self.rest = problem, queries, last, rest
        self.sizes = [problem.sizes[f] for f in rest]
        self.stored = problem.books[last].stored

    def scores(self, rows: Tensor, others: Tensor) -> Tensor:
        """(R,) queries, (O,) numbers of products of the other factors -> (R, O, N)."""
        raise NotImplementedError

    def products(self, others: Tensor, atoms: tuple[Tensor, ...]) -> Tensor | None:
        """(O,) -> (O, D'): the atoms of the other factors, bound; None where there is no other factor."""
        if not self.rest:
            return None
        columns = digits(others, self.sizes)
        parts = [atoms[f][column] for f, column in zip(self.rest, columns, strict=True)]
        product = parts[0]
        for part in parts[1:]:
            product = product * part if part.dtype == torch.int8 else self.problem.algebra.bind(product, part)
        return product


class _Signs(_Search):
    """Bipolar products: one multiplication, one integer read."""

    def __init__(self, problem: Problem, queries: Tensor, last: int, rest: list[int]) -> None:
        algebra = problem.algebra
        signs = queries if queries.dtype == torch.int8 else algebra.embed(queries)
        if signs.dtype != torch.int8 and bool((signs.abs() == 1).all()):
            signs = signs.to(torch.int8)
        super().__init__(problem, signs, last, rest)
        self.unit = float(signs.shape[-1])
        exact = problem.books[last].backend.exact
        self.integer = exact and self.stored.kind == "bipolar" and signs.dtype == torch.int8
        self.perfect = self.unit if self.integer else None
        self.atoms = problem.atoms

    def scores(self, rows: Tensor, others: Tensor) -> Tensor:
        queries = self.queries[rows].unsqueeze(1)
        product = self.products(others, self.atoms)
        target = queries if product is None else queries * product
        return self.stored.matvec(target if self.integer else target.to(self.stored.dtype or torch.get_default_dtype()))


class _Positions(_Search):
    """Block codes in index form: how many blocks agree."""

    def __init__(self, problem: Problem, queries: Tensor, last: int, rest: list[int]) -> None:
        super().__init__(problem, queries, last, rest)
        self.length = problem.block_length or 1
        self.unit = self.perfect = float(queries.shape[-1])
        narrow = torch.uint8 if self.length <= 256 else torch.int16 if self.length <= 2**15 else torch.int32
        self.narrow = narrow
        self.columns = problem.books[last].atoms.remainder(self.length).to(narrow).t().contiguous()  # (K, N)

    def scores(self, rows: Tensor, others: Tensor) -> Tensor:
        queries = self.queries[rows].unsqueeze(1)
        product = self.products(others, tuple(book.atoms for book in self.problem.books))
        target = (queries if product is None else queries - product).remainder(self.length).to(self.narrow)
        agree = torch.zeros(*target.shape[:-1], self.columns.shape[-1], dtype=torch.uint8, device=target.device)
        for k, column in enumerate(self.columns):
            agree += (target[..., k].unsqueeze(-1) == column).view(torch.uint8)
        return agree


class _Vectors(_Search):
    """Any algebra: unbind and read."""

    def __init__(self, problem: Problem, queries: Tensor, last: int, rest: list[int]) -> None:
        super().__init__(problem, queries, last, rest)
        self.unit = 1 / problem.algebra.embedding.scale

    def scores(self, rows: Tensor, others: Tensor) -> Tensor:
        queries = self.queries[rows].unsqueeze(1)
        product = self.products(others, tuple(book.atoms for book in self.problem.books))
        target = queries if product is None else self.problem.algebra.unbind(queries, product.unsqueeze(0))
        embedded = self.problem.algebra.embed(target)
        return self.stored.matvec(embedded.to(self.stored.dtype or embedded.dtype))


def _search(problem: Problem, queries: Tensor, last: int, rest: list[int]) -> _Search:
    if problem.algebra.name in ("map", "bsc"):
        return _Signs(problem, queries, last, rest)
    book = problem.books[last]
    if problem.block_length and queries.dtype == book.atoms.dtype == torch.int64 and book.backend.exact:
        return _Positions(problem, queries, last, rest)
    return _Vectors(problem, queries, last, rest)


def digits(numbers: Tensor, sizes: list[int]) -> list[Tensor]:
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
