"""The exact backend: float matrices, int8 for bipolar atoms, indices for one-hot blocks.

The kind decides what is held: for N atoms of K one-hot blocks an index form needs N * K reads where a float matrix
needs N * D multiplications. All reads have gradients with respect to their argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, reduce

import torch
from torch import Tensor
from torch.nn import functional

from ..arithmetic import HALVES
from ..validation import check_count
from . import BACKENDS
from .base import Backend, DeviceHandle, Kind, StoredMatrix
from .stored import stands_for_many

__all__ = ["Digital"]

_ROWS_FROM = 16  # batch from which gathering rows of the transposed argument beats gathering its columns (measured)
_CACHED_BYTES = 2**28  # largest float copy that a bipolar matrix keeps; beyond it is converted piece by piece

# Up to this many int8 vectors are read one by one from a transposed matrix of at least so many entries (measured).
_ONE_BY_ONE = 4
_TURNED_FROM = 2**19

# A superposition of a large codebook that names few atoms (a PMF over a wide range) gathers them instead of
# multiplying: measured 2x to 4x faster at N = 101 and 15x to 20x at N = 1001 with 1 to 6 of them named, slower from
# one in ten on.
_SPARSE_COUNT = 96
_SPARSE_SHARE = 0.05
_SOME_ELEMENTS = 2**22  # of gathered atoms at a time, where a gradient or another dtype asks for copies


@BACKENDS.register("digital")
@dataclass(frozen=True)
class Digital(Backend):
    """Exact arithmetic, no device state.

    Args:
        topk_elements: similarities that one step of ``topk`` holds at once; it bounds the memory of clean-up in
            large codebooks.
    """

    topk_elements: int = 2**22
    name = "digital"
    exact = True

    def __post_init__(self) -> None:
        check_count("digital", "topk_elements", self.topk_elements)

    def _store(self, atoms: Tensor, kind: Kind, block_length: int | None, seed: int) -> StoredMatrix:
        if kind == "onehot_blocks" and block_length is not None:
            return _OneHotBlocks(atoms, block_length, self.topk_elements)
        if kind == "bipolar":
            return _Bipolar(atoms, block_length, self.topk_elements)
        return _Dense(atoms, block_length, self.topk_elements)


class _Chunked(StoredMatrix):
    """Top-k over ranges of rows, so that the (B, G, N) similarities never exist at once."""

    exact = True
    topk_elements: int

    def _matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self._range(x, 0, self.count)

    def _range(self, x: Tensor, start: int, stop: int) -> Tensor:
        """(B, G, E) -> (B, G, stop - start)."""
        raise NotImplementedError

    def _rows_at_once(self, x: Tensor) -> int:
        return self.topk_elements // max(x.shape[0] * x.shape[1], 1)

    def _topk(self, x: Tensor, k: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        step = max(k, self._rows_at_once(x))
        best, rows = self._range(x, 0, min(step, self.count)).topk(min(k, self.count), dim=-1)
        for start in range(step, self.count, step):
            stop = min(start + step, self.count)
            values, here = self._range(x, start, stop).topk(min(k, stop - start), dim=-1)
            best, order = torch.cat((best, values), -1).topk(k, dim=-1)
            rows = torch.cat((rows, here + start), -1).gather(-1, order)
        return best, rows


class _Dense(_Chunked):
    """A float matrix; shares its memory with the atoms given, so that a parameter is read as it is now."""

    def __init__(self, atoms: Tensor, block_length: int | None, topk_elements: int) -> None:
        super().__init__(
            stack=tuple(atoms.shape[:-2]),
            count=atoms.shape[-2],
            width=atoms.shape[-1],
            block_length=block_length,
            kind="dense",
            device=atoms.device,
            dtype=atoms.dtype,
            handle=DeviceHandle(),
        )
        self.topk_elements = topk_elements
        self.atoms = atoms.reshape(-1, self.count, self.width)

    def _like(self, x: Tensor) -> Tensor:
        """The atoms in the dtype of an argument: in float32, where a noisy array of atoms in half precision asks."""
        return self.atoms if self.atoms.dtype == x.dtype else self.atoms.to(x.dtype)

    def _range(self, x: Tensor, start: int, stop: int) -> Tensor:
        return _batched(x, self._like(x)[:, start:stop].mT)

    def _rmatvec(self, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        differentiable = torch.is_grad_enabled() and (weights.requires_grad or self.atoms.requires_grad)
        if len(self.atoms) == 1 and self.count >= _SPARSE_COUNT and not differentiable:
            rows, columns = weights[:, 0].nonzero(as_tuple=True)
            if len(columns) <= weights.numel() * _SPARSE_SHARE:
                return _sparse_superposition(weights[:, 0], rows, columns, self._like(weights)[0]).unsqueeze(1)
        return _batched(weights, self._like(weights))

    def _rmatvec_some(self, rows: Tensor, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        if len(self.atoms) > 1:
            return super()._rmatvec_some(rows, weights, generator)
        return _some_superposed(rows[:, 0], weights[:, 0], self._like(weights)[0]).unsqueeze(1)

    def _block_matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return _block_products(x, self._like(x), self._blocks("block_matvec"))

    def _block_min(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return _least_block(x, self._like(x), self._blocks("block_min"))


class _Bipolar(_Chunked):
    """+1 and -1 as int8. An int8 argument is answered in exact int32, a float one through a float copy."""

    def __init__(self, atoms: Tensor, block_length: int | None, topk_elements: int) -> None:
        super().__init__(
            stack=tuple(atoms.shape[:-2]),
            count=atoms.shape[-2],
            width=atoms.shape[-1],
            block_length=block_length,
            kind="bipolar",
            device=atoms.device,
            dtype=None,
            handle=DeviceHandle(),
        )
        self.topk_elements = topk_elements
        self.atoms = atoms.detach().to(torch.int8).reshape(-1, self.count, self.width)
        self._columns = self.atoms[0].t()
        # Ranges of rows whose float copies are small enough to be made and dropped.
        step = max(1, _CACHED_BYTES // (4 * self.atoms.shape[0] * self.width))
        self._pieces = [(start, min(start + step, self.count)) for start in range(0, self.count, step)]
        self._copy: Tensor | None = None

    def _float(self, dtype: torch.dtype, start: int = 0, stop: int | None = None) -> Tensor:
        whole = start == 0 and stop in (None, self.count)
        if self.atoms.numel() * dtype.itemsize > _CACHED_BYTES:
            return self.atoms[:, start:stop].to(dtype)
        if self._copy is None or self._copy.dtype != dtype:
            self._copy = self.atoms.to(dtype)
        return self._copy if whole else self._copy[:, start:stop]

    def _rows_at_once(self, x: Tensor) -> int:
        return min(super()._rows_at_once(x), self._pieces[0][1])

    def _matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        parts = [self._range(x, start, stop) for start, stop in self._pieces]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def _range(self, x: Tensor, start: int, stop: int) -> Tensor:
        if x.dtype != torch.int8:
            return _batched(x, self._float(x.dtype, start, stop).mT)
        if len(self.atoms) == 1 and _int8_is_faster(x, stop - start):
            columns = self._columns if stop - start == self.count else self._columns[:, start:stop]
            return _int8_product(x.flatten(1), columns).unsqueeze(1)
        exact = _exact_float(self.width)
        return _batched(x.to(exact), self._float(exact, start, stop).mT).to(torch.int32)

    def _rmatvec(self, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        integers = weights.dtype == torch.int8
        if integers and len(self.atoms) == 1 and _int8_is_faster(weights, self.width):
            return _int8_product(weights.flatten(1), self.atoms[0]).unsqueeze(1)
        exact = _exact_float(self.count) if integers else weights.dtype
        if exact == weights.dtype and len(self._pieces) == 1:
            return _batched(weights, self._float(exact))
        parts = ((weights[..., a:b].to(exact), self._float(exact, a, b)) for a, b in self._pieces)
        total = reduce(torch.add, (_batched(share, rows) for share, rows in parts))
        return total.to(torch.int32) if integers else total

    def _rmatvec_some(self, rows: Tensor, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        if len(self.atoms) > 1:
            return super()._rmatvec_some(rows, weights, generator)
        atoms = self._float(weights.dtype)[0] if len(self._pieces) == 1 else self.atoms[0]
        return _some_superposed(rows[:, 0], weights[:, 0], atoms).unsqueeze(1)

    def _block_matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        blocks = self._blocks("block_matvec")
        parts = [_block_products(x, self._float(x.dtype, start, stop), blocks) for start, stop in self._pieces]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -2)

    def _block_min(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        blocks = self._blocks("block_min")
        parts = [_least_block(x, self._float(x.dtype, start, stop), blocks) for start, stop in self._pieces]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


class _OneHotBlocks(_Chunked):
    """One position per block; reads are gathers, superposition is scatters. Reads any float dtype."""

    def __init__(self, positions: Tensor, block_length: int, topk_elements: int) -> None:
        blocks = positions.shape[-1]
        super().__init__(
            stack=tuple(positions.shape[:-2]),
            count=positions.shape[-2],
            width=blocks * block_length,
            block_length=block_length,
            kind="onehot_blocks",
            device=positions.device,
            dtype=None,
            handle=DeviceHandle(),
        )
        self.topk_elements = topk_elements
        flat = positions.detach().reshape(-1, self.count, blocks)
        rows = torch.arange(flat.shape[0], device=flat.device)[:, None, None] * self.width
        # (G, N, K) into the G * E entries of all stacked arguments: a stack is one wide gather.
        self._at = rows + torch.arange(blocks, device=flat.device) * block_length + flat
        self._columns = self._at.movedim(-1, 0).flatten(1).contiguous().unbind()  # K times (G * N,)
        self._adjoint: tuple[Tensor, Tensor] | None = None

    def _range(self, x: Tensor, start: int, stop: int) -> Tensor:
        if x.dtype in HALVES:  # a sum of so many, one by one, would stand still
            return self._range(x.float(), start, stop).to(x.dtype)
        flat, whole = x.flatten(1), stop - start == self.count
        columns = self._columns if whole else self._at[:, start:stop].movedim(-1, 0).flatten(1).unbind()
        if not self._by_rows(x):
            total = flat.index_select(1, columns[0])
            for column in columns[1:]:
                total += flat.index_select(1, column)
        elif x.requires_grad and torch.is_grad_enabled():
            turned = flat.t().contiguous()
            total = sum(turned.index_select(0, column) for column in columns).t()  # type: ignore[union-attr]
        else:
            at = self._at[:, start:stop].flatten(0, 1)
            total = functional.embedding_bag(at, flat.t().contiguous(), mode="sum").t()
        return total.unflatten(-1, (x.shape[1], stop - start))

    def _rmatvec(self, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        if weights.dtype in HALVES:
            return self._rmatvec(weights.float(), generator).to(weights.dtype)
        flat, groups = weights.flatten(1), weights.shape[1]
        entries = groups * self.width
        if self._by_rows(weights) and not (weights.requires_grad and torch.is_grad_enabled()):
            sources, offsets = self._sources()
            total = functional.embedding_bag(sources, flat.t().contiguous(), offsets, mode="sum").t().contiguous()
        else:
            total = flat.new_zeros(flat.shape[0], entries)
            whole = [self._at.flatten()] if len(flat) == 1 else self._columns  # all blocks at once: 14 times faster
            votes = flat.repeat_interleave(self._at.shape[-1], 1) if len(flat) == 1 else flat
            for column in whole:
                total = total.index_add_(1, column, votes)
        return total.unflatten(-1, (groups, self.width))

    def _rmatvec_some(self, rows: Tensor, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        if weights.dtype in HALVES:
            return self._rmatvec_some(rows, weights.float(), generator).to(weights.dtype)
        if len(self._at) > 1:
            return super()._rmatvec_some(rows, weights, generator)
        entries = self._at[0][rows[:, 0]]  # (B, some rows, K)
        shares = weights[:, 0, :, None].expand(entries.shape)
        total = weights.new_zeros(len(weights), self.width).scatter_add(1, entries.flatten(1), shares.flatten(1))
        return total.unsqueeze(1)

    def _block_matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        columns = [x.flatten(1).index_select(1, column) for column in self._columns]
        return torch.stack(columns, -1).unflatten(1, (x.shape[1], self.count))

    def _block_min(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        rows = self._by_rows(x)
        source = x.flatten(1).t().contiguous() if rows else x.flatten(1)
        least = source.index_select(0 if rows else 1, self._columns[0])
        for column in self._columns[1:]:
            least = torch.minimum(least, source.index_select(0 if rows else 1, column))
        return (least.t() if rows else least).unflatten(-1, (x.shape[1], self.count))

    def _by_rows(self, x: Tensor) -> bool:
        """Whether to turn the (B, E) side around: it pays where more is gathered than it holds."""
        return x.shape[0] >= _ROWS_FROM and self.count >= self.width

    def _sources(self) -> tuple[Tensor, Tensor]:
        """For each of the G * E entries the atoms that point at it, as bags: the transpose of the gather."""
        if self._adjoint is None:
            targets, order = self._at.flatten().sort(stable=True)
            sizes = torch.bincount(targets, minlength=self._at.shape[0] * self.width)
            self._adjoint = (order // self._at.shape[-1], sizes.cumsum(0) - sizes)
        return self._adjoint


def _batched(x: Tensor, matrices: Tensor) -> Tensor:
    """(B, G, I), (G, I, O) -> (B, G, O)."""
    if matrices.shape[0] == 1:
        return x @ matrices[0]
    return (x.transpose(0, 1) @ matrices).transpose(0, 1)


def _sparse_superposition(weights: Tensor, rows: Tensor, columns: Tensor, atoms: Tensor) -> Tensor:
    """(B, N) with few entries that are not zero, at (rows, columns), times (N, E) -> (B, E)."""
    starts = torch.searchsorted(rows, torch.arange(len(weights), device=rows.device))
    values = weights[rows, columns]
    return torch.nn.functional.embedding_bag(columns, atoms, starts, mode="sum", per_sample_weights=values)


def _some_superposed(rows: Tensor, weights: Tensor, atoms: Tensor) -> Tensor:
    """Twice (B, K): which of (N, E), and how much of each -> (B, E)."""
    differentiable = torch.is_grad_enabled() and (weights.requires_grad or atoms.requires_grad)
    if atoms.dtype == weights.dtype and atoms.dtype not in HALVES and rows.numel() and not differentiable:
        return functional.embedding_bag(rows, atoms, mode="sum", per_sample_weights=weights)
    step = max(1, _SOME_ELEMENTS // max(1, rows.shape[1] * atoms.shape[1]))
    parts = [
        (share.unsqueeze(1) @ atoms[some].to(weights.dtype)).squeeze(1)
        for some, share in zip(rows.split(step), weights.split(step), strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _block_products(x: Tensor, atoms: Tensor, blocks: int) -> Tensor:
    """(B, G, E), (G, N, E) -> (B, G, N, K)."""
    a, b = x.unflatten(-1, (blocks, -1)), atoms.unflatten(-1, (blocks, -1))
    return torch.einsum("bgkl,gnkl->bgnk", a, b)


def _least_block(x: Tensor, atoms: Tensor, blocks: int) -> Tensor:
    """Minimum over blocks of the block products, one block at a time: no (B, G, N, K)."""
    a, b = x.unflatten(-1, (blocks, -1)), atoms.unflatten(-1, (blocks, -1))
    least = _batched(a[..., 0, :], b[..., 0, :].mT)
    for k in range(1, blocks):
        least = torch.minimum(least, _batched(a[..., k, :], b[..., k, :].mT))
    return least


def _int8_product(x: Tensor, columns: Tensor) -> Tensor:
    """(B, E), (E, N) in int8 -> (B, N) in int32.

    Torch first turns a transposed matrix around, for two vectors or more. Where that costs more than it saves, the
    vectors are read one by one (measured: up to 7x faster). Rows must lie one behind the other: other strides, such as
    those of ``expand``, torch answers on the CPU with what was in memory (its issue 195066, seen with 2.13).
    """
    if x.stride() != (x.shape[1], 1):
        x = torch.empty_like(x, memory_format=torch.contiguous_format).copy_(x)
    turned = x.device.type == "cpu" and len(x) > 1 and columns.stride(-1) != 1
    if turned and len(x) <= _ONE_BY_ONE and columns.numel() >= _TURNED_FROM:
        return torch.cat([torch._int_mm(row, columns) for row in x.split(1)])
    product: Tensor = torch._int_mm(x, columns)
    return product


def _exact_float(terms: int) -> torch.dtype:
    """A float type in which a sum of so many products of int8 with signs is exact: float32 counts up to 2^24."""
    return torch.float32 if terms * 128 < 2**24 else torch.float64


def _int8_is_faster(x: Tensor, count: int) -> bool:
    """Whether the integer matrix unit takes (B, G, E) and N rows; elsewhere an int8 product is a slow loop.

    Not in compiled code, whose strides torch chooses (see _int8_product); not under vmap, where torch takes the vectors
    one by one; on the CPU not for vectors of one entry.
    """
    if torch.compiler.is_compiling() or stands_for_many(x):
        return False
    batch, width = x.shape[0], x.shape[-1]
    if x.device.type == "cuda":
        return batch > 16 and width % 8 == 0 and count % 8 == 0
    return x.device.type == "cpu" and width > 1 and _has_vnni()


@lru_cache(maxsize=1)
def _has_vnni() -> bool:
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return supported is not None and bool(supported())
