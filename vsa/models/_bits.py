"""Bits as booleans (..., D) and as words (..., W): int64, 64 bits each, bit i of a word is entry i of its 64.

Counting bits is what packed similarity costs. Torch has no instruction for it: where the words are on the CPU and numpy
is there with its hardware count (numpy 2), that is used, elsewhere shifts and masks.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["WORD", "count", "counts_fast", "distances", "pack", "signs", "unpack", "words_for"]

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
    """How many bits of each word are 1: (...) to (...), uint8."""
    fast = _hardware_count(words)
    if fast is not None:
        return fast
    pairs = words - ((words >> 1) & _PAIRS)
    fours = (pairs & _FOURS) + ((pairs >> 2) & _FOURS)
    eights = (fours + (fours >> 4)) & _EIGHTS
    return ((eights * _ONES) >> 56).to(torch.uint8)


def distances(x: Tensor, atoms: Tensor) -> Tensor:
    """Hamming distances of words (B, W) to words (N, W): (B, N), int32."""
    (batch, words), number = x.shape, len(atoms)
    rows, step = max(1, _CHUNK // max(1, number * words)), max(1, _CHUNK // max(1, words))
    if (batch <= rows and number <= step) or torch.compiler.is_compiling():  # compiled, nothing is kept anyhow
        return _distances(x, atoms)
    parts = [
        torch.cat([_distances(x[row : row + rows], atoms[at : at + step]) for at in range(0, number, step)], -1)
        for row in range(0, max(1, batch), rows)
    ]
    return torch.cat(parts)


def _distances(x: Tensor, atoms: Tensor) -> Tensor:
    return count(x.unsqueeze(-2) ^ atoms).sum(-1, dtype=torch.int32)


def counts_fast(words: Tensor) -> bool:
    """Whether these words are counted by the processor's instruction."""
    return words.device.type == "cpu" and _numpy_counts()


@lru_cache(maxsize=1)
def _numpy_counts() -> bool:
    try:
        import numpy as np
    except ImportError:
        return False
    return hasattr(np, "bitwise_count")


def _hardware_count(words: Tensor) -> Tensor | None:
    """:func:`count` by numpy's hardware count; None where that is not to be had."""
    if torch.compiler.is_compiling() or not counts_fast(words):
        return None
    import numpy as np

    try:
        array = words.numpy()
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return None
    # Of a signed number numpy counts the bits of its magnitude.
    return torch.from_numpy(np.bitwise_count(array.view(np.uint64)))
