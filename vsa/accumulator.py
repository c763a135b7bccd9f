"""A bundle that grows: vectors are added and removed one by one, and none is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from . import arithmetic, validation
from .algebra import Algebra
from .errors import ShapeError, VSAError

__all__ = ["Accumulator"]

_STATE = {"tally", "total", "size", "magnitudes", "dtype"}
_MOST = 64  # different weights that are remembered, for the unit of which all are multiples


class Accumulator:
    """Adds up what a bundle is made of: the vectors themselves, or their votes where bundling is a vote.

    ``bundle(bundle(a, b), c)`` gives ``c`` as much weight as ``a`` and ``b`` together; an accumulator gives each its
    own, and :meth:`bundle` is what bundling all at once would have given.

    Args:
        algebra: of the vectors.

    Example:
        >>> import torch, vsa
        >>> algebra = vsa.get("bsc", dim=1024)
        >>> x = algebra.random(6, generator=torch.Generator().manual_seed(0))
        >>> running = vsa.Accumulator(algebra)
        >>> for vector in x:
        ...     running.add(vector)
        >>> bool((running.bundle() == algebra.bundle(x)).all())
        True
    """

    def __init__(self, algebra: Algebra) -> None:
        validation.check_kind("Accumulator", algebra, Algebra, "an algebra", "see vsa.get")
        self.algebra = algebra
        self._tally: Tensor | None = None
        self._total = self._size = torch.zeros((), dtype=torch.float64)
        self._magnitudes = torch.zeros(0, dtype=torch.float64)  # (..., M), those that weights had
        self._dtype: torch.dtype | None = None

    def __repr__(self) -> str:
        return f"Accumulator({self.algebra}, weight {float(self._size.max()):g})"

    def add(self, x: Tensor, weight: float = 1.0) -> None:
        """Add a vector.

        Args:
            x: (..., D).
            weight: of it; a negative one takes it away again.

        Raises:
            ShapeError: its leading axes are not those of the vectors before.
            VSAError: a weight that is not finite.
        """
        self.algebra._check("bundle", x)
        validation.check_number(f"{self.algebra.name} accumulate", "weight", weight)
        inexact = x.is_floating_point() or x.is_complex()
        dtype = validation.real_dtype(x.dtype) if inexact else torch.float64
        self.add_all(x.unsqueeze(-2), torch.tensor([weight], dtype=dtype, device=x.device))

    def remove(self, x: Tensor, weight: float = 1.0) -> None:
        """Take a vector away that was added with this weight.

        Args:
            x: (..., D).
            weight: of it.
        """
        self.add(x, -weight)

    def add_all(self, vectors: Tensor, weights: Tensor | None = None) -> None:
        """Add the vectors along an axis.

        Args:
            vectors: (..., N, D).
            weights: (..., N). Default: all 1.

        Raises:
            ShapeError: their leading axes are not those of the vectors before.
            VSAError: a weight that is not finite.
        """
        self.algebra._check("bundle", vectors)
        if vectors.ndim < 2 or not vectors.shape[-2]:
            received = validation.describe(vectors)
            raise ShapeError(f"{self.algebra.name} accumulate", received=received, expected="(..., N, D), N at least 1")
        if weights is not None:
            validation.check_weights(self.algebra.name, "bundle", weights, vectors)
        # Half precision adds up in float32, votes in float64.
        if weights is not None:
            weights = arithmetic.widened(weights) if self.algebra.laws.linear else weights.to(torch.float64)
        tally = self.algebra._tally(arithmetic.widened(vectors), weights)
        if self._tally is not None and self._tally.shape != tally.shape:
            raise ShapeError(
                f"{self.algebra.name} accumulate",
                received=f"vectors that sum to shape {tuple(tally.shape)}",
                expected=str(tuple(self._tally.shape)),
            )
        if weights is None:
            given = torch.ones(vectors.shape[-2], dtype=torch.float64, device=vectors.device)
        else:
            given = weights.to(torch.float64)
        self._include(tally, given.sum(-1), given.abs().sum(-1), given.abs(), vectors.dtype)

    def _include(
        self, tally: Tensor, total: Tensor, size: Tensor, magnitudes: Tensor, dtype: torch.dtype | None
    ) -> None:
        self._total = self._total.to(total.device) + total
        self._size = self._size.to(size.device) + size
        self._magnitudes = _distinct(self._magnitudes.to(magnitudes.device), magnitudes)
        self._tally = tally if self._tally is None else self._tally + tally
        known = dtype if self._dtype is None or dtype is None else torch.promote_types(self._dtype, dtype)
        self._dtype = self._dtype if known is None else known

    def merge(self, other: Accumulator) -> None:
        """Add all that another accumulator holds, of another process, say.

        Args:
            other: of the same algebra, over vectors of the same leading axes.

        Raises:
            VSAError: it is another algebra's, or of another shape.
        """
        validation.check_kind("accumulate", other, Accumulator, "an Accumulator")
        if other.algebra != self.algebra:
            raise VSAError("accumulate", received=f"an accumulator of {other.algebra}", expected=str(self.algebra))
        if other._tally is not None:
            if self._tally is not None and self._tally.shape != other._tally.shape:
                received, expected = tuple(other._tally.shape), tuple(self._tally.shape)
                raise ShapeError("accumulate", received=str(received), expected=str(expected))
            self._include(other._tally, other._total, other._size, other._magnitudes, other._dtype)

    def bundle(self) -> Tensor:
        """The bundle of all that was added.

        Returns:
            (..., D): equal to :meth:`Algebra.bundle` of all at once. Where that is a vote, bit by bit for weights that
            are multiples of a 1/16 of the smallest, or decimals of four digits; of others, ties may fall differently.

        Raises:
            ShapeError: nothing was added.
        """
        if self._tally is None:
            raise ShapeError(f"{self.algebra.name} accumulate", received="no vector", expected="at least one")
        known, settles = self._magnitudes, self.algebra.settles
        if self.algebra.laws.linear or not (settles or bool((known != known.round()).any())):
            found = self.algebra._from_tally(self._tally, self._total)
            return found if self._dtype not in arithmetic.HALVES else found.to(self._dtype)
        lead = self._tally.shape[:-1]
        total, size = (x.expand(lead).unsqueeze(-1) for x in (self._total, self._size))
        if not settles or known.shape[-1] > _MOST:  # of which no unit is known: in small steps
            known = known[..., :1] * torch.nan
        counted = arithmetic.in_units(torch.cat((self._tally, total), -1), known.expand(*lead, -1), size)
        return self.algebra._from_tally(counted[..., :-1], counted[..., -1])

    def state_dict(self) -> dict[str, Any]:
        """What it holds, for a checkpoint."""
        return {key: getattr(self, f"_{key}") for key in _STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` kept.

        Args:
            state: of an accumulator of the same algebra.

        Raises:
            VSAError: it is the state of something else.
        """
        if not isinstance(state, Mapping) or not set(state) >= _STATE:
            raise VSAError(
                "Accumulator.load_state_dict",
                received=f"entries {', '.join(map(str, state))}" if isinstance(state, Mapping) else repr(state)[:80],
                expected=f"the entries {', '.join(sorted(_STATE))}",
            )
        tally, width = state["tally"], self.algebra.embedding.width
        if self.algebra.laws.linear:
            width = self.algebra.forms[0].width
        if tally is not None and (not isinstance(tally, Tensor) or not tally.ndim or tally.shape[-1] != width):
            received = validation.describe(tally)
            raise ShapeError("Accumulator.load_state_dict", received=received, expected=f"sums (..., {width})")
        for key in _STATE:
            setattr(self, f"_{key}", state[key])


def _distinct(known: Tensor, more: Tensor) -> Tensor:
    """(..., M), (..., N) -> the numbers in either, in order; of too many the first."""
    lead = torch.broadcast_shapes(known.shape[:-1], more.shape[:-1])
    ordered = torch.cat((known.expand(*lead, -1), more.expand(*lead, -1)), -1).sort(-1).values
    new = (ordered[..., 1:] != ordered[..., :-1]).flatten(0, -2).any(0) if lead else ordered[1:] != ordered[:-1]
    return ordered[..., torch.cat((new.new_ones(1), new))][..., : _MOST + 1]
