"""PMFs to vectors: the probability-weighted sum of atoms, delivered as block spectra.

Values of an attribute are atoms of a fractional-power codebook, so that binding adds values and the formulas of the
learners are sums. A position set is the binding of the keys of its slots; since slots are independent given their
occupancies, the expected vector is the binding of per-slot mixtures and no table over the 2**S - 1 sets is needed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from datasets.panels import ROWS
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import PMF, superposed_rows, with_missing
from vsa import Algebra, Backend, Codebook, Spectral
from vsa.backends import get as get_backend
from vsa.backends.base import StoredMatrix
from vsa.errors import VSAError
from vsa.seeding import child_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodedScene:
    """Spectra of the panels of B puzzles.

    Attributes:
        keys: the A attributes, in the order of the second axis.
        spectra: complex (B, A, P, W); context panels, then 8 candidates.
        columns: panels in a row.
        occupied: (B, P, S) of the last attributes, those that are sets of slots.
        frequencies: long (W,), which of the spectrum's there are; None: all.
    """

    keys: tuple[AttributeKey, ...]
    spectra: Tensor
    columns: int
    occupied: tuple[Tensor, ...] = ()
    frequencies: Tensor | None = None

    @property
    def context_panels(self) -> int:
        return ROWS * self.columns - 1

    @property
    def candidates(self) -> Tensor:
        """complex (B, A, 8, W)."""
        return self.spectra[:, :, self.context_panels :]

    @property
    def known_targets(self) -> Tensor:
        """complex (B, A, 2, W): last panels of the complete rows."""
        return self.spectra[:, :, self.columns - 1 : self.context_panels : self.columns]

    def targets(self, answer: Tensor) -> Tensor:
        """Last panels of all rows.

        Args:
            answer: long (B,), the right candidate, which completes the last row.

        Returns:
            complex (B, A, rows, W).
        """
        puzzles = torch.arange(len(answer), device=answer.device)
        last = self.candidates.transpose(1, 2)[puzzles, answer].unsqueeze(2)
        return torch.cat([self.known_targets, last], dim=2)

    def at(self, frequencies: Tensor) -> EncodedScene:
        """The same at some frequencies only.

        Args:
            frequencies: long (M,), which of the W.
        """
        return replace(self, spectra=self.spectra[..., frequencies], frequencies=frequencies)


class SceneEncoder(nn.Module):
    """Turns a Scene into block spectra.

    The Fourier transform is linear, so the array that is stored and read is the codebook of transformed atoms (real and
    imaginary parts side by side): a PMF becomes its spectrum by one read, without a transform per panel.

    Args:
        algebra: a block code with a spectral form (``vsa.get("gsbc", dim=1024, blocks=4)``).
        backend: where the atoms are stored. Default: digital, exact.
        seed: chooses the atoms; learned weights do not depend on it.
    """

    def __init__(self, algebra: Algebra, backend: Backend | None = None, seed: int = 0) -> None:
        super().__init__()
        if not isinstance(algebra, Spectral):
            raise VSAError(
                "SceneEncoder",
                received=f"algebra {algebra!r}",
                expected="a block code with a spectral form",
                hint="use algebra=gsbc",
            )
        self.algebra = algebra
        self.backend = get_backend("digital") if backend is None else backend
        self.seed = seed
        self._stored: dict[tuple[str, int, torch.device, torch.dtype], StoredMatrix] = {}

    def value_codebook(self, values: int) -> Codebook:
        """Atoms 0..values-1 of the fractional-power codebook, then one random atom for "the entities differ"."""
        length = self.algebra.block_length
        if values > length:
            log.warning(
                "%d values in blocks of length %d: values that differ by %d share an atom; "
                "algebra.dim=%d (with %d blocks) keeps them apart",
                values,
                length,
                length,
                self.algebra.blocks * values,
                self.algebra.blocks,
            )
        generator = self._generator("values")
        powers = Codebook.fractional_power(self.algebra, values, generator=generator, allow_repeats=True).atoms
        differs = self.algebra.random(1, generator=self._generator("differs"), dtype=powers.dtype)
        return Codebook(self.algebra, torch.cat([powers, differs]), labels=[*range(values), "differs"], unrelated=False)

    def slot_codebook(self, slots: int) -> Codebook:
        """One key per slot."""
        return Codebook.random(self.algebra, slots, generator=self._generator("slots"))

    def encode_pmf(self, pmf: PMF) -> Tensor:
        """(..., V) -> complex (..., W), W = K * (L // 2 + 1)."""
        return self._read("values", pmf.shape[-1], with_missing(pmf))

    def encode_sets(self, occupied: Tensor) -> Tensor:
        """(..., S) slot occupancies -> complex (..., W), the empty set excluded."""
        slots = occupied.shape[-1]
        eye = torch.eye(slots, dtype=occupied.dtype, device=occupied.device)
        keys = self._read("slots", slots, eye)
        result = torch.ones_like(keys[0])
        for slot, key in enumerate(keys):
            result = result * (1 + occupied[..., slot, None] * (key - 1))
        empty = (1 - occupied).prod(-1, keepdim=True).clamp_max(1 - 1e-6)
        return (result - empty) / (1 - empty)

    def role_keys(self, roles: int, device: torch.device) -> Tensor:
        """Keys that tell apart what is superposed: complex (roles, W)."""
        return self._read("roles", roles, torch.eye(roles, device=device))

    def turns(self) -> Tensor:
        """(W,), the angle by which one value more turns each frequency: slow ones see how far values are apart."""
        base = self.value_codebook(2).atoms[1]
        return self.algebra.spectrum(base).flatten(-2).angle().abs()

    def forward(self, scene: Scene) -> EncodedScene:
        parts = [self.encode_pmf(pmf) for pmf in scene.pmfs.values()]
        parts += [self.encode_sets(occupied) for occupied in scene.sets.values()]
        return EncodedScene(scene.keys, torch.stack(parts, dim=1), scene.columns, tuple(scene.sets.values()))

    def _generator(self, *names: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(child_seed(self.seed, "encoder", *names))

    def _read(self, kind: str, size: int, weights: PMF) -> Tensor:
        """Superposition of transformed atoms."""
        array = self._store(kind, size, weights.device, weights.dtype)
        return torch.view_as_complex(superposed_rows(array, weights).unflatten(-1, (-1, 2)))

    def stored(self) -> dict[str, list[StoredMatrix]]:
        """The arrays read so far, by what they are read for."""
        return {"PMFs to vectors": list(self._stored.values())}

    def _store(self, kind: str, size: int, device: torch.device, dtype: torch.dtype) -> StoredMatrix:
        """The array of transformed atoms, stored at its first use."""
        place = (kind, size, device, dtype)
        if place not in self._stored:
            if kind == "values":
                book = self.value_codebook(size)
            else:
                book = Codebook.random(self.algebra, size, generator=self._generator(kind))
            spectra = torch.view_as_real(self.algebra.spectrum(book.atoms).flatten(-2)).flatten(-2)
            array = child_seed(self.seed, "array", kind, size)
            self._stored[place] = self.backend.store(spectra.to(device, dtype), "dense", seed=array)
        return self._stored[place]
