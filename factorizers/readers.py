"""Readers compare queries with products: all factors but one are unbound, and the last codebook is read.

Where unbinding is the adjoint of binding (``laws.adjoint``), the inner product of a query with the product of ``a`` and
``b`` is that of the query, ``a`` unbound, with ``b``. So a whole codebook is compared by one read. Elsewhere every
product is bound out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from .needs import ADJOINT
from .problem import Problem
from .spaces import Signs, Vectors, reads_integers
from .sweeps import best_of_each

__all__ = ["IndexReader", "Reader", "ProductReader", "SignReader", "VectorReader", "reader_for"]

LENGTH_ELEMENTS = 2**22  # entries of products that are made at once to measure their norms


class Reader(ABC):
    """Compares queries with products of which all factors but one are given.

    Attributes:
        atoms: in the form in which :class:`~factorizers.sweeps.Products` binds them.
        perfect: the similarity from which nothing better is left to find.
    """

    atoms: tuple[Tensor, ...]
    perfect: float = 1.0

    @abstractmethod
    def best(self, rows: Tensor, products: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best combination of some products and the atoms of the last codebook.

        Args:
            rows: (R,), which queries.
            products: (M, D').
            floor: (R,), the best similarity so far; what is not above it may stay unknown.

        Returns:
            Similarities (R,), combinations (R,) as product * N + atom, and the multiply-accumulates (R,) spent.
        """


