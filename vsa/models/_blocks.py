"""Arithmetic of blocks, shared by the block codes: positions (..., K), blocks (..., K, L), spectra (..., K, M)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import validation
from ..errors import VSAError

__all__ = [
    "agreement",
    "check_geometry",
    "check_positions",
    "circulant",
    "cyclic_positions",
    "from_spectrum",
    "frequency_weights",
    "one_hot",
    "period",
    "position_powers",
    "position_spectrum",
    "roll",
    "spectrum",
    "take",
    "unit_positions",
    "wrap",
    "wrap_sum",
]

_CHUNK = 2**18  # positions compared at once


def check_geometry(owner: str, dim: int, blocks: int) -> None:
    """Refuse a number of blocks that does not divide D, or leaves blocks of length 1."""
    validation.check_count(owner, "blocks", blocks)
    if dim % blocks or dim < 2 * blocks:
        fits = [k for k in range(1, dim // 2 + 1) if dim % k == 0]
        near = sorted(sorted(fits, key=lambda k: abs(k - blocks))[:4])
        raise VSAError(
            f"{owner} blocks",
            received=f"dim {dim} and blocks {blocks}",
            expected="blocks that divide dim, of length 2 or more",
            hint=f"for this dim use {' or '.join(map(str, near))}" if near else "use a larger dim",
        )


def check_positions(owner: str, operation: str, positions: Tensor, length: int, remedy: str) -> None:
    """Refuse positions (..., K) outside 0 to L - 1; ``remedy`` is the operation that takes them modulo L."""
    if positions.numel() and bool(((positions < 0) | (positions >= length)).any()):
        raise VSAError(
            f"{owner} {operation}",
            received=f"positions from {int(positions.min())} to {int(positions.max())}",
            expected=f"positions from 0 to {length - 1}",
            hint=f"take them modulo the block length with {remedy}",
        )


def wrap(positions: Tensor, length: int) -> Tensor:
    """Positions modulo L; where L is a power of two by a mask, which is several times faster than a division."""
    return positions & (length - 1) if _is_power_of_two(length) else positions.remainder(length)


def wrap_sum(total: Tensor, length: int) -> Tensor:
    """The same for positions that were just computed and that nobody else holds: in place, which spares a tensor."""
    return total.bitwise_and_(length - 1) if _is_power_of_two(length) else total.remainder_(length)


def agreement(x: Tensor, atoms: Tensor, length: int) -> Tensor:
    """The share of blocks in which positions (..., K) and (N, K) agree modulo L: (..., N).

    Positions are compared as the smallest integers that hold them, in pieces that stay in the processor's cache.
    """
    blocks = x.shape[-1]
    p, q = _narrow(x.reshape(-1, blocks), length), _narrow(atoms, length)
    rows = max(1, _CHUNK // max(1, len(q) * blocks))
    if len(p) <= rows or torch.compiler.is_compiling():  # compiled, nothing is kept anyhow
        counts = _agreements(p, q)
    else:
        counts = torch.cat([_agreements(p[at : at + rows], q) for at in range(0, len(p), rows)])
    return (counts / blocks).reshape(*x.shape[:-1], len(q))


def _agreements(p: Tensor, q: Tensor) -> Tensor:
    # Torch sums bytes several times faster than booleans.
    return (p.unsqueeze(-2) == q).view(torch.uint8).sum(-1, dtype=torch.int32)


def _narrow(positions: Tensor, length: int) -> Tensor:
    """Positions modulo L in the smallest integers that hold them."""
    dtype = torch.uint8 if length <= 2**8 else torch.int16 if length <= 2**15 else torch.int64
    if _is_power_of_two(length):  # conversion takes them modulo a multiple of L
        return positions.to(dtype, copy=True).bitwise_and_(length - 1)
    return positions.remainder(length).to(dtype)


def _is_power_of_two(length: int) -> bool:
    return length & (length - 1) == 0


def unit_positions(length: int, blocks: int, generator: torch.Generator) -> Tensor:
    """Random positions (K,) that share no factor with L: their first L multiples are distinct in every block."""
    validation.check_generator("block codes", generator)
    units = torch.tensor([p for p in range(length) if math.gcd(p, length) == 1])
    draw = torch.randint(len(units), (blocks,), generator=generator, device=generator.device)
    return units.to(draw.device)[draw]


def cyclic_positions(owner: str, period: int, length: int, blocks: int, generator: torch.Generator) -> Tensor:
    """Random positions (K,) whose multiples repeat after S = ``period``, which divides L."""
    validation.check_count(owner, "period", period)
    if length % period:
        raise VSAError(
            f"{owner} cyclic_base",
            received=f"period {period} for blocks of length {length}",
            expected="a period that divides the block length",
            hint="choose dim and blocks so that dim / blocks is a multiple of the period",
        )
    return unit_positions(period, blocks, generator) * (length // period)


def period(positions: Tensor, length: int) -> int:
    """Block k with position p repeats after L / gcd(p, L) multiples, all blocks after the least common multiple."""
    return math.lcm(*(length // math.gcd(int(p), length) for p in positions.flatten()))


def one_hot(positions: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Positions (..., K) to one-hot blocks (..., K, L)."""
    blocks = torch.zeros((*positions.shape, length), dtype=dtype, device=positions.device)
    return blocks.scatter(-1, positions.remainder(length).unsqueeze(-1), 1.0)


