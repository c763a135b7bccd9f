"""Bits as booleans (..., D) and as words (..., W): int64, 64 bits each, bit i of a word is entry i of its 64.

Counting bits is what packed similarity costs. Torch has no instruction for it: where the words are on the CPU and numpy
is there with its hardware count (numpy 2), that is used, elsewhere shifts and masks.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["WORD", "count", "distances", "pack", "signs", "unpack", "words_for"]

WORD = 64
_PAIRS, _FOURS, _EIGHTS, _ONES = 0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101
_CHUNK = 2**17  # words compared at once: a megabyte, so that memory stays bounded and in the processor's cache


def words_for(dim: int) -> int:
    """W, the words that D bits need."""
    return -(-dim // WORD)


def pack(bits: Tensor) -> Tensor:
    """Booleans (..., D) to words (..., W); bits beyond D are 0."""
    dim = bits.shape[-1]
    padded = torch.nn.functional.pad(bits.to(torch.uint8), (0, -dim % WORD))
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    octets = (padded.unflatten(-1, (-1, 8)) << shifts).sum(-1, dtype=torch.uint8)
    return octets.contiguous().view(torch.int64)


def unpack(words: Tensor, dim: int) -> Tensor:
    """Words (..., W) to booleans (..., D)."""
    octets = words.contiguous().view(torch.uint8)
    shifts = torch.arange(8, dtype=torch.uint8, device=words.device)
    return ((octets.unsqueeze(-1) >> shifts) & 1).flatten(-2)[..., :dim].bool()


def signs(words: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """Words (..., W) to +1 for a 0 and -1 for a 1, (..., D), by a table of the 256 octets."""
    octets = torch.arange(256, dtype=torch.uint8, device=words.device).unsqueeze(-1)
    shifts = torch.arange(8, dtype=torch.uint8, device=words.device)
    table = 1 - 2 * ((octets >> shifts) & 1).to(dtype)
    rows = words.contiguous().view(torch.uint8).to(torch.int32)
    return torch.nn.functional.embedding(rows, table).flatten(-2)[..., :dim]


def count(words: Tensor) -> Tensor:
    """How many bits of each word are 1: (...) to (...), int64."""
    pairs = words - ((words >> 1) & _PAIRS)
    fours = (pairs & _FOURS) + ((pairs >> 2) & _FOURS)
    eights = (fours + (fours >> 4)) & _EIGHTS
    return (eights * _ONES) >> 56


def distances(x: Tensor, atoms: Tensor) -> Tensor:
    """Hamming distances of words (B, W) to words (N, W): (B, N), int64."""
    fast = _with_numpy(x, atoms)
    if fast is not None:
        return fast
    result = torch.empty(x.shape[0], atoms.shape[0], dtype=torch.int64, device=x.device)
    step = max(1, _CHUNK // max(1, atoms.shape[-1]))
    for start in range(0, atoms.shape[0], step):
        part = atoms[start : start + step]
        for row in range(x.shape[0]):
            result[row, start : start + step] = count(part ^ x[row]).sum(-1)
    return result


def _with_numpy(x: Tensor, atoms: Tensor) -> Tensor | None:
    """The same by numpy's hardware count; None where that is not to be had."""
    if x.device.type != "cpu" or atoms.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    try:
        import numpy as np

        # Of a signed number numpy counts the bits of its magnitude.
        left, right, bit_count = x.numpy().view(np.uint64), atoms.numpy().view(np.uint64), np.bitwise_count
    except (ImportError, AttributeError, RuntimeError):  # no numpy, numpy 1, or tensors inside a transform
        return None
    result = np.empty((len(left), len(right)), dtype=np.int64)
    step = max(1, _CHUNK // max(1, right.shape[-1]))
    for start in range(0, len(right), step):
        part = right[start : start + step]
        differ, counts = np.empty_like(part), np.empty(part.shape, dtype=np.uint8)
        for row in range(len(left)):
            bit_count(np.bitwise_xor(part, left[row], out=differ), out=counts)
            # Torch sums rows of bytes several times faster than numpy.
            result[row, start : start + step] = torch.from_numpy(counts).sum(-1, dtype=torch.int32).numpy()
    return torch.from_numpy(result)
