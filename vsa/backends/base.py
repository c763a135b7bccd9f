"""The seam: a codebook is stored once and afterwards only read.

A :class:`Backend` turns atoms into a :class:`StoredMatrix`; a new one provides ``_store`` and the underscore reads,
which see canonical shapes only: B vectors for each of G stacked matrices of N rows and E columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from ..arithmetic import all_finite
from ..errors import DtypeError, ShapeError, VSAError
from ..validation import are_signs, check_computable, check_count, describe
from .device import Cost, DeviceHandle
from .places import array_seed
from .stored import Kind, StoredMatrix
from .train_view import StraightThrough

__all__ = ["Backend", "Cost", "DeviceHandle", "Kind", "StoredMatrix"]


@dataclass(frozen=True)
class Backend(ABC):
    """Where codebooks are stored. Frozen: two with the same fields store alike."""

    name: ClassVar[str]
    exact: ClassVar[bool] = False  # reads are exact and storing again changes nothing

    def __str__(self) -> str:
        """The name, and the options that differ from the defaults."""
        options = fields(self) if is_dataclass(self) else ()
        shown = [entry for entry in options if entry.repr]
        required = any(entry.default is MISSING and entry.default_factory is MISSING for entry in options)
        plain = None if required else type(self)()
        changed = [
            f"{entry.name}={getattr(self, entry.name)}"
            for entry in shown
            if plain is None or getattr(self, entry.name) != getattr(plain, entry.name)
        ]
        return f"{self.name}({', '.join(changed)})" if changed else self.name

    def store(
        self,
        atoms: Tensor,
        kind: Kind = "dense",
        *,
        block_length: int | None = None,
        seed: int | None = None,
        check_values: bool = True,
    ) -> StoredMatrix:
        """Store atoms; afterwards they are only read.

        Reads have gradients with respect to their argument. Those of a backend that is not exact are noisy forward and
        have the exact matrix's gradient backward (straight-through), so that what lies before an array can be trained.

        Args:
            atoms: (*stack, N, E), float; +1 and -1, float or int8, for ``"bipolar"``; int64 positions
                (*stack, N, K) within blocks for ``"onehot_blocks"``, whose E is K * L.
            kind: what the values are, so that the backend can choose how to hold them.
            block_length: L, where rows consist of blocks; required for ``"onehot_blocks"``.
            seed: of this array, where storing is random. Default: its own (see :mod:`vsa.backends.places`).
            check_values: refuse NaN, other values than +-1, positions out of range. Reads every entry.

        Returns:
            The stored matrix.

        Raises:
            VSAError: the atoms do not fit the kind.
        """
        if not isinstance(kind, str) or kind not in get_args(Kind):
            raise VSAError("store", received=f"kind {kind!r}", expected=f"one of {', '.join(get_args(Kind))}")
        _check_atoms(atoms, kind, block_length)
        if check_values:
            _check_entries(atoms, kind, block_length)
        stored = self._store(atoms, kind, block_length, self.seed_of(seed))
        if not self.exact:
            stored._stored_as = (atoms.detach(), kind, block_length)
        return stored

    def train_view(
        self, atoms: Tensor, kind: Kind = "dense", *, block_length: int | None = None, seed: int | None = None
    ) -> StoredMatrix:
        """What atoms that are being learned look like on this backend: fresh noise, the gradient of the exact matrix.

        Call it once per batch. A backend that is exact shows the atoms as they are.

        Args:
            atoms: (*stack, N, E) float, with or without gradient.
            kind: as for :meth:`store`.
            block_length: as for :meth:`store`.
            seed: of the noise. Default: another one each time.

        Returns:
            A matrix to read, and to differentiate, once.
        """
        from . import get

        exact = self if self.exact else get("digital")
        seen = exact.store(atoms, kind, block_length=block_length, seed=seed, check_values=False)
        if self.exact:
            return seen
        noisy = self.store(atoms.detach(), kind, block_length=block_length, seed=seed, check_values=False)
        return StraightThrough(noisy, seen)

    def seed_of(self, seed: int | None) -> int:
        """The seed that an array gets.

        Args:
            seed: a given one; None: the next of the run, which an exact backend does not count.
        """
        if seed is None:
            return 0 if self.exact else array_seed()
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise DtypeError(f"{self.name} seed", received=f"seed {seed!r}"[:80], expected="an integer")
        return seed

    @abstractmethod
    def _store(self, atoms: Tensor, kind: Kind, block_length: int | None, seed: int) -> StoredMatrix: ...


def _check_atoms(atoms: Tensor, kind: Kind, block_length: int | None) -> None:
    check_computable("store", atoms)
    right = {
        "dense": atoms.is_floating_point(),
        "bipolar": atoms.is_floating_point() or atoms.dtype == torch.int8,
        "onehot_blocks": atoms.dtype == torch.int64,
    }[kind]
    if not right:
        wanted = {"dense": "a float tensor", "bipolar": "float or int8", "onehot_blocks": "int64 positions"}[kind]
        raise DtypeError("store", received=f"{describe(atoms)} as {kind}", expected=wanted)
    if atoms.ndim < 2 or atoms.numel() == 0:
        raise ShapeError("store", received=describe(atoms), expected="(..., N, E), nothing empty")
    if block_length is None:
        if kind == "onehot_blocks":
            raise VSAError("store", received="onehot_blocks without block_length", expected="block_length=L")
        return
    check_count("store", "block_length", block_length)
    if kind != "onehot_blocks" and atoms.shape[-1] % block_length:
        raise ShapeError(
            "store",
            received=f"rows of {atoms.shape[-1]} and block_length {block_length}",
            expected="a block length that divides the rows",
        )


def _check_entries(atoms: Tensor, kind: Kind, block_length: int | None) -> None:
    values = atoms.detach()
    if kind == "onehot_blocks":
        low, high = int(values.min()), int(values.max())
        if low < 0 or block_length is None or high >= block_length:
            raise VSAError(
                "store", received=f"positions from {low} to {high}", expected=f"positions in blocks of {block_length}"
            )
    elif kind == "bipolar":
        if not are_signs(values):
            raise VSAError("store", received="bipolar atoms with other entries", expected="+1 and -1 only")
    elif not all_finite(values):
        raise VSAError("store", received="atoms with NaN or infinite entries", expected="finite atoms")
