"""Exhaustive search: compare the query with every product, in bounded memory. The first competitor of every method."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

import vsa
from vsa import Codebook, DtypeError, UnsupportedError

from . import FACTORIZERS
from .base import Factorizer, Outcome
from .certificate import Certificate
from .needs import ADJOINT, IDENTITY, Need
from .readers import SignReader, reader_for
from .sweeps import Products, best_of_each, expand, widest

__all__ = ["Exhaustive"]

_PREFIX = 64  # entries that tell an equal product from others: a wrong one agrees in all with probability 2^-64


@FACTORIZERS.register("exhaustive")
@dataclass(eq=False)
class Exhaustive(Factorizer):
    """Brute force: the most similar of all products, for every algebra with commutative and associative binding.

    Products of all factors but the largest are unbound from the query, chunk by chunk, and the largest codebook is read
    through its backend; where unbinding is not the adjoint of binding, all products are bound out instead. Signs are
    read in int8; block codes in index form drop combinations that cannot win any more. A real query to sign codebooks
    is rounded to 1/32 of its root mean square.

    Similarity is the cosine, for block codes in index form the share of agreeing blocks; for block codes in dense form
    the cosine, too, so that missing and corrupted blocks count for what they hold. Of equals the first wins. Reads are
    counted, unbinding is not, as in ``Problem.exhaustive_macs``.

    Args:
        books: F codebooks of one algebra.
        early_exit: a query is done with the chunk in which a product equals it; nothing can beat that. For signs a
            product that equals the query is looked for by their first 64 entries, before all else; when the first query
            of a batch has none, the others are not looked up. On a backend that is not exact no query leaves early.
        elements: similarities, and entries of unbound vectors, held at once; it bounds the memory.
    """

    early_exit: bool = field(default=True, kw_only=True)
    elements: int = field(default=2**19, kw_only=True)
    name: ClassVar[str] = "exhaustive"
    needs: ClassVar[tuple[Need, ...]] = (IDENTITY,)
    sweeps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        vsa.validation.check_count(self.name, "elements", self.elements)
        if not isinstance(self.early_exit, bool):
            raise DtypeError(f"{self.name} early_exit", received=repr(self.early_exit), expected="True or False")
        if not ADJOINT.holds(self.problem.algebra) and not all(book.backend.exact for book in self.books):
            raise UnsupportedError(
                self.name,
                received=f"{self.problem.algebra.name} on a backend that is not exact",
                expected=f"an exact backend, or an algebra that declares {ADJOINT.declared}",
                hint="without it products are bound out and no array is read",
            )

    @property
    def _climbs(self) -> bool:
        return False

    @cached_property
    def _last(self) -> int:
        return widest(self.problem)

    @cached_property
    def _products(self) -> Products:
        atoms = self.problem.signs or tuple(book.atoms for book in self.problem.books)
        return Products(self.problem, tuple(f for f in range(self.problem.factors) if f != self._last), atoms)

    @cached_property
    def _short(self) -> tuple[Products, Codebook]:
        """Products of the other factors and the last codebook, both cut to their first entries."""
        atoms = tuple(part[:, :_PREFIX].contiguous() for part in self.problem.signs or ())
        book = Codebook(vsa.get("map", dim=_PREFIX), atoms[self._last], unrelated=False)
        return Products(self.problem, self._products.factors, atoms), book

    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        count, size, width = len(queries), self.problem.sizes[self._last], self.problem.algebra.embedding.width
        reader = reader_for(self.problem, queries, self._last)
        best = torch.full((count,), -float("inf"), device=queries.device)
        where = torch.zeros(count, dtype=torch.int64, device=queries.device)
        macs = torch.zeros_like(where)
        active = torch.arange(count, device=queries.device)
        if self.early_exit and isinstance(reader, SignReader) and reader.bipolar and width >= 2 * _PREFIX:
            found = self._equal(reader, certificate, active[:1], where, macs)
            if bool(found.all()):
                found = torch.cat((found, self._equal(reader, certificate, active[1:], where, macs)))
                best[found.nonzero().squeeze(-1)] = 1.0
                active = (~found).nonzero().squeeze(-1)
        rows = max(1, self.elements // max(size, width))  # products unbound at once
        for start, products in self._products.chunks(rows):
            if not len(active):
                break
            for part in active.split(max(1, rows // len(products))):
                value, at, spent = reader.best(part, products, best[part])
                better = value > best[part]
                best[part[better]] = value[better].to(best)
                where[part[better]] = at[better] + start * size
                macs[part] += spent
            if self.early_exit:
                active = active[best[active] < reader.perfect]
        indices = expand(self._products, self._last, where // size, where % size)
        return Outcome(
            indices=indices,
            similarities=best.unsqueeze(-1).expand(-1, self.problem.factors).clone(),
            iterations=torch.ones_like(where),
            converged=torch.ones_like(where, dtype=torch.bool),
            macs=macs,
        )

    def _equal(
        self, reader: SignReader, certificate: Certificate, active: Tensor, where: Tensor, macs: Tensor
    ) -> Tensor:
        """Look for products that equal queries.

        Args:
            reader: of the queries.
            certificate: of the queries.
            active: (R,), which queries.
            where: (B,), gets the combinations that are found.
            macs: (B,), what is spent is added.

        Returns:
            (R,), bool: for which queries there is one.
        """
        found = torch.zeros(len(active), dtype=torch.bool, device=active.device)
        short, book = self._short
        queries, size = reader.queries[:, :_PREFIX], len(book)
        rows = max(1, self.elements // max(size, _PREFIX))
        for start, products in short.chunks(rows):
            left = (~found).nonzero().squeeze(-1)
            for some in left.split(max(1, rows // len(products))):
                part = active[some]
                raw = book.stored.matvec((queries[part].unsqueeze(1) * products).flatten(0, 1))  # (R * M, N)
                macs[part] += len(products) * size * _PREFIX
                lines = (raw.amax(-1) == _PREFIX).nonzero().squeeze(-1)
                if not len(lines):
                    continue
                line, atom = (raw[lines] == _PREFIX).nonzero(as_tuple=True)
                line = lines[line]
                owner, number = line // len(products), line % len(products) + start
                for alike in torch.arange(len(owner), device=owner.device).split(rows):
                    own = owner[alike]
                    indices = expand(self._products, self._last, number[alike], atom[alike])
                    same = certificate.similarity(part[own], indices) >= reader.perfect
                    macs.index_add_(0, part[own], torch.full_like(own, self.problem.read_macs))
                    _, place = best_of_each(len(part), own[same], torch.zeros_like(own[same]))
                    new = ((place >= 0) & ~found[some]).nonzero().squeeze(-1)
                    hit = alike[same][place[new]] if len(new) else alike[:0]
                    where[part[new]] = number[hit] * size + atom[hit]
                    found[some[new]] = True
            if bool(found.all()):
                break
        return found
