"""Group search: one read tests a whole group of products, and only promising groups are opened. It is a sweep.

A group is the sum of g atoms of one factor. The query times a group and a product of the other factors reads the right
atom at D (1 - 2 p), for a share p of flipped bits, against crosstalk of sqrt(g D). g is the largest group for which few
enough others pass the bar that the right one misses less than once in ten thousand queries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

import torch
from torch import Tensor

import vsa
from vsa import UnsupportedError, VSAError

from . import FACTORIZERS
from .base import Factorizer, Outcome
from .certificate import Certificate
from .exhaustive import digits

__all__ = ["GroupSearch"]

_MISS = 1e-4  # chance that the right group stays below the bar
_OPENED = 0.003  # share of wrong groups that may pass it


@FACTORIZERS.register("group_search")
@dataclass(eq=False)
class GroupSearch(Factorizer):
    """Exhaustive search by groups, for bipolar and binary codebooks on an exact backend.

    The right product is missed with probability below 1e-4 where no more than ``noise`` of a query's bits are flipped.

    Args:
        books: F codebooks of map or bsc, F at least 2 for groups to help.
        noise: the share of flipped bits that the search must stand, below .5.
        group: g. Default: from D and ``noise``.
        elements: similarities held at once; it bounds the memory.
    """

    noise: float = field(default=0.0, kw_only=True)
    group: int | None = field(default=None, kw_only=True)
    elements: int = field(default=2**17, kw_only=True)
    name: ClassVar[str] = "group_search"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.problem.algebra.name not in ("map", "bsc"):
            raise UnsupportedError(
                self.name, received=f"codebooks of {self.problem.algebra.name}", expected="map or bsc",
                hint="use exhaustive",
            )  # fmt: skip
        if any(not b.backend.exact or b.stored.kind != "bipolar" for b in self.problem.books):
            raise UnsupportedError(
                self.name, received="float atoms, or a backend with noise", expected="signs on an exact backend"
            )
        if not 0 <= self.noise < 0.5:
            raise VSAError(f"{self.name} noise", received=self.noise, expected="a share of flipped bits in [0, 0.5)")
        vsa.validation.check_count(self.name, "elements", self.elements)
        if self.group is not None:
            vsa.validation.check_count(self.name, "group", self.group)
            if self.group > 127:
                raise VSAError(f"{self.name} group", received=self.group, expected="at most 127, the range of int8")

    @property
    def group_size(self) -> int:
        """g in force."""
        smallest = min(self.problem.sizes) if self.problem.factors > 1 else 1
        if self.group is not None:
            return min(self.group, smallest)
        size = 1
        while size + 1 <= min(smallest, 127) and self._opened(size + 1) <= _OPENED:
            size += 1
        return size

    def _bar(self, size: int) -> float:
        """The least raw similarity of a group that is opened: the right one's mean less what noise takes away."""
        width = self.problem.algebra.embedding.width
        spread = math.sqrt((size - 1) * width + 4 * self.noise * (1 - self.noise) * width)
        return width * (1 - 2 * self.noise) - NormalDist().inv_cdf(1 - _MISS) * spread

    def _opened(self, size: int) -> float:
        """The share of wrong groups above the bar."""
        return 1 - NormalDist().cdf(self._bar(size) / math.sqrt(size * self.problem.algebra.embedding.width))

    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        problem, width = self.problem, self.problem.algebra.embedding.width
        signs = queries if queries.dtype == torch.int8 else problem.algebra.embed(queries)
        signs = torch.where(signs < 0, -1, 1).to(torch.int8)
        order = sorted(range(problem.factors), key=lambda f: problem.sizes[f])
        last, rest = order[-1], order[:-1]
        groups, size, bar = self._groups(rest, width)
        sizes = [len(groups), *(problem.sizes[f] for f in rest[1:])] if rest else [1]
        others, count = math.prod(sizes), problem.sizes[last]
        indices = torch.zeros(len(queries), problem.factors, dtype=torch.int64, device=queries.device)
        best = torch.full((len(queries),), -math.inf, device=queries.device)
        reads = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
        active, start = torch.arange(len(queries), device=queries.device), 0
        while start < others and len(active):
            stop = min(others, start + max(1, self.elements // (count * len(active))))
            numbers = torch.arange(start, stop, device=queries.device)
            columns = digits(numbers, sizes)
            product = groups[columns[0]]
            for factor, column in zip(rest[1:], columns[1:], strict=True):
                product = product * problem.atoms[factor][column]
            for rows in active.split(max(1, self.elements // count)):
                scores = problem.books[last].stored.matvec(signs[rows].unsqueeze(1) * product)
                reads[rows] += len(numbers) * count
                at = (scores >= bar).nonzero()
                if len(at):
                    self._open(at, rows, columns, rest, last, size, signs, indices, best, reads)
            start = stop
            active = active[~certificate.valid(active, best[active] / width)]
        similarity = (best / width).clamp_min(0).unsqueeze(-1).expand(-1, problem.factors)
        ones = torch.ones_like(reads)
        return Outcome(indices, similarity, ones, best > -math.inf, reads * problem.read_macs)

    def _groups(self, rest: list[int], width: int) -> tuple[Tensor, int, int]:
        """(G, D) int8 sums of the first factor's atoms, g, and the bar."""
        if not rest:
            return torch.ones(1, width, dtype=torch.int8, device=self.problem.device), 1, math.ceil(self._bar(1))
        atoms, size = self.problem.atoms[rest[0]], self.group_size
        missing = -len(atoms) % size
        padded = torch.nn.functional.pad(atoms, (0, 0, 0, missing))
        groups = padded.unflatten(0, (-1, size)).sum(1, dtype=torch.int32).to(torch.int8)
        return groups, size, math.ceil(self._bar(size))

    def _open(
        self, at: Tensor, rows: Tensor, columns: list[Tensor], rest: list[int], last: int, size: int, signs: Tensor,
        indices: Tensor, best: Tensor, reads: Tensor,
    ) -> None:  # fmt: skip
        """Compare the query with each product of the groups above the bar, and keep what is better."""
        problem = self.problem
        for some in at.split(max(1, 2**22 // (size * problem.algebra.embedding.width))):
            query = rows[some[:, 0]]
            found = torch.zeros(len(some), problem.factors, dtype=torch.int64, device=at.device)
            found[:, last] = some[:, 2]
            target = signs[query] * problem.atoms[last][some[:, 2]]
            for factor, column in zip(rest[1:], columns[1:], strict=True):
                found[:, factor] = column[some[:, 1]]
                target = target * problem.atoms[factor][found[:, factor]]
            if rest:
                members = columns[0][some[:, 1]].unsqueeze(-1) * size + torch.arange(size, device=at.device)
                present = members < problem.sizes[rest[0]]
                atoms = problem.atoms[rest[0]][members.clamp_max(problem.sizes[rest[0]] - 1)]
                inner = (target.unsqueeze(1) * atoms).sum(-1, dtype=torch.int32)
                inner = inner.masked_fill(~present, torch.iinfo(torch.int32).min)
                score, which = inner.max(-1)
                found[:, rest[0]] = members.gather(-1, which.unsqueeze(-1)).squeeze(-1)
            else:
                score = target.sum(-1, dtype=torch.int32)
            reads.index_add_(0, query, torch.full_like(query, size))
            order = score.argsort(stable=True)
            for better in order[score[order] > best[query[order]]]:
                indices[query[better]] = found[better]
                best[query[better]] = score[better].float()
