"""The in-memory factorizer: noise and a threshold take the resonator out of its limit cycles.

A threshold leaves a few atoms alive by chance; noise changes which. The estimate wanders over superpositions of few
atoms until the right ones meet, and stays there. On analog hardware the reads themselves are the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar, Literal

import torch
from torch import Tensor

import vsa
from vsa import Codebook, VSAError

from . import FACTORIZERS
from .activations import hard_threshold, int8_threshold_
from .base import Dynamics, Iterative, Pool, Watch
from .certificate import Certificate
from .needs import ADJOINT, SUMS, Need
from .problem import Problem, drawn_seed
from .resonator import ResonatorDynamics, Update, check_similarity, check_update, examine_from
from .spaces import NoisePool, Signs, Vectors, for_problem

__all__ = ["PUBLISHED", "InMemory", "alive_atoms", "chance_threshold", "noise_level"]

NoiseFrom = Literal["activation", "columns", "reads"]

# Langenegger et al. 2023, released code: standard deviation of the noise on similarities, by dimension.
PUBLISHED_NOISE = {256: 0.0136, 512: 0.0107, 1024: 0.008, 2048: 0.0058, 6144: 0.003}
# threshold in simulation and on the chip at D = N = 256, the second noise, and where the released code stops
PUBLISHED = {"threshold": 0.136, "chip_threshold": 0.1495, "second_noise": 0.001, "converge": 0.6}


@FACTORIZERS.register("in_memory")
@dataclass(eq=False)
class InMemory(Iterative):
    """The stochastic factorizer of Langenegger et al., with a threshold and a noise that follow from D and N.

    Args:
        books: F codebooks of one algebra.
        threshold: similarity below which an atom is left out of the superposition. Default:
            :func:`chance_threshold`.
        noise: standard deviation of the noise on similarities, in units of the crosstalk's. 0: none. Default:
            :func:`noise_level`.
        noise_from: ``"activation"``: drawn; ``"columns"``: read from as many extra random atoms as the codebook has, as
            an array with spare columns would; ``"reads"``: none is added, for a backend with noise of its own.
        update: sequential or parallel.
        converge: similarity of the last factor's best atom from which an answer is examined. Default: the
            certificate's tau.
        restart: iterations after which a row starts again from a random place. The search forgets what it did within
            some ten iterations, so it costs little and frees rows that are caught.
        second_noise: standard deviation of a second noise, on the weights after the threshold, as published.
        as_published: see :meth:`published`.

    Reference:
        Langenegger et al., "In-memory factorization of holographic perceptual representations", Nature
        Nanotechnology 2023.
    """

    threshold: float | None = field(default=None, kw_only=True)
    noise: float | None = field(default=None, kw_only=True)
    noise_from: NoiseFrom = field(default="activation", kw_only=True)
    update: Update = field(default="sequential", kw_only=True)
    converge: float | None = field(default=None, kw_only=True)
    restart: int | None = field(default=50, kw_only=True)
    second_noise: float = field(default=0.0, kw_only=True)
    as_published: bool = field(default=False, kw_only=True)
    name: ClassVar[str] = "in_memory"
    needs: ClassVar[tuple[Need, ...]] = (ADJOINT, SUMS)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_update(self.name, self.update)
        if self.noise_from not in ("activation", "columns", "reads"):
            raise VSAError(
                f"{self.name} noise_from", received=repr(self.noise_from), expected="activation, columns or reads"
            )
        if self.noise is None:
            self.noise = noise_level(self.problem.combinations)
        for name in ("noise", "second_noise"):
            vsa.validation.check_number(self.name, name, getattr(self, name))
            if not 0 <= getattr(self, name) < math.inf:
                raise VSAError(f"{self.name} {name}", received=getattr(self, name), expected="a number, not negative")
        for name in ("threshold", "converge"):
            check_similarity(self.name, name, getattr(self, name))

    @classmethod
    def published(
        cls,
        books: Sequence[Codebook],
        *,
        budget: int | None = None,
        noise: float | None = None,
        seed: int = 0,
        slots: int = 512,
        threshold: float | None = None,
    ) -> InMemory:
        """The released dynamics, unimproved: fresh noise, a second noise after the threshold, a stop without check.

        Args:
            books: F bipolar codebooks.
            budget: iterations. Default: N^(F-1)/F.
            noise: standard deviation on similarities, absolute. Default: the released value of the nearest dimension.
            seed: of a call without generator.
            slots: rows in work at once.
            threshold: on similarities. Default: the released one where D = N = 256, else :func:`chance_threshold`.

        Returns:
            The factorizer.
        """
        dim = books[0].algebra.dim
        released = noise if noise is not None else PUBLISHED_NOISE[min(PUBLISHED_NOISE, key=lambda d: abs(d - dim))]
        sizes = [len(book) for book in books]
        if threshold is None and dim == 256 and set(sizes) == {256}:
            threshold = PUBLISHED["threshold"]
        return cls(
            books,
            threshold=threshold,
            noise=released * math.sqrt(dim),
            second_noise=PUBLISHED["second_noise"],
            converge=PUBLISHED["converge"],
            stop="converged",
            as_published=True,
            restart=None,
            seed=seed,
            slots=slots,
            budget=budget if budget is not None else max(1, math.prod(sizes) // max(sizes) // len(sizes)),
        )

    def _dynamics(self, queries: Tensor, certificate: Certificate, generator: torch.Generator) -> Dynamics:
        space = for_problem(self.problem, queries, None if self.as_published else generator, self.slots)
        kind = _Published if self.as_published else _Stochastic
        return kind(self, space, generator, examine_from(self.converge, certificate))


class _Stochastic(ResonatorDynamics):
    """Ours: noise from a pool, int8 weights, random signs where nothing survives."""

    def __init__(self, settings: InMemory, space: Signs | Vectors, generator: torch.Generator, converge: float) -> None:
        super().__init__(settings.problem, space, generator, converge=converge, update=settings.update)
        problem = settings.problem
        chosen = settings.threshold
        self._thresholds = [
            (chosen if chosen is not None else chance_threshold(problem, size)) * space.unit for size in problem.sizes
        ]
        self._noise: NoisePool | None = None
        self._columns: list[Codebook] = []
        if settings.noise and settings.noise_from == "activation":
            dtype = torch.int32 if all(self.integer) else self._float
            largest = max(problem.sizes) * settings.slots
            self._noise = NoisePool(settings.noise * space.sigma, largest, generator, dtype, problem.device)
        elif settings.noise and settings.noise_from == "columns":
            self._columns = [_random_columns(problem, factor, generator) for factor in range(problem.factors)]
            self.macs_per_iteration += sum(problem.sizes) * problem.algebra.embedding.width
        self._scale = settings.noise or 0.0

    def read(self, factor: int, target: Tensor) -> Tensor:
        similarities = super().read(factor, target)
        if self._columns:
            stored = self._columns[factor].stored
            extra = stored.matvec(target if self.integer[factor] else self._as_float(target))
            # Spare atoms read N(0, sigma^2): a part of it is the noise.
            similarities = similarities + (extra * self._scale).to(similarities.dtype)
        return similarities

    def activate(self, similarities: Tensor, factor: int) -> Tensor:
        if self._noise is not None:
            similarities += self._noise.window(tuple(similarities.shape))  # type: ignore[arg-type]
        threshold = self._thresholds[factor]
        if isinstance(self.space, Signs) and self.integer[factor]:
            return int8_threshold_(similarities, max(1, math.ceil(threshold)), self.space.shift)
        return hard_threshold(similarities, threshold) / self.space.unit


class _Published(ResonatorDynamics):
    """The released dynamics: fresh noise, a second one after the threshold, the answer where any factor converges."""

    def __init__(self, settings: InMemory, space: Signs | Vectors, generator: torch.Generator, converge: float) -> None:
        super().__init__(settings.problem, space, generator, converge=converge, update=settings.update)
        problem = settings.problem
        drawn = settings.noise or 0.0
        self._noise = drawn * space.sigma / space.unit if settings.noise_from == "activation" else 0.0
        self._second = settings.second_noise
        chosen = settings.threshold
        self._thresholds = [chosen if chosen is not None else chance_threshold(problem, n) for n in problem.sizes]

    def start(self, rows: Tensor, attempt: int) -> Pool:
        pool = super().start(rows, attempt)
        pool["answer"] = torch.zeros(len(rows), self.problem.factors, dtype=torch.int64, device=rows.device)
        pool["read"] = torch.zeros(len(rows), self.problem.factors, device=rows.device)
        pool["best"] = torch.zeros(len(rows), device=rows.device)
        return pool

    def step(self, pool: Pool, watch: Watch | None) -> Tensor | None:
        self._pool = pool
        pool["best"].zero_()
        super().step(pool, watch)
        return pool["best"] > self.converge / self.space.unit

    def activate(self, similarities: Tensor, factor: int) -> Tensor:
        values = self._as_float(similarities) / self.space.unit
        if self._noise:
            values = values + self._draw(values, self._noise)
        kept = hard_threshold(values, self._thresholds[factor])
        weights = kept + self._draw(kept, self._second) if self._second else kept
        strongest = weights.abs().max(-1)
        self._pool["answer"][:, factor] = strongest.indices
        self._pool["read"][:, factor] = values.gather(-1, strongest.indices.unsqueeze(-1)).squeeze(-1).float()
        self._pool["best"] = torch.maximum(self._pool["best"], values.amax(-1).float())
        return weights

    def decode(self, pool: Pool, rows: Tensor) -> tuple[Tensor, Tensor]:
        return pool["answer"][rows], pool["read"][rows]

    def _draw(self, like: Tensor, std: float) -> Tensor:
        noise = torch.randn(like.shape, generator=self.generator, device=self.generator.device)
        return noise.mul_(std).to(like)


def chance_threshold(problem: Problem, size: int) -> float:
    """The similarity above which few of N unrelated atoms stay alive by chance.

    Args:
        problem: the codebooks.
        size: N.

    Returns:
        crosstalk mean + std * PPF(1 - k / N), with the number k of :func:`alive_atoms`; the offset of an embedding is
        taken off, for it is no part of a read.

    Reference:
        The rule gives .135 at D = N = 256 and F = 3, where Langenegger et al. tuned .136.
    """
    laws = problem.algebra.laws
    std = laws.crosstalk_std / (1.0 - problem.algebra.embedding.offset)
    alive = alive_atoms(size, problem.factors, std)
    return problem.over_perfect(laws.crosstalk_mean) + std * _quantile(alive, size)


def alive_atoms(size: int, factors: int, sigma: float) -> float:
    """How many atoms of a factor may be superposed so that the right one is still read.

    An estimate that superposes k atoms, the right one among them, resembles it by sqrt(2 / (pi k)). Where this holds
    for all other factors, the right atom is read at the power F - 1 of it. That must exceed the threshold, which k of N
    unrelated atoms exceed, by a margin. More atoms alive means a faster search, until the margin is spent.

    Args:
        size: N.
        factors: F.
        sigma: standard deviation of the crosstalk.

    Returns:
        k, at most N / 2; with three factors and more at most 4 (D / 256)^(1/4).
    """
    # Margins in standard deviations, and the limit of what helps with three factors and more: measured on other seeds
    # than the benchmarks'.
    margin = 2.0 if factors <= 2 else 0.4
    most = size / 2 if factors <= 2 else min(size / 2, 4 * (256 * sigma**2) ** -0.25)
    alive = 1.0
    while alive * 1.02 < most:
        read = math.sqrt(2 / (math.pi * alive * 1.02)) ** (factors - 1) / sigma
        if read < _quantile(alive * 1.02, size) + margin:
            break
        alive *= 1.02
    return min(alive, most)


def _quantile(alive: float, size: int) -> float:
    return NormalDist().inv_cdf(1 - alive / size) if 2 * alive < size else 0.0


def noise_level(combinations: int) -> float:
    """The noise on similarities, in units of the crosstalk's standard deviation.

    Small searches get out of their dead ends with much noise; large ones, whose basins are narrow, are disturbed by it.

    Args:
        combinations: size of the search space.

    Returns:
        .45 up to 1e6 combinations, .2 from 1.8e7 on, linear in the logarithm between.

    Reference:
        Tuned at D = 256 and 512, F = 2 to 4, on codebooks of other seeds than those of the benchmarks. The published
        values are .22 to .26.
    """
    return min(0.45, max(0.2, 0.45 - 0.2 * (math.log10(combinations) - 6)))


def _random_columns(problem: Problem, factor: int, generator: torch.Generator) -> Codebook:
    """As many atoms as a codebook has, unrelated to it."""
    book = problem.books[factor]
    atoms = problem.algebra.random(len(book), generator=generator, dtype=book.atoms.dtype, device=problem.device)
    return Codebook(problem.algebra, atoms, backend=book.backend, seed=drawn_seed(book, generator), unrelated=False)
