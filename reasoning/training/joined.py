"""Several puzzle sets as one training set."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vsa.seeding import child_seed

if TYPE_CHECKING:
    import torch

    from datasets.loaders import PuzzleBatch
    from reasoning.training.engine import PuzzleSource

__all__ = ["JoinedPuzzles", "MixedBatch", "MixedPuzzles"]


@dataclass(frozen=True)
class JoinedPuzzles:
    """Several puzzle sets trained on together; every batch is of one set, and the order mixes the sets."""

    sets: Sequence[PuzzleSource]
    batch_size: int

    def __len__(self) -> int:
        # Counted in whole batches, since a batch never mixes layouts.
        return sum(-(-len(part) // self.batch_size) for part in self.sets) * self.batch_size

    def batches(
        self, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0, start: int = 0
    ) -> Iterator[PuzzleBatch]:
        """Batches of all sets, in an order that depends on seed and epoch alone."""
        order = np.repeat(np.arange(len(self.sets)), [-(-len(part) // batch_size) for part in self.sets])
        if shuffle:
            np.random.default_rng(child_seed(seed, "mix sets", epoch)).shuffle(order)
        skipped = np.bincount(order[:start], minlength=len(self.sets))
        streams = [
            iter(part.batches(batch_size, shuffle=shuffle, seed=seed, epoch=epoch, start=int(skip)))
            for part, skip in zip(self.sets, skipped, strict=True)
        ]
        for which in order[start:]:
            yield next(streams[which])


@dataclass(frozen=True)
class MixedBatch:
    """Puzzles of several layouts that a front-end is shown at once.

    Attributes:
        parts: a batch of each layout.
    """

    parts: tuple[PuzzleBatch, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def to(self, device: torch.device | str) -> MixedBatch:
        """The same with its tensors on another device."""
        return MixedBatch(tuple(part.to(device) for part in self.parts))


@dataclass(frozen=True)
class MixedPuzzles:
    """Several puzzle sets, of each of which every batch has its share."""

    sets: Sequence[PuzzleSource]
    batch_size: int

    def __len__(self) -> int:
        # Counted in whole batches: those of the set that takes most.
        return max(-(-len(part) // size) for part, size in zip(self.sets, self._sizes(), strict=True)) * self.batch_size

    def _sizes(self) -> list[int]:
        number = -(-sum(map(len, self.sets)) // self.batch_size)
        return [-(-len(part) // number) for part in self.sets]

    def batches(
        self, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0, start: int = 0
    ) -> Iterator[Any]:
        """:class:`MixedBatch` es of about ``batch_size`` puzzles, in an order that depends on seed and epoch alone."""
        streams = [
            iter(part.batches(size, shuffle=shuffle, seed=seed, epoch=epoch, start=start))
            for part, size in zip(self.sets, self._sizes(), strict=True)
        ]
        for _ in range(start, len(self) // batch_size):
            yield MixedBatch(tuple(part for stream in streams for part in itertools.islice(stream, 1)))
