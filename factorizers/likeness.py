"""What certificates assume, looked up in the atoms: that they are unlike, within a codebook and across codebooks.

Atoms that are alike (levels, circles, fractional powers) make products that are alike: several reach tau, the first is
not the best, and noise may lift a neighbour above the right one. Codebooks that share atoms make products that are
equal: of ``bind(a, b)`` nothing tells which codebook ``a`` came from, and of powers of one base only the sum of the
exponents is left. Here answers climb to the best neighbour, neighbours and equals are counted, and the order of factors
that cannot be told is made one and the same.
"""

from __future__ import annotations

import math
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .certificate import EQUAL, EXPECTED_FALSE, Certificate, blocks_needed

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["Likeness"]

_SWEEPS = 8  # of coordinate ascent, at most: most answers stand still after two
_ELEMENTS = 2**22  # entries of products, and similarities, held at once
_WORK = 2**31  # multiply-accumulates of a count of equal products; beyond, some rows are counted for all
_LOOK = 2**27  # those of a look at the pairs of a codebook; of larger ones some rows are looked at
_NEAREST = 16  # neighbours of each of two factors that are changed at once
_TARGETS, _TRIED, _PARTNERS = 6, 8, 128  # products whose equals are looked for, and atoms tried of two factors


class Likeness:
    """Likeness of the atoms of one problem; each property is computed when it is first asked for.

    Args:
        problem: the codebooks.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    # ------------------------------------------------------------------ what is alike

    @cached_property
    def alike(self) -> tuple[int, ...]:
        """The factors of which two atoms are more alike than chance makes any pair of as many random atoms."""
        return tuple(f for f in range(self.problem.factors) if self._likeness(f) > self._bar(self.problem.sizes[f]))

    @cached_property
    def ids(self) -> tuple[Tensor, ...]:
        """(N,) for each factor, int64: the same number for the same atom, in whichever codebook."""
        ruler = torch.randn(self.problem.algebra.embedding.width, generator=torch.Generator().manual_seed(0))
        ruler = ruler.to(self.problem.device)
        keys = torch.cat([part.float() @ ruler for f in self._factors for part in self._embedded(f)])
        close = _runs(keys, 1e-5)
        ids = torch.arange(len(keys), device=keys.device)
        if len(close):  # measured once more, so finely that only the same atom has the same key
            every = torch.cat([ids.new_full((n,), f) for f, n in enumerate(self.problem.sizes)])
            start = torch.tensor([0, *self.problem.sizes], device=ids.device).cumsum(0)
            fine = torch.empty(len(close), dtype=torch.float64, device=keys.device)
            for f in self._factors:
                here = every[close] == f
                atoms = self.problem.books[f].atoms[close[here] - start[f]]
                fine[here] = self.problem.algebra.embed(atoms).double() @ ruler.double()
            ordered, order = fine.sort(stable=True)
            new = torch.ones_like(order)
            new[1:] = (ordered[1:] - ordered[:-1]) > 1e-9 * keys.abs().max()
            first = torch.full_like(order, len(keys)).scatter_reduce(0, new.cumsum(0) - 1, close[order], "amin")
            ids[close[order]] = first[new.cumsum(0) - 1]
        return ids.split(self.problem.sizes)

    @cached_property
    def shared(self) -> tuple[tuple[int, ...], ...]:
        """Groups of factors whose codebooks have at least two atoms in common."""
        group = list(self._factors)
        for f in self._factors:
            for g in range(f):
                if int(torch.isin(self.ids[f], self.ids[g]).sum()) >= 2:
                    old, kept = group[f], group[g]
                    group = [kept if member == old else member for member in group]
        groups = (tuple(f for f in self._factors if group[f] == name) for name in dict.fromkeys(group))
        return tuple(members for members in groups if len(members) > 1)

    @cached_property
    def ambiguous(self) -> tuple[tuple[int, int], ...]:
        """Pairs of factors of which different atoms make equal products, as powers of one base do."""
        found = []
        draw = torch.Generator().manual_seed(1)
        for f in self._factors:
            for g in range(f):
                first, second = (torch.randint(n, (_TARGETS,), generator=draw) for n in self._sizes(f, g))
                twins = (self.ids[f].unsqueeze(1) == self.ids[g]).nonzero()[:2].cpu() if self._share(f, g) else None
                if twins is not None:  # an atom with itself: the identity, where every atom is its own inverse
                    first[: len(twins)], second[: len(twins)] = twins[:, 0], twins[:, 1]
                # Rows beside each other, where powers of a base lie, and some at random.
                tried = _around(first[-2:], self.problem.sizes[f], _TRIED, draw)
                partners = _around(second[-2:], self.problem.sizes[g], _PARTNERS, draw)
                rows = torch.zeros(_TARGETS, self.problem.factors, dtype=torch.int64)
                rows[:, f], rows[:, g] = first, second
                device = self.problem.device
                if bool(self._equal(rows.to(device), f, g, tried.to(device), partners.to(device)).any()):
                    found.append((g, f))
        return tuple(found)

    @property
    def warning(self) -> str | None:
        """What cannot be told from products of these atoms, in a sentence; None where all can."""
        if self.shared:
            groups = " and of ".join(", ".join(map(str, members)) for members in self.shared)
            return (
                f"factorizer: the codebooks of factors {groups} share atoms; expected different ones, for a product "
                "does not tell which factor an atom came from; answers are right up to the order of these factors "
                "(see Factorization.interchangeable); draw each codebook with a seed of its own"
            )
        if self.ambiguous:
            pairs = " and of ".join(f"{f} and {g}" for f, g in self.ambiguous)
            return (
                f"factorizer: different atoms of factors {pairs} make equal products, as powers of one base do; "
                "expected products that tell their factors; false_expected counts the equal ones; take another base "
                "for each codebook"
            )
        return None

    # ------------------------------------------------------------------ what is done about it

    def climb(self, certificate: Certificate, rows: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinate ascent: each factor with atoms that are alike takes its best atom, until none changes.

        Args:
            certificate: of the queries.
            rows: (R,), which queries.
            indices: (R, F), answers to them.

        Returns:
            Indices (R, F), their closeness (R,), and multiply-accumulates (R,) spent.
        """
        indices = indices.clone()
        best = certificate.closeness(rows, indices)
        macs = torch.zeros_like(rows)
        open_ = torch.arange(len(rows), device=rows.device)
        for _ in range(_SWEEPS):
            moved = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
            for factor in self.alike:
                size = self.problem.sizes[factor]
                every = torch.arange(size, device=rows.device)
                macs[open_] += size * self.problem.read_macs
                for part in open_.split(max(1, _ELEMENTS // (size * self.problem.algebra.embedding.width))):
                    tried = indices[part].unsqueeze(1).repeat(1, size, 1)
                    tried[:, :, factor] = every
                    value = certificate.closeness(rows[part].repeat_interleave(size), tried.flatten(0, 1))
                    top, at = value.unflatten(0, (-1, size)).max(-1)
                    better = top > best[part] + 1e-6
                    indices[part[better], factor] = at[better]
                    best[part[better]] = top[better]
                    moved[part[better]] = True
            open_ = moved.nonzero().squeeze(-1)
            if not len(open_):
                break
        return indices, best, macs

    def neighbours(self, certificate: Certificate, rows: Tensor, indices: Tensor) -> Tensor:
        """How many products that differ in one or two atoms that are alike are expected to beat the right one by noise.

        Args:
            certificate: of the queries.
            rows: (R,), which queries.
            indices: (R, F), answers to them, taken for right: what they leave of the query is noise.

        Returns:
            (R,), float; 0 for exact queries.
        """
        total = torch.zeros(len(rows), device=rows.device)
        read = certificate.closeness(rows, indices).float().clamp(0, 1)
        near: list[Tensor] = []
        for factor in self.alike:
            atoms = self._directions(factor)
            likeness = (atoms[indices[:, factor]] @ atoms.mT).clamp(0, 1)
            likeness.scatter_(1, indices[:, factor, None], 0)
            total += self._beaten(likeness, read).sum(-1)
            near.append(likeness.topk(min(_NEAREST, likeness.shape[-1] - 1), -1).values)
        for second in range(1, len(near)):
            for first in range(second):
                both = near[first].unsqueeze(-1) * near[second].unsqueeze(-2)
                total += self._beaten(both.flatten(1), read).sum(-1)
        return total

    def equals(self, indices: Tensor) -> Tensor:
        """How many products of other atoms equal those of the answers; pairs of factors alone are looked at.

        Args:
            indices: (R, F).

        Returns:
            (R,), float: equal products that are not the same atoms in another order.
        """
        total = torch.zeros(len(indices), device=indices.device)
        for g, f in self.ambiguous:
            size = self.problem.sizes[f]
            each = max(1, len(indices) * self.problem.sizes[g] * self.problem.algebra.embedding.width)
            some = min(size, max(_TRIED, _WORK // each))
            draw = torch.Generator().manual_seed(2)
            tried = torch.arange(size) if some == size else torch.randperm(size, generator=draw)[:some]
            partners = torch.arange(self.problem.sizes[g], device=indices.device)
            total += self._equal(indices, f, g, tried.to(indices.device), partners) * (size / some)
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
            at = list(members)
            ids = torch.stack([self.ids[f][indices[:, f]] for f in at], -1)
            ids, order = ids.sort(dim=-1, stable=True)
            rows = torch.full((int(max(i.max() for i in self.ids)) + 1, len(at)), -1, device=indices.device)
            for column, f in enumerate(at):
                rows[self.ids[f], column] = torch.arange(self.problem.sizes[f], device=indices.device)
            placed = rows.gather(0, ids)
            possible = (placed >= 0).all(-1, keepdim=True)
            indices[:, at] = torch.where(possible, placed, indices[:, at])
            similarities[:, at] = torch.where(possible, similarities[:, at].gather(1, order), similarities[:, at])
        return indices, similarities

    # ------------------------------------------------------------------ helpers

    @property
    def _factors(self) -> range:
        return range(self.problem.factors)

    def _sizes(self, *factors: int) -> list[int]:
        return [self.problem.sizes[f] for f in factors]

    def _share(self, f: int, g: int) -> bool:
        return any(f in members and g in members for members in self.shared)

    def _embedded(self, factor: int) -> list[Tensor]:
        """The atoms' embeddings, in parts of bounded size."""
        atoms = self.problem.books[factor].atoms
        each = max(1, _ELEMENTS // self.problem.algebra.embedding.width)
        return [self.problem.algebra.embed(part) for part in atoms.split(each)]

    def _directions(self, factor: int) -> Tensor:
        return torch.cat([_directions(part) for part in self._embedded(factor)])

    def _likeness(self, factor: int) -> float:
        """The largest cosine of two atoms; of large codebooks some atoms are compared with all."""
        size, width = self.problem.sizes[factor], self.problem.algebra.embedding.width
        if size < 2:
            return 0.0
        count = min(size, max(16, _LOOK // (size * width)))
        some = torch.randperm(size, generator=torch.Generator().manual_seed(0))[:count].to(self.problem.device)
        looked = _directions(self.problem.algebra.embed(self.problem.books[factor].atoms[some]))
        most = looked.new_tensor(-1.0)
        start = 0
        for part in self._embedded(factor):
            cosines = (looked @ part.float().mT) / self._lengths(factor, part)
            own = (some >= start) & (some < start + len(part))
            cosines[own.nonzero().squeeze(-1), some[own] - start] = -1.0
            most = torch.maximum(most, cosines.max())
            start += len(part)
        return float(most)

    def _lengths(self, factor: int, embedded: Tensor) -> Tensor | float:
        """Euclidean norms of atoms: one and the same for those that are no real numbers."""
        atoms = self.problem.books[factor].atoms
        if not (atoms.is_floating_point() or atoms.is_complex()):
            return math.sqrt(self.problem.perfect)
        return torch.linalg.vector_norm(embedded.float(), dim=-1).clamp_min(torch.finfo(torch.float32).tiny)

    def _bar(self, size: int) -> float:
        """The cosine that one pair of random atoms in a thousand codebooks of this size reaches."""
        pairs = max(1, size * (size - 1) // 2)
        length = self.problem.block_length
        if length is not None:
            blocks = self.problem.algebra.embedding.width // length
            return (blocks_needed(pairs, blocks, 1 / length)[0] - 0.5) / blocks
        laws = self.problem.algebra.laws
        std = laws.crosstalk_std / (1.0 - self.problem.algebra.embedding.offset)
        return self.problem.over_perfect(laws.crosstalk_mean) - NormalDist().inv_cdf(EXPECTED_FALSE / pairs) * std

    def _beaten(self, likeness: Tensor, read: Tensor) -> Tensor:
        """(R, M) cosines with the answer's product, (R,) its read -> the probabilities that noise lifts them above it.

        Noise is spread evenly over what the products do not share. Of blocks the shared ones count for both: all others
        must be lost, and then a coin decides.
        """
        length = self.problem.block_length
        if length is not None:
            blocks = self.problem.algebra.embedding.width // length
            apart = ((1 - likeness) * blocks).round().clamp_min(1)
            return 0.5 * (1 - read).unsqueeze(-1).pow(apart) * (likeness > 0)
        width = self.problem.algebra.embedding.width
        noise = (1 - read.square()).clamp_min(0).sqrt().unsqueeze(-1)
        margin = read.unsqueeze(-1) * ((1 - likeness) * width / 2).sqrt() / noise.clamp_min(1e-6)
        return 0.5 * torch.special.erfc(margin / math.sqrt(2)) * (noise > 1e-3)

    def _equal(self, indices: Tensor, f: int, g: int, tried: Tensor, partners: Tensor) -> Tensor:
        """(R,): products of some atoms of f and some of g that equal the answers' and are not made of the same."""
        algebra, books = self.problem.algebra, self.problem.books
        target = algebra.bind(books[f].atoms[indices[:, f]], books[g].atoms[indices[:, g]])
        targets = algebra.embed(target).float()
        perfect = targets.square().sum(-1)
        own = torch.stack((self.ids[f][indices[:, f]], self.ids[g][indices[:, g]]), -1).sort(-1).values
        count = torch.zeros(len(indices), device=indices.device)
        second = books[g].atoms[partners]
        for part in tried.split(max(1, _ELEMENTS // (len(partners) * algebra.embedding.width))):
            bound = algebra.embed(algebra.bind(books[f].atoms[part].unsqueeze(1), second).flatten(0, 1)).float()
            row, pair = (targets @ bound.mT >= EQUAL * perfect.unsqueeze(-1)).nonzero(as_tuple=True)
            same = (targets[row] - bound[pair]).square().sum(-1) <= 2 * (1 - EQUAL) * perfect[row]
            row, pair = row[same], pair[same]
            made = (self.ids[f][part[pair // len(partners)]], self.ids[g][partners[pair % len(partners)]])
            other = torch.stack(made, -1).sort(-1).values
            count += torch.bincount(row[(other != own[row]).any(-1)], minlength=len(indices))
        return count


def _around(rows: Tensor, size: int, count: int, draw: torch.Generator) -> Tensor:
    """At most so many rows of a codebook: those beside some, and others at random; all where there are no more."""
    if size <= count:
        return torch.arange(size)
    beside = (rows.unsqueeze(-1) + torch.tensor([-1, 1])).flatten()
    return torch.cat((beside.clamp(0, size - 1), torch.randint(size, (count - len(beside),), generator=draw))).unique()


def _runs(keys: Tensor, gap: float) -> Tensor:
    """Which keys lie within a gap of another, as a share of the largest."""
    ordered, order = keys.sort()
    near = (ordered[1:] - ordered[:-1]) <= gap * keys.abs().max()
    return order[torch.nn.functional.pad(near, (0, 1)) | torch.nn.functional.pad(near, (1, 0))]


def _directions(x: Tensor) -> Tensor:
    """(..., E) -> float32 of length one; zeros stay."""
    x = x.float()
    return x / x.square().sum(-1, keepdim=True).sqrt().clamp_min(torch.finfo(x.dtype).tiny)
