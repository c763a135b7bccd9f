"""Randomness per puzzle: counter-based, so that a puzzle is the same in any chunk, order and worker.

Each puzzle owns a key and a counter. Draw number c of a puzzle is the SplitMix64 output for that counter, whatever the
other puzzles of the batch do: a rejected puzzle draws again by advancing its own counter only.

Reference:
    Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators" (the output function of SplitMix64);
    Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3" (the counter-based form).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import VSAError
from vsa.seeding import child_seed

__all__ = ["Stream"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SCALE = np.uint64(32)

Ints = NDArray[np.int64]
Rows = NDArray[np.intp]


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64, a bijection of 64-bit words."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Stream:
    """Independent generators, one per puzzle.

    Args:
        seed: the run's seed.
        names: what the puzzles are of (dataset, constellation, ...).
        index: int64 (N,), the identity of each puzzle, >= 0.
    """

    def __init__(self, seed: int, names: tuple[str | int, ...], index: NDArray[np.int64]) -> None:
        index = np.asarray(index, dtype=np.int64)
        if index.ndim != 1 or (index < 0).any():
            raise VSAError("Stream", received=f"index of shape {index.shape}", expected="indices >= 0 of shape (N,)")
        base = np.full(1, child_seed(seed, "datasets", *names), dtype=np.uint64)
        # Mixed twice: keys of neighbouring indices must not be a multiple of the counter's increment apart.
        self._keys = _mix(base ^ _mix((index.astype(np.uint64) + np.uint64(1)) * _GOLDEN))
        self._counters = np.zeros(len(index), dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._keys)

    def bits(self, *shape: int, rows: Rows | None = None) -> NDArray[np.uint64]:
        """Uniform 64-bit words.

        Args:
            shape: per puzzle.
            rows: (K,) the puzzles that draw; all of them by default.

        Returns:
            uint64 (N, *shape) or (K, *shape).
        """
        count = int(np.prod(shape, dtype=np.int64))
        keys, counters = (self._keys, self._counters) if rows is None else (self._keys[rows], self._counters[rows])
        steps: NDArray[np.uint64] = counters[:, None] + np.arange(1, count + 1).astype(np.uint64)
        if rows is None:
            self._counters += np.uint64(count)
        else:
            self._counters[rows] += np.uint64(count)
        return _mix(keys[:, None] + steps * _GOLDEN).reshape(len(keys), *shape)

    def below(self, bound: Any, *shape: int, rows: Rows | None = None) -> Ints:
        """Uniform integers in [0, bound).

        Args:
            bound: integers >= 1, below 2**31, broadcastable against the result.
            shape: per puzzle.
            rows: (K,) the puzzles that draw; all of them by default.

        Returns:
            int64 (N, *shape) or (K, *shape). The bias is at most bound / 2**32: invisible below 10**9 draws.
        """
        high = self.bits(*shape, rows=rows) >> _SCALE
        return ((high * np.asarray(bound).astype(np.uint64)) >> _SCALE).astype(np.int64)

    def between(self, low: Any, high: Any, *shape: int, rows: Rows | None = None) -> Ints:
        """Uniform integers in [low, high], both inclusive.

        Args:
            low: integers, broadcastable against the result.
            high: integers >= low, broadcastable against the result.
            shape: per puzzle.
            rows: (K,) the puzzles that draw; all of them by default.

        Returns:
            int64 (N, *shape) or (K, *shape).
        """
        low = np.asarray(low)
        return low + self.below(np.asarray(high) - low + 1, *shape, rows=rows)

    def permutations(self, size: int, *shape: int, rows: Rows | None = None) -> Ints:
        """Uniform permutations of 0 .. size - 1.

        Args:
            size: how many are permuted.
            shape: per puzzle.
            rows: (K,) the puzzles that draw; all of them by default.

        Returns:
            int64 (N, *shape, size) or (K, *shape, size).
        """
        return np.argsort(self.bits(*shape, size, rows=rows), axis=-1).astype(np.int64)

    def distinct(self, low: Any, high: Any, size: int, rows: Rows | None = None) -> Ints:
        """Ordered samples without repetition from [low, high].

        Args:
            low: integer or (N,).
            high: integer or (N,), at least low + size - 1.
            size: how many are drawn.
            rows: (K,) the puzzles that draw; all of them by default.

        Returns:
            int64 (N, size) or (K, size).
        """
        low = np.asarray(low)
        span = np.asarray(high) - low + 1
        if (span < size).any():
            raise VSAError("draw distinct values", received=f"{int(span.min())} values", expected=f"at least {size}")
        drawn: list[Ints] = []
        for k in range(size):
            value = self.below(span - k, rows=rows)
            for earlier in np.sort(np.stack(drawn, axis=0), axis=0) if drawn else ():
                value = value + (value >= earlier)  # the value-th of those not yet drawn
            drawn.append(value)
        return low[..., None] + np.stack(drawn, axis=-1)
