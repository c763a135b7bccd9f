"""What is factorized: one codebook per factor, and what certifies an answer.

A query is a product of one atom per factor. An answer is *valid* when its product, bound again from exact atoms, is as
similar to the query as chance would make it less than once in a thousand such problems.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import vsa
from vsa import Algebra, Codebook, DtypeError, ShapeError, UnsupportedError, VSAError

from .certificate import Certificate, block_certificate, cosine_certificate, in_range
from .chance import Spread, spread
from .likeness import Likeness
from .needs import ASSOCIATIVE, COMMUTATIVE, broken_law, first_missing
from .sameness import Sameness, embedded

__all__ = ["Problem"]

_ROUNDING = 1e-3  # by which a sign may be off that was computed
_USUAL = 1.5  # times and fractions of the usual length of an atom that searches bear


@dataclass(frozen=True, eq=False)
class Problem:
    """Codebooks of one algebra, one per factor.

    Args:
        books: F codebooks; sizes may differ.
        optional: factors that a product may lack; each gets one more atom, the identity, with the label None.

    Raises:
        VSAError: no books; books that differ in algebra, form or device; duplicated atoms; a stack of codebooks.
        UnsupportedError: an algebra whose binding is not commutative and associative, or that breaks a law it claims.
    """

    books: tuple[Codebook, ...]
    optional: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        books = tuple(_check_book(book, factor) for factor, book in enumerate(self.books))
        if not books:
            raise VSAError("factorizer", received="no codebooks", expected="one codebook for each factor")
        first = books[0]
        for factor, book in enumerate(books):
            where = f"factorizer, codebook {factor}"
            if book.algebra != first.algebra:
                raise VSAError(where, received=book.algebra, expected=f"{first.algebra}, as codebook 0")
            if book.atoms.dtype != first.atoms.dtype:
                raise DtypeError(
                    where,
                    received=f"atoms of {book.atoms.dtype}",
                    expected=f"{first.atoms.dtype}, as codebook 0",
                    hint="make all codebooks in one form",
                )
            if book.atoms.device != first.atoms.device:
                raise DtypeError(where, received=f"atoms on {book.atoms.device}", expected=f"{first.atoms.device}")
        missing = first_missing((COMMUTATIVE, ASSOCIATIVE), first.algebra)
        if missing is not None:
            raise UnsupportedError(
                "factorizer",
                received=f"codebooks of {first.algebra.name}, which does not declare {missing.declared}",
                expected=missing.words,
            )
        broken = broken_law(first.algebra)
        if broken is not None:
            raise UnsupportedError(
                "factorizer",
                received=f"codebooks of {first.algebra.name}, which claims and breaks {broken}",
                expected="an algebra that keeps its declarations",
                hint="see vsa.check_algebra",
            )
        for factor in self.optional:
            if isinstance(factor, bool) or not isinstance(factor, int) or not 0 <= factor < len(books):
                raise VSAError("factorizer optional", received=factor, expected=f"factors from 0 to {len(books) - 1}")
        optional = set(self.optional)
        books = tuple(_with_identity(b) if f in optional else b for f, b in enumerate(books))
        for factor, book in enumerate(books):
            _check_distinct(book, factor)
        object.__setattr__(self, "books", books)

    # ------------------------------------------------------------------ sizes

    @property
    def algebra(self) -> Algebra:
        """The algebra of all books."""
        return self.books[0].algebra

    @property
    def device(self) -> torch.device:
        """Where the atoms are."""
        return self.books[0].atoms.device

    @property
    def factors(self) -> int:
        """F."""
        return len(self.books)

    @property
    def sizes(self) -> tuple[int, ...]:
        """N of each codebook, identity entries included."""
        return tuple(len(book) for book in self.books)

    @property
    def combinations(self) -> int:
        """Size of the search space: the product of :attr:`sizes`."""
        return math.prod(self.sizes)

    @property
    def labels(self) -> tuple[tuple[Hashable, ...], ...]:
        """Labels of each codebook."""
        return tuple(book.labels for book in self.books)

    @cached_property
    def atoms(self) -> tuple[Tensor, ...]:
        """Exact atoms of each codebook, in the form in which products are bound most cheaply."""
        if self.algebra.laws.signs and not _inexact(self.books[0].atoms):  # signs multiply, and can be compared
            return tuple(self.algebra.embed(book.atoms).to(torch.int8) for book in self.books)
        return tuple(book.atoms for book in self.books)

    @cached_property
    def signs(self) -> tuple[Tensor, ...] | None:
        """The atoms as int8 signs; None where the algebra declares none, or a codebook holds other numbers."""
        if not self.algebra.laws.signs:
            return None
        if not _inexact(self.books[0].atoms):
            return self.atoms
        embedded = [self.algebra.embed(atoms) for atoms in self.atoms]
        if not all(bool((atoms.abs() == 1).all()) for atoms in embedded):
            return None
        return tuple(atoms.to(torch.int8) for atoms in embedded)

    @cached_property
    def nearly_signs(self) -> bool:
        """Whether the algebra declares signs and no entry of a codebook is off by more than rounding."""
        if self.signs is not None:
            return True
        return self.algebra.laws.signs and all(
            bool(((self.algebra.embed(atoms).abs() - 1).abs() <= _ROUNDING).all()) for atoms in self.atoms
        )

    @cached_property
    def spread(self) -> Spread:
        """What is known of the cosine of unrelated products of these atoms: ``laws.products``, judged by values."""
        return spread(self)

    @cached_property
    def likeness(self) -> Likeness:
        """How alike the atoms are, and what to do about it."""
        return Likeness(self)

    @cached_property
    def sameness(self) -> Sameness:
        """What no query tells apart."""
        return Sameness(self)

    @cached_property
    def inexact(self) -> bool:
        """Whether atoms may be of any length: they are real or complex numbers."""
        return _inexact(self.books[0].atoms)

    @cached_property
    def lengths(self) -> tuple[Tensor | None, ...]:
        """(N,) for each factor: Euclidean norms of the atoms over the usual one; None where all are about usual."""
        if not self.inexact:
            return (None,) * self.factors
        found = []
        for f in range(self.factors):
            norms = [torch.linalg.vector_norm(x, dim=-1, dtype=torch.promote_types(x.dtype, torch.float32))
                     for x in embedded(self, f)]  # fmt: skip
            share = torch.cat(norms) / math.sqrt(self.perfect)
            share = torch.where(share > 0, share, 1.0)
            usual = bool(((share > 1 / _USUAL) & (share < _USUAL)).all())
            found.append(None if usual else share)
        return tuple(found)

    def as_signs(self, queries: Tensor) -> Tensor:
        """Queries as signs: int8, or real where they are in a float form.

        Args:
            queries: (B, D) in any form of an algebra that declares signs.

        Returns:
            (B, E).
        """
        embedded = self.algebra.embed(queries)
        return embedded if _inexact(queries) else embedded.to(torch.int8)

    @property
    def block_length(self) -> int | None:
        """L of block codes; None for other algebras."""
        return self.algebra.block_length

    @property
    def positions(self) -> bool:
        """Whether the atoms are positions of one-hot blocks, int64."""
        return self.block_length is not None and self.books[0].atoms.dtype == torch.int64

    @property
    def perfect(self) -> float:
        """Inner product of embeddings at a similarity of 1, where ``scale`` and ``offset`` of an embedding put it."""
        embedding = self.algebra.embedding
        return (1.0 - embedding.offset) / embedding.scale

    def over_perfect(self, similarity: float) -> float:
        """A similarity as a share of a perfect inner product, which is what reads are measured by.

        Args:
            similarity: as the algebra counts it, its ``offset`` included.
        """
        offset = self.algebra.embedding.offset
        return (similarity - offset) / (1.0 - offset)

    @property
    def exhaustive_macs(self) -> int:
        """Multiply-accumulates of a comparison of a query with every product.

        Per product D; for block codes in index form K gathered entries.
        """
        return self.combinations * self.read_macs

    @property
    def read_macs(self) -> int:
        """Multiply-accumulates of one similarity: the width of the embedding, K for one-hot blocks in index form."""
        if self.positions:
            return int(self.books[0].atoms.shape[-1])
        return self.algebra.embedding.width

    # ------------------------------------------------------------------ queries

    def check_query(self, query: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Refuse what cannot be factorized, and scale what is too small or too large to compute with.

        Args:
            query: (..., D) in any form of the algebra; B may be 0.

        Returns:
            (B, D) in the same form, and the leading axes.

        Raises:
            VSAError: wrong shape, dtype or device, NaN, or a query of zeros.
        """
        self.algebra.check_values("factorize", query)
        if query.device != self.device:
            raise DtypeError(
                "factorize",
                received=f"a query on {query.device}",
                expected=f"{self.device}, where the codebooks are",
                hint="move one of them with .to(device)",
            )
        flat = query.reshape(-1, query.shape[-1])
        if _inexact(query):
            empty = int((flat == 0).all(-1).sum())
            if empty:
                raise VSAError(
                    "factorize",
                    received=f"{empty} queries of zeros only",
                    expected="products, exact or noisy",
                    hint="a bundle that cancels out holds nothing to factorize",
                )
            half = self.books[0].atoms.dtype == torch.float16
            flat = in_range(self.algebra.embed(flat), self.perfect, flat, half=half)
        return flat, tuple(query.shape[:-1])

    # ------------------------------------------------------------------ answers

    def product(self, indices: Tensor) -> Tensor:
        """Bind the atoms that indices name.

        Args:
            indices: (..., F), int64.

        Returns:
            (..., D): the product of exact atoms, whatever backend the codebooks are on.
        """
        return self.algebra.bind_all(
            torch.stack([book.atoms[indices[..., f]] for f, book in enumerate(self.books)], dim=-2)
        )

    def certificate(self, queries: Tensor) -> Certificate:
        """What certifies answers to these queries.

        Args:
            queries: (B, D).
        """
        if self.block_length is not None:
            return block_certificate(self, queries)
        return cosine_certificate(self, queries)