def take(x: Tensor, at: Tensor) -> Tensor:
    """Gather along the last axis, leading axes broadcast."""
    if x.shape[:-1] == at.shape[:-1]:
        return x.gather(-1, at)
    lead = torch.broadcast_shapes(x.shape[:-1], at.shape[:-1])
    return x.expand(*lead, -1).gather(-1, at.expand(*lead, -1))


def roll(blocks: Tensor, shifts: Tensor) -> Tensor:
    """Move the entries of each block (..., K, L) by its shift (..., K): one-hot convolution as a gather."""
    length = blocks.shape[-1]
    source = torch.arange(length, device=blocks.device) - shifts.unsqueeze(-1)
    return take(blocks, wrap(source, length))


def circulant(blocks: Tensor) -> Tensor:
    """Blocks (..., L) to the matrices (..., L, L) that convolve with them."""
    step = torch.arange(blocks.shape[-1], device=blocks.device)
    return blocks[..., (step[:, None] - step).remainder(blocks.shape[-1])]


def spectrum(blocks: Tensor) -> Tensor:
    """Fourier transform of real blocks (..., L) to (..., M); low precision is transformed in float32."""
    if blocks.dtype in (torch.bfloat16, torch.float16):
        blocks = blocks.float()
    if not blocks.numel():  # some Fourier libraries refuse empty batches
        return blocks[..., : blocks.shape[-1] // 2 + 1].to(blocks.dtype.to_complex())
    return torch.fft.rfft(blocks)


def from_spectrum(s: Tensor, length: int) -> Tensor:
    """Spectra (..., M) to real blocks (..., L)."""
    if not s.numel():
        return s.real.new_zeros(*s.shape[:-1], length)
    return torch.fft.irfft(s, n=length)


def position_spectrum(positions: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Spectrum (..., K, M) of the one-hot blocks at positions (..., K), as phases; ``dtype`` is that of the phases."""
    turns = (positions.unsqueeze(-1) * _frequencies(positions, length)).remainder(length)
    angle = turns.to(dtype) * (-2.0 * math.pi / length)
    return torch.polar(torch.ones_like(angle), angle)


def position_powers(positions: Tensor, exponents: Tensor, length: int) -> Tensor:
    """Spectrum of real powers (...) of one-hot blocks (..., K), on the principal branch: phases in (-pi, pi]."""
    turns = -(positions.unsqueeze(-1) * _frequencies(positions, length)).remainder(length)
    turns = turns + length * (2 * turns <= -length)
    angle = turns.to(exponents.dtype) * (2.0 * math.pi / length) * exponents[..., None, None]
    return torch.polar(torch.ones_like(angle), angle)


def frequency_weights(length: int, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """(M,): how often each kept frequency occurs in the full transform, over L; with them Parseval sums over M."""
    weights = torch.full((length // 2 + 1,), 2.0 / length, dtype=dtype, device=device)
    weights[0] = 1.0 / length
    if length % 2 == 0:
        weights[-1] = 1.0 / length
    return weights


def _frequencies(x: Tensor, length: int) -> Tensor:
    return torch.arange(length // 2 + 1, device=x.device)
