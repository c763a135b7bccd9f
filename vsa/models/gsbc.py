"""Generalized sparse block codes: K blocks of length L, each a distribution over its positions.

A vector is dense, (..., D) with D = K * L, non-negative blocks that sum to one; or, where every block is one-hot, in
index form: int64 positions (..., K), read modulo L. Binding is circular convolution block by block, on positions
addition. In the frequency domain (the spectral form, complex (..., K, M)) it is a product.

Reference:
    Laiho et al., "High-dimensional computing with sparse vectors", BioCAS 2015; Frady, Kleyko, Sommer, "Variable
    binding for sparse distributed representations", IEEE TNNLS 2021; Hersche et al., "Factorizers for distributed
    sparse block codes", Neurosymbolic Artificial Intelligence 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import ClassVar

import torch
from torch import Tensor

from .. import arithmetic, validation
from ..errors import DtypeError
from ..laws import Embedding, Form, Laws, Storage
from . import ALGEBRAS, _blocks
from ._spectral import Spectral, is_index

__all__ = ["GSBC"]


@ALGEBRAS.register("gsbc", "block_codes")
@dataclass(frozen=True)
class GSBC(Spectral):
    """Generalized sparse block codes.

    Binding is commutative, associative and distributes over bundling. Unbinding is circular correlation: exact when the
    key is one-hot in every block (all that :meth:`random` makes), approximate for other keys. Similarity is the inner
    product over K: 1 for equal one-hot vectors, 1/L on average for independent ones.

    Args:
        dim: D.
        blocks: K, a divisor of D.
    """

    dim: int = 1024
    blocks: int = 4
    name: ClassVar[str] = "gsbc"
    mixes_forms: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _blocks.check_geometry(self.name, self.dim, self.blocks)

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (
            Form("dense", self.dim, (torch.float32, torch.float64, torch.bfloat16, torch.float16)),
            Form("index", self.blocks, (torch.int64,)),
        )

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1.0 / self.blocks, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        chance = 1.0 / self.block_length
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=self.block_length <= 2,
            exact_keys="random",
            unbinding_similarity=1.0,
            crosstalk_mean=chance,
            crosstalk_std=math.sqrt(chance * (1.0 - chance) / self.blocks),
            permutation_distributes=True,
            permutation_order=self.blocks,
            adjoint=True,
            lacks=(("negative", "entries of a block code are not negative; give bundle a weight of -1"),),
        )

    @property
    def compact_dtype(self) -> torch.dtype:
        """Positions: int64."""
        return torch.int64

    # ------------------------------------------------------------------ index form

    def to_index(self, x: Tensor) -> Tensor:
        """Positions of the largest entry of each block.

        Args:
            x: (..., D), or (..., K) positions, which are returned modulo L.

        Returns:
            (..., K), int64 in [0, L).
        """
        self._check("to_index", x)
        return x.remainder(self.block_length) if is_index(x) else self._split(x).argmax(-1)

    def from_index(self, positions: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """One-hot blocks from positions.

        Args:
            positions: (..., K), int64, read modulo L.
            dtype: of the result. Default: torch's default dtype.

        Returns:
            (..., D).
        """
        self._check("from_index", positions)
        if not is_index(positions):
            raise DtypeError(
                f"{self.name} from_index", received=validation.describe(positions), expected=str(self.forms[1])
            )
        form = validation.form_for(self.name, "from_index", dtype, self.forms[:1])
        return self._embed(positions, dtype or validation.default_dtype(form))

    # ------------------------------------------------------------------ similarities of block codes

    def block_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Inner product block by block; similarity is its mean over blocks.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.

        Returns:
            (..., K).
        """
        self._check("block_similarity", x, y)
        if is_index(x) and is_index(y):
            same = (x - y).remainder(self.block_length) == 0
            return same.to(torch.get_default_dtype())
        if is_index(x) or is_index(y):
            dense, positions = (y, x) if is_index(x) else (x, y)
            at, poison = positions.remainder(self.block_length).unsqueeze(-1), arithmetic.poison(dense)
            found = _blocks.take(self._split(dense), at).squeeze(-1)
            return found if poison is None else torch.where(poison, torch.nan, found)
        if x.dtype in arithmetic.HALVES:
            return (self._split(x).float() * self._split(y)).sum(-1).to(x.dtype)
        return (self._split(x) * self._split(y)).sum(-1)

    def linf_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """1 - max |x - y|, the similarity of the block-code factorizer.

        Where blocks of ``x`` are non-negative and sum to one and ``y`` is one-hot, this is the least over blocks of the
        entry of ``x`` that ``y`` points at; in index form it is computed so.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.

        Returns:
            (...).

        Reference:
            Hersche et al., "Factorizers for distributed sparse block codes", 2024.
        """
        self._check("linf_similarity", x, y)
        if is_index(x) or is_index(y):
            return self.block_similarity(x, y).amin(-1)
        return 1.0 - (x - y).abs().amax(-1)

    # ------------------------------------------------------------------ the operations

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        shape = (*batch, self.blocks)
        positions = torch.randint(self.block_length, shape, generator=generator, device=generator.device)
        return positions if form.name == "index" else self._embed(positions, dtype)

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        positions = torch.zeros(self.blocks, dtype=torch.int64, device=device)
        return positions if form.name == "index" else self._embed(positions, dtype)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        if is_index(x) and is_index(y):
            return _blocks.wrap_sum(x + y, self.block_length)
        if is_index(x):
            return self._roll(y, x)
        if is_index(y):
            return self._roll(x, y)
        return self._from_spectrum(self._spectrum(x) * self._spectrum(y), x.dtype)

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        if is_index(y):
            return _blocks.wrap_sum(x - y, self.block_length) if is_index(x) else self._roll(x, -y)
        if is_index(x):
            return self._roll(self._inverse(y), x)
        return self._from_spectrum(self._spectrum(x) * self._spectrum(y).conj(), x.dtype)

    def _inverse(self, x: Tensor) -> Tensor:
        if is_index(x):
            return _blocks.wrap_sum(-x, self.block_length)
        return self._split(x).flip(-1).roll(1, -1).flatten(-2)

    def _bind_all(self, vectors: Tensor) -> Tensor:
        if is_index(vectors):
            return vectors.remainder(self.block_length).sum(0).remainder(self.block_length)
        return self._from_spectrum(reduce(torch.mul, self._spectrum(vectors).unbind(0)), vectors.dtype)

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        return super()._bundle(self._embed(vectors, None if weights is None else weights.dtype), weights)

    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        """Whole blocks move, which keeps blocks normalised and commutes with binding."""
        return x.roll(shifts, -1) if is_index(x) else self._split(x).roll(shifts, -2).flatten(-2)

    def _reorder(self, x: Tensor, order: Tensor) -> Tensor:
        return x.index_select(-1, order) if is_index(x) else self._split(x).index_select(-2, order).flatten(-2)

    def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
        """Powers of the spectrum on the principal branch; |exponent| of its magnitude, so that power -1 is the inverse.

        A fractional power of a one-hot block is real and sums to one but is not non-negative: the block is
        interpolated. For even L the highest frequency, 1/L of the energy, is the real part of its power.
        """
        length = self.block_length
        if is_index(base) and exponents.is_floating_point():
            return self._from_spectrum(_blocks.position_powers(base, exponents, length))
        if is_index(base):
            steps = exponents.to(torch.int64).remainder(length).unsqueeze(-1)
            return (base.remainder(length) * steps).remainder(length)
        spectrum = self._spectrum(base)
        powers = arithmetic.phasor_power(spectrum, exponents.unsqueeze(-1), f"{self.name} power")
        return self._from_spectrum(powers, base.dtype)

    def _normalize(self, x: Tensor) -> Tensor:
        """Negative entries go to zero; a block without mass says nothing, so it becomes uniform."""
        if is_index(x):
            return x.remainder(self.block_length)
        if x.dtype in arithmetic.HALVES:
            return self._normalize(x.float()).to(x.dtype)
        blocks = self._split(x).clamp_min(0)
        mass = blocks.sum(-1, keepdim=True)
        empty = mass <= torch.finfo(x.dtype).tiny
        shares = blocks / torch.where(empty, torch.ones_like(mass), mass)
        return torch.where(empty, torch.full_like(shares, 1.0 / self.block_length), shares).flatten(-2)

    def _quantize(self, x: Tensor) -> Tensor:
        if is_index(x):
            return self.to_index(x)
        best, at = self._split(x.detach()).max(-1, keepdim=True)
        hot = torch.zeros(*at.shape[:-1], self.block_length, dtype=x.dtype, device=x.device)
        return hot.scatter(-1, at, torch.where(best.isnan(), best, 1.0).to(x.dtype)).flatten(-2)

    def _soften(self, x: Tensor, temperature: float) -> Tensor:
        return x if is_index(x) else (self._split(x) / temperature).softmax(-1).flatten(-2)

    def _similarity(self, x: Tensor, y: Tensor) -> Tensor:
        if x.dtype in arithmetic.HALVES or y.dtype in arithmetic.HALVES:
            wide = (part if is_index(part) else part.float() for part in (x, y))
            return self._similarity(*wide).to(y.dtype if is_index(x) else x.dtype)
        if is_index(x) or is_index(y):
            return self.block_similarity(x, y).mean(-1)
        return (x * y).sum(-1) / self.blocks

    def _similarity_to_set(self, x: Tensor, atoms: Tensor) -> Tensor:
        if is_index(x) and is_index(atoms):
            return _blocks.agreement(x, atoms, self.block_length)
        return super()._similarity_to_set(x, atoms)

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        if not is_index(x):
            return x
        return _blocks.one_hot(x, self.block_length, dtype or torch.get_default_dtype()).flatten(-2)

    def _unembed(self, e: Tensor) -> Tensor:
        return e

    def _binding_matrix(self, x: Tensor) -> Tensor:
        circulant = _blocks.circulant(self._split(self._embed(x)))
        matrix = torch.zeros((*x.shape[:-1], self.dim, self.dim), dtype=circulant.dtype, device=x.device)
        for block, begin in enumerate(range(0, self.dim, self.block_length)):
            end = begin + self.block_length
            matrix[..., begin:end, begin:end] = circulant[..., block, :, :]
        return matrix

    def _storage(self, atoms: Tensor) -> Storage:
        if is_index(atoms):
            return Storage(atoms.remainder(self.block_length), "onehot_blocks", self.block_length)
        return Storage(atoms, "dense", self.block_length)

    # ------------------------------------------------------------------ values

    def check_values(self, operation: str, x: Tensor) -> None:
        super().check_values(operation, x)
        if is_index(x):
            _blocks.check_positions(self.name, operation, x, self.block_length, "to_index")

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        if is_index(x):
            return ((x >= 0) & (x < self.block_length)).all(-1)
        blocks = self._split(x)
        return ((blocks.sum(-1) - 1).abs() <= tolerance).all(-1) & (x >= -tolerance).all(-1)

    def power_base(self, *, generator: torch.Generator) -> Tensor:
        """One-hot blocks whose positions share no factor with L: their first L powers are distinct in every block.

        Args:
            generator: the source of randomness.

        Returns:
            (K,), int64.
        """
        return _blocks.unit_positions(self.block_length, self.blocks, generator)

    def cyclic_base(self, period: int, *, generator: torch.Generator) -> Tensor:
        """One-hot blocks whose powers repeat after ``period``, a divisor of L, and differ in every block before.

        Args:
            period: S.
            generator: the source of randomness.

        Returns:
            (K,), int64.
        """
        return _blocks.cyclic_positions(self.name, period, self.block_length, self.blocks, generator)

    def _power_period(self, base: Tensor) -> int | None:
        """Block k with position p repeats after L / gcd(p, L) powers, all blocks after the least common multiple."""
        if not is_index(base):
            if not bool((self._quantize(base) == base).all()):
                return None
            base = self.to_index(base)
        return _blocks.period(base, self.block_length)

    # ------------------------------------------------------------------ helpers

    def _roll(self, x: Tensor, shifts: Tensor) -> Tensor:
        """Binding with one-hot blocks: a gather is exact where transforms round."""
        return _blocks.roll(self._split(x), shifts).flatten(-2)
