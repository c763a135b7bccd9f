"""What no query tells apart, looked up in the atoms: the same atom in several codebooks, and products that are equal.

A query may be of any length, so atoms that point the same way are the same. Of ``bind(a, b)`` nothing tells which
codebook ``a`` came from; of powers of one base only the sum of the exponents is left; and two atoms that are off by one
another's difference make equal products, wherever they come from.
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .certificate import EQUAL
from .needs import ADJOINT

if TYPE_CHECKING:
    from vsa import Algebra

    from .problem import Problem

__all__ = ["ELEMENTS", "Sameness", "directions", "embedded"]

ELEMENTS = 2**22  # entries of products, and similarities, held at once
_COARSE, _FINE = 1e-5, 1e-6  # by which the reads of an atom that is the same may differ, in float32 and in float64
_ANGLE, _WHOLE = 3e-5, 1e-6  # the same of the angles of products, of real numbers and of whole ones
_PRODUCTS, _WORK = 2**18, 2**27  # products of two codebooks, and multiply-accumulates, of a look at the equal ones
_WIDER = 30  # times that, where equals of an answer are looked up: each is compared
_LAGS = 4  # neighbours in the order of angles that are compared
_ORDERS = 720  # orders of the factors of a group that are tried


class Sameness:
    """What is the same among the atoms of one problem; each property is computed when it is first asked for.

    Args:
        problem: the codebooks.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    # ------------------------------------------------------------------ atoms

    @cached_property
    def ids(self) -> tuple[Tensor, ...]:
        """(N,) for each factor, int64: the same number for atoms of the same direction, in whichever codebook."""
        draw = torch.Generator().manual_seed(0)
        ruler = torch.randn(self.problem.algebra.embedding.width, 3, generator=draw, dtype=torch.float64)
        ruler = ruler.to(self.problem.device)
        coarse = ruler[:, 0].float()
        keys = torch.cat(
            [directions(self.problem, x).float() @ coarse for f in self._factors for x in embedded(self.problem, f)]
        )
        close = _runs(keys, _COARSE)
        ids = torch.arange(len(keys), device=keys.device)
        if len(close):  # measured once more, so finely that only the same direction reads the same
            every = torch.cat([ids.new_full((n,), f) for f, n in enumerate(self.problem.sizes)])
            start = torch.tensor([0, *self.problem.sizes], device=ids.device).cumsum(0)
            fine = torch.empty(len(close), 3, dtype=torch.float64, device=keys.device)
            for f in self._factors:
                here = (every[close] == f).nonzero().squeeze(-1)
                for part in here.split(max(1, ELEMENTS // len(ruler))):
                    atoms = self.problem.books[f].atoms[close[part] - start[f]]
                    fine[part] = directions(self.problem, self.problem.algebra.embed(atoms).double()) @ ruler
            number = _classes(fine, _FINE)
            first = torch.full_like(close, len(keys)).scatter_reduce(0, number, close, "amin")
            ids[close] = first[number]
        return ids.split(self.problem.sizes)

    @cached_property
    def twins(self) -> tuple[int, ...]:
        """The factors whose codebook holds two atoms that differ in nothing but their length."""
        return tuple(f for f in self._factors if len(self.ids[f].unique()) < len(self.ids[f]))

    @cached_property
    def shared(self) -> tuple[tuple[int, ...], ...]:
        """Groups of factors whose atoms can change places: codebooks and the atoms they share make a circle.

        Two codebooks with two atoms in common are one; so are three of which each two have another atom in common.
        """
        held = torch.cat([self.ids[f].unique() for f in self._factors])
        book = torch.cat([torch.full_like(self.ids[f].unique(), f) for f in self._factors])
        atom = held.unique(return_inverse=True)[1]
        while len(atom):  # whatever hangs on by one link is in no circle
            linked = (torch.bincount(atom)[atom] > 1) & (torch.bincount(book)[book] > 1)
            if bool(linked.all()):
                break
            atom, book = atom[linked], book[linked]
        if not len(atom):
            return ()
        holds = torch.zeros(int(atom.max()) + 1, self.problem.factors, device=atom.device)
        holds[atom, book] = 1
        reach = (holds.mT @ holds > 0).float()
        for _ in self._factors:
            reach = (reach @ reach > 0).float()
        groups = {tuple(row.nonzero().squeeze(-1).tolist()) for row in reach.cpu() if bool(row.any())}
        return tuple(sorted(groups))

    # ------------------------------------------------------------------ products

    @cached_property
    def tables(self) -> dict[tuple[int, int], _Products]:
        """Products of two codebooks, for pairs of factors of which different atoms make equal ones."""
        made = ((g, f) for f in self._factors for g in range(f))
        every = {pair: _Products(self, *pair) for pair in made}
        return {pair: table for pair, table in every.items() if table.ambiguous}

    @property
    def ambiguous(self) -> tuple[tuple[int, int], ...]:
        """Pairs of factors of which different atoms make equal products, as powers of one base do."""
        return tuple(self.tables)

    @property
    def any(self) -> bool:
        """Whether there is anything that no query tells apart."""
        return bool(self.shared or self.twins or self.tables)

    @cached_property
    def warning(self) -> str | None:
        """What cannot be told from products of these atoms, in a sentence; None where all can."""
        if self.shared:
            groups = " and of ".join(", ".join(map(str, members)) for members in self.shared)
            return (
                f"factorizer: the codebooks of factors {groups} share atoms; expected different ones, for a product "
                "does not tell which factor an atom came from; answers are right up to the order of these factors "
                "(see Factorization.interchangeable); draw each codebook with a seed of its own"
            )
        if self.twins:
            ids = self.ids[self.twins[0]]
            at = int((ids.sort(stable=True).values.diff() == 0).nonzero()[0])
            one, two = sorted(ids.argsort(stable=True)[at : at + 2].tolist())
            return (
                f"factorizer: atoms {one} and {two} of factor {self.twins[0]} differ in nothing but their length; "
                "expected atoms of different directions, for a query may be of any length; false_expected counts "
                "such atoms; keep one of them"
            )
        if self.ambiguous:
            pairs = " and of ".join(f"{f} and {g}" for f, g in self.ambiguous)
            return (
                f"factorizer: different atoms of factors {pairs} make equal products, as powers of one base do; "
                "expected products that tell their factors; false_expected counts the equal ones; take another base "
                "for each codebook"
            )
        return None

    @cached_property
    def assumes(self) -> tuple[str, ...]:
        """What was looked for in a part of the atoms only, in sentences."""
        said = []
        for f in self._factors:
            for g in range(f):
                rows, columns = _looked_at(self.problem, g, f)
                if (rows, columns) != (self.problem.sizes[g], self.problem.sizes[f]):
                    said.append(
                        f"equal products of factors {g} and {f} were looked for among {rows} x {columns} of "
                        f"{self.problem.sizes[g]} x {self.problem.sizes[f]} atoms"
                    )
        return tuple(said)

    # ------------------------------------------------------------------ answers

    def equals(self, indices: Tensor) -> Tensor:
        """How many products of other atoms equal those of the answers; those that differ in one or two are looked at.

        Args:
            indices: (R, F).

        Returns:
            (R,), float: equal products that are not the same atoms in another order.
        """
        total = torch.zeros(len(indices), device=indices.device)
        for f in self.twins:
            total += torch.bincount(self.ids[f])[self.ids[f][indices[:, f]]] - 1
        for (g, f), table in self.tables.items():
            pairs, place = torch.stack((indices[:, g], indices[:, f]), -1).unique(dim=0, return_inverse=True)
            total += table.equals(pairs)[place]
        return total

    def ordered(self, indices: Tensor, similarities: Tensor) -> tuple[Tensor, Tensor]:
        """One and the same order for atoms that could have come from several factors: that of their numbers.

        Args:
            indices: (R, F).
            similarities: (R, F).

        Returns:
            Both, ordered.
        """
        indices, similarities = indices.clone(), similarities.clone()
        for members in self.shared:
            at = torch.tensor(members, device=indices.device)
            ids = torch.stack([self.ids[f][indices[:, f]] for f in members], -1)
            ids, order = ids.sort(dim=-1, stable=True)
            most = max(self.problem.sizes)
            rows = torch.full((int(max(i.max() for i in self.ids)) + 1, len(at)), most, device=indices.device)
            for column, f in enumerate(members):
                number = torch.arange(self.problem.sizes[f], device=indices.device)
                rows[:, column] = rows[:, column].scatter_reduce(0, self.ids[f], number, "amin")
            found, reads, left = indices[:, at], similarities[:, at], torch.ones(len(ids), 1, device=ids.device) > 0
            for turn in itertools.islice(itertools.permutations(range(len(at))), _ORDERS):
                turned = torch.tensor(turn, device=ids.device)
                placed = rows.gather(0, ids[:, turned])
                fits = left & (placed < most).all(-1, keepdim=True)
                found = torch.where(fits, placed, found)
                reads = torch.where(fits, similarities[:, at].gather(1, order[:, turned]), reads)
                left = left & ~fits
                if not bool(left.any()):
                    break
            indices[:, at], similarities[:, at] = found, reads
        return indices, similarities

    @property
    def _factors(self) -> range:
        return range(self.problem.factors)


class _Products:
    """Products of two codebooks, sorted by an angle that does not depend on their length; equal ones lie together.

    Args:
        same: of the problem.
        f: one factor.
        g: another.
    """

    def __init__(self, same: Sameness, f: int, g: int) -> None:
        self.same, self.problem, self.f, self.g = same, same.problem, f, g
        sizes, looked = (self.problem.sizes[f], self.problem.sizes[g]), _looked_at(self.problem, f, g)
        draw = torch.Generator().manual_seed(1)
        self.rows, self.columns = (
            _some(n, few, draw).to(self.problem.device) for n, few in zip(sizes, looked, strict=True)
        )
        self.share = math.prod(looked) / math.prod(sizes)
        ruler = torch.rand(3, self.problem.algebra.embedding.width, generator=draw)
        self.gap = _ANGLE
        if self.problem.algebra.laws.signs and not self.problem.inexact:  # whole numbers: what is equal reads the same
            ruler, self.gap = (ruler * 64).round(), _WHOLE
        self.ruler = ruler.to(self.problem.device)
        self.angles, self.order = self._angles().sort()

    @cached_property
    def ambiguous(self) -> bool:
        """Whether two of them are equal and made of different atoms."""
        for lag in range(1, _LAGS + 1):
            near = (self.angles[lag:] - self.angles[:-lag] <= self.gap).nonzero().squeeze(-1)
            if not len(near):
                break
            for part in near.split(ELEMENTS // self.problem.algebra.embedding.width + 1):
                one, two = (self._pairs(self.order[at]) for at in (part, part + lag))
                other = self._made_of_others(one, two)
                if bool(self._same(one[other], two[other]).any()):
                    return True
        return False

    def equals(self, pairs: Tensor) -> Tensor:
        """(R, 2) atoms of f and g -> (R,), float: how many other ones make an equal product."""
        angles = torch.cat([self._angle(self._read(self._bound(part)).float()) for part in pairs.split(self._each)])
        low = torch.searchsorted(self.angles, angles - _WIDER * self.gap)
        times = torch.searchsorted(self.angles, angles + _WIDER * self.gap, right=True) - low
        owner = torch.arange(len(pairs), device=pairs.device).repeat_interleave(times)
        within = torch.arange(len(owner), device=pairs.device) - (times.cumsum(0) - times).repeat_interleave(times)
        count = torch.zeros(len(pairs), device=pairs.device)
        for part in torch.arange(len(owner), device=pairs.device).split(self._each):
            one, two = pairs[owner[part]], self._pairs(self.order[low[owner[part]] + within[part]])
            other = self._made_of_others(one, two).nonzero().squeeze(-1)
            equal = other[self._same(one[other], two[other])]
            count.index_add_(0, owner[part[equal]], torch.ones_like(equal, dtype=count.dtype))
        return count / self.share

    # ------------------------------------------------------------------ helpers

    @property
    def _each(self) -> int:
        return max(1, ELEMENTS // self.problem.algebra.embedding.width)

    def _pairs(self, numbers: Tensor) -> Tensor:
        """(R,) products -> (R, 2) atoms."""
        return torch.stack((self.rows[numbers // len(self.columns)], self.columns[numbers % len(self.columns)]), -1)

    def _bound(self, pairs: Tensor) -> Tensor:
        """(R, 2) -> (R, E), products; whole numbers as they are."""
        bound = self.problem.algebra.bind(self._atoms(self.f, pairs[:, 0]), self._atoms(self.g, pairs[:, 1]))
        made = self.problem.algebra.embed(bound)
        return directions(self.problem, made) if self.problem.inexact else made.float()

    def _same(self, one: Tensor, two: Tensor) -> Tensor:
        """(R,): whether products point the same way."""
        length = 1.0 if self.problem.inexact else self.problem.perfect
        return (self._bound(one) - self._bound(two)).square().sum(-1) <= 2 * (1 - EQUAL) * length

    def _made_of_others(self, one: Tensor, two: Tensor) -> Tensor:
        """(R,): whether products are made of different atoms, in whichever order."""
        ids = self.same.ids[self.f], self.same.ids[self.g]
        made = (torch.stack((ids[0][p[:, 0]], ids[1][p[:, 1]]), -1).sort(-1).values for p in (one, two))
        return (next(made) != next(made)).any(-1)

    def _angle(self, reads: Tensor) -> Tensor:
        """(2, ...) -> (...)."""
        return torch.atan2(reads[0], reads[1])

    def _read(self, bound: Tensor) -> Tensor:
        """(R, E) -> (2, R): what two differences of rulers read of products."""
        return (self.ruler[:2] - self.ruler[2]).to(bound) @ bound.mT

    def _atoms(self, factor: int, at: Tensor) -> Tensor:
        """Atoms in double precision, where they are no whole numbers: products that are equal are to read the same."""
        atoms = self.problem.books[factor].atoms[at]
        return atoms.to(torch.promote_types(atoms.dtype, torch.float64)) if self.problem.inexact else atoms

    def _angles(self) -> Tensor:
        """(rows * columns,), the angle of every product."""
        algebra = self.problem.algebra
        first = algebra.embed(self._atoms(self.f, self.rows))
        second = algebra.embed(self.problem.books[self.g].atoms[self.columns]).float()
        first = first if first.is_floating_point() else first.float()
        if algebra.laws.signs:
            unbound = (self.ruler[:2] - self.ruler[2]).unsqueeze(1) * first
        elif _reads_at_once(algebra):  # one read compares a ruler with the products of an atom and a whole codebook
            soft = algebra.relaxed
            key = soft.unembed(first)
            unbound = torch.stack([soft.embed(soft.unbind(r, key)) for r in soft.unembed(self.ruler.to(first))])
            unbound = unbound[:2] - unbound[2]
        else:
            every = torch.arange(len(self.rows) * len(self.columns), device=self.rows.device)
            reads = [self._read(self._bound(self._pairs(part))) for part in every.split(self._each)]
            return self._angle(torch.cat(reads, -1).float())
        return self._angle(unbound.float() @ second.mT).flatten()


def embedded(problem: Problem, factor: int) -> list[Tensor]:
    """The embeddings of a factor's atoms, in parts of bounded size.

    Args:
        problem: the codebooks.
        factor: which.
    """
    each = max(1, ELEMENTS // problem.algebra.embedding.width)
    return [problem.algebra.embed(part) for part in problem.books[factor].atoms.split(each)]


def directions(problem: Problem, x: Tensor) -> Tensor:
    """Embeddings of length one; zeros stay.

    Args:
        problem: the codebooks.
        x: (..., E), embeddings of vectors of the form of the atoms.

    Returns:
        (..., E), float32 or float64.
    """
    x = x if x.dtype == torch.float64 else x.float()
    if not problem.inexact:  # one and the same length
        return x / math.sqrt(problem.perfect)
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)


def _reads_at_once(algebra: Algebra) -> bool:
    """Whether unbinding a sum is the sum of what is unbound."""
    return ADJOINT.holds(algebra) and algebra.relaxed.laws.linear


def _looked_at(problem: Problem, f: int, g: int) -> tuple[int, int]:
    """Atoms of two codebooks whose products are compared: all where that is little work."""
    sizes = problem.sizes[f], problem.sizes[g]
    most = min(_PRODUCTS, max(256, _WORK // problem.algebra.embedding.width))
    if not _reads_at_once(problem.algebra):
        most = min(most, 2**14)
    columns = min(sizes[1], max(16, most // min(sizes[0], math.isqrt(most))))
    return min(sizes[0], max(16, most // columns)), columns


def _some(size: int, count: int, draw: torch.Generator) -> Tensor:
    """So many rows of a codebook: half of them beside each other, where powers of a base lie, others at random."""
    if count >= size:
        return torch.arange(size)
    start = int(torch.randint(size - count // 2, (), generator=draw))
    beside = torch.arange(start, start + count // 2)
    others = torch.randperm(size, generator=draw)
    others = others[(others < start) | (others >= start + count // 2)]
    return torch.cat((beside, others[: count - len(beside)]))


def _runs(keys: Tensor, gap: float) -> Tensor:
    """Which keys lie within a gap of another, as a share of the largest."""
    ordered, order = keys.sort()
    near = (ordered[1:] - ordered[:-1]) <= gap * keys.abs().max()
    return order[torch.nn.functional.pad(near, (0, 1)) | torch.nn.functional.pad(near, (1, 0))]


def _classes(keys: Tensor, gap: float) -> Tensor:
    """(R, k) -> (R,), int64: the same number where all k keys are the same but for a gap."""
    number = torch.zeros(len(keys), dtype=torch.int64, device=keys.device)
    for key in keys.mT:
        order = key.argsort(stable=True)
        order = order[number[order].argsort(stable=True)]
        new = torch.zeros_like(number)
        new[1:] = (number[order].diff() != 0) | (key[order].diff() > gap)
        number = torch.empty_like(number).scatter(0, order, new.cumsum(0))
    return number
