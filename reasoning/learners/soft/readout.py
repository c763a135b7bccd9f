"""Vectors back to PMFs and sets: reads what ``SceneEncoder`` encoded and rules have bound.

An atom's share of a superposition is the least of its entries over the blocks, the similarity of the block-code
factorizer: other atoms add to it only where they share its position in every block. Negative rounding is cut off.

Reference: Hersche et al., "Factorizers for distributed sparse block codes", 2024 (the similarity).
"""

from __future__ import annotations

import torch
from torch import Tensor

from reasoning.learners.soft.encoder import SceneEncoder
from vsa import Spectral
from vsa.backends.base import StoredMatrix
from vsa.errors import ShapeError, UnsupportedError
from vsa.seeding import child_seed

__all__ = ["Readout"]

_READABLE = 0.05  # share of a vector that must be known atoms; below it the PMF stays short of one
_MOST_SLOTS = 12  # sets are read by comparing with each of them: 4,095


class Readout:
    """Reads spectra of an encoder.

    Args:
        encoder: whose codebooks are compared with; its backend stores them once more, as positions.
    """

    def __init__(self, encoder: SceneEncoder) -> None:
        self.encoder = encoder
        self._stored: dict[tuple[str, int, torch.device], StoredMatrix] = {}

    def stored(self) -> dict[str, list[StoredMatrix]]:
        """The arrays read so far, by what they are read for."""
        return {"vectors to PMFs": list(self._stored.values())}

    def pmf(self, spectra: Tensor, values: int) -> Tensor:
        """What values a vector holds.

        Args:
            spectra: complex (..., W).
            values: V, atoms of the value codebook.

        Returns:
            (..., V). It sums to one less the share of "the entities differ"; to less where hardly anything in the
            vector is an atom, as where a sum has left the range of the values. Values that share an atom (V > L)
            share its mass.
        """
        shares = self._shares("values", values, spectra)
        return (shares / shares.sum(-1, keepdim=True).clamp_min(_READABLE))[..., :values]

    def occupied(self, spectra: Tensor, slots: int) -> Tensor:
        """How likely each slot is occupied, given that the vector holds sets of slots.

        Args:
            spectra: complex (..., W).
            slots: S.

        Returns:
            (..., S), the sum over the sets that have the slot, never above one. What in a vector is no set of slots, as
            where a rule has counted a slot twice or taken away what was not there, adds to none of them.
        """
        shares = self._shares("sets", slots, spectra)
        return (shares @ _members(slots).to(shares)) / shares.sum(-1, keepdim=True).clamp_min(1.0)

    def _shares(self, kind: str, size: int, spectra: Tensor) -> Tensor:
        """(..., N), of each stored atom; never negative."""
        code = self.encoder.algebra
        frequencies = code.block_length // 2 + 1
        if spectra.shape[-1] != code.blocks * frequencies:
            raise ShapeError(
                "read spectra", received=f"shape {tuple(spectra.shape)}", expected=f"(..., {code.blocks * frequencies})"
            )
        vectors = code.from_spectrum(spectra.unflatten(-1, (code.blocks, frequencies)))
        return self._atoms(kind, size, vectors.device).block_min(vectors).clamp_min(0)

    def _atoms(self, kind: str, size: int, device: torch.device) -> StoredMatrix:
        place = (kind, size, device)
        if place not in self._stored:
            code = self.encoder.algebra
            if kind == "values":
                positions = _positions(code, self.encoder.value_codebook(size).atoms)
            else:
                keys = _positions(code, self.encoder.slot_codebook(size).atoms)
                positions = (_members(size) @ keys).remainder(code.block_length)
            self._stored[place] = self.encoder.backend.store(
                positions.to(device),
                "onehot_blocks",
                block_length=code.block_length,
                seed=child_seed(self.encoder.seed, "read-out", kind, size),
            )
        return self._stored[place]


def _positions(code: Spectral, atoms: Tensor) -> Tensor:
    """(N, ...) atoms to int64 (N, K): where the largest entry of each block is."""
    return code.embed(atoms).unflatten(-1, (code.blocks, code.block_length)).argmax(-1)


def _members(slots: int) -> Tensor:
    """int64 (2**S - 1, S): all sets but the empty one."""
    if slots > _MOST_SLOTS:
        raise UnsupportedError(
            "read a set",
            received=f"{slots} slots",
            expected=f"at most {_MOST_SLOTS}",
            hint="every set is compared with",
        )
    return (torch.arange(1, 2**slots).unsqueeze(-1) >> torch.arange(slots)) & 1