def _inexact(x: Tensor) -> bool:
    """Whether a vector may hold other numbers than those that atoms are made of."""
    return x.is_floating_point() or x.is_complex()


def _check_book(book: object, factor: int) -> Codebook:
    if not isinstance(book, Codebook):
        raise DtypeError(
            f"factorizer, codebook {factor}", received=vsa.validation.describe(book), expected="a vsa.Codebook"
        )
    if book.atoms.ndim != 2:
        raise ShapeError(
            f"factorizer, codebook {factor}",
            received=f"a stack of codebooks {tuple(book.atoms.shape)}",
            expected="atoms (N, D)",
            hint="give one codebook for each factor",
        )
    return book


def drawn_seed(book: Codebook, generator: torch.Generator) -> int:
    """The seed of an array that is programmed beside a book's: another one at every call, where arrays have errors.

    Args:
        book: on whose backend.
        generator: the source of randomness; an exact backend draws nothing.
    """
    if book.backend.exact:
        return book.seed
    drawn = torch.randint(2**62, (), generator=generator, device=generator.device)
    return vsa.child_seed(book.seed, "drawn", int(drawn))


def _with_identity(book: Codebook) -> Codebook:
    if None in book.labels:
        raise VSAError("factorizer optional", received="a codebook with the label None", expected="that label free")
    identity = book.algebra.identity(1, dtype=book.atoms.dtype, device=book.atoms.device)
    atoms = torch.cat((book.atoms, identity))
    return Codebook(
        book.algebra,
        atoms,
        labels=(*book.labels, None),
        backend=book.backend,
        seed=vsa.child_seed(book.seed, "optional"),
        unrelated=False,
    )


def _check_distinct(book: Codebook, factor: int) -> None:
    atoms = torch.view_as_real(book.atoms).flatten(1) if book.atoms.is_complex() else book.atoms
    distinct, inverse = torch.unique(atoms, dim=0, return_inverse=True)
    if len(distinct) == len(book):
        return
    order = inverse.argsort(stable=True)
    at = int((inverse[order][1:] == inverse[order][:-1]).nonzero()[0])
    twins = sorted((int(order[at]), int(order[at + 1])))
    raise VSAError(
        f"factorizer, codebook {factor}",
        received=f"{len(book) - len(distinct)} atoms twice: rows {twins[0]} and {twins[1]} are the same vector",
        expected="distinct atoms, else no query tells them apart",
        hint="a fractional-power codebook repeats after power_period; use more positions",
    )


def as_books(operation: str, books: Sequence[Any]) -> tuple[Any, ...]:
    """A tuple of what the caller gave, to be checked by :class:`Problem`; refuse a single codebook."""
    if isinstance(books, Codebook):
        raise DtypeError(operation, received="one codebook", expected="a list with one codebook for each factor")
    return tuple(books)
