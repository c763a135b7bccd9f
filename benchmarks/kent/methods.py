"""The alternatives to the resonator that Kent et al. compare it with, on the same loop and the same certificate.

All of them change coefficients w of the atoms: an estimate is x = w A, the product of the estimates should be the query
s. With o the product of the other factors' estimates, the gradient of the inner product <s, x o> with respect to w is
A (s o); that of the squared error is A (o (s - x o)).

Reference:
    Kent, Frady, Sommer, Olshausen, "Resonator networks, 2: factorization performance and capacity compared to
    optimization-based methods", Neural Computation 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from factorizers.base import Dynamics, Iterative, Pool, Watch
from factorizers.certificate import Certificate
from factorizers.problem import Problem
from vsa import VSAError

__all__ = ["METHODS", "Alternative"]

Update = Callable[["_Coefficients", Pool, int], Tensor]


def alternating_least_squares(state: _Coefficients, pool: Pool, factor: int) -> Tensor:
    """w minimises || s - (w A) o ||, a ridge of 1e-3 keeps it solvable."""
    atoms, others = state.atoms[factor], state.others(pool, factor)
    scaled = atoms * others.unsqueeze(-2)  # (R, N, D)
    gram = scaled @ scaled.mT
    ridge = 1e-3 * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * torch.eye(len(atoms))
    return torch.linalg.solve(gram + ridge, scaled @ pool["query"].unsqueeze(-1)).squeeze(-1)


def projected_gradient(state: _Coefficients, pool: Pool, factor: int) -> Tensor:
    """A gradient step on the inner product, back to the simplex."""
    return simplex(pool[f"w{factor}"] + 0.01 * state.gradient(pool, factor))


def iterative_soft_thresholding(state: _Coefficients, pool: Pool, factor: int) -> Tensor:
    """A gradient step on the squared error with step 1 / L, then shrinkage, which an L1 penalty asks for."""
    atoms, others = state.atoms[factor], state.others(pool, factor)
    residual = pool["query"] - (pool[f"w{factor}"] @ atoms) * others
    # The spectral norm of the scaled atoms is at most that of the atoms times the largest other entry.
    lipschitz = state.norms[factor] * others.square().amax(-1, keepdim=True).clamp_min(1e-6)
    moved = pool[f"w{factor}"] + ((residual * others) @ atoms.mT) / lipschitz
    return moved.sign() * (moved.abs() - 0.01 * atoms.shape[-1] / lipschitz).clamp_min(0)


def multiplicative_weights(state: _Coefficients, pool: Pool, factor: int) -> Tensor:
    """Weights times 1 + eta gradient over its largest magnitude, normalised to sum one."""
    gradient = state.gradient(pool, factor)
    scaled = gradient / gradient.abs().amax(-1, keepdim=True).clamp_min(1e-12)
    grown = pool[f"w{factor}"] * (1 + 0.3 * scaled)
    return grown / grown.sum(-1, keepdim=True).clamp_min(1e-12)


def map_seeking(state: _Coefficients, pool: Pool, factor: int) -> Tensor:
    """Weights fall by how far their match is below the best: w - 0.1 (1 - match / best), not below 0."""
    gradient = state.gradient(pool, factor)
    best = gradient.amax(-1, keepdim=True)
    share = torch.where(best > 0, gradient / best, torch.ones_like(gradient))
    return (pool[f"w{factor}"] - 0.1 * (1 - share)).clamp_min(0)


METHODS: dict[str, Update] = {
    "alternating_least_squares": alternating_least_squares,
    "projected_gradient": projected_gradient,
    "iterative_soft_thresholding": iterative_soft_thresholding,
    "multiplicative_weights": multiplicative_weights,
    "map_seeking": map_seeking,
}


@dataclass(eq=False)
class Alternative(Iterative):
    """One of ``METHODS`` for bipolar codebooks.

    Args:
        method: its name.
    """

    method: str = field(default="alternating_least_squares", kw_only=True)
    name: ClassVar[str] = "alternative"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise VSAError("alternative method", received=self.method, expected=f"one of {', '.join(METHODS)}")

    def _dynamics(self, queries: Tensor, certificate: Certificate, generator: torch.Generator) -> Dynamics:
        return _Coefficients(self.problem, queries, METHODS[self.method], float(certificate.tau.min()))


class _Coefficients(Dynamics):
    def __init__(self, problem: Problem, queries: Tensor, update: Update, converge: float) -> None:
        self.problem, self.update, self.converge = problem, update, converge
        self.queries = problem.algebra.embed(queries).float()
        self.atoms = [problem.algebra.embed(book.atoms).float() for book in problem.books]
        self.norms = [float(torch.linalg.matrix_norm(atoms, 2)) ** 2 for atoms in self.atoms]
        width = self.atoms[0].shape[-1]
        self.macs_per_decode = sum(problem.sizes) * width
        per_atom = [n * n * width if update is alternating_least_squares else 2 * n * width for n in problem.sizes]
        self.macs_per_iteration = sum(per_atom)

    def start(self, rows: Tensor, attempt: int) -> Pool:
        pool = {"query": self.queries[rows]}
        for factor, atoms in enumerate(self.atoms):
            # Map-seeking begins with all maps full on; weights on the simplex begin uniform.
            level = 1.0 if self.update is map_seeking else 1 / len(atoms)
            pool[f"w{factor}"] = torch.full((len(rows), len(atoms)), level)
            pool[f"x{factor}"] = pool[f"w{factor}"] @ atoms
        return pool

    def step(self, pool: Pool, watch: Watch | None) -> Tensor | None:
        best = None
        for factor, atoms in enumerate(self.atoms):
            weights = self.update(self, pool, factor)
            pool[f"w{factor}"] = weights
            # Only the direction of an estimate counts; the scale of one would otherwise be lost in another.
            estimate = weights @ atoms
            norm = estimate.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-12)
            pool[f"x{factor}"] = estimate / norm if self.update is not iterative_soft_thresholding else estimate
            share = weights.abs().amax(-1) / weights.abs().sum(-1).clamp_min(1e-12)
            best = share if best is None else torch.minimum(best, share)
            if watch is not None:
                watch.read(weights, weights)
        return None if best is None else best > 0.5

    def decode(self, pool: Pool, rows: Tensor) -> tuple[Tensor, Tensor]:
        top = [pool[f"w{factor}"][rows].abs().max(-1) for factor in range(self.problem.factors)]
        return torch.stack([t.indices for t in top], -1), torch.stack([t.values for t in top], -1)

    def others(self, pool: Pool, factor: int) -> Tensor:
        """(R, D): the product of the other estimates."""
        product = torch.ones_like(pool["query"])
        for other in range(self.problem.factors):
            if other != factor:
                product = product * pool[f"x{other}"]
        return product

    def gradient(self, pool: Pool, factor: int) -> Tensor:
        """(R, N): of the inner product, as a similarity."""
        return (pool["query"] * self.others(pool, factor)) @ self.atoms[factor].mT / pool["query"].shape[-1]


def simplex(x: Tensor) -> Tensor:
    """The nearest point of the simplex, row by row: all entries less a level, not below 0, sum one."""
    ordered = x.sort(-1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    ranks = torch.arange(1, x.shape[-1] + 1)
    support = (ordered * ranks > excess).sum(-1, keepdim=True)
    level = excess.gather(-1, support - 1) / support
    return (x - level).clamp_min(0)
