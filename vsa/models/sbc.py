"""Sparse block codes: K blocks, each with a single 1. A vector is its positions, and stays one under every operation.

Bundling is a vote block by block, so a set is kept as sparsely as an atom, at the price of capacity. Where sums must
stay sums (distributions, gradients), use ``gsbc``, whose index form has the same atoms.

Reference:
    Laiho et al., "High-dimensional computing with sparse vectors", BioCAS 2015.
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
from ..laws import Embedding, Form, Laws, Storage
from . import ALGEBRAS, _blocks, _votes, get

__all__ = ["SBC"]

_PIECE = 2**17  # votes looked at at once: they stay in the processor's cache


@ALGEBRAS.register("sbc", "sparse_block_codes")
@dataclass(frozen=True)
class SBC(Algebra):
    """Sparse block codes: int64 positions (..., K), read modulo L; binding adds them.

    Similarity is the share of blocks that agree. A bundle takes in each block the position with the largest total
    weight; a tie is decided by a hash of the votes, so that the order of the vectors does not matter.

    Args:
        dim: D.
        blocks: K, a divisor of D.
    """

    dim: int = 1024
    blocks: int = 16
    name: ClassVar[str] = "sbc"
    settles: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _blocks.check_geometry(self.name, self.dim, self.blocks)

    @property
    def block_length(self) -> int:
        """L = D / K."""
        return self.dim // self.blocks

    @property
    def relaxed(self) -> Algebra:
        """Blocks that are distributions: gsbc, whose index form has the same atoms."""
        return get("gsbc", dim=self.dim, blocks=self.blocks)

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (Form("index", self.blocks, (torch.int64,)),)

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1.0 / self.blocks, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        chance = 1.0 / self.block_length
        dense = "positions are not added; use gsbc"
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=self.block_length <= 2,
            exact_keys="all",
            unbinding_similarity=1.0,
            crosstalk_mean=chance,
            crosstalk_std=math.sqrt(chance * (1.0 - chance) / self.blocks),
            permutation_distributes=True,
            permutation_order=self.blocks,
            adjoint=True,
            linear=False,
            lacks=(
                ("negative", "a position cannot be cancelled; use gsbc and a weight of -1"),
                ("fractional power", "there is nothing between two positions; use gsbc"),
                ("binding_matrix", dense),
                ("soft quantize", dense),
                ("vote_similarity", "a vote among more than two values has no closed form; measure it"),
            ),
        )

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        shape = (*batch, self.blocks)
        return torch.randint(self.block_length, shape, generator=generator, device=generator.device)

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        return torch.zeros(self.blocks, dtype=torch.int64, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return _blocks.wrap_sum(x + y, self.block_length)

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return _blocks.wrap_sum(x - y, self.block_length)

    def _inverse(self, x: Tensor) -> Tensor:
        return _blocks.wrap_sum(-x, self.block_length)

    def _bind_all(self, vectors: Tensor) -> Tensor:
        return self._wrap(self._wrap(vectors).sum(0))

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        positions = self._wrap(vectors).mT  # (..., K, N)
        if weights is None:
            if positions.shape[-1] ** 2 <= 2 * self.block_length:  # few voters are compared with each other
                small = positions.to(torch.uint8) if self.block_length <= 256 else positions
                votes = (small.unsqueeze(-1) == small.unsqueeze(-2)).view(torch.uint8).sum(-1)
            else:
                ones = torch.ones((), dtype=torch.int32, device=positions.device)
                votes = self._totals(positions, ones).gather(-1, positions).long()
            order = _votes.hashes(positions, _votes.tallied(positions, None))
            ranked = (votes << (_votes.HASH_BITS + 1)) + order
            first = ranked.argmax(-1, keepdim=True)
            return positions.gather(-1, first).squeeze(-1)
        return self._from_tally(self._tally(vectors, weights), weights.sum(-1))

    def _tally(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        positions = self._wrap(vectors).mT
        if weights is None:
            weights = torch.ones((), dtype=torch.float64, device=vectors.device).expand(vectors.shape[-2])
        return self._totals(positions, weights.unsqueeze(-2)).flatten(-2)

    def _totals(self, positions: Tensor, votes: Tensor) -> Tensor:
        """(..., K, N), broadcast against each other -> (..., K, L)."""
        positions, votes = torch.broadcast_tensors(positions, votes)
        return votes.new_zeros(*votes.shape[:-1], self.block_length).scatter_add(-1, positions, votes)

    def _settled_bundle(self, vectors: Tensor, weights: Tensor, margin: float) -> Tensor | None:
        positions = self._wrap(vectors).mT
        votes = _blocks.take(self._totals(positions, weights.unsqueeze(-2)), positions)
        best, first = votes.max(-1, keepdim=True)
        winners = _blocks.take(positions, first)
        least = torch.where(best > margin, best - margin, -torch.inf)
        near = (votes >= least) & ((positions != winners) | least.isinf())
        return winners.squeeze(-1) if arithmetic.never(near) else None

    def _settled(self, tally: Tensor, margin: float) -> Tensor | None:
        first, lead = _lead(tally.unflatten(-1, (self.blocks, self.block_length)))
        return first if arithmetic.above(lead, margin) else None

    def _from_tally(self, tally: Tensor, total: Tensor) -> Tensor:
        totals = tally.unflatten(-1, (self.blocks, self.block_length))
        pieces = totals.flatten(0, -2).split(_PIECE // self.block_length + 1)
        first, lead = (torch.cat(part).view(totals.shape[:-1]) for part in zip(*map(_lead, pieces), strict=True))
        tied = lead <= 0
        if arithmetic.never(tied):
            return first
        rows = arithmetic.few(tied)
        if rows is not None:
            first[rows] = self._from_tally(tally[rows], total.expand(rows.shape)[rows])
            return first
        voted = totals != 0
        # Positions without a vote do not stand, unless there is no other.
        standing = torch.where(voted | ~voted.any(-1, keepdim=True), totals, -torch.inf)
        every = torch.arange(self.block_length, device=tally.device).expand(totals.shape)
        order = _votes.hashes(every, _votes.tallied(every, totals.long()))
        return torch.where(standing == standing.amax(-1, keepdim=True), order, _votes.LEAST).argmax(-1)

    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        return x.roll(shifts, -1)

    def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
        if exponents.is_floating_point():
            if not bool((exponents == exponents.round()).all()):
                self._refuse("fractional power")
            exponents = exponents.to(torch.int64)
        steps = exponents.remainder(self.block_length).unsqueeze(-1)
        return self._wrap(self._wrap(base) * steps)

    def _normalize(self, x: Tensor) -> Tensor:
        return self._wrap(x)

    def _quantize(self, x: Tensor) -> Tensor:
        return self._wrap(x)

    def _similarity(self, x: Tensor, y: Tensor) -> Tensor:
        same = self._wrap(x) == self._wrap(y)
        return same.sum(-1, dtype=torch.get_default_dtype()) / self.blocks

    def _similarity_to_set(self, x: Tensor, atoms: Tensor) -> Tensor:
        return _blocks.agreement(x, atoms, self.block_length)

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return _blocks.one_hot(x, self.block_length, dtype or torch.get_default_dtype()).flatten(-2)

    def _unembed(self, e: Tensor) -> Tensor:
        validation.refuse_nan(f"{self.name} unembed", e)
        return e.unflatten(-1, (self.blocks, self.block_length)).argmax(-1)

    def _storage(self, atoms: Tensor) -> Storage:
        return Storage(self._wrap(atoms), "onehot_blocks", self.block_length)

    def check_values(self, operation: str, x: Tensor) -> None:
        super().check_values(operation, x)
        _blocks.check_positions(self.name, operation, x, self.block_length, "normalize")

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return ((x >= 0) & (x < self.block_length)).all(-1)

    def power_base(self, *, generator: torch.Generator) -> Tensor:
        """Positions that share no factor with L: the first L powers are distinct in every block."""
        return _blocks.unit_positions(self.block_length, self.blocks, generator)

    def cyclic_base(self, period: int, *, generator: torch.Generator) -> Tensor:
        """Positions whose powers repeat after ``period``, a divisor of L."""
        return _blocks.cyclic_positions(self.name, period, self.block_length, self.blocks, generator)

    def _power_period(self, base: Tensor) -> int | None:
        return _blocks.period(base, self.block_length)

    def _wrap(self, positions: Tensor) -> Tensor:
        return _blocks.wrap(positions, self.block_length)


def _lead(totals: Tensor) -> tuple[Tensor, Tensor]:
    """Of totals (..., L) the position of the largest, (...), and by how much it leads, over none if over no other."""
    best, first = totals.max(-1, keepdim=True)
    others = totals.scatter(-1, first, 0.0)
    return first.squeeze(-1), best.squeeze(-1) - others.amax(-1)
