"""Group search: one read tests a whole group of products, and only promising groups are opened. It is a sweep.

A group is the sum of g atoms of one factor. The query times a group and a product of the other factors reads the right
atom at D (1 - 2p), for a share p of flipped bits, against a crosstalk of sqrt((g - 1) D). The bar lies so low that the
right group stays below it less than once in two thousand queries; g is the size for which reads and opened groups
together cost least.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import ClassVar

import torch
from torch import Tensor

import vsa
from vsa import UnsupportedError, VSAError

from . import FACTORIZERS
from .base import Factorizer, Outcome
from .certificate import Certificate
from .needs import SIGNS, Need
from .sweeps import Products, best_of_each, widest

__all__ = ["GroupSearch"]

_MISS = 5e-4  # chance that the right group stays below the bar
_OPENING = 2.0  # cost of a multiply-accumulate in an opened group, where rows are gathered, over that in a read
_LARGEST = 127  # int8


@FACTORIZERS.register("group_search")
@dataclass(eq=False)
class GroupSearch(Factorizer):
    """Exhaustive search by groups, for bipolar and binary codebooks on an exact backend.

    The right product is missed with probability below 1e-3 where ``noise`` of a query's bits are flipped at most: half
    of that is the bar's, the rest covers that crosstalk is only nearly normal. It holds for atoms that are drawn at
    random. A real query is searched by its signs. A query is done when a product is certified.

    Args:
        books: F codebooks of signs (map, bsc); with F = 1 there are no groups.
        noise: the share of flipped bits that the search must stand, below .5.
        group: g. Default: from D, N and ``noise``.
        elements: similarities, and entries of unbound vectors, held at once; it bounds the memory.
    """

    noise: float = field(default=0.0, kw_only=True)
    group: int | None = field(default=None, kw_only=True)
    elements: int = field(default=2**19, kw_only=True)
    name: ClassVar[str] = "group_search"
    needs: ClassVar[tuple[Need, ...]] = (SIGNS,)
    sweeps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.problem.signs is None or any(
            not b.backend.exact or b.stored.kind != "bipolar" for b in self.problem.books
        ):
            raise UnsupportedError(
                self.name, received="float atoms, or a backend with noise", expected="signs on an exact backend"
            )
        vsa.validation.check_number(self.name, "noise", self.noise)
        if not 0 <= self.noise < 0.5:
            raise VSAError(f"{self.name} noise", received=self.noise, expected="a share of flipped bits in [0, 0.5)")
        vsa.validation.check_count(self.name, "elements", self.elements)
        if self.group is not None:
            vsa.validation.check_count(self.name, "group", self.group)
            if self.group > _LARGEST:
                raise VSAError(
                    f"{self.name} group", received=self.group, expected=f"at most {_LARGEST}, the range of int8"
                )

    # ------------------------------------------------------------------ statistics

    @cached_property
    def group_size(self) -> int:
        """g in force: as given, else the one of least cost; at most the atoms of the factor that is grouped."""
        if self._grouped is None:
            return 1
        most = min(self.problem.sizes[self._grouped], _LARGEST)
        return min(self.group, most) if self.group is not None else min(range(1, most + 1), key=self.expected_share)

    def expected_share(self, size: int) -> float:
        """Cost of a search to the end with groups of so many, as a share of exhaustive search.

        Args:
            size: g.

        Returns:
            One read per group, and the reads of the groups that pass the bar by chance. Single
            products need no opening.
        """
        if size == 1:
            return 1.0
        members = self.problem.sizes[self._grouped] if self._grouped is not None else 1
        return (1 + _OPENING * members * self.opened(size)) / size

    def bar(self, size: int) -> float:
        """The least raw similarity of a group that is opened: the right one's mean less what chance takes away.

        Args:
            size: g.
        """
        width = self._width
        spread = math.sqrt((size - 1) * width + 4 * self.noise * (1 - self.noise) * width)
        return math.floor(width * (1 - 2 * self.noise) - NormalDist().inv_cdf(1 - _MISS) * spread)

    def opened(self, size: int) -> float:
        """The share of wrong groups that pass the bar.

        Args:
            size: g.
        """
        return 1 - NormalDist().cdf(self.bar(size) / math.sqrt(size * self._width))

    # ------------------------------------------------------------------ the search

    @property
    def _width(self) -> int:
        return self.problem.algebra.embedding.width

    @property
    def _atoms(self) -> tuple[Tensor, ...]:
        return self.problem.signs or ()

    @cached_property
    def _last(self) -> int:
        return widest(self.problem)

    @cached_property
    def _grouped(self) -> int | None:
        rest = [f for f in range(self.problem.factors) if f != self._last]
        return max(rest, key=lambda f: self.problem.sizes[f]) if rest else None

    @cached_property
    def _groups(self) -> Products:
        """Products of all factors but the last, in which group sums stand for the atoms of one."""
        atoms = list(self._atoms)
        if self._grouped is not None:
            size = self.group_size
            grouped = atoms[self._grouped]
            padded = torch.nn.functional.pad(grouped, (0, 0, 0, -len(grouped) % size))
            atoms[self._grouped] = padded.unflatten(0, (-1, size)).sum(1, dtype=torch.int8)
        rest = tuple(f for f in range(self.problem.factors) if f != self._last)
        return Products(self.problem, rest, tuple(atoms))

    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        signs = self.problem.as_signs(queries)
        signs = torch.where(signs < 0, -1, 1).to(torch.int8)
        size, bar, stored = self.problem.sizes[self._last], self.bar(self.group_size), self._stored(self._last)
        indices = torch.zeros(len(queries), self.problem.factors, dtype=torch.int64, device=queries.device)
        best = torch.full((len(queries),), -self._width - 1, dtype=torch.int64, device=queries.device)
        reads = torch.zeros_like(best)
        active = torch.arange(len(queries), device=queries.device)
        rows = max(1, self.elements // max(size, self._width))
        for start, products in self._groups.chunks(rows):
            for part in active.split(max(1, rows // len(products))):
                raw = stored.matvec((signs[part].unsqueeze(1) * products).flatten(0, 1))  # (R * M, N)
                reads[part] += len(products) * size
                where, atom = self._promising(raw, len(part), bar)
                if not len(where):
                    continue
                owner, number = where // len(products), where % len(products) + start
                for some in torch.arange(len(owner), device=owner.device).split(rows):
                    self._open(part, owner[some], number[some], atom[some], signs, indices, best, reads)
            active = active[~certificate.valid(active, best[active] / self._width)]
            if not len(active):
                break
        similarity = (best / self._width).clamp_min(0).unsqueeze(-1).expand(-1, self.problem.factors)
        return Outcome(
            indices=indices,
            similarities=similarity.clone(),
            iterations=torch.ones_like(reads),
            converged=best >= -self._width,
            macs=reads * self.problem.read_macs,
        )

    def _promising(self, raw: Tensor, queries: int, bar: float) -> tuple[Tensor, Tensor]:
        """Lines and atoms above the bar; where groups are single products, the best of each query."""
        if self.group_size == 1:
            peaks = raw.amax(-1).unflatten(0, (queries, -1))
            lines = peaks.argmax(-1) + torch.arange(queries, device=raw.device) * peaks.shape[-1]
            return lines, raw[lines].argmax(-1)
        lines = (raw.amax(-1) >= bar).nonzero().squeeze(-1)
        line, atom = (raw[lines] >= bar).nonzero(as_tuple=True)
        return lines[line], atom

    def _open(
        self,
        part: Tensor,
        owner: Tensor,
        number: Tensor,
        atom: Tensor,
        signs: Tensor,
        indices: Tensor,
        best: Tensor,
        reads: Tensor,
    ) -> None:
        """Read the grouped factor with all others known, for groups above the bar, and keep what is better."""
        found = torch.zeros(len(owner), self.problem.factors, dtype=torch.int64, device=owner.device)
        found[:, self._last] = atom
        found[:, list(self._groups.factors)] = self._groups.indices(number)
        target = signs[part[owner]]
        for factor, atoms in enumerate(self._atoms):
            if factor != self._grouped or self.group_size == 1:
                target = target * atoms[found[:, factor]]
        if self._grouped is None or self.group_size == 1:
            score = target.sum(-1, dtype=torch.int64)
        else:
            score, found[:, self._grouped] = self._stored(self._grouped).matvec(target).to(torch.int64).max(-1)
            reads.index_add_(0, part[owner], torch.full_like(owner, self.problem.sizes[self._grouped]))
        top, place = best_of_each(len(part), owner, score)
        better = ((place >= 0) & (top > best[part])).nonzero().squeeze(-1)
        best[part[better]] = top[better]
        indices[part[better]] = found[place[better]]

    def _stored(self, factor: int) -> vsa.StoredMatrix:
        return self.problem.books[factor].stored
