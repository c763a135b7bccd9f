"""What certificates assume, looked up in the atoms: that they are unlike, within a codebook and across codebooks.

Atoms that are alike (levels, circles, fractional powers) make products that are alike: several reach tau, the first is
not the best, and noise may lift a neighbour above the right one. Here answers climb to the best neighbour, and
neighbours are counted. Of a large codebook the atoms that are alike are looked for among some, and those of each
answer that is not exact among all. Codebooks that are noisy copies of each other make products that are alike, too:
there both atoms of such an answer are tried in each other's place.
"""

from __future__ import annotations

import math
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .certificate import EXPECTED_FALSE, Certificate, blocks_needed
from .sameness import ELEMENTS, directions, embedded

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["Likeness"]

_SWEEPS = 8  # of coordinate ascent, at most: most answers stand still after two
_LOOK = 2**27  # multiply-accumulates of a look at pairs of atoms; of larger codebooks some rows are looked at
_NEAREST = 16  # neighbours of each of two factors that are changed at once


class Likeness:
    """Likeness of the atoms of one problem; each property is computed when it is first asked for.

    Args:
        problem: the codebooks.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._known = [torch.full((n,), -1, dtype=torch.int8, device=problem.device) for n in problem.sizes]

    # ------------------------------------------------------------------ what is alike

    @cached_property
    def alike(self) -> tuple[int, ...]:
        """The factors of which two atoms are more alike than chance makes any pair of as many random atoms."""
        sizes = self.problem.sizes
        return tuple(
            f
            for f in self._factors
            if sizes[f] > 1 and self._likeness(f, f) > self._bar(sizes[f] * (sizes[f] - 1) // 2)
        )

    @cached_property
    def across(self) -> tuple[tuple[int, int], ...]:
        """Pairs of factors with atoms that are alike, as noisy copies of a codebook are, but not the same."""
        sizes, shared = self.problem.sizes, self.problem.sameness.shared
        pairs = ((g, f) for f in self._factors for g in range(f) if not any(f in m and g in m for m in shared))
        return tuple((g, f) for g, f in pairs if self._likeness(g, f) > self._bar(2 * sizes[f] * sizes[g]))

    @cached_property
    def sampled(self) -> tuple[int, ...]:
        """The factors of which atoms that are alike were looked for among some, and none was found."""
        return tuple(
            f
            for f in self._factors
            if f not in self.alike and self._rows(f, self.problem.sizes[f]) < self.problem.sizes[f]
        )

    def marked(self, indices: Tensor, doubtful: Tensor) -> Tensor:
        """Atoms of answers that have others that are alike.

        Args:
            indices: (R, F), answers.
            doubtful: (R,), bool: answers of which codebooks that were looked at in part are looked at once more.

        Returns:
            (R, F), bool.
        """
        marks = torch.zeros_like(indices, dtype=torch.bool)
        for f in self._factors:
            if f in self.alike:
                marks[:, f] = True
            elif f in self.sampled and bool(doubtful.any()):
                atoms = indices[doubtful, f]
                new = atoms[self._known[f][atoms] < 0].unique()
                bar = self._bar(self.problem.sizes[f] * (self.problem.sizes[f] - 1) // 2)
                for part in new.split(max(1, ELEMENTS // self.problem.sizes[f])):
                    self._known[f][part] = (self._nearest(f, f, part) > bar).to(torch.int8)
                marks[doubtful, f] = self._known[f][atoms] > 0
        return marks

    # ------------------------------------------------------------------ what is done about it

    def climb(
        self, certificate: Certificate, rows: Tensor, indices: Tensor, marks: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinate ascent: each factor with atoms that are alike takes its best atom, until none changes.

        Args:
            certificate: of the queries.
            rows: (R,), which queries.
            indices: (R, F), answers to them.
            marks: (R, F), which atoms may be changed alone; those of factors that are alike across, together.

        Returns:
            Indices (R, F), their closeness (R,), and multiply-accumulates (R,) spent.
        """
        indices = indices.clone()
        best = certificate.closeness(rows, indices)
        macs = torch.zeros_like(rows)
        open_ = torch.arange(len(rows), device=rows.device)
        for _ in range(_SWEEPS):
            moved = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
            for factors in (*((f,) for f in self._factors), *self.across):
                here = open_[marks[open_, factors[0]]] if len(factors) == 1 else open_
                if not len(here):
                    continue
                every = self._candidates(factors, indices[here[:1]]).shape[1]
                macs[here] += every * self.problem.read_macs
                for part in here.split(max(1, ELEMENTS // (every * self.problem.algebra.embedding.width))):
                    tried = self._candidates(factors, indices[part])
                    value = certificate.closeness(rows[part].repeat_interleave(every), tried.flatten(0, 1))
                    top, at = value.unflatten(0, (-1, every)).max(-1)
                    better = top > best[part] + 1e-6
                    indices[part[better]] = tried[better, at[better]]
                    best[part[better]] = top[better]
                    moved[part[better]] = True
            open_ = moved.nonzero().squeeze(-1)
            if not len(open_):
                break
        return indices, best, macs

    def neighbours(self, certificate: Certificate, rows: Tensor, indices: Tensor, marks: Tensor) -> Tensor:
        """How many products that differ in one or two atoms that are alike are expected to beat the right one by noise.

        Args:
            certificate: of the queries.
            rows: (R,), which queries.
            indices: (R, F), answers to them, taken for right: what they leave of the query is noise.
            marks: (R, F), which of their atoms have others that are alike.

        Returns:
            (R,), float; 0 for exact queries.
        """
        total = torch.zeros(len(rows), device=rows.device)
        read = certificate.closeness(rows, indices).float().clamp(0, 1)
        near: list[Tensor] = []
        for factor in marks.any(0).nonzero().squeeze(-1).tolist():
            likeness = self._cosines(factor, indices[:, factor], factor).clamp(0, 1) * marks[:, factor, None]
            likeness.scatter_(1, indices[:, factor, None], 0)
            total += self._beaten(likeness, read).sum(-1)
            near.append(likeness.topk(min(_NEAREST, likeness.shape[-1] - 1), -1).values)
        for second in range(1, len(near)):
            for first in range(second):
                both = near[first].unsqueeze(-1) * near[second].unsqueeze(-2)
                total += self._beaten(both.flatten(1), read).sum(-1)
        for f, g in self.across:
            tried = self._candidates((f, g), indices)
            both = self._cosines(g, indices[:, g], f).gather(1, tried[:, :, f])
            both = both * self._cosines(f, indices[:, f], g).gather(1, tried[:, :, g])
            same = (tried == indices.unsqueeze(1)).all(-1)
            total += self._beaten(both.clamp(0, 1).masked_fill(same, 0), read).sum(-1)
        return total

    # ------------------------------------------------------------------ helpers

    @property
    def _factors(self) -> range:
        return range(self.problem.factors)

    def _candidates(self, factors: tuple[int, ...], indices: Tensor) -> Tensor:
        """(R, F) -> (R, M, F): the answers with other atoms of one factor, or of two that are alike across."""
        if len(factors) == 1:
            count = self.problem.sizes[factors[0]]
            tried = indices.unsqueeze(1).repeat(1, count, 1)
            tried[:, :, factors[0]] = torch.arange(count, device=indices.device)
            return tried
        f, g = factors
        here, there = (
            self._cosines(b, indices[:, b], a).abs().topk(min(_NEAREST, self.problem.sizes[a]), -1).indices
            for a, b in ((f, g), (g, f))
        )
        pairs = [torch.stack(torch.broadcast_tensors(here.unsqueeze(-1), there.unsqueeze(-2)), -1).flatten(1, 2)]
        if (
            self.problem.algebra.laws.self_inverse
        ):  # an atom bound with its copy is nearly the identity, whichever it is
            pairs.append(self._copies(f, g).expand(len(indices), -1, -1))
        both = torch.cat(pairs, 1)
        tried = indices.unsqueeze(1).repeat(1, both.shape[1], 1)
        tried[:, :, f], tried[:, :, g] = both[..., 0], both[..., 1]
        return tried

    def _copies(self, f: int, g: int) -> Tensor:
        """(N, 2): each atom of f with the one of g that is most like it."""
        every = torch.arange(self.problem.sizes[f], device=self.problem.device)
        parts = every.split(max(1, ELEMENTS // self.problem.sizes[g]))
        return torch.stack((every, torch.cat([self._cosines(f, p, g).abs().argmax(-1) for p in parts])), -1)

    def _cosines(self, f: int, atoms: Tensor, g: int) -> Tensor:
        """(R,) atoms of f -> (R, N): their cosines with all atoms of g."""
        looked = directions(self.problem, self.problem.algebra.embed(self.problem.books[f].atoms[atoms])).float()
        return torch.cat([looked @ directions(self.problem, x).float().mT for x in embedded(self.problem, g)], -1)

    def _nearest(self, f: int, g: int, atoms: Tensor) -> Tensor:
        """(R,) atoms of f -> (R,): the largest cosine with another atom of g; negative ones count across codebooks."""
        cosines = self._cosines(f, atoms, g)
        if f == g:
            cosines.scatter_(1, atoms.unsqueeze(-1), -1.0)
            return cosines.amax(-1)
        ids = self.problem.sameness.ids
        return cosines.masked_fill(ids[f][atoms].unsqueeze(-1) == ids[g], 0).abs().amax(-1)

    def _rows(self, f: int, size: int) -> int:
        """How many atoms of f are compared with so many others at first."""
        return min(self.problem.sizes[f], max(16, _LOOK // (size * self.problem.algebra.embedding.width)))

    def _likeness(self, f: int, g: int) -> float:
        """The largest cosine of two atoms; of large codebooks some atoms are compared with all."""
        draw = torch.Generator().manual_seed(0)
        some = torch.randperm(self.problem.sizes[f], generator=draw)[: self._rows(f, self.problem.sizes[g])]
        parts = some.to(self.problem.device).split(max(1, ELEMENTS // self.problem.sizes[g]))
        return float(torch.cat([self._nearest(f, g, part) for part in parts]).max())

    def _bar(self, pairs: int) -> float:
        """The cosine that one pair of random atoms reaches in a thousand times so many."""
        pairs = max(1, pairs)
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
