"""The block-code factorizer: random subsets of atoms, superposed, until the right ones meet.

An estimate is a superposition of atoms, every block a distribution over its positions. Unbound from the query by the
other estimates, it is compared with one-hot atoms by the L-infinity similarity, the least of the K entries that an atom
points at. Atoms above a threshold are superposed; where none is, a random subset of A atoms is tried instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

import torch
from torch import Tensor

import vsa
from vsa import Codebook, UnsupportedError, VSAError

from . import FACTORIZERS
from .activations import random_subset
from .base import Dynamics, Iterative, Pool, Watch
from .block_rule import PUBLISHED, subset_rule, threshold_rule
from .certificate import Certificate
from .needs import BLOCKS, Need
from .resonator import check_update

__all__ = ["BlockCode", "BlockDynamics"]

_ALIVE = 4  # atoms that exceed the threshold on the mean of blocks by chance
_SHUFFLES = 64  # permutations whose windows are our random subsets


@FACTORIZERS.register("block_code")
@dataclass(eq=False)
class BlockCode(Iterative):
    """The factorizer of Hersche et al. for block codes, with subsets that follow from D, K, N and F.

    Args:
        books: F codebooks of blocks (gsbc, sbc) whose atoms are one-hot in every block.
        sample: A, atoms of a random subset; 0: none, estimates that find nothing keep all atoms. Default:
            :func:`subset_rule`.
        threshold: T, similarity up to which an atom is left out. Default: :func:`subset_rule`.
        converge: similarity from which the best atom is kept alone.
        similarity: ``"linf"``: the least block; ``"dot"``: the mean of blocks, slower, which stands a wrong block.
        update: sequential or parallel.
        restart: iterations after which a row starts again from random subsets.
        as_published: draw every subset afresh, and take soft queries as they are; else subsets are windows of 64 random
            permutations, and soft queries become ones and zeros.

    Reference:
        Hersche et al., "Factorizers for distributed sparse block codes", Neurosymbolic Artificial Intelligence 2024.
    """

    sample: int | None = field(default=None, kw_only=True)
    threshold: float | None = field(default=None, kw_only=True)
    converge: float = field(default=0.5, kw_only=True)
    similarity: str = field(default="linf", kw_only=True)
    update: str = field(default="sequential", kw_only=True)
    restart: int | None = field(default=50, kw_only=True)
    as_published: bool = field(default=False, kw_only=True)
    name: ClassVar[str] = "block_code"
    needs: ClassVar[tuple[Need, ...]] = (BLOCKS,)
    customary_algebra: ClassVar[str] = "gsbc"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_update(self.name, self.update)
        if not self.problem.positions:
            raise UnsupportedError(
                self.name,
                received="dense atoms",
                expected="one-hot atoms in index form, int64 positions",
                hint="convert them with algebra.to_index, or use in_memory",
            )
        if self.sample is not None:
            vsa.validation.check_count(self.name, "sample", self.sample, least=0)
        for name in ("threshold", "converge"):
            if name == "converge" or self.threshold is not None:
                vsa.validation.check_number(self.name, name, getattr(self, name))
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise VSAError(f"{self.name} threshold", received=self.threshold, expected="a similarity in [0, 1)")
        if not 0 < self.converge <= 1:
            raise VSAError(f"{self.name} converge", received=self.converge, expected="a similarity in (0, 1]")
        if self.similarity not in ("linf", "dot"):
            raise VSAError(f"{self.name} similarity", received=repr(self.similarity), expected="'linf' or 'dot'")

    @classmethod
    def published(
        cls, books: Sequence[Codebook], *, budget: int | None = None, seed: int = 0, slots: int = 512
    ) -> BlockCode:
        """The published dynamics, unimproved: tuned A and T, subsets drawn afresh, no restarts, a stop without check.

        Args:
            books: F codebooks of one of the published sizes.
            budget: iterations. Default: as for ours.
            seed: of a call without generator.
            slots: rows in work at once.

        Returns:
            The factorizer.

        Raises:
            VSAError: nothing was published for this size.
        """
        problem = cls(books).problem  # refuses what no block-code factorizer takes
        dim, sizes = problem.algebra.dim, problem.sizes
        size = (dim, dim // (problem.block_length or 1), len(sizes), sizes[0])
        if size not in PUBLISHED or len(set(sizes)) > 1:
            raise VSAError(
                "block_code published",
                received=f"(D, K, F, N) = {size[:3]} and {sizes}" if len(set(sizes)) > 1 else f"(D, K, F, N) = {size}",
                expected=f"one of {', '.join(map(str, PUBLISHED))}",
            )
        sample, threshold = PUBLISHED[size]
        return cls(
            books,
            sample=sample,
            threshold=threshold,
            stop="converged",
            restart=None,
            as_published=True,
            budget=budget,
            seed=seed,
            slots=slots,
        )

    def _default_budget(self) -> int:
        """Four times the customary one, at least 4,000: rows are cheap, and few need many iterations."""
        return max(4000, 4 * super()._default_budget())

    def _dynamics(self, queries: Tensor, certificate: Certificate, generator: torch.Generator) -> Dynamics:
        return BlockDynamics(self, queries, generator)


class BlockDynamics(Dynamics):
    """One call of the block-code factorizer.

    A multiply-accumulate is one entry gathered and compared, or added: N K reads and A K additions for each factor;
    D log2 L for each of two transforms, and 2 (F - 1) D for the products of spectra.

    Args:
        settings: the factorizer.
        queries: (B, K) positions or (B, D) blocks.
        generator: of subsets.
    """

    def __init__(self, settings: BlockCode, queries: Tensor, generator: torch.Generator) -> None:
        self.settings, self.problem, self.generator = settings, settings.problem, generator
        self.length = self.problem.block_length or 1
        algebra = self.problem.algebra
        dense = algebra.embed(queries)
        self._dtype = self.problem.books[0].stored.dtype or dense.dtype
        self.blocks = dense.shape[-1] // self.length
        if queries.dtype != torch.int64 and not settings.as_published:
            # Entries of at least half a block's largest become 1, others 0. Noise goes, the n peaks of a superposition
            # of n products are read as perfect matches, and a uniform block becomes all ones, which every atom matches.
            split = dense.unflatten(-1, (-1, self.length))
            dense = (split >= 0.5 * split.amax(-1, keepdim=True)).to(dense.dtype).flatten(-2)
        self.queries = dense.to(self._dtype)
        self.similarity = settings.similarity
        self.stored = [book.stored for book in self.problem.books]
        self.samples = [
            min(n, self._rule(n) if settings.sample is None else settings.sample) for n in self.problem.sizes
        ]
        self.thresholds = [self._threshold(factor) for factor in range(self.problem.factors)]
        self._windows: list[Tensor | None] = [
            None if settings.as_published or not a else self._shuffles(n)
            for a, n in zip(self.samples, self.problem.sizes, strict=True)
        ]
        reads = sum(self.problem.sizes) * self.blocks
        width = self.blocks * self.length
        each = 2 * width * max(1, round(math.log2(self.length))) + 2 * (self.problem.factors - 1) * width
        transforms = self.problem.factors * each
        self.macs_per_decode = reads + transforms
        self.macs_per_iteration = reads + sum(self.samples) * self.blocks + transforms

    # ------------------------------------------------------------------ the loop's hooks

    def start(self, rows: Tensor, attempt: int) -> Pool:
        queries = self.queries[rows]
        pool = {"query": queries if self.problem.factors == 1 else self._spectrum(queries)}
        for factor, size in enumerate(self.problem.sizes):
            weights = torch.full((1, size), 1 / size, dtype=self._dtype, device=rows.device)
            if attempt and self.samples[factor]:
                weights = self._random(factor, len(rows))
            estimate = self.stored[factor].rmatvec(weights).expand(len(rows), -1)
            pool[f"spectrum{factor}"] = self._spectrum(estimate)
        return pool

    def step(self, pool: Pool, watch: Watch | None) -> Tensor | None:
        done: Tensor | None = None
        changed: list[Tensor] = []
        for factor, stored in enumerate(self.stored):
            similarities = self.read(pool, factor)
            best, at = similarities.max(-1)
            weights = self.weigh(similarities, best, at, factor)
            if watch is not None:
                watch.read(similarities, weights)
            spectrum = self._spectrum(stored.rmatvec(weights))
            if self.settings.update == "parallel":
                changed.append(spectrum)
            else:
                pool[f"spectrum{factor}"] = spectrum
            reached = best >= self.settings.converge
            done = reached if done is None else done & reached
        for factor, spectrum in enumerate(changed):
            pool[f"spectrum{factor}"] = spectrum
        return done

    def decode(self, pool: Pool, rows: Tensor) -> tuple[Tensor, Tensor]:
        part = {key: value[rows] for key, value in pool.items()}
        reads = [self.read(part, factor).max(-1) for factor in range(self.problem.factors)]
        return torch.stack([read.indices for read in reads], -1), torch.stack([read.values for read in reads], -1)

    # ------------------------------------------------------------------ one factor

    def read(self, pool: Pool, factor: int) -> Tensor:
        """(R, N): similarities of the query, unbound by the other estimates, to every atom."""
        target = pool["query"]
        if self.problem.factors > 1:
            for other in range(self.problem.factors):
                if other != factor:
                    target = target * pool[f"spectrum{other}"].conj()
            target = torch.fft.irfft(target, n=self.length).flatten(-2).to(self._dtype)
        if self.similarity == "linf":
            return self.stored[factor].block_min(target)
        return self.stored[factor].matvec(target) / self.blocks

    def weigh(self, similarities: Tensor, best: Tensor, at: Tensor, factor: int) -> Tensor:
        """(R, N): the weights of the next superposition, which sum to one.

        Args:
            similarities: (R, N).
            best: (R,), the largest.
            at: (R,), where it is.
            factor: which.
        """
        threshold = self.threshold(similarities, factor)
        weights = torch.where(similarities > threshold, similarities, 0)
        lost = best <= (threshold.squeeze(-1) if isinstance(threshold, Tensor) else threshold)
        found = best >= self.settings.converge
        if bool(found.any()):
            rows = found.nonzero().squeeze(-1)
            weights[rows] = 0
            weights[rows, at[rows]] = 1
        if bool(lost.any()):
            rows = lost.nonzero().squeeze(-1)
            weights[rows] = self._random(factor, len(rows)) if self.samples[factor] else similarities[rows].clamp_min(0)
        total = weights.sum(-1, keepdim=True)
        return torch.where(total > 0, weights / total, 1 / weights.shape[-1])

    def threshold(self, similarities: Tensor, factor: int) -> Tensor | float:
        """T: that of the rule for the least block; for the mean of blocks, what few atoms exceed in each read."""
        if self.similarity == "linf" or self.settings.threshold is not None:
            return self.thresholds[factor]
        size = similarities.shape[-1]
        quantile = NormalDist().inv_cdf(1 - min(0.3, _ALIVE / size))
        return similarities.mean(-1, keepdim=True) + quantile * similarities.std(-1, keepdim=True, correction=0)

    # ------------------------------------------------------------------ helpers

    def _rule(self, size: int) -> int:
        return subset_rule(size, self.problem.factors, self.blocks, self.length)[0]

    def _threshold(self, factor: int) -> float:
        """T of one factor: what is given, else by the hits that the subsets of the others leave."""
        if self.settings.threshold is not None:
            return self.settings.threshold
        products = math.prod(max(1, a) for other, a in enumerate(self.samples) if other != factor)
        return threshold_rule(self.problem.sizes[factor], self.samples[factor], products, self.blocks, self.length)

    def _random(self, factor: int, rows: int) -> Tensor:
        """(R, N): equal weights on a random subset."""
        size, count, device = self.problem.sizes[factor], self.samples[factor], self.queries.device
        windows = self._windows[factor]
        if windows is None:
            chosen = random_subset(rows, size, count, self.generator, device)
        else:
            draw = torch.randint(_SHUFFLES * size, (rows, 1), generator=self.generator, device=self.generator.device)
            draw = draw.to(device)
            chosen = windows[draw // size, draw % size + torch.arange(count, device=device)]
        return torch.zeros(rows, size, dtype=self._dtype, device=device).scatter_(1, chosen, 1 / count)

    def _shuffles(self, size: int) -> Tensor:
        """(64, 2 N): random permutations, each written twice so that windows wrap around."""
        keys = torch.rand(_SHUFFLES, size, generator=self.generator, device=self.generator.device)
        return keys.argsort(-1).repeat(1, 2).to(self.queries.device)

    def _spectrum(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x.unflatten(-1, (-1, self.length)).to(_transformed(x.dtype)))


def _transformed(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype in (torch.float32, torch.float64) else torch.float32
