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
        self.algebra = algebra
        self._tally: Tensor | None = None
        self._total = self._size = torch.zeros((), dtype=torch.float64)
        self._integral = True

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
        if weights is not None:
            validation.check_weights(self.algebra.name, "bundle", weights, vectors)
        tally = self.algebra._tally(vectors, weights)
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
        self._integral &= bool((given == given.round()).all())
        self._total = self._total.to(given.device) + given.sum(-1)
        self._size = self._size.to(given.device) + given.abs().sum(-1)
        self._tally = tally if self._tally is None else self._tally + tally

    def merge(self, other: Accumulator) -> None:
        """Add all that another accumulator holds, of another process, say.

        Args:
            other: of the same algebra, over vectors of the same leading axes.

        Raises:
            VSAError: it is another algebra's, or of another shape.
        """
        if other.algebra != self.algebra:
            raise VSAError("accumulate", received=f"an accumulator of {other.algebra}", expected=str(self.algebra))
        if other._tally is not None:
            mine = torch.zeros_like(other._tally) if self._tally is None else self._tally
            if mine.shape != other._tally.shape:
                raise ShapeError("accumulate", received=str(tuple(other._tally.shape)), expected=str(tuple(mine.shape)))
            self._tally = mine + other._tally
            self._total, self._size = self._total + other._total, self._size + other._size
            self._integral &= other._integral

    def bundle(self) -> Tensor:
        """The bundle of all that was added.

        Returns:
            (..., D): equal to :meth:`Algebra.bundle` of all at once, for integer weights bit by bit where it is a vote.

        Raises:
            ShapeError: nothing was added.
        """
        if self._tally is None:
            raise ShapeError(f"{self.algebra.name} accumulate", received="no vector", expected="at least one")
        tally, total = self._tally, self._total.expand(self._tally.shape[:-1])
        if not self.algebra.laws.linear and not self._integral:  # sums of such weights differ in their last bits
            scale = arithmetic.STEPS / self._size
            tally, total = (tally * scale.unsqueeze(-1)).round(), (total * scale).round()
        return self.algebra._from_tally(tally, total)

    def state_dict(self) -> dict[str, Any]:
        """What it holds, for a checkpoint."""
        return {"tally": self._tally, "total": self._total, "size": self._size, "integral": self._integral}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` kept.

        Args:
            state: of an accumulator of the same algebra.
        """
        self._tally, self._total, self._size = (state[key] for key in ("tally", "total", "size"))
        self._integral = bool(state["integral"])