class SignReader(Reader):
    """Signs, int8 where the backend answers it. A query that is not bipolar is rounded to 1/32 of its rms.

    Args:
        problem: the codebooks.
        queries: (B, D) as the caller gave them.
        atoms: int8 signs of each factor.
        last: the factor that is read.
    """

    def __init__(self, problem: Problem, queries: Tensor, atoms: tuple[Tensor, ...], last: int) -> None:
        space = Signs(problem, queries, None, 1)
        self.atoms, self.unit = atoms, space.unit
        self.queries = space.queries
        self._book = problem.books[last]
        self._integer = reads_integers(self._book.stored, self._book.backend.exact)
        self.size = len(self._book)
        self.bipolar = self._integer and space.unit == atoms[0].shape[-1]  # whether a product can equal a query
        self._float = self._book.stored.dtype or torch.get_default_dtype()
        # a product of signs has the norm sqrt(D), a rounded query its own
        width = atoms[0].shape[-1]
        self._norms = self.queries.float().square().sum(-1).sqrt() * math.sqrt(width)
        self.perfect = 1.0 - 1e-6 if self._book.backend.exact else math.inf

    def read(self, targets: Tensor) -> Tensor:
        """(..., D) int8 -> (..., N), inner products with the atoms as stored."""
        return self._book.stored.matvec(targets if self._integer else targets.to(self._float))

    def best(self, rows: Tensor, products: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw = self.read((self.queries[rows].unsqueeze(1) * products).flatten(0, 1)).unflatten(0, (len(rows), -1))
        norms = self._norms[rows]
        macs = torch.full_like(rows, products.shape[0] * self.size * products.shape[-1])
        return _peak(raw, floor * norms, norms, macs)


class VectorReader(Reader):
    """The algebra's own vectors and operations.

    Similarity is the cosine. The norms of products are computed where they differ, which costs as much as a comparison.

    Args:
        problem: the codebooks.
        queries: (B, D') as the caller gave them.
        last: the factor that is read.
    """

    def __init__(self, problem: Problem, queries: Tensor, last: int) -> None:
        self._problem, self._book = problem, problem.books[last]
        self.atoms = tuple(book.atoms for book in problem.books)
        self._last = self.atoms[last]
        space = Vectors(problem, queries)
        self._algebra, self._space = space._algebra, space
        self._norms = self._algebra.embed(space.queries).square().sum(-1).sqrt()
        self._float = self._book.stored.dtype or torch.get_default_dtype()
        self.perfect = 1.0 - 1e-5 if self._book.backend.exact else math.inf
        self._length: float | None = None
        if problem.positions:
            self._length = math.sqrt(self.atoms[0].shape[-1])
        self._seen: tuple[Tensor, Tensor] | None = None

    def best(self, rows: Tensor, products: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        unbound = self._algebra.unbind(self._space.queries[rows].unsqueeze(1), self._space.own(products))
        raw = self._book.stored.matvec(self._algebra.embed(unbound).to(self._float))
        norms = self._norms[rows]
        macs = torch.full_like(rows, products.shape[0] * len(self._book) * self._problem.read_macs)
        if self._length is None:
            raw = raw / self._lengths(products)
        else:
            norms = norms * self._length
        return _peak(raw, floor * norms, norms, macs)

    def _lengths(self, products: Tensor) -> Tensor:
        """(M, N), Euclidean norms of products with the atoms of the last codebook."""
        if self._seen is None or self._seen[0] is not products:
            rows = max(1, LENGTH_ELEMENTS // self._last.numel())
            parts = []
            for part in products.split(rows):
                bound = self._problem.algebra.embed(self._problem.algebra.bind(part.unsqueeze(1), self._last))
                parts.append(bound.square().sum(-1).sqrt())
            lengths = torch.cat(parts)
            self._seen = products, lengths.clamp_min(torch.finfo(lengths.dtype).tiny)
        return self._seen[1]


class ProductReader(Reader):
    """Every product bound out and compared by the cosine of embeddings, for any commutative algebra.

    It costs a binding and a comparison of D entries per product, and reads no array.

    Args:
        problem: the codebooks.
        queries: (B, D') as the caller gave them.
        last: the factor that is bound to the products of the others.
    """

    perfect = 1.0 - 1e-5

    def __init__(self, problem: Problem, queries: Tensor, last: int) -> None:
        self._algebra = problem.algebra
        self.atoms = tuple(book.atoms for book in problem.books)
        self._last = self.atoms[last]
        self._queries = _unit(self._algebra.embed(queries).to(torch.get_default_dtype()))
        self._seen: tuple[Tensor, list[Tensor]] | None = None

    def best(self, rows: Tensor, products: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries = self._queries[rows]
        raw = torch.cat([(queries @ part.mT) for part in self._bound(products)], -1)
        macs = torch.full_like(rows, raw.shape[-1] * queries.shape[-1])
        return _peak(raw.unflatten(-1, (len(products), -1)), floor, torch.ones_like(floor), macs)

    def _bound(self, products: Tensor) -> list[Tensor]:
        """(M', E) directions of the products with the atoms of the last codebook, product by product."""
        if self._seen is None or self._seen[0] is not products:
            each = max(1, LENGTH_ELEMENTS // (len(self._last) * self._algebra.embedding.width))
            bound = [self._algebra.bind(part.unsqueeze(1), self._last).flatten(0, 1) for part in products.split(each)]
            self._seen = products, [_unit(self._algebra.embed(part).to(self._queries)) for part in bound]
        return self._seen[1]


class IndexReader(Reader):
    """One position per block: similarity is the share of blocks that agree.

    A combination that beats b agreeing blocks of K agrees in one of any K - b blocks, so only these are compared
    throughout, and the others where one of them agrees.

    Args:
        problem: the codebooks, in index form.
        queries: (B, K) positions.
        last: the factor that is read.
    """

    def __init__(self, problem: Problem, queries: Tensor, last: int) -> None:
        self.atoms = tuple(book.atoms for book in problem.books)
        self._length = problem.block_length or 1
        self._small = torch.uint8 if self._length <= 256 else torch.int32
        self.queries = queries
        self._columns = self.atoms[last].remainder(self._length).to(self._small).T.contiguous()  # (K, N)

    def best(self, rows: Tensor, products: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        blocks, size = self._columns.shape
        wanted = (self.queries[rows].unsqueeze(1) - products).remainder(self._length).to(self._small)  # (R, M, K)
        beaten = round(float(floor.min()) * blocks) if bool((floor > 0).all()) else 0
        dense = max(1, blocks - beaten)
        agree = (wanted[..., 0, None] == self._columns[0]).to(torch.uint8)
        for block in range(1, dense):
            agree += wanted[..., block, None] == self._columns[block]
        agree = agree.flatten(1)
        macs = torch.full_like(rows, dense * agree.shape[-1])
        if dense == blocks:
            return _peak(agree.unsqueeze(1), floor * blocks, torch.full_like(floor, blocks), macs)
        query, where = agree.nonzero(as_tuple=True)
        if not len(where):
            return torch.zeros_like(floor), torch.zeros_like(rows), macs
        product, atom = where // size, where % size
        total = torch.zeros_like(where)
        for block in range(blocks):
            total += wanted[query, product, block] == self._columns[block, atom]
        macs += (blocks - dense) * torch.bincount(query, minlength=len(rows))
        value, at = best_of_each(len(rows), query, total)
        found = at >= 0
        return torch.where(found, value / blocks, 0.0).to(floor.dtype), torch.where(found, where[at], 0), macs


def reader_for(problem: Problem, queries: Tensor, last: int) -> Reader:
    """The fastest reader that a problem's algebra, form and backend allow.

    Args:
        problem: the codebooks.
        queries: (B, D').
        last: the factor that is read.
    """
    if problem.signs is not None:
        return SignReader(problem, queries, problem.signs, last)
    if problem.positions and queries.dtype == torch.int64 and problem.books[last].backend.exact:
        return IndexReader(problem, queries, last)
    if ADJOINT.holds(problem.algebra):
        return VectorReader(problem, queries, last)
    return ProductReader(problem, queries, last)


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum(-1, keepdim=True).sqrt().clamp_min(torch.finfo(x.dtype).tiny)


def _peak(raw: Tensor, floor: Tensor, norms: Tensor, macs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(R, M, N) -> the largest of each R and its place; the place is looked for only above the floor."""
    by_product = raw.amax(-1)
    top, product = by_product.max(-1)
    value = top / norms
    where = torch.zeros_like(product)
    above = (top > floor).nonzero().squeeze(-1)
    if len(above):
        row = product[above]
        where[above] = row * raw.shape[-1] + raw[above, row].argmax(-1)
    return value, where, macs
