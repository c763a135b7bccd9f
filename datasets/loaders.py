"""Puzzles for torch: a Dataset, batches in a reproducible order, and ``load``, which makes or reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from vsa.errors import DtypeError, SettingsError, UnknownNameError

from .arrays import PuzzleArrays
from .constellations import resolve_constellation
from .data_sets import data_set
from .files.cache import cached
from .puzzle import Puzzle
from .splits import SPLITS, split_digits, split_indices
from .streams import Stream

__all__ = ["SPLITS", "PuzzleBatch", "PuzzleDataset", "collate", "load", "split_indices"]


@dataclass(frozen=True, repr=False)
class PuzzleBatch:
    """B puzzles of one constellation.

    Args:
        arrays: their labels, in numpy.
        target: int64 (B,), which candidate is right.
        index: int64 (B,), which puzzles they are.
    """

    arrays: PuzzleArrays
    target: torch.Tensor
    index: torch.Tensor

    def __repr__(self) -> str:
        return f"PuzzleBatch of {self.arrays}"

    @classmethod
    def of(cls, arrays: PuzzleArrays) -> PuzzleBatch:
        """A batch of all the puzzles given.

        Args:
            arrays: B puzzles.

        Returns:
            The batch, on the CPU.
        """
        return cls(arrays, torch.from_numpy(arrays.target.astype(np.int64)), torch.from_numpy(arrays.index.copy()))

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PuzzleBatch:
        """The batch with its tensors on another device; the arrays stay where they are.

        Args:
            device: where to.
            non_blocking: do not wait for the copy (from pinned memory).

        Returns:
            The batch.
        """
        target = self.target.to(device, non_blocking=non_blocking)
        return PuzzleBatch(self.arrays, target, self.index.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PuzzleBatch:
        """The batch with its tensors in pinned memory (DataLoader calls this).

        Returns:
            The batch.
        """
        return PuzzleBatch(self.arrays, self.target.pin_memory(), self.index.pin_memory())

    def images(self, *, draw: bool = False) -> torch.Tensor:
        """The panels as pixels, read from their files now, or drawn where there are none (about 0.3 ms for a puzzle).

        Args:
            draw: whether they are drawn from the labels even where the files hold pixels.

        Returns:
            uint8 (B, 16, 160, 160) on the device of ``target``, 255 is white.

        Raises:
            UnsupportedError: I-RAVEN-X has no pixels.
            CorruptFileError: a file's pixels are damaged, or it is no longer the one whose labels were read.
            VSAError: OpenCV is not installed.
        """
        from .files.images import images_of

        return torch.from_numpy(images_of(self.arrays, draw=draw)).to(self.target.device)


class PuzzleDataset(Dataset[Puzzle]):
    """Puzzles as a torch Dataset: an item is a :class:`Puzzle`, several at once are a :class:`PuzzleBatch`.

    For a DataLoader give ``collate_fn=datasets.loaders.collate``; its batches are then cut from the arrays at once.

    Args:
        arrays: N puzzles of one constellation.
    """

    def __init__(self, arrays: PuzzleArrays) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, item: int) -> Puzzle:
        return Puzzle.from_arrays(self.arrays, item)

    def __getitems__(self, items: Sequence[int]) -> PuzzleBatch:
        return PuzzleBatch.of(self.arrays[np.asarray(items, dtype=np.int64)])

    def __repr__(self) -> str:
        a = self.arrays
        extent = "" if a.maxval is None else f", {a.columns} columns, values 0 to {a.maxval}"
        return f"PuzzleDataset({len(a)} puzzles, {a.dataset} {a.constellation}{extent})"

    def order(self, seed: int, epoch: int) -> np.ndarray[Any, Any]:
        """The shuffled order of an epoch.

        Args:
            seed: the run's seed.
            epoch: counted from 0.

        Returns:
            int64 (N,), a permutation that depends on the arguments and N only (no library's generator is involved).
        """
        words = Stream(seed, ("shuffle", epoch), np.arange(len(self))).bits()
        return np.argsort(words, kind="stable").astype(np.int64)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        start: int = 0,
    ) -> Iterator[PuzzleBatch]:
        """The batches of one epoch.

        Args:
            batch_size: B.
            shuffle: whether the order is that of :meth:`order`.
            seed: the run's seed.
            epoch: counted from 0.
            drop_last: leave out a last batch that is smaller.
            start: number of the first batch, to resume within an epoch.

        Returns:
            An iterator over batches.

        Raises:
            SettingsError: a size or a start that makes no sense.
        """
        if batch_size < 1:
            raise SettingsError("batches", received=f"batch_size = {batch_size}", expected="at least 1")
        if start < 0:
            raise SettingsError("batches", received=f"start = {start}", expected="at least 0")
        order = self.order(seed, epoch) if shuffle else np.arange(len(self), dtype=np.int64)
        stop = len(order) - len(order) % batch_size if drop_last else len(order)
        places = range(start * batch_size, stop, batch_size)
        return (PuzzleBatch.of(self.arrays[order[k : min(k + batch_size, stop)]]) for k in places)


def collate(items: PuzzleBatch | Sequence[Puzzle]) -> PuzzleBatch:
    """The ``collate_fn`` for a DataLoader over a :class:`PuzzleDataset`.

    Args:
        items: what the loader fetched: already a batch, for loaders that fetch several items at once.

    Returns:
        The batch.

    Raises:
        DtypeError: the items were fetched one by one, as puzzles.
    """
    if isinstance(items, PuzzleBatch):
        return items
    received = f"{len(items)} x {type(items[0]).__name__}" if len(items) else "nothing"
    raise DtypeError(
        "collate puzzles",
        received=received,
        expected="a PuzzleBatch, as PuzzleDataset.__getitems__ returns it",
        hint="wrap the data set in torch.utils.data.Subset or in a class that has __getitems__",
    )


def load(
    name: str,
    split: str | None = None,
    constellation: str = "center_single",
    *,
    n: int | None = None,
    seed: int = 0,
    path: str | PathLike[str] | None = None,
    columns: int | None = None,
    maxval: int | None = None,
    confounders: int = 0,
    cache_dir: str | PathLike[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> PuzzleDataset:
    """Puzzles: generated on first use and cached, or read from the user's files.

    Args:
        name: raven, iraven, raven_fair, iraven_x, another registered data set (generated), or files.
        split: train, val, test (by puzzle number k % 10) or all. None: all.
        constellation: published or short name; for JSON files also the stem of a file.
        n: how many puzzles of the split. None: the published number (10,000 in all), or every puzzle of the files.
        seed: of generated puzzles.
        path: folder or file, for ``files`` only.
        columns: of iraven_x (10 by default); for files only a check, as the panel count tells.
        maxval: the value range of iraven_x (1000 by default), or of JSON files that do not carry it in their name.
        confounders: attributes without a rule, iraven_x only.
        cache_dir: where generated puzzles are kept; by default see :func:`datasets.files.cache.cache_root`.
        on_error: of ``files``: whether a damaged file stops, or is left out with a warning that counts them.

    Returns:
        The data set.

    Raises:
        VSAError: an unknown name, options that contradict each other, an empty split, damaged files.
    """
    data = data_set(name, "load puzzles")
    if n is not None and n < 1:
        raise SettingsError("load puzzles", received=f"n = {n}", expected="at least 1")
    if not data.made:
        if confounders:
            raise SettingsError("load files", received=f"confounders = {confounders}", expected="none: the files say")
        return PuzzleDataset(_from_files(path, constellation, split, n, maxval, columns, on_error))
    if path is not None:
        raise SettingsError(
            "load puzzles",
            received=f"path with data set {name!r}",
            expected="no path",
            hint="name the data set 'files'",
        )
    digits = split_digits(split or "all")
    count = data.size * len(digits) // 10 if n is None else n
    arrays = cached(
        name,
        resolve_constellation(constellation),
        split_indices(split or "all", count),
        seed=seed,
        columns=data.columns if columns is None else columns,
        maxval=data.maxval if maxval is None else maxval,
        confounders=confounders,
        root=cache_dir,
    )
    return PuzzleDataset(arrays)


def _from_files(
    path: str | PathLike[str] | None,
    constellation: str,
    split: str | None,
    n: int | None,
    maxval: int | None,
    columns: int | None,
    on_error: Literal["raise", "skip"],
) -> PuzzleArrays:
    if path is None:
        raise SettingsError("load files", received="no path", expected="a folder or a file", hint="give path=")
    from .files.read import read  # with the readers of every form; puzzles that are made do without

    sets = read(path, maxval=maxval, columns=columns, on_error=on_error)
    if constellation in sets:
        arrays = sets[constellation]
    else:
        try:
            published = resolve_constellation(constellation)
        except UnknownNameError:
            raise UnknownNameError(f"load {path}", name=constellation, known=sets, kind="puzzle set") from None
        found = [stem for stem, arrays in sets.items() if arrays.constellation == published]
        if len(found) != 1:
            received = f"constellation {published}, which {len(found)} of the puzzle sets have"
            hint = "name one by its file" if found else ""
            raise SettingsError(f"load {path}", received=received, expected=f"one of {', '.join(sets)}", hint=hint)
        arrays = sets[found[0]]
    if split is not None:
        arrays = arrays[np.isin(arrays.index % 10, split_digits(split))]
    if not len(arrays) or (n is not None and n > len(arrays)):
        received = f"{len(arrays)} puzzles in split {split or 'all'}"
        raise SettingsError(
            f"load {path}", received=received, expected=f"at least {n or 1}", hint="ask for fewer, or all"
        )
    return arrays[:n]
