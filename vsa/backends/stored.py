"""What a backend holds for a set of atoms: a matrix that is only read.

The underscore reads see canonical shapes only: B vectors for each of G stacked matrices of N rows and E columns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..errors import DtypeError, ShapeError, UnsupportedError
from ..validation import check_computable, check_count, check_rows, describe
from .device import DeviceHandle

__all__ = ["Kind", "StoredMatrix", "all_of", "read_noise", "stands_for_many"]

Kind = Literal["dense", "bipolar", "onehot_blocks"]
_ELEMENTS = 2**22  # weights that a read of some rows writes out at a time, where all rows have to be read
_NOISE: ContextVar[torch.Generator | None] = ContextVar("noise of reads", default=None)

# Inside vmap a tensor stands for many, perhaps behind those of derivatives: torch has no public names for it.
_FUNC = torch._C._functorch


def stands_for_many(x: Tensor) -> bool:
    """Whether a tensor is one of many inside vmap, so that nothing may depend on its values.

    Args:
        x: (...), any.
    """
    while _FUNC.is_gradtrackingtensor(x):
        x = _FUNC.get_unwrapped(x)
    return _FUNC.is_batchedtensor(x)


def all_of(x: Tensor) -> Tensor:
    """The tensor that holds all those for which one stands inside vmap.

    Args:
        x: (...), any.
    """
    while _FUNC.is_batchedtensor(x) or _FUNC.is_gradtrackingtensor(x):
        x = _FUNC.get_unwrapped(x)
    return x


@contextmanager
def read_noise(generator: torch.Generator) -> Iterator[None]:
    """Reads that are given no generator draw from this one, not from their device's own, which remembers every read.

    Args:
        generator: for matrices on its device.
    """
    token = _NOISE.set(generator)
    try:
        yield
    finally:
        _NOISE.reset(token)


class StoredMatrix(ABC):
    """Atoms that a backend holds: (*stack, N, E). Reads broadcast over leading axes in front of the stack axes.

    ``exact`` says that reads are products and nothing else, so that a scaled argument gets the scaled answer.

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

    exact: ClassVar[bool] = False

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

    @property
    def stored_atoms(self) -> Tensor | None:
        """What was stored, where reads do not give it back exactly; None of an exact backend."""
        return None if self._stored_as is None else self._stored_as[0]

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

    def rmatvec_some(self, rows: Tensor, weights: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Weighted sum of some of the rows: :meth:`rmatvec` of weights that are zero elsewhere.

        Args:
            rows: int64 (..., *stack, K), from 0 to N - 1; a row that is named twice counts twice.
            weights: (..., *stack, K), float.
            generator: of read noise. Default: the device's own.

        Returns:
            (..., *stack, E).
        """
        lead = self._check("rmatvec_some", weights, weights.shape[-1] if weights.ndim else 0)
        if not stands_for_many(rows):
            check_rows("rmatvec_some", rows, weights, self.count)
        asked = self._canonical(rows), self._canonical(weights)
        return self._rmatvec_some(*asked, generator).reshape(*lead, *self.stack, self.width)

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
        values, rows = self._topk(self._canonical(x), k, self._source(generator))
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

    def _rmatvec_some(self, rows: Tensor, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        """Twice (B, G, K) -> (B, G, E). Here: all rows are read, a piece of the batch at a time."""
        groups = math.prod(self.stack)
        step = max(1, _ELEMENTS // (groups * self.count))
        parts = []
        for some, shares in zip(rows.split(step), weights.split(step), strict=True):
            whole = shares.new_zeros(len(shares), groups, self.count).scatter_add(-1, some, shares)
            parts.append(self._read("_rmatvec", whole.reshape(-1, *self.stack, self.count), generator))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

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
        answer: Tensor = getattr(self, name)(asked, self._source(generator))
        return _through(answer, getattr(self._twin(), name)(asked, None)) if self._lends_gradient(x, answer) else answer

    def _source(self, generator: torch.Generator | None) -> torch.Generator | None:
        """Where a read draws: what it is given, else what :func:`read_noise` says; None: the device's own."""
        if generator is not None or self._stored_as is None:  # an exact backend draws nothing
            return generator
        common = _NOISE.get()
        return common if common is None or common.device == self.device else None

    def _lends_gradient(self, x: Tensor, answer: Tensor) -> bool:
        if self._stored_as is None:
            return False
        backward = x.requires_grad and torch.is_grad_enabled() and not answer.requires_grad
        return backward or (x.is_floating_point() and forward_ad.unpack_dual(x).tangent is not None)

    def _twin(self) -> StoredMatrix:
        """The same atoms, exact and differentiable."""
        if self._lent is None:
            if self._stored_as is None:
                raise UnsupportedError("differentiate a read", received="a matrix that was not stored by Backend.store")
            from . import BACKENDS

            atoms, kind, block_length = self._stored_as
            atoms = atoms.clone() if atoms.is_inference() else atoms  # which autograd could not save
            exact = BACKENDS.get("digital")()
            self._lent = exact.store(atoms, kind, block_length=block_length, check_values=False)
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

    def _check(self, operation: str, x: Tensor, width: int) -> tuple[int, ...]:
        """Refuse what does not fit; return the leading axes."""
        check_computable(operation, x)
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
