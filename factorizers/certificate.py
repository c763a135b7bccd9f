"""Certificates: how similar a re-bound product must be to the query before it is taken for the answer.

tau is set so that the expected number of wrong combinations that reach it is below 1e-3 over the whole search space.
That needs a similarity whose chance is known far out in its tail; an algebra declares it as ``laws.products``. The
cosine of products of signs and of phasors is normal there. That of products of normal vectors (hrr, map_real) is not: a
few large entries decide it, and at six standard deviations it is a thousand times as likely as a normal one. There
products are compared by phase or by sign, which are as evenly spread as those of one atom, with the magnitudes of the
query as weights. Of an algebra that declares nothing only a product that equals the query is certified.
What an algebra declares is true of the vectors that it draws. Codebooks of others are judged by their values: real
atoms of map and phasors of other lengths than one are compared by signs and by phases, too; of atoms that all lean to
one side, as after a rectifier, only an equal product is certified.
A query may be of any length: no similarity depends on it, and one that is not finite certifies nothing.
Block codes have few outcomes per block: there even exact re-binding can leave ``false_expected`` wrong combinations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .chance import flattened

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["Certificate", "block_certificate", "blocks_needed", "cosine_certificate", "in_range"]

EXPECTED_FALSE = 1e-3
EQUAL = 1 - 1e-4  # the cosine of a query with the product that it is, computed in float32 in another order
_ORDINARY = 2.0**20  # lengths of queries, as multiples and fractions of an atom's, that are computed with as they are
_ORDINARY_HALF = 4.0  # the same in float16, whose squares end at 65,504


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
        lengths: (B,), Euclidean norms of the queries; None for block codes.
    """

    problem: Problem
    queries: Tensor
    tau: Tensor
    false_expected: Tensor
    norms: Tensor | None = None
    flat: bool = False
    lengths: Tensor | None = None

    def similarity(self, rows: Tensor, indices: Tensor) -> Tensor:
        """Similarity of queries to re-bound products.

        Args:
            rows: (R,), which queries.
            indices: (R, F).

        Returns:
            (R,): the cosine; for block codes the share of the query's informative blocks that agree; for products of
            normal vectors the agreement of phases or signs, weighted by the query's magnitudes. The query's own is 1.
        """
        return self._compare(rows, indices, self.flat)

    def closeness(self, rows: Tensor, indices: Tensor) -> Tensor:
        """What tells products apart that are alike: their cosine even where chance is judged by phases or signs.

        Args:
            rows: (R,), which queries.
            indices: (R, F).

        Returns:
            (R,): larger for the better of two answers to one query.
        """
        return self._compare(rows, indices, False)

    def _compare(self, rows: Tensor, indices: Tensor, flat: bool) -> Tensor:
        queries = self.queries[rows]
        if self.norms is None or self.lengths is None:
            return _agreement(self.problem, queries, indices)
        parts = [atoms[indices[:, f]] for f, atoms in enumerate(self.problem.atoms)]
        if self.problem.algebra.laws.signs and parts[0].dtype == torch.int8:
            product = parts[0]
            for part in parts[1:]:
                product = product * part
            inner = (queries * product).sum(-1, dtype=torch.int32 if queries.dtype == torch.int8 else None)
            return inner / (self.norms[rows] * math.sqrt(product.shape[-1]))
        product = self.problem.product(indices)
        if flat:
            return (queries * flattened(self.problem, product).to(queries.dtype)).sum(-1) / self.norms[rows]
        product = self.problem.algebra.embed(product).to(queries.dtype)
        length = product.square().sum(-1).sqrt().clamp_min(torch.finfo(product.dtype).tiny)
        return (queries * product).sum(-1) / (self.lengths[rows] * length)

    def valid(self, rows: Tensor, similarity: Tensor) -> Tensor:
        """(R,): whether similarities reach tau, and are numbers."""
        return (similarity >= self.tau[rows] - 1e-6) & (similarity < math.inf)


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
    compared = in_range(problem.as_signs(queries) if algebra.laws.signs else algebra.embed(queries), problem.perfect)
    compared = compared.float() if compared.dtype in (torch.float16, torch.bfloat16) else compared
    width = algebra.embedding.width
    lengths = norms = compared.to(torch.float32).square().sum(-1).sqrt()
    # The cosine of independent vectors with E independent real parts has variance 1/E, phasors 1/(2D) = 1/E too.
    # From the lower tail: 1 minus a share below 1e-16 would be 1.
    z = -NormalDist().inv_cdf(min(EXPECTED_FALSE / problem.combinations, 0.5)) if problem.combinations > 1 else 0.0
    spread = torch.full_like(norms, 1 / math.sqrt(width))
    known = problem.spread
    if known == "unknown":
        tau, false = (torch.full_like(norms, value) for value in (EQUAL, math.nan))
        return Certificate(problem, compared, tau, false, norms, lengths=lengths)
    flat = problem.factors > 1 and known == "flattened"
    if flat:
        own = flattened(problem, algebra.unembed(compared))
        read = (compared * own).sum(-1)
        spread = (norms * own.square().sum(-1).sqrt() / (read * math.sqrt(width))).to(norms)
        norms = read
    tau = (z * spread).clamp_max(1.0)
    reached = (tau / spread).double() / math.sqrt(2)
    false = (problem.combinations * 0.5 * torch.special.erfc(reached)).to(tau)
    if flat:  # a few entries decide, and nothing but an equal product reaches the bar
        false = torch.where(z * spread > 1, math.nan, false)
    return Certificate(problem, compared, tau, false, norms, flat, lengths)


