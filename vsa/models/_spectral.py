"""The spectral form of block codes: the Fourier transform of each block, complex (..., K, M), M = L // 2 + 1."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .. import validation
from ..algebra import Algebra
from ..errors import DtypeError, ShapeError
from . import _blocks

__all__ = ["Spectral", "is_index"]


def is_index(x: Tensor) -> bool:
    """Whether block codes are in index form: positions (..., K)."""
    return x.dtype == torch.int64


class Spectral(Algebra):
    """An algebra of K blocks of length L whose binding is a product of spectra."""

    dim: int
    blocks: int

    @property
    def block_length(self) -> int:
        """L = D / K."""
        return self.dim // self.blocks

    def one_block(self) -> Spectral:
        """The same code with a single block of the same length, for dataclasses with ``dim`` and ``blocks``."""
        single: Spectral = dataclasses.replace(self, dim=self.block_length, blocks=1)  # type: ignore[call-arg]
        return single

    def spectrum(self, x: Tensor) -> Tensor:
        """Spectral form: the Fourier transform of each block. Low precision is transformed in float32.

        Bind is the product of spectra, unbind the product with the key's conjugate, so a formula of many bindings costs
        one transform each way.

        Args:
            x: (..., D) or (..., K) positions.

        Returns:
            (..., K, M), complex, M = L // 2 + 1.
        """
        self._check("spectrum", x)
        return self._spectrum(x)

    def from_spectrum(self, spectrum: Tensor) -> Tensor:
        """Back from the spectral form.

        Args:
            spectrum: (..., K, M), complex.

        Returns:
            (..., D), real.
        """
        self._check_spectrum("from_spectrum", spectrum)
        return self._from_spectrum(spectrum)

    def spectral_similarity(self, s: Tensor, t: Tensor) -> Tensor:
        """Similarity without leaving the spectral form (Parseval): equal to that of the vectors.

        Args:
            s: (..., K, M), complex.
            t: (..., K, M), complex, broadcast against ``s``.

        Returns:
            (...).
        """
        return self._spectral_inner("spectral_similarity", s, t) / self.blocks

    def spectral_cosine(self, s: Tensor, t: Tensor, eps: float = 1e-12) -> Tensor:
        """Cosine without leaving the spectral form: equal to that of the vectors.

        Args:
            s: (..., K, M), complex.
            t: (..., K, M), complex, broadcast against ``s``.
            eps: the least squared norm that is divided by.

        Returns:
            (...).
        """
        inner = self._spectral_inner("spectral_cosine", s, t)
        return inner / (self._energy(s).clamp_min(eps) * self._energy(t).clamp_min(eps)).sqrt()

    def spectral_weights(self, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
        """(M,): what each kept frequency counts in an inner product, so that sums over M obey Parseval."""
        return _blocks.frequency_weights(self.block_length, dtype, device)

    # ------------------------------------------------------------------ helpers

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.blocks, self.block_length))

    def _spectrum(self, x: Tensor) -> Tensor:
        if is_index(x):
            return _blocks.position_spectrum(x, self.block_length, torch.get_default_dtype())
        return _blocks.spectrum(self._split(x))

    def _from_spectrum(self, spectrum: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        x = _blocks.from_spectrum(spectrum, self.block_length).flatten(-2)
        return x if dtype is None or x.dtype == dtype else x.to(dtype)

    def _energy(self, s: Tensor) -> Tensor:
        return ((s.real.square() + s.imag.square()) @ self.spectral_weights(s.real.dtype, s.device)).sum(-1)

    def _spectral_inner(self, operation: str, s: Tensor, t: Tensor) -> Tensor:
        self._check_spectrum(operation, s)
        self._check_spectrum(operation, t)
        validation.check_device(self.name, operation, s, t)
        validation.check_broadcast(self.name, operation, s.shape[:-2], t.shape[:-2])
        return ((s.real * t.real + s.imag * t.imag) @ self.spectral_weights(s.real.dtype, s.device)).sum(-1)

    def _check_spectrum(self, operation: str, s: object) -> None:
        expected = (self.blocks, self.block_length // 2 + 1)
        if not isinstance(s, Tensor) or not s.is_complex():
            raise DtypeError(
                f"{self.name} {operation}",
                received=validation.describe(s),
                expected=f"complex (..., {expected[0]}, {expected[1]})",
                hint="make it with spectrum",
            )
        if tuple(s.shape[-2:]) != expected:
            raise ShapeError(
                f"{self.name} {operation}",
                received=validation.describe(s),
                expected=f"(..., {expected[0]}, {expected[1]})",
            )
