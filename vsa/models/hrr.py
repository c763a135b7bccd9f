"""Holographic reduced representations: real vectors of norm one that are bound by circular convolution.

Transforms run in float32 where the vectors are in a lower precision.

Reference:
    Plate, "Holographic reduced representations", IEEE Transactions on Neural Networks 1995.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import ClassVar

import torch
from torch import Tensor

from .. import arithmetic, validation
from ..algebra import Algebra
from ..laws import Embedding, Form, Laws
from . import ALGEBRAS, _blocks

__all__ = ["HRR"]


@ALGEBRAS.register("hrr")
@dataclass(frozen=True)
class HRR(Algebra):
    """Holographic reduced representations.

    Unbinding is circular correlation: exact for unitary keys (all frequencies of magnitude one, see :meth:`unitary`),
    else approximate; for random keys the result has cosine 1 / sqrt(2) with what was bound, in the limit of large D.
    Similarity is the inner product.

    Args:
        dim: D.
    """

    dim: int = 1024
    name: ClassVar[str] = "hrr"

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (Form("dense", self.dim, (torch.float32, torch.float64, torch.bfloat16, torch.float16)),)

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1.0, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=False,
            exact_keys="none",
            unbinding_similarity=1.0,
            unbinding_cosine=1.0 / math.sqrt(2.0),
            crosstalk_mean=0.0,
            crosstalk_std=1.0 / math.sqrt(self.dim),
            permutation_distributes=False,
            permutation_order=self.dim,
            adjoint=True,
            sign_pairs=True,
            products="flattened",
            lacks=(
                ("quantize", "every direction is an atom; use normalize, or unitary for exact unbinding"),
                ("soft quantize", "every direction is an atom; use normalize"),
            ),
        )

    # ------------------------------------------------------------------ unitary vectors

    def unitary(self, x: Tensor) -> Tensor:
        """The nearest vector whose frequencies all have magnitude one: as a key it is unbound exactly.

        Args:
            x: (..., D).

        Returns:
            (..., D), of norm one.
        """
        self._check("unitary", x)
        return self._flatten(x)

    def power_base(self, *, generator: torch.Generator) -> Tensor:
        """A random unitary vector: its powers keep their norm. The constant and the highest frequency are 1."""
        return self.from_phases(torch.pi * (2 * self._draw(generator) - 1))

    def cyclic_base(self, period: int, *, generator: torch.Generator) -> Tensor:
        """A unitary vector whose powers repeat after ``period``.

        Args:
            period: S.
            generator: the source of randomness.

        Returns:
            (D,).
        """
        validation.check_count(self.name, "period", period)
        return self.from_phases(2 * torch.pi / period * (self._draw(generator) * period).floor())

    @property
    def phases(self) -> int:
        """One for each frequency of the half spectrum."""
        return self.dim // 2 + 1

    def from_phases(self, phases: Tensor) -> Tensor:
        """A unitary vector from the phases of its frequencies.

        Args:
            phases: (..., D // 2 + 1), radians. Those of the constant, and for even D of the highest frequency, are read
                as 0, for they would not be real.

        Returns:
            (..., D).
        """
        validation.check_float(f"{self.name} from_phases", phases, self.phases)
        free = torch.ones(self.phases, dtype=phases.dtype, device=phases.device)
        free[0] = 0
        if self.dim % 2 == 0:
            free[-1] = 0
        angle = arithmetic.widened(phases * free)
        return self._back(torch.polar(torch.ones_like(angle), angle), phases.dtype)

    # ------------------------------------------------------------------ the operations

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        x = torch.randn(*batch, self.dim, generator=generator, device=generator.device, dtype=wide)
        return self._normalize(x).to(dtype)

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        e = torch.zeros(self.dim, dtype=dtype, device=device)
        e[0] = 1
        return e

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return self._back(_blocks.spectrum(x) * _blocks.spectrum(y), x.dtype)

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return self._back(_blocks.spectrum(x) * _blocks.spectrum(y).conj(), x.dtype)

    def _inverse(self, x: Tensor) -> Tensor:
        return x.flip(-1).roll(1, -1)

    def _bind_all(self, vectors: Tensor) -> Tensor:
        return self._back(reduce(torch.mul, _blocks.spectrum(vectors).unbind(0)), vectors.dtype)

    def _negative(self, x: Tensor) -> Tensor:
        return -x

    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        return x.roll(shifts, -1)

    def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
        """Powers of the spectrum on the principal branch; |exponent| of its magnitude, so that power -1 is the inverse.

        Where the constant or, for even D, the highest frequency is negative, its fractional power is the real part.
        """
        s = _blocks.spectrum(base)
        return self._back(arithmetic.phasor_power(s, exponents, f"{self.name} power"), base.dtype)

    def _normalize(self, x: Tensor) -> Tensor:
        """To norm one. A vector of zeros stays as it is."""
        return arithmetic.to_norm(x, 1.0)

    def _flatten(self, x: Tensor) -> Tensor:
        """Every frequency to magnitude one; 0 becomes 1."""
        s = _blocks.spectrum(x)
        size = s.abs()
        return self._back(torch.where(size == 0, 1.0, s / torch.where(size == 0, 1.0, size)), x.dtype)

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return x

    def _unembed(self, e: Tensor) -> Tensor:
        return e

    def _binding_matrix(self, x: Tensor) -> Tensor:
        return _blocks.circulant(x)

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return (x.square().sum(-1) - 1).abs() <= tolerance

    def _back(self, spectrum: Tensor, dtype: torch.dtype) -> Tensor:
        return _blocks.from_spectrum(spectrum, self.dim).to(dtype)

    def _draw(self, generator: torch.Generator) -> Tensor:
        validation.check_generator(self.name, generator)
        dtype = torch.get_default_dtype()
        return torch.rand(self.dim // 2 + 1, generator=generator, device=generator.device, dtype=dtype)
