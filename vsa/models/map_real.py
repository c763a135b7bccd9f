"""Multiply, add, permute with real vectors: Gaussian directions whose binding is the product of entries.

Reference:
    Gayler, "Multiplicative binding, representation operators and analogy", 1998; Schlegel, Neubert, Protzel, "A
    comparison of vector symbolic architectures", Artificial Intelligence Review 2022 (there MAP-C).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from .. import arithmetic
from ..algebra import Algebra
from ..laws import Embedding, Form, Laws
from . import ALGEBRAS

__all__ = ["MAPReal"]


@ALGEBRAS.register("map_real")
@dataclass(frozen=True)
class MAPReal(Algebra):
    """Multiply, add, permute with real entries.

    Atoms are random directions of norm root D. Unbinding multiplies again, which is approximate: the result has cosine
    1 / sqrt(3) with what was bound, in the limit of large D. Similarity is the inner product over D.

    Args:
        dim: D.
    """

    dim: int = 1024
    name: ClassVar[str] = "map_real"

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (Form("dense", self.dim, (torch.float32, torch.float64, torch.bfloat16, torch.float16)),)

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1.0 / self.dim, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=False,
            exact_keys="none",
            unbinding_similarity=1.0,
            unbinding_cosine=1.0 / math.sqrt(3.0),
            crosstalk_mean=0.0,
            crosstalk_std=1.0 / math.sqrt(self.dim),
            permutation_distributes=True,
            permutation_order=self.dim,
            adjoint=True,
            sign_pairs=True,
            products="flattened",
            lacks=(
                ("fractional power", "a power of a negative number is not real; use fhrr"),
                ("cyclic_base", "no power of a real vector is the identity; use permutations, or gsbc, hrr or fhrr"),
                ("quantize", "every direction is an atom; use normalize"),
                ("soft quantize", "every direction is an atom; use normalize"),
            ),
        )

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        x = torch.randn(*batch, self.dim, generator=generator, device=generator.device, dtype=wide)
        return self._normalize(x).to(dtype)

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        return torch.ones(self.dim, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _inverse(self, x: Tensor) -> Tensor:
        return x.clone()

    def _bind_all(self, vectors: Tensor) -> Tensor:
        return vectors.prod(0)

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
        powers = base.pow(count)
        return powers if arithmetic.within(count, 0, math.inf) else torch.where(base.isnan(), base, powers)

    def _normalize(self, x: Tensor) -> Tensor:
        """To norm root D. A vector of zeros stays as it is."""
        return arithmetic.to_norm(x, math.sqrt(self.dim))

    def _flatten(self, x: Tensor) -> Tensor:
        """The sign; that of 0 is +1."""
        return arithmetic.signs(x)

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return x

    def _unembed(self, e: Tensor) -> Tensor:
        return e

    def _binding_matrix(self, x: Tensor) -> Tensor:
        return torch.diag_embed(x)

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return (x.square().mean(-1) - 1).abs() <= tolerance
