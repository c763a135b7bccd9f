"""Certificates: how similar a re-bound product must be to the query before it is taken for the answer.

tau is set so that the expected number of wrong combinations that reach it is below 1e-3 over the whole search space.
That needs a similarity whose chance is known far out in its tail; an algebra declares it as ``laws.products``. The
cosine of products of signs and of phasors is normal there. That of products of normal vectors (hrr, map_real) is not: a
few large entries decide it, and at six standard deviations it is a thousand times as likely as a normal one. There
products are compared by phase or by sign, which are as evenly spread as those of one atom, with the magnitudes of the
query as weights. Of an algebra that declares nothing only a product that equals the query is certified.
Block codes have few outcomes per block: there even exact re-binding can leave ``false_expected`` wrong combinations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import vsa

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["Certificate", "block_certificate", "cosine_certificate"]

EXPECTED_FALSE = 1e-3
_EQUAL = 1 - 1e-4  # the cosine of a query with the product that it is, computed in float32 in another order


@dataclass(frozen=True)
class Certificate:
    """The bar for one batch of queries.

    Args:
        problem: whose products are compared.
        queries: (B, D') in a form that can be compared with products.
        tau: (B,), the least similarity that certifies.
        false_expected: (B,), lambda: wrong combinations expected to reach tau by chance; NaN where chance is unknown.
        norms: (B,), Euclidean norms of the queries, or what a query's own phases or signs read; None for block codes.
        flat: whether products are compared by their phases or signs.
    """

    problem: Problem
    queries: Tensor
    tau: Tensor
    false_expected: Tensor
    norms: Tensor | None = None
    flat: bool = False

    def similarity(self, rows: Tensor, indices: Tensor) -> Tensor:
        """Similarity of queries to re-bound products.

        Args:
            rows: (R,), which queries.
            indices: (R, F).

        Returns:
            (R,): the cosine; for block codes the share of the query's informative blocks that agree; for products of
            normal vectors the agreement of phases or signs, weighted by the query's magnitudes. The query's own is 1.
        """
        queries = self.queries[rows]
        if self.norms is None:
            return _agreement(self.problem, queries, indices)
        parts = [atoms[indices[:, f]] for f, atoms in enumerate(self.problem.atoms)]
        if self.problem.algebra.laws.signs and parts[0].dtype == torch.int8:
            product = parts[0]
            for part in parts[1:]:
                product = product * part
            inner = (queries * product).sum(-1, dtype=torch.int32 if queries.dtype == torch.int8 else None)
            return inner / (self.norms[rows] * math.sqrt(product.shape[-1]))
        product = self.problem.product(indices)
        if self.flat:
            return (queries * _flattened(self.problem, product)).sum(-1) / self.norms[rows]
        product = self.problem.algebra.embed(product)
        length = product.square().sum(-1).sqrt().clamp_min(torch.finfo(product.dtype).tiny)
        return (queries * product).sum(-1) / (self.norms[rows] * length)

    def valid(self, rows: Tensor, similarity: Tensor) -> Tensor:
        """(R,): whether similarities reach tau."""
        return (similarity >= self.tau[rows] - 1e-6) & similarity.isfinite()


def cosine_certificate(problem: Problem, queries: Tensor) -> Certificate:
    """By cosine, or by phases and signs: normal with variance 1 over the degrees of freedom where nothing is related.

    Args:
        problem: the codebooks.
        queries: (B, D).

    Reference:
        Bentkus, Dzindzalieta, "A tight Gaussian bound for weighted sums of Rademacher random variables", Bernoulli
        2015: whatever the weights of a sum of random signs, its tail is at most 3.18 times the normal one.
    """
    algebra = problem.algebra
    compared = problem.as_signs(queries) if algebra.laws.signs else algebra.embed(queries)
    width = algebra.embedding.width
    norms = compared.to(torch.float32).square().sum(-1).sqrt()
    # The cosine of independent vectors with E independent real parts has variance 1/E, phasors 1/(2D) = 1/E too.
    # From the lower tail: 1 minus a share below 1e-16 would be 1.
    z = -NormalDist().inv_cdf(min(EXPECTED_FALSE / problem.combinations, 0.5)) if problem.combinations > 1 else 0.0
    spread = torch.full_like(norms, 1 / math.sqrt(width))
    known = algebra.laws.products
    if algebra.laws.signs and not problem.nearly_signs:  # real numbers where signs are declared: learned ones, say
        known = "flattened" if problem.balanced_signs else "unknown"
    if known == "unknown":
        tau, false = (torch.full_like(norms, value) for value in (_EQUAL, math.nan))
        return Certificate(problem, compared, tau, false, norms)
    flat = problem.factors > 1 and known == "flattened"
    if flat:
        own = _flattened(problem, queries)
        read = (compared * own).sum(-1)
        spread = (norms * own.square().sum(-1).sqrt() / (read * math.sqrt(width))).to(norms)
        norms = read
    tau = (z * spread).clamp_max(1.0)
    reached = (tau / spread).double() / math.sqrt(2)
    false = (problem.combinations * 0.5 * torch.special.erfc(reached)).to(tau)
    return Certificate(problem, compared, tau, false, norms, flat)


def _flattened(problem: Problem, x: Tensor) -> Tensor:
    """(..., E): magnitudes taken away in the canonical form, so that products of atoms spread evenly by chance."""
    algebra = problem.algebra
    if algebra.laws.signs:
        return vsa.arithmetic.signs(algebra.embed(x))
    return algebra.embed(algebra.flatten(algebra.unembed(algebra.embed(x))))


def block_certificate(problem: Problem, queries: Tensor) -> Certificate:
    """By the number of blocks in which the product points at an entry of at least half the block's largest.

    A superposition of n products has n such entries in a block, so chance agrees n times as often. A block whose
    entries all count is missing: it agrees with everything and says nothing.

    Args:
        problem: the codebooks.
        queries: (B, D) or (B, K) positions.

    Reference:
        For one-hot queries lambda = N^F / L^K wrong combinations pass exact re-binding of K blocks.
    """
    length = problem.block_length or 1
    rows = queries.shape[0]
    if queries.dtype == torch.int64:
        informative = torch.full((rows,), queries.shape[-1], device=queries.device)
        peaks = torch.ones(rows, dtype=torch.int64, device=queries.device)
    else:
        counts = _peaks(queries, length).sum(-1)
        informative = (counts < length).sum(-1)
        peaks = torch.where(counts < length, counts, 1).amax(-1)  # an upper bound for the blocks that have fewer
    tau = torch.ones(rows, device=queries.device)
    false = torch.zeros(rows, device=queries.device)
    for blocks, most in torch.stack((informative, peaks), -1).unique(dim=0).tolist():
        here = (informative == blocks) & (peaks == most)
        needed, chance = _blocks_needed(problem.combinations, blocks, most / length)
        tau[here] = needed / blocks if blocks else 1.0
        false[here] = problem.combinations * chance
    return Certificate(problem, queries, tau, false)


def _peaks(queries: Tensor, length: int) -> Tensor:
    """(..., D) -> (..., K, L), bool: entries of at least half the largest of their block."""
    split = queries.unflatten(-1, (-1, length))
    return split >= 0.5 * split.amax(-1, keepdim=True)


def _blocks_needed(combinations: int, blocks: int, agree: float) -> tuple[int, float]:
    """The fewest agreeing blocks that chance reaches less than 1e-3 times in all; all blocks where none does."""
    chance = 0.0
    for needed in range(blocks, 0, -1):
        with_one_less = chance + math.comb(blocks, needed) * agree**needed * (1 - agree) ** (blocks - needed)
        if combinations * with_one_less >= EXPECTED_FALSE:
            return (needed + 1, chance) if needed < blocks else (blocks, with_one_less)
        chance = with_one_less
    return (1, chance) if blocks else (0, 1.0)


def _agreement(problem: Problem, queries: Tensor, indices: Tensor) -> Tensor:
    product = problem.product(indices)
    length = problem.block_length or 1
    if product.dtype != torch.int64:
        product = product.unflatten(-1, (-1, length)).argmax(-1)
    if queries.dtype == torch.int64:
        return ((product - queries).remainder(length) == 0).float().mean(-1)
    peaks = _peaks(queries, length)
    informative = peaks.sum(-1) < length
    agree = peaks.gather(-1, product.unsqueeze(-1)).squeeze(-1) & informative
    return agree.sum(-1) / informative.sum(-1).clamp_min(1)
