"""What a law is given: an algebra under test, random vectors of it, and ways to compare.

A statistical law states its sample size, and its tolerance as a multiple of the standard error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .algebra import Algebra
from .errors import VSAError
from .validation import real_dtype

__all__ = ["PAIRS", "Case", "LawError", "Skipped", "difference"]

PAIRS = 4096
_STANDARD_ERRORS = 5.0


class LawError(VSAError):
    """An algebra or a backend breaks a law that it claims."""


class Skipped(Exception):
    """A law says nothing about this algebra; the message says why."""


def difference(left: Tensor, right: Tensor) -> Tensor:
    """Absolute differences in float64, also of booleans and complex numbers."""
    wide = torch.complex128 if left.is_complex() or right.is_complex() else torch.float64
    return (left.to(wide) - right.to(wide)).abs()


@dataclass(frozen=True)
class Case:
    """An algebra under test, and random vectors of it in float64 where it has that."""

    algebra: Algebra
    generator: torch.Generator

    @property
    def dtype(self) -> torch.dtype:
        dtypes = self.algebra.forms[0].dtypes
        return next((d for d in (torch.float64, torch.complex128) if d in dtypes), dtypes[0])

    @property
    def real(self) -> torch.dtype:
        """The dtype of weights and embeddings."""
        return real_dtype(self.dtype)

    @property
    def tolerance(self) -> float:
        return 1e-9 if self.dtype in (torch.float64, torch.complex128) else 1e-4

    def vectors(self, *batch: int) -> Tensor:
        return self.algebra.random(*batch, generator=self.generator, dtype=self.dtype)

    def bundles(self, *batch: int) -> Tensor:
        """Superpositions of three, normalised where the algebra can: vectors that ``random`` does not make."""
        sums = self.algebra.bundle(self.vectors(*batch, 3))
        return sums if self.algebra.laws.reason("normalize") is not None else self.algebra.normalize(sums)

    def needs(self, *operations: str) -> None:
        """Skip the law where the algebra lacks an operation that the law cannot do without."""
        for operation in operations:
            reason = self.algebra.laws.reason(operation)
            if reason is not None:
                raise Skipped(f"no {operation}: {reason}")

    def valid(self, operation: str, x: Tensor) -> None:
        """Refuse what ``is_valid`` refuses, where the algebra has that."""
        if self.algebra.laws.reason("is_valid") is None and not bool(self.algebra.is_valid(x).all()):
            raise LawError(operation, received="vectors that is_valid refuses")

    def equal(self, left: Tensor, right: Tensor, tolerance: float | None = None) -> float:
        if left.shape != right.shape:
            raise LawError("compare", received=f"shape {tuple(left.shape)}", expected=f"shape {tuple(right.shape)}")
        error = float(difference(left, right).max()) if left.numel() else 0.0
        if not error <= (self.tolerance if tolerance is None else tolerance):
            raise LawError("compare", received=f"a largest error of {error:.3g} at shape {tuple(left.shape)}")
        return error

    def claim(self, claimed: bool, left: Tensor, right: Tensor) -> float:
        """Equal where claimed; where not claimed, random vectors must show the difference."""
        if claimed:
            return self.equal(left, right)
        error = float(difference(left, right).max())
        if error <= self.tolerance:
            raise LawError("compare", received="two equal sides", expected="a difference, for the law is not claimed")
        return 0.0

    def near(self, sample: Tensor, mean: float, what: str, slack: float = 0.0) -> float:
        """The sample's mean, within standard errors of what is expected, and ``slack`` where that is a limit."""
        values = sample.double()
        bound = _STANDARD_ERRORS * float(values.std()) / math.sqrt(values.numel()) + self.tolerance + slack
        error = abs(float(values.mean()) - mean)
        if error > bound:
            raise LawError(what, received=float(values.mean()), expected=f"{mean:.4g} within {bound:.2g}")
        return error
