"""Who wins a tie, where bundling is a vote: shared by the models whose bundles are atoms again.

A tie is decided by a hash of what was counted at neighbouring places, and of the place. So the result does not depend
on the order of the voters, is the same whenever the same votes are counted, all at once or one after the other, and
differs from bundle to bundle: a bundle of bundles keeps all members. No rule can do all this and be carried along by
binding, too: bind(bundle(x, -x), -1) would be another vector than bundle(-x, x). So binding and permuting distribute
over a vote exactly where there is no tie, and in what they resemble where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["HASH_BITS", "LEAST", "coins", "hashes", "negative", "signs", "tallied"]

_ODD = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F)  # Knuth's and Murmur's multipliers
_MODULUS = 1 << 64
LEAST = torch.iinfo(torch.int64).min
_PIECE = 2**16  # entries that stay in the processor's cache
HASH_BITS = 40  # two positions have the same hash once in 2 ** 40 times


def signs(tallies: Tensor) -> Tensor:
    """-1, 0 or 1 for each entry, as bytes, which torch asks and combines far faster than numbers.

    Args:
        tallies: (..., D).

    Returns:
        (..., D), int8.
    """
    pieces = [piece.sign().to(torch.int8) for piece in tallies.flatten().split(_PIECE)]
    return torch.cat(pieces).view(tallies.shape)


def negative(balance: Tensor) -> Tensor:
    """Where :func:`signs` found -1, bool; it may take the bytes of ``balance``, which are then of no more use.

    Compiled code compares: inductor's C++ has no reading of bytes as truths that goes on to masks.
    """
    if torch.compiler.is_compiling():
        return balance < 0
    return balance.clamp_max_(0).abs_().view(torch.bool)


def coins(tallies: Tensor, leading: Tensor) -> Tensor:
    """A fair coin for each place.

    Args:
        tallies: (..., D), int64: the votes for one.
        leading: (..., D), bool: whether one has more votes than zero.

    Returns:
        (..., D), bool.
    """
    odd = (tallies & 1).bool().roll(-1, -1)
    return odd ^ leading.roll(-2, -1) ^ _places(_fair, tallies.shape[-1], tallies)


def _places(draw: Callable[[int], list], places: int, like: Tensor) -> Tensor:
    """What is drawn for each place, (K,), on the device of ``like``; for a fake tensor nothing is kept."""
    return (_kept if type(like) is Tensor else _drawn)(draw, places, like.device)


def _drawn(draw: Callable[[int], list], places: int, device: torch.device) -> Tensor:
    return torch.tensor(draw(places), device=device)


def _kept(draw: Callable[[int], list], places: int, device: torch.device) -> Tensor:
    return _cached(draw, places, device)


_cached = lru_cache(maxsize=16)(_drawn)  # as many places as the vectors of a program have, by and large

# Compiled code takes these as constants: inductor reckons with an arange as an index, not modulo 2^64. The mark is
# what torch.compiler.assume_constant_result leaves, which would load all of dynamo at every import.
_kept.__dict__["_dynamo_marked_constant"] = True


def _fair(places: int) -> list[bool]:
    """A fair coin for each place, the same in every bundle: the 21st bit of its hash, as :func:`_mix` reckons it."""
    first = [place * (_ODD[0] << 31 | _ODD[1]) & _MODULUS - 1 for place in range(1, places + 1)]
    return [bool((number ^ number >> 32) * (_ODD[2] << 31 | _ODD[3]) >> 20 & 1) for number in first]


def _stamps(places: int) -> list[int]:
    """A number for each place."""
    return [place * _ODD[3] for place in range(1, places + 1)]


def _mix(numbers: Tensor) -> Tensor:
    """Murmur's finish, modulo 2^64: one to one, and every bit depends on every bit."""
    mixed = numbers * (_ODD[0] << 31 | _ODD[1])
    mixed = mixed ^ ((mixed >> 32) & 0xFFFFFFFF)
    return mixed * (_ODD[2] << 31 | _ODD[3])


def tallied(positions: Tensor, votes: Tensor | None) -> Tensor:
    """A number for what was counted in the block behind each block, whatever the order.

    Args:
        positions: (..., K, N), int64.
        votes: (..., K, N), int64, or None: one each.

    Returns:
        (..., K, 1), int64.
    """
    squares = (positions + 1).square()
    counted = (squares if votes is None else squares * votes).sum(-1, keepdim=True).roll(-1, -2)
    return _mix(counted + _places(_stamps, positions.shape[-2], positions).unsqueeze(-1))


def hashes(positions: Tensor, counted: Tensor) -> Tensor:
    """What decides between positions of a block: the largest number wins.

    Args:
        positions: (..., K, N), int64.
        counted: (..., K, 1), of :func:`tallied`.

    Returns:
        (..., K, N), int64, of HASH_BITS bits and a sign.
    """
    return ((positions ^ counted) * (_ODD[0] << 31 | _ODD[1])) >> (63 - HASH_BITS)
