"""The vectors of the NVSA back-end: block codes in a spectral form in which similarity is a plain inner product.

Two codebooks, both stored on a backend and only read: *powers* (atom v is the v-th power of one vector, so binding adds
values) and *names* (independent atoms, one more for "the entities of the panel differ"). A PMF becomes a vector by a
transposed read, a vector is compared with all atoms by a forward read.

Reference: Hersche et al., "A neuro-vector-symbolic architecture for solving Raven's progressive matrices", Nature
Machine Intelligence 2023.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from vsa import Algebra, Backend
from vsa.backends import get as get_backend
from vsa.backends.base import StoredMatrix
from vsa.errors import VSAError
from vsa.models.gsbc import GSBC
from vsa.seeding import child_seed

__all__ = ["BlockSpectra"]

log = logging.getLogger(__name__)


class BlockSpectra(nn.Module):
    """Codebooks and operations on spectra.

    A vector is complex (..., W), W = K * (L // 2 + 1): the Fourier transforms of its blocks, the frequencies that
    occur once (the edges of a real transform) in front and scaled by the root of one half. All other frequencies
    stand for two. So the inner product of two spectra as real numbers is that of the vectors, up to a factor.

    Args:
        algebra: a block code with a spectral form.
        backend: where the atoms are stored. Default: digital, exact.
        seed: chooses the atoms.
    """

    def __init__(self, algebra: Algebra, backend: Backend | None = None, seed: int = 0) -> None:
        super().__init__()
        if not isinstance(algebra, GSBC):
            raise VSAError(
                "NVSA", received=f"algebra {algebra!r}", expected="a block code with a spectral form",
                hint="use algebra=gsbc",
            )  # fmt: skip
        self.algebra = algebra
        self.backend = get_backend("digital") if backend is None else backend
        self.seed = seed
        length = algebra.block_length
        self._edges = [0] if length % 2 else [0, length // 2]
        self._edge_width = algebra.blocks * len(self._edges)
        self._scale = 2.0 / (length * algebra.blocks)
        self._stored: dict[tuple[object, ...], StoredMatrix] = {}

    # -- from PMFs to vectors and back ---------------------------------------------------------------------------

    def encode_powers(self, pmf: Tensor, margin: int) -> Tensor:
        """(..., V) -> complex (..., W) on the atoms 0 .. V-1 of the powers."""
        padded = nn.functional.pad(pmf, (margin, margin))
        return self._superpose(self._powers(pmf.shape[-1], margin, pmf), padded)

    def encode_names(self, pmf: Tensor) -> Tensor:
        """(..., V) -> complex (..., W) on the atoms of the names."""
        return self._superpose(self._names(pmf.shape[-1], pmf), pmf)

    def read_powers(self, vectors: Tensor, values: int, margin: int = 0) -> Tensor:
        """Similarity of vectors (..., W) with the powers -margin .. values-1+margin."""
        return self._similar(self._powers(values, margin, vectors.real), vectors)

    def read_names(self, vectors: Tensor, values: int) -> Tensor:
        """Similarity of vectors (..., W) with the first ``values`` names."""
        return self._similar(self._names(values, vectors.real), vectors)

    def read_steps(self, vectors: Tensor, steps: Sequence[int]) -> Tensor:
        """Similarity of vectors (..., W) with the given powers."""
        return self._similar(self._store("steps", tuple(steps), vectors.real), vectors)

    # -- operations ------------------------------------------------------------------------------------------------

    def bind(self, *vectors: Tensor) -> Tensor:
        """Circular convolution block by block; conjugate one for a correlation (unbinding)."""
        return reduce(self._bind, vectors)

    def bind_all(self, vectors: Tensor) -> Tensor:
        """(..., P, W) -> (..., W)."""
        return reduce(self._bind, vectors.unbind(-2))

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """(..., W), (..., W) -> real (...): one for equal atoms, 1 / L on average for unrelated ones."""
        return (self._real(x) * self._real(y)).sum(-1) * self._scale

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        product = x * y
        product[..., : self._edge_width] *= math.sqrt(2.0)
        return product

    @staticmethod
    def _real(x: Tensor) -> Tensor:
        return torch.view_as_real(x).flatten(-2)

    @staticmethod
    def _superpose(stored: StoredMatrix, weights: Tensor) -> Tensor:
        return torch.view_as_complex(stored.rmatvec(weights).unflatten(-1, (-1, 2)))

    def _similar(self, stored: StoredMatrix, vectors: Tensor) -> Tensor:
        return stored.matvec(self._real(vectors)) * self._scale

    # -- storing ---------------------------------------------------------------------------------------------------

    def _powers(self, values: int, margin: int, like: Tensor) -> StoredMatrix:
        return self._store("powers", tuple(range(-margin, values + margin)), like)

    def _names(self, values: int, like: Tensor) -> StoredMatrix:
        return self._store("names", values, like)

    def _store(self, kind: str, which: tuple[int, ...] | int, like: Tensor) -> StoredMatrix:
        """The stored array, made at its first use."""
        place = (kind, which, like.device, like.dtype)
        if place not in self._stored:
            generator = torch.Generator().manual_seed(child_seed(self.seed, "nvsa", "names" if which is None else kind))
            code = self.algebra
            assert isinstance(code, GSBC)
            if isinstance(which, int):
                atoms = code.random(which, generator=generator, dtype=torch.int64)
            else:
                shared = torch.Generator().manual_seed(child_seed(self.seed, "nvsa", "base"))
                atoms = code.power(code.power_base(generator=shared), torch.tensor(which))
                if len(which) > code.block_length:
                    log.warning(
                        "%d values in blocks of length %d: values that differ by %d share an atom; "
                        "algebra.dim=%d (with %d blocks) keeps them apart",
                        len(which), code.block_length, code.block_length, code.blocks * len(which), code.blocks,
                    )  # fmt: skip
            spectra = code.spectrum(code.from_index(atoms, dtype=torch.float64))
            inner = [m for m in range(spectra.shape[-1]) if m not in self._edges]
            edges = spectra[..., self._edges].flatten(-2) * math.sqrt(0.5)
            ordered = torch.cat([edges, spectra[..., inner].flatten(-2)], dim=-1)
            array = child_seed(self.seed, "nvsa array", kind, str(which))
            self._stored[place] = self.backend.store(self._real(ordered).to(like), "dense", seed=array)
        return self._stored[place]
