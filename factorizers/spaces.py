"""Where estimates live: signs where atoms are signs, the algebra's own vectors otherwise.

A space turns queries into what it computes with, unbinds all estimates but one, and projects a superposition of atoms
back to an estimate. Reads of the codebooks stay outside, behind the backend.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from vsa import StoredMatrix

from .activations import int8_shift
from .base import Pool
from .problem import Problem

__all__ = ["NoisePool", "Signs", "Space", "Vectors", "for_problem"]

_GAIN = 32  # int8 steps of the root mean square of a query that is not bipolar


class NoisePool:
    """Normal noise drawn once and read from random places: fresh draws would cost more than the matrix products.

    Args:
        std: standard deviation; 0 makes no noise.
        size: of one read, at most.
        generator: the source of randomness.
        dtype: of what the noise is added to.
        device: where to.
    """

    def __init__(
        self, std: float, size: int, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> None:
        count = 4 * size + (1 << 20)
        noise = torch.randn(count, generator=generator, device=generator.device).mul_(std)
        self._noise = (noise if dtype.is_floating_point else noise.round_()).to(device=device, dtype=dtype)
        self._places = random.Random(int(torch.randint(2**62, (1,), generator=generator, device=generator.device)))

    def window(self, shape: tuple[int, int]) -> Tensor:
        """Noise of a shape, from a random place."""
        size = shape[0] * shape[1]
        start = self._places.randrange(self._noise.numel() - size + 1)
        return self._noise[start : start + size].view(shape)


class Space(ABC):
    """The estimates of one call.

    Args:
        problem: the codebooks.
        queries: (B, D') as the caller gave them.

    Attributes:
        unit: raw inner product of a perfect match, so that raw / unit is a similarity.
        sigma: standard deviation of a raw inner product with an unrelated atom.
    """

    unit: float
    sigma: float
    integer: bool = False  # whether exact backends are read with int8

    @abstractmethod
    def start(self, rows: Tensor, estimates: list[Tensor]) -> Pool:
        """A pool for some queries from one estimate per factor, (R, D') or (D',)."""

    @abstractmethod
    def target(self, pool: Pool, factor: int) -> Tensor:
        """(R, E): the query with all estimates but this factor's unbound, as the backend reads it."""

    @abstractmethod
    def put(self, pool: Pool, factor: int, target: Tensor, superposed: Tensor) -> None:
        """Take the projection of a superposition as the factor's estimate.

        Args:
            pool: the state.
            factor: which.
            target: what :meth:`target` gave.
            superposed: (R, E).
        """

    @abstractmethod
    def project(self, superposed: Tensor) -> Tensor:
        """(R, E) -> estimates (R, D')."""

    @abstractmethod
    def agreement(self, pool: Pool) -> Tensor:
        """(R,): similarity of the query to the product of the estimates."""

    @abstractmethod
    def put_parallel(self, pool: Pool, superposed: list[Tensor]) -> None:
        """Take the projections of one superposition (R, E) per factor as the estimates, all at once."""


class Signs(Space):
    """Bipolar estimates as int8; bits that embed to signs are such, too. Multiplication unbinds, exactly.

    The pool keeps the query multiplied by all estimates; the estimate of a factor is multiplied out again to unbind.

    Args:
        problem: the codebooks.
        queries: (B, D) bits, words, or real vectors.
        generator: of the coins that decide between +1 and -1 where a superposition is 0. None: +1.
    """

    integer = True

    def __init__(self, problem: Problem, queries: Tensor, generator: torch.Generator | None, slots: int) -> None:
        queries = problem.as_signs(queries)
        if queries.dtype != torch.int8 and bool((queries.abs() == 1).all()):
            queries = queries.to(torch.int8)
        gain = 1
        if queries.dtype != torch.int8:
            gain = _GAIN
            rms = queries.float().square().mean(-1, keepdim=True).sqrt()
            queries = (queries / rms * gain).round().clamp(-127, 127).to(torch.int8)
        width = queries.shape[-1]
        self.queries = queries
        self.unit = float(width * gain)
        self.sigma = gain * width**0.5
        self.shift = int8_shift(self.unit)
        self._coins: NoisePool | None = None
        if generator is not None:
            self._coins = NoisePool(1.0, slots * width, generator, torch.float32, queries.device)
            self._coins._noise = torch.where(self._coins._noise < 0, -1, 1).to(torch.int32)

    def start(self, rows: Tensor, estimates: list[Tensor]) -> Pool:
        product = self.queries[rows]
        pool = {}
        for factor, estimate in enumerate(estimates):
            pool[f"estimate{factor}"] = estimate.expand_as(product).contiguous()
            product = product * estimate
        pool["product"] = product
        return pool

    def target(self, pool: Pool, factor: int) -> Tensor:
        return pool["product"] * pool[f"estimate{factor}"]

    def put(self, pool: Pool, factor: int, target: Tensor, superposed: Tensor) -> None:
        estimate = self.project(superposed)
        pool["product"] = target * estimate
        pool[f"estimate{factor}"] = estimate

    def put_parallel(self, pool: Pool, superposed: list[Tensor]) -> None:
        product = pool["product"]
        for factor, values in enumerate(superposed):
            old, new = pool[f"estimate{factor}"], self.project(values)
            product = product * old * new
            pool[f"estimate{factor}"] = new
        pool["product"] = product

    def project(self, superposed: Tensor) -> Tensor:
        if superposed.dtype == torch.int32 and self._coins is not None:
            tossed = superposed.mul_(2).add_(self._coins.window(tuple(superposed.shape)))  # type: ignore[arg-type]
            return tossed.sign_().to(torch.int8)
        if self._coins is not None:
            coins = self._coins.window(tuple(superposed.shape)).to(superposed.dtype)  # type: ignore[arg-type]
            superposed = torch.where(superposed == 0, coins, superposed)
        return torch.where(superposed < 0, -1, 1).to(torch.int8)

    def agreement(self, pool: Pool) -> Tensor:
        return pool["product"].sum(-1, dtype=torch.int32) / self.unit


class Vectors(Space):
    """The algebra's own vectors and operations, whichever they are.

    Args:
        problem: the codebooks.
        queries: (B, D') as the caller gave them.
    """

    def __init__(self, problem: Problem, queries: Tensor) -> None:
        self._algebra = problem.algebra.relaxed  # a vote is hard; estimates are sums
        self._hard = problem.algebra
        dtype = problem.books[0].stored.dtype or (
            queries.dtype if queries.is_floating_point() else torch.get_default_dtype()
        )
        embedded = self._hard.embed(queries)
        embedded = embedded.to(dtype)
        self._dtype = dtype
        self.queries = self._algebra.unembed(embedded)
        norms = embedded.square().sum(-1).sqrt()
        # raw products are scaled so that a perfect match of a query of unit similarity to itself reads 1
        self.unit = problem.perfect
        self.sigma = self._algebra.laws.crosstalk_std * (1.0 / self._algebra.embedding.scale)
        offset = self._algebra.embedding.offset
        own = (self._algebra.similarity(self.queries, self.queries) - offset) / (1.0 - offset)
        self._loudness = torch.where(norms > 0, own.abs().sqrt(), torch.ones_like(norms))

    def own(self, x: Tensor) -> Tensor:
        """Vectors of the problem as the algebra of the estimates binds them with the queries.

        Args:
            x: (..., D') in any form of the problem's algebra.
        """
        alike = self._algebra == self._hard or self._algebra.block_length is not None  # positions mean the same
        mixed = self._algebra.mixes_forms and any(x.dtype in form.dtypes for form in self._algebra.forms)
        if alike and (mixed or x.dtype == self.queries.dtype):
            return x
        return self._algebra.unembed(self._hard.embed(x).to(self._dtype))

    def start(self, rows: Tensor, estimates: list[Tensor]) -> Pool:
        queries = self.queries[rows]
        pool = {f"estimate{f}": e.expand_as(queries).contiguous() for f, e in enumerate(estimates)}
        pool["query"] = queries
        pool["loudness"] = self._loudness[rows]
        return pool

    def target(self, pool: Pool, factor: int) -> Tensor:
        others = [pool[key] for key in pool if key.startswith("estimate") and key != f"estimate{factor}"]
        query = pool["query"]
        if not others:
            return self._algebra.embed(query)
        key = others[0] if len(others) == 1 else self._algebra.bind_all(torch.stack(others, -2))
        return self._algebra.embed(self._algebra.unbind(query, key)) / pool["loudness"].unsqueeze(-1)

    def put(self, pool: Pool, factor: int, target: Tensor, superposed: Tensor) -> None:
        pool[f"estimate{factor}"] = self.project(superposed)

    def put_parallel(self, pool: Pool, superposed: list[Tensor]) -> None:
        for factor, values in enumerate(superposed):
            pool[f"estimate{factor}"] = self.project(values)

    def project(self, superposed: Tensor) -> Tensor:
        return self._algebra.normalize(self._algebra.unembed(superposed.to(self._dtype)))

    def agreement(self, pool: Pool) -> Tensor:
        product = self._algebra.bind_all(torch.stack([pool[key] for key in pool if key.startswith("estimate")], -2))
        return self._algebra.cosine(pool["query"], product)


def for_problem(problem: Problem, queries: Tensor, generator: torch.Generator | None, slots: int) -> Signs | Vectors:
    """The space of a problem: signs where the algebra declares them and the codebooks hold nothing else.

    Args:
        problem: the codebooks.
        queries: (B, D').
        generator: of coins where a superposition of signs is 0; None: +1.
        slots: rows in work at once, at most.
    """
    if problem.nearly_signs:
        return Signs(problem, queries, generator, slots)
    return Vectors(problem, queries)


def reads_integers(stored: StoredMatrix, exact: bool) -> bool:
    """Whether a matrix answers int8 with exact integers."""
    return exact and stored.kind == "bipolar"
