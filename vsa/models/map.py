"""Multiply, add, permute with bipolar vectors: binding is the product of entries, so every atom is its own inverse.

A vector is dense, (..., D) float, or, where all entries are +1 or -1, int8. Bundles of int8 vectors are floats: a sum
never overflows.

Reference:
    Gayler, "Multiplicative binding, representation operators and analogy", 1998; Kanerva, "Hyperdimensional
    computing", Cognitive Computation 2009.
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
from ..errors import UnsupportedError, VSAError
from ..laws import Embedding, Form, Laws, Storage
from . import ALGEBRAS

__all__ = ["MAP"]


@ALGEBRAS.register("map", "bipolar")
@dataclass(frozen=True)
class MAP(Algebra):
    """Multiply, add, permute: entries +1 and -1.

    Unbinding is binding; it is exact for bipolar keys, which :meth:`random` makes and :meth:`quantize` restores.
    Similarity is the inner product over D.

    Args:
        dim: D.
    """

    dim: int = 1024
    name: ClassVar[str] = "map"
    mixes_forms: ClassVar[bool] = True

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (
            Form("dense", self.dim, (torch.float32, torch.float64, torch.bfloat16, torch.float16)),
            Form("bipolar", self.dim, (torch.int8,)),
        )

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1.0 / self.dim, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=True,
            exact_keys="random",
            unbinding_similarity=1.0,
            crosstalk_mean=0.0,
            crosstalk_std=1.0 / math.sqrt(self.dim),
            permutation_distributes=True,
            permutation_order=self.dim,
            adjoint=True,
            signs=True,
            sign_pairs=True,
            products="normal",
            lacks=(("fractional power", "a power of -1 between the integers is not real; use fhrr"),),
        )

    @property
    def compact_dtype(self) -> torch.dtype:
        """Signs: int8."""
        return torch.int8

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        shape = (*batch, self.dim)
        bits = torch.randint(2, shape, generator=generator, device=generator.device, dtype=torch.int8)
        return bits.mul_(-2).add_(1).to(dtype)

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        return torch.ones(self.dim, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _inverse(self, x: Tensor) -> Tensor:
        return x.clone()

    def _bind_all(self, vectors: Tensor) -> Tensor:
        return vectors.prod(0, dtype=vectors.dtype)

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        return super()._bundle(self._embed(vectors, None if weights is None else weights.dtype), weights)

    def _negative(self, x: Tensor) -> Tensor:
        return -x

    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        return x.roll(shifts, -1)

    def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
        if exponents.is_floating_point():
            if not bool((exponents == exponents.round()).all()):
                self._refuse("fractional power")
            exponents = exponents.to(torch.int64)
        count = exponents.abs().unsqueeze(-1)
        if not base.is_floating_point():
            return torch.where(count % 2 == 1, base, 1)
        powers = base.pow(count).to(base.dtype)
        return powers if arithmetic.within(count, 0, math.inf) else torch.where(base.isnan(), base, powers)

    def _normalize(self, x: Tensor) -> Tensor:
        """To the norm of an atom, the root of D. A vector of zeros stays as it is."""
        if x.dtype == torch.int8:
            return x.clone()
        return arithmetic.to_norm(x, math.sqrt(self.dim))

    def _quantize(self, x: Tensor) -> Tensor:
        """The sign; that of 0 is +1."""
        return arithmetic.signs(x)

    def _soften(self, x: Tensor, temperature: float) -> Tensor:
        return x.clone() if x.dtype == torch.int8 else torch.tanh(x / temperature)

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return x.to(dtype or torch.get_default_dtype()) if x.dtype == torch.int8 else x

    def _unembed(self, e: Tensor) -> Tensor:
        return e

    def _binding_matrix(self, x: Tensor) -> Tensor:
        return torch.diag_embed(self._embed(x))

    def _storage(self, atoms: Tensor) -> Storage:
        return Storage(atoms, "bipolar" if atoms.dtype == torch.int8 else "dense")

    def check_values(self, operation: str, x: Tensor) -> None:
        super().check_values(operation, x)
        if x.dtype == torch.int8 and x.numel() and not validation.are_signs(x):
            raise VSAError(
                f"{self.name} {operation}",
                received=f"int8 entries from {int(x.min())} to {int(x.max())}",
                expected="+1 and -1 only",
                hint="keep sums in a float form, or take their sign with quantize",
            )

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        if x.dtype == torch.int8:
            return (x.abs() == 1).all(-1)
        return (x.square().mean(-1) - 1).abs() <= tolerance

    def _power_period(self, base: Tensor) -> int | None:
        if bool((base == 1).all()):
            return 1
        return 2 if bool((base.abs() == 1).all()) else None

    def cyclic_base(self, period: int, *, generator: torch.Generator) -> Tensor:
        validation.check_count(self.name, "period", period)
        if period != 2:
            raise UnsupportedError(
                f"{self.name} cyclic_base",
                received=f"period {period}",
                expected="period 2, for an atom bound with itself is the identity",
                hint="use permutations, or gsbc, hrr or fhrr",
            )
        return self.random(generator=generator)