def in_range(embedded: Tensor, perfect: float, vectors: Tensor | None = None, *, half: bool = False) -> Tensor:
    """Vectors of a length with which one can compute: others are scaled by a power of two to about an atom's.

    Args:
        embedded: (B, E); integers stay as they are.
        perfect: the squared length of an atom.
        vectors: (B, D'), what is to be scaled. Default: the embeddings.
        half: whether they will be computed with in float16.

    Returns:
        (B, D'): the same tensor where all lengths are ordinary.
    """
    vectors = embedded if vectors is None else vectors
    if not embedded.is_floating_point():
        return vectors
    usual = math.sqrt(perfect)
    most = _ORDINARY_HALF if half or embedded.dtype == torch.float16 else _ORDINARY
    wide = torch.promote_types(embedded.dtype, torch.float32)
    norms = torch.linalg.vector_norm(embedded, dim=-1, dtype=wide)
    off = ~((norms * most >= usual) & (norms <= usual * most))
    if not bool(off.any()):
        return vectors
    x = embedded[off].double()
    peak = x.abs().amax(-1)
    peak = torch.where(peak > 0, peak, 1.0)
    length = (x / peak.unsqueeze(-1)).square().sum(-1).sqrt()
    exponent = (math.log2(usual) - peak.log2() - torch.where(length > 0, length, 1.0).log2()).round()
    first = (exponent / 2).floor()  # twice half of it: 2^1074 itself is no number
    scaled = vectors[off].to(torch.promote_types(vectors.dtype, torch.float64))
    scaled = scaled * first.exp2().unsqueeze(-1) * (exponent - first).exp2().unsqueeze(-1)
    whole = vectors.clone()
    whole[off] = scaled.to(vectors.dtype)
    return whole


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
        needed, chance = blocks_needed(problem.combinations, blocks, most / length)
        tau[here] = needed / blocks if blocks else 1.0
        false[here] = problem.combinations * chance
    return Certificate(problem, queries, tau, false)


def _peaks(queries: Tensor, length: int) -> Tensor:
    """(..., D) -> (..., K, L), bool: entries of at least half the largest of their block."""
    split = queries.unflatten(-1, (-1, length))
    return split >= 0.5 * split.amax(-1, keepdim=True)


def blocks_needed(combinations: int, blocks: int, agree: float) -> tuple[int, float]:
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
