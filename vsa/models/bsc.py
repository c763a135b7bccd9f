"""Binary spatter codes: bits, bound by exclusive or and bundled by majority.

A vector is boolean, (..., D), or packed, int64 words (..., W) of 64 bits: an eighth of the memory of booleans. Its
embedding is +1 for a 0 and -1 for a 1, so that similarity is 1 - 2 h / D at Hamming distance h.

Reference:
    Kanerva, "Fully distributed representation", 1997.
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
from . import ALGEBRAS, _bits, _votes, get

__all__ = ["BSC"]


@ALGEBRAS.register("bsc", "spatter_codes")
@dataclass(frozen=True)
class BSC(Algebra):
    """Binary spatter codes.

    Every vector is its own inverse. A bundle is the weighted majority, bit by bit; a tie is decided by a hash of the
    votes, so that nothing is drawn, the order of the vectors does not matter, and bundles of bundles keep all members.

    Args:
        dim: D.
    """

    dim: int = 1024
    name: ClassVar[str] = "bsc"
    mixes_forms: ClassVar[bool] = True
    settles: ClassVar[bool] = True

    @property
    def relaxed(self) -> Algebra:
        """Signs that multiply: map, whose sums stay sums."""
        return get("map", dim=self.dim)

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (
            Form("bits", self.dim, (torch.bool,)),
            Form("packed", _bits.words_for(self.dim), (torch.int64,)),
        )

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1.0 / self.dim, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        embed = "it is no linear map of bits; embed first, where binding is that of map"
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=True,
            exact_keys="all",
            unbinding_similarity=1.0,
            crosstalk_mean=0.0,
            crosstalk_std=1.0 / math.sqrt(self.dim),
            permutation_distributes=True,
            permutation_order=self.dim,
            adjoint=True,
            signs=True,
            sign_pairs=True,
            products="normal",
            linear=False,
            lacks=(
                ("fractional power", "there is nothing between two bits; use fhrr"),
                ("binding_matrix", embed),
                ("soft quantize", "bits have no gradient; use map"),
            ),
        )

    # ------------------------------------------------------------------ packed form

    def pack(self, x: Tensor) -> Tensor:
        """Bits to words.

        Args:
            x: (..., D) bits, or words, which are returned.

        Returns:
            (..., W), int64; bits beyond D are 0.
        """
        self._check("pack", x)
        return x if _is_packed(x) else _bits.pack(x)

    def unpack(self, x: Tensor) -> Tensor:
        """Words to bits.

        Args:
            x: (..., W) words, or bits, which are returned.

        Returns:
            (..., D), bool.
        """
        self._check("unpack", x)
        return _bits.unpack(x, self.dim) if _is_packed(x) else x

    # ------------------------------------------------------------------ the operations

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        shape = (*batch, self.dim)
        bits = torch.randint(2, shape, generator=generator, device=generator.device, dtype=torch.int8).bool()
        return _bits.pack(bits) if form.name == "packed" else bits

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        return torch.zeros(form.width, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = self._alike(x, y)
        return x ^ y

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return self._bind(x, y)

    def _inverse(self, x: Tensor) -> Tensor:
        return x.clone()

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        if _is_packed(vectors):
            return _bits.pack(self._bundle(self.unpack(vectors), weights))
        if weights is None:
            ones, voters = vectors.sum(-2), vectors.shape[-2]
            if voters % 2:
                return ones > voters // 2
            return self._vote(ones, voters)
        return self._from_tally(self._tally(vectors, weights), weights.sum(-1))

    def _settled(self, tally: Tensor, margin: float) -> Tensor | None:
        return tally < 0 if arithmetic.above(tally.abs(), margin) else None

    def _from_tally(self, tally: Tensor, total: Tensor) -> Tensor:
        balance = _votes.signs(tally)
        tied, leading = balance.logical_not(), _votes.negative(balance)
        if arithmetic.never(tied):
            return leading
        rows = arithmetic.few(tied)
        if rows is not None:
            leading[rows] = self._from_tally(tally[rows], total.expand(rows.shape)[rows])
            return leading
        return torch.where(tied, _votes.coins(((total.unsqueeze(-1) - tally) / 2).long(), leading), leading)

    @staticmethod
    def _vote(ones: Tensor, voters: int) -> Tensor:
        leading = ones > voters // 2
        return torch.where(ones == voters // 2, _votes.coins(ones, leading), leading)

    def _negative(self, x: Tensor) -> Tensor:
        return ~x if not _is_packed(x) else _bits.pack(~self.unpack(x))

    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        return x.roll(shifts, -1) if not _is_packed(x) else _bits.pack(self.unpack(x).roll(shifts, -1))

    def _reorder(self, x: Tensor, order: Tensor) -> Tensor:
        return _bits.pack(self._reorder(self.unpack(x), order)) if _is_packed(x) else x.index_select(-1, order)

    def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
        if exponents.is_floating_point() and not bool((exponents == exponents.round()).all()):
            self._refuse("fractional power")
        odd = (exponents.remainder(2) == 1).unsqueeze(-1)
        return torch.where(odd, base, torch.zeros_like(base))

    def _normalize(self, x: Tensor) -> Tensor:
        return x.clone()

    def _quantize(self, x: Tensor) -> Tensor:
        return x.clone()

    def _similarity(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = self._alike(x, y)
        differ = _bits.count(x ^ y).sum(-1) if _is_packed(x) else (x ^ y).sum(-1)
        return self._from_distance(differ)

    def _similarity_to_set(self, x: Tensor, atoms: Tensor) -> Tensor:
        x, atoms = self._alike(x, atoms)
        batch = x.shape[:-1].numel()
        if not _is_packed(x) or _product_is_faster(x, batch):
            a, b = self._embed_pair(x, atoms)
            return a @ b.mT / self.dim
        distances = _bits.distances(x.reshape(batch, -1), atoms)
        return self._from_distance(distances).reshape(*x.shape[:-1], len(atoms))

    def _vote_similarity(self, items: int) -> tuple[float, float]:
        """An atom decides a bit where the n - 1 others are tied: C(n - 1, (n - 1) / 2) / 2^(n - 1) for odd n.

        Even n gives the same as n + 1, for a tie is a coin toss.
        """
        odd = items + 1 - items % 2
        mean = math.comb(odd - 1, (odd - 1) // 2) / 2 ** (odd - 1)
        return mean, math.sqrt((1 - mean * mean) / self.dim)

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        dtype = dtype or torch.get_default_dtype()
        return _bits.signs(x, self.dim, dtype) if _is_packed(x) else 1 - 2 * x.to(dtype)

    def _unembed(self, e: Tensor) -> Tensor:
        validation.refuse_nan(f"{self.name} unembed", e)
        return e < 0

    def _storage(self, atoms: Tensor) -> Storage:
        return Storage(1 - 2 * self.unpack(atoms).to(torch.int8), "bipolar")

    def check_values(self, operation: str, x: Tensor) -> None:
        super().check_values(operation, x)
        if not bool(self._is_valid(x, 0.0).all()):
            raise VSAError(
                f"{self.name} {operation}",
                received=f"words with bits beyond {self.dim}",
                expected="0 there",
                hint="make words with pack",
            )

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        if not _is_packed(x) or self.dim % _bits.WORD == 0:
            return torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        return (x[..., -1] >> (self.dim % _bits.WORD)) == 0

    def _power_period(self, base: Tensor) -> int | None:
        return 2 if bool((base != 0).any()) else 1

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

    # ------------------------------------------------------------------ helpers

    def _alike(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both packed as soon as one is."""
        if _is_packed(x) == _is_packed(y):
            return x, y
        return self.pack(x), self.pack(y)

    def _from_distance(self, distance: Tensor) -> Tensor:
        return 1 - distance * (2.0 / self.dim)


def _is_packed(x: Tensor) -> bool:
    return x.dtype == torch.int64


def _product_is_faster(words: Tensor, batch: int) -> bool:
    """Whether unpacking and a float product beat counting bits (measured with benchmarks/algebra.py).

    Where the processor counts, that is so for large batches of short vectors only; by shifts and masks from a batch on
    that grows with the length.
    """
    width = words.shape[-1]
    if _bits.counts_fast(words):
        return width < 8 and batch >= 64
    return batch >= max(16, width // 2)
