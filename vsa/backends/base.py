"""The seam: a codebook is stored once and afterwards only read.

A :class:`Backend` turns atoms into a :class:`StoredMatrix`; a new one provides ``_store`` and the underscore reads,
which see canonical shapes only: B vectors for each of G stacked matrices of N rows and E columns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ..errors import DtypeError, ShapeError, UnsupportedError, VSAError
from ..validation import are_signs, check_count, describe
from .device import Cost, DeviceHandle

__all__ = ["Backend", "Cost", "DeviceHandle", "Kind", "StoredMatrix"]

Kind = Literal["dense", "bipolar", "onehot_blocks"]


class StoredMatrix(ABC):
    """Atoms that a backend holds: (*stack, N, E). Reads broadcast over leading axes in front of the stack axes.

    Args:
        stack: the leading axes of the atoms; one matrix each.
        count: N.
        width: E.
        block_length: L where a row consists of blocks, else None.
        kind: the kind it was stored as.
        device: where it lives.
        dtype: the only float dtype it reads; None where it reads any.
        handle: the device state behind it.
    """

    def __init__(
        self,
        *,
        stack: tuple[int, ...],
        count: int,
        width: int,
        block_length: int | None,
        kind: Kind,
        device: torch.device,
        dtype: torch.dtype | None,
        handle: DeviceHandle,
    ) -> None:
        self.stack = stack
        self.count = count
        self.width = width
        self.block_length = block_length
        self.kind: Kind = kind
        self.device = device
        self.dtype = dtype
        self.handle = handle
        # Of a backend whose reads have no gradient: what was stored, so that the exact matrix can lend its own.
        self._stored_as: tuple[Tensor, Kind, int | None] | None = None
        self._lent: StoredMatrix | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(*stack, N, E)."""
        return (*self.stack, self.count, self.width)

    def matvec(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Inner product with every row: the similarity read-out.

        Args:
            x: (..., *stack, E), float; or int8 for a bipolar matrix, which gives exact int32.
            generator: of read noise. Default: the device's own. An exact backend draws nothing.

        Returns:
            (..., *stack, N).
        """
        lead = self._check("matvec", x, self.width)
        return self._read("_matvec", x, generator).reshape(*lead, *self.stack, self.count)

    def rmatvec(self, weights: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Weighted sum of the rows: superposition.

        Args:
            weights: (..., *stack, N), float; or int8 for a bipolar matrix, which gives exact int32.
            generator: of read noise. Default: the device's own.

        Returns:
            (..., *stack, E).
        """
        lead = self._check("rmatvec", weights, self.count)
        return self._read("_rmatvec", weights, generator).reshape(*lead, *self.stack, self.width)

    def block_matvec(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Inner product with every row, block by block; its sum over blocks is :meth:`matvec`.

        Args:
            x: (..., *stack, E), float.
            generator: of read noise. Default: the device's own.

        Returns:
            (..., *stack, N, K).
        """
        blocks = self._blocks("block_matvec")
        lead = self._check("block_matvec", x, self.width)
        return self._read("_block_matvec", x, generator).reshape(*lead, *self.stack, self.count, blocks)

    def block_min(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The least of the inner products of the blocks: the L-infinity similarity to one-hot rows.

        Args:
            x: (..., *stack, E), float.
            generator: of read noise. Default: the device's own.

        Returns:
            (..., *stack, N).
        """
        self._blocks("block_min")
        lead = self._check("block_min", x, self.width)
        return self._read("_block_min", x, generator).reshape(*lead, *self.stack, self.count)

    def topk(self, x: Tensor, k: int = 1, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The k largest inner products, largest first.

        Args:
            x: (..., *stack, E), float, or int8 for a bipolar matrix.
            k: how many, at most N.
            generator: of read noise. Default: the device's own.

        Returns:
            Inner products (..., *stack, k) and rows (..., *stack, k), int64.
        """
        check_count("topk", "k", k)
        if k > self.count:
            raise ShapeError("topk", received=f"k = {k} of {self.count} rows", expected=f"k from 1 to {self.count}")
        lead = self._check("topk", x, self.width)
        values, rows = self._topk(self._canonical(x), k, generator)
        if self._lends_gradient(x, values):
            values = _through(values, self._twin()._matvec(self._canonical(x), None).gather(-1, rows))
        return values.reshape(*lead, *self.stack, k), rows.reshape(*lead, *self.stack, k)

    # ------------------------------------------------------------------ to be provided

    @abstractmethod
    def _matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, G, E) -> (B, G, N)."""

    @abstractmethod
    def _rmatvec(self, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, G, N) -> (B, G, E)."""

    @abstractmethod
    def _block_matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, G, E) -> (B, G, N, K)."""

    def _block_min(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, G, E) -> (B, G, N)."""
        return self._block_matvec(x, generator).amin(-1)

    def _topk(self, x: Tensor, k: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(B, G, E) -> twice (B, G, k)."""
        values, rows = self._matvec(x, generator).topk(k, dim=-1)
        return values, rows

    # ------------------------------------------------------------------ helpers

    def _read(self, name: str, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """One read; where the argument wants a gradient that the backend's own read lacks, that of the exact matrix."""
        asked = self._canonical(x)
        answer: Tensor = getattr(self, name)(asked, generator)
        return _through(answer, getattr(self._twin(), name)(asked, None)) if self._lends_gradient(x, answer) else answer

    def _lends_gradient(self, x: Tensor, answer: Tensor) -> bool:
        wanted = x.requires_grad and torch.is_grad_enabled() and not answer.requires_grad
        return wanted and self._stored_as is not None

    def _twin(self) -> StoredMatrix:
        """The same atoms, exact and differentiable."""
        if self._lent is None:
            if self._stored_as is None:
                raise UnsupportedError("differentiate a read", received="a matrix that was not stored by Backend.store")
            from . import get

            atoms, kind, block_length = self._stored_as
            self._lent = get("digital").store(atoms, kind, block_length=block_length, check_values=False)
        return self._lent

    def _canonical(self, x: Tensor) -> Tensor:
        return x.reshape(-1 if x.numel() else math.prod(self._lead(x)), math.prod(self.stack), x.shape[-1])

    def _lead(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape[: x.ndim - 1 - len(self.stack)])

    def _blocks(self, operation: str) -> int:
        if self.block_length is None:
            raise UnsupportedError(
                operation,
                received="a matrix stored without blocks",
                expected="one whose rows consist of blocks",
                hint="give block_length= to store",
            )
        return self.width // self.block_length

    def _check(self, operation: str, x: object, width: int) -> tuple[int, ...]:
        """Refuse what does not fit; return the leading axes."""
        if not isinstance(x, Tensor):
            raise DtypeError(operation, received=describe(x), expected="a tensor")
        integer = x.dtype == torch.int8 and self.kind == "bipolar" and operation in ("matvec", "rmatvec", "topk")
        if not x.is_floating_point() and not integer:
            raise DtypeError(operation, received=describe(x), expected=f"a float tensor (..., {width})")
        if not integer and self.dtype is not None and x.dtype != self.dtype:
            raise DtypeError(
                operation,
                received=describe(x),
                expected=f"{str(self.dtype).removeprefix('torch.')}, as stored",
                hint="convert the argument or the codebook with .to(dtype)",
            )
        tail = (*self.stack, width)
        if tuple(x.shape[-len(tail) :]) != tail:
            raise ShapeError(operation, received=describe(x), expected=f"(..., {', '.join(map(str, tail))})")
        if x.device != self.device:
            raise DtypeError(
                operation,
                received=f"an argument on {x.device}",
                expected=f"one on {self.device}, where the atoms are",
                hint="move it, or the codebook, with .to(device)",
            )
        return self._lead(x)


def _through(noisy: Tensor, exact: Tensor) -> Tensor:
    """The value of one with the gradient of the other (straight-through)."""
    return exact + (noisy - exact).detach()


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
        seed: int = 0,
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
            seed: of this array, where storing is random.
            check_values: refuse NaN, other values than +-1, positions out of range. Reads every entry.

        Returns:
            The stored matrix.

        Raises:
            VSAError: the atoms do not fit the kind.
        """
        if kind not in get_args(Kind):
            raise VSAError("store", received=f"kind {kind!r}", expected=f"one of {', '.join(get_args(Kind))}")
        _check_atoms(atoms, kind, block_length)
        if check_values:
            _check_entries(atoms, kind, block_length)
        stored = self._store(atoms, kind, block_length, seed)
        if not self.exact:
            stored._stored_as = (atoms.detach(), kind, block_length)
        return stored

    def train_view(
        self, atoms: Tensor, kind: Kind = "dense", *, block_length: int | None = None, seed: int = 0
    ) -> StoredMatrix:
        """What atoms that are being learned look like on this backend: fresh noise, the gradient of the exact matrix.

        Call it once per batch, with another seed each time. A backend that is exact shows the atoms as they are.

        Args:
            atoms: (*stack, N, E) float, with or without gradient.
            kind: as for :meth:`store`.
            block_length: as for :meth:`store`.
            seed: of the noise.

        Returns:
            A matrix to read, and to differentiate, once.
        """
        from . import get
        from .train_view import StraightThrough

        exact = self if self.exact else get("digital")
        seen = exact.store(atoms, kind, block_length=block_length, seed=seed, check_values=False)
        if self.exact:
            return seen
        noisy = self.store(atoms.detach(), kind, block_length=block_length, seed=seed, check_values=False)
        return StraightThrough(noisy, seen)

    @abstractmethod
    def _store(self, atoms: Tensor, kind: Kind, block_length: int | None, seed: int) -> StoredMatrix: ...


def _check_atoms(atoms: object, kind: Kind, block_length: int | None) -> None:
    if not isinstance(atoms, Tensor):
        raise DtypeError("store", received=describe(atoms), expected="a tensor")
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
    elif not bool(torch.isfinite(values).all()):
        raise VSAError("store", received="atoms with NaN or infinite entries", expected="finite atoms")
