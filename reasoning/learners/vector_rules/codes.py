"""The vectors of the NVSA back-end: block codes in spectral form.

Two codebooks, stored on a backend and only read: *powers* (atom v is the v-th power of one vector, so binding adds
values) and *names* (independent atoms, one of them for "the entities of the panel differ"). A PMF becomes a vector by
a transposed read; a vector is compared with all atoms by a forward read.

Reference: Hersche et al., "A neuro-vector-symbolic architecture for solving Raven's progressive matrices", Nature
Machine Intelligence 2023.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from reasoning.sparse import PMF, superposed_rows
from vsa import Algebra, Backend, Spectral
from vsa.backends import get as get_backend
from vsa.backends.base import StoredMatrix
from vsa.errors import VSAError
from vsa.seeding import child_seed

__all__ = ["BlockSpectra", "Names", "Powers"]

log = logging.getLogger(__name__)


class BlockSpectra(nn.Module):
    """One codebook and the operations on its vectors.

    A vector is complex (..., W), W = K * (L // 2 + 1): the Fourier transforms of its blocks. Binding is a product. The
    inner product of vectors is that of their spectra as real numbers, each frequency weighted by how often it occurs in
    a full transform; arrays that are read forwards hold weighted atoms, so that a read is all there is to do.

    Args:
        algebra: a block code with a spectral form.
        backend: where atoms are stored. Default: digital, exact.
        seed: chooses the atoms.

    Attributes:
        width: W.
    """

    def __init__(self, algebra: Algebra, backend: Backend | None = None, seed: int = 0) -> None:
        super().__init__()
        if not isinstance(algebra, Spectral):
            raise VSAError(
                "NVSA",
                received=f"algebra {algebra!r}",
                expected="a block code with a spectral form",
                hint="use algebra=gsbc",
            )
        self.algebra: Spectral = algebra
        self.backend = get_backend("digital") if backend is None else backend
        self.seed = seed
        self.width = algebra.blocks * (algebra.block_length // 2 + 1)
        self._stored: dict[tuple[object, ...], StoredMatrix] = {}
        self._similar: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def stored(self) -> dict[str, list[StoredMatrix]]:
        """The arrays read so far, by what they are read for."""
        return {"PMFs to vectors, and back": list(self._stored.values())}

    def encode(self, pmf: PMF) -> Tensor:
        """The probability-weighted sum of the atoms 0 .. V-1.

        Args:
            pmf: (..., V).

        Returns:
            complex (..., W).
        """
        superposed = superposed_rows(self._array(range(pmf.shape[-1]), pmf, weighted=False), pmf)
        return torch.view_as_complex(superposed.unflatten(-1, (-1, 2)))

    def read(self, vectors: Tensor, labels: Sequence[int]) -> Tensor:
        """Similarity with each of N atoms.

        Args:
            vectors: complex (..., W).
            labels: N atoms.

        Returns:
            (..., N).
        """
        real = _real(vectors)
        return self._array(labels, real, weighted=True).matvec(real)

    def bind(self, *vectors: Tensor) -> Tensor:
        """Circular convolution block by block.

        Args:
            vectors: complex (..., W) each, broadcast; the conjugate of one unbinds it.

        Returns:
            complex (..., W).
        """
        return reduce(torch.mul, vectors)

    def bind_all(self, vectors: Tensor) -> Tensor:
        """Several panels bound together.

        Args:
            vectors: complex (..., P, W).

        Returns:
            complex (..., W).
        """
        return reduce(torch.mul, vectors.unbind(-2))

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Similarity of vectors: one for equal atoms, zero or little for others.

        Args:
            x: complex (..., W).
            y: complex (..., W), broadcast against ``x``.

        Returns:
            (...).
        """
        real = _real(x)
        return (real * _real(y)) @ self._weights(real)

    def atoms(self, labels: Sequence[int]) -> Tensor:
        """The atoms, in index form.

        Args:
            labels: N atoms.

        Returns:
            int64 (N, K), the positions of their blocks.
        """
        raise NotImplementedError

    def _weights(self, like: Tensor) -> Tensor:
        """(2 W,), of the real and imaginary parts in a similarity."""
        key = (like.device, like.dtype)
        if key not in self._similar:
            weights = self.algebra.spectral_weights(torch.float64) / self.algebra.blocks
            self._similar[key] = weights.repeat(self.algebra.blocks).repeat_interleave(2).to(like)
        return self._similar[key]

    def _generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(child_seed(self.seed, "nvsa", name))

    def _array(self, labels: Sequence[int], like: PMF, weighted: bool) -> StoredMatrix:
        """The stored atoms; an array is stored at its first use."""
        place = (tuple(labels), weighted, like.device, like.dtype)
        if place not in self._stored:
            spectra = self.algebra.spectrum(self.algebra.embed(self.atoms(labels)).double())
            real = _real(spectra.flatten(-2)).to(like.device, like.dtype)
            seed = child_seed(self.seed, "nvsa array", type(self).__name__, str(weighted), *labels)
            stored = real * self._weights(real) if weighted else real
            self._stored[place] = self.backend.store(stored, "dense", seed=seed)
        return self._stored[place]


class Names(BlockSpectra):
    """Independent atoms."""

    def atoms(self, labels: Sequence[int]) -> Tensor:
        count = max(labels) + 1
        return self.algebra.random(count, generator=self._generator("names"), dtype=torch.int64)[list(labels)]


class Powers(BlockSpectra):
    """Powers of one vector: binding adds labels, and labels may be negative.

    The positions of that vector share no factor with L, so the spectra of its blocks are permutations of each other and
    every block says the same. An exact backend therefore stores one block; any other stores all, so that its noise
    averages out.

    Args:
        algebra: a block code with a spectral form.
        backend: where atoms are stored. Default: digital, exact.
        seed: chooses the atoms.
    """

    def __init__(self, algebra: Algebra, backend: Backend | None = None, seed: int = 0) -> None:
        exact = backend is None or backend.exact
        if exact and isinstance(algebra, Spectral):
            algebra = algebra.one_block()
        super().__init__(algebra, backend, seed)

    def atoms(self, labels: Sequence[int]) -> Tensor:
        length = self.algebra.block_length
        if max(labels) - min(labels) >= length:
            log.warning(
                "values from %d to %d in blocks of length %d: values that differ by %d share an atom; "
                "a larger algebra.dim (or fewer blocks) keeps them apart",
                min(labels),
                max(labels),
                length,
                length,
            )
        base = self.algebra.power_base(generator=self._generator("base"))
        return self.algebra.power(base, torch.tensor(list(labels)))


def _real(spectra: Tensor) -> Tensor:
    return torch.view_as_real(spectra).flatten(-2)
