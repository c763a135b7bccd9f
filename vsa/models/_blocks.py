"""Arithmetic of blocks, shared by the block codes: positions (..., K), blocks (..., K, L), spectra (..., K, M)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "circulant",
    "from_spectrum",
    "frequency_weights",
    "one_hot",
    "position_powers",
    "position_spectrum",
    "roll",
    "spectrum",
    "take",
]


def one_hot(positions: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Positions (..., K) to one-hot blocks (..., K, L)."""
    blocks = torch.zeros((*positions.shape, length), dtype=dtype, device=positions.device)
    return blocks.scatter(-1, positions.remainder(length).unsqueeze(-1), 1.0)


def take(x: Tensor, at: Tensor) -> Tensor:
    """Gather along the last axis, leading axes broadcast."""
    lead = torch.broadcast_shapes(x.shape[:-1], at.shape[:-1])
    return x.expand(*lead, -1).gather(-1, at.expand(*lead, -1))


def roll(blocks: Tensor, shifts: Tensor) -> Tensor:
    """Move the entries of each block (..., K, L) by its shift (..., K): one-hot convolution as a gather."""
    length = blocks.shape[-1]
    source = torch.arange(length, device=blocks.device) - shifts.unsqueeze(-1)
    return take(blocks, source.remainder(length))


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
