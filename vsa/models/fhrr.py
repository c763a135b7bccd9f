"""Fourier holographic reduced representations: phasors, bound by adding their phases.

A vector is complex, (..., D). Its embedding is real, (..., 2D): the real parts, then the imaginary parts.

Reference:
    Plate, "Holographic reduced representation", CSLI 2003, chapter 4; Frady, Kleyko, Kymn, Olshausen, Sommer,
    "Computing on functions using randomized vector representations", 2021 (fractional powers and their kernels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from .. import arithmetic, validation
from ..algebra import Algebra
from ..laws import Embedding, Form, Laws
from . import ALGEBRAS

__all__ = ["FHRR"]


@ALGEBRAS.register("fhrr", "phasors")
@dataclass(frozen=True)
class FHRR(Algebra):
    """Fourier holographic reduced representations.

    Unbinding multiplies with the conjugate: exact for keys whose entries have magnitude one, which :meth:`random` makes
    and :meth:`normalize` restores. Similarity is the real part of the inner product over D.

    Args:
        dim: D.
    """

    dim: int = 1024
    name: ClassVar[str] = "fhrr"

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (Form("complex", self.dim, (torch.complex64, torch.complex128)),)

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=2 * self.dim, scale=1.0 / self.dim, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=False,
            exact_keys="random",
            unbinding_similarity=1.0,
            crosstalk_mean=0.0,
            crosstalk_std=math.sqrt(0.5 / self.dim),
            permutation_distributes=True,
            permutation_order=self.dim,
            adjoint=True,
            products="normal",
            lacks=(
                ("quantize", "every phase is a phase of an atom; use normalize"),
                ("soft quantize", "every phase is a phase of an atom; use normalize"),
            ),
        )

    @property
    def phases(self) -> int:
        """One for each entry."""
        return self.dim

    def from_phases(self, phases: Tensor) -> Tensor:
        """Phasors of magnitude one.

        Args:
            phases: (..., D), radians, float32 or float64.

        Returns:
            (..., D), complex.
        """
        validation.check_float(f"{self.name} from_phases", phases, self.dim)
        phases = arithmetic.widened(phases)
        return torch.polar(torch.ones_like(phases), phases)

    def cyclic_base(self, period: int, *, generator: torch.Generator) -> Tensor:
        """Phasors whose powers repeat after ``period``.

        Args:
            period: S.
            generator: the source of randomness.

        Returns:
            (D,).
        """
        validation.check_count(self.name, "period", period)
        validation.check_generator(self.name, generator)
        steps = torch.randint(period, (self.dim,), generator=generator, device=generator.device)
        return self.from_phases(steps.to(torch.get_default_dtype()) * (2 * math.pi / period))

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        shape, real = (*batch, self.dim), dtype.to_real()
        phases = torch.rand(shape, generator=generator, device=generator.device, dtype=real)
        return self.from_phases((2 * phases - 1) * math.pi)

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        return torch.ones(self.dim, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y.conj()

    def _inverse(self, x: Tensor) -> Tensor:
        return x.conj().resolve_conj()

    def _bind_all(self, vectors: Tensor) -> Tensor:
        return vectors.prod(0)

    def _negative(self, x: Tensor) -> Tensor:
        return -x

    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        return x.roll(shifts, -1)

    def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
        """On the principal branch; |exponent| of the magnitude, so that power -1 is the inverse."""
        return arithmetic.phasor_power(base, exponents, f"{self.name} power")

    def _normalize(self, x: Tensor) -> Tensor:
        """Every entry to magnitude one; 0 becomes 1."""
        size = x.abs()
        return torch.where(size == 0, 1.0, x / torch.where(size == 0, 1.0, size))

    def _similarity(self, x: Tensor, y: Tensor) -> Tensor:
        return (x.real * y.real + x.imag * y.imag).sum(-1) / self.dim

    def _similarity_to_set(self, x: Tensor, atoms: Tensor) -> Tensor:
        """Real and imaginary parts as they lie in memory are one float vector: no copy, half of a complex product."""
        a, b = (torch.view_as_real(t.resolve_conj()).flatten(-2) for t in (x, atoms))
        return a @ b.mT / self.dim

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return torch.cat((x.real, x.imag), -1)

    def _unembed(self, e: Tensor) -> Tensor:
        if e.dtype not in (torch.float32, torch.float64):
            e = e.float()
        return torch.complex(e[..., : self.dim], e[..., self.dim :])

    def _binding_matrix(self, x: Tensor) -> Tensor:
        return torch.diag_embed(x)

    def _flatten(self, x: Tensor) -> Tensor:
        """Every entry to magnitude one; 0 becomes 1."""
        size = x.abs()
        return torch.where(size == 0, 1.0, x / torch.where(size == 0, 1.0, size))

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return ((x.abs() - 1).abs() <= tolerance).all(-1)
