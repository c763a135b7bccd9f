"""Which noise an array has: its seed descends from the seed of the run and from its place in it.

Two arrays are two pieces of hardware: unless one asks for the same seed, their errors have nothing in common. The place
of an array is the order of programming, or a name. In a worker of a DataLoader the worker belongs to the place, too.

>>> with array_seeds(7):
...     first, second, named = array_seed(), array_seed(), array_seed("colours")
>>> with array_seeds(7):
...     again = array_seed("colours"), array_seed()
>>> first != second, again == (named, first)
(True, True)
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import SupportsIndex

from ..seeding import child_seed

__all__ = ["array_seed", "array_seeds", "worker_seed"]


class _Run:
    """A seed, how many arrays have been programmed without a name, and in which worker of a DataLoader."""

    def __init__(self, seed: SupportsIndex, worker: int | None) -> None:
        self.seed, self.order, self.worker = seed, itertools.count(), worker
        self.path: tuple[str | int, ...] = ()

    def next(self) -> int:
        """The seed of the next array without a name. A worker has a copy of the run: it counts by itself."""
        worker = worker_seed()
        if worker is not None and worker != self.worker:
            self.order, self.worker, self.path = itertools.count(), worker, ("worker", worker)
        return child_seed(self.seed, "order", *self.path, next(self.order))


_RUN: ContextVar[_Run] = ContextVar("run whose arrays are programmed")
_PROCESS = _Run(0, None)  # a script is a run with seed 0


def worker_seed() -> int | None:
    """The seed of the DataLoader's worker that this is; None elsewhere."""
    data = sys.modules.get("torch.utils.data")  # without it, this is no worker
    worker = None if data is None else data.get_worker_info()
    return None if worker is None else int(worker.seed)


@contextmanager
def array_seeds(seed: SupportsIndex) -> Iterator[None]:
    """A run: arrays that are programmed inside without a seed have those of this run, counted from the first.

    Args:
        seed: of the run.
    """
    token = _RUN.set(_Run(child_seed(seed), worker_seed()))
    try:
        yield
    finally:
        _RUN.reset(token)


def array_seed(*names: str | SupportsIndex) -> int:
    """The seed of one array of the run, for ``book.on(backend, seed=...)``.

    Args:
        *names: its place, the same whenever it is asked for; none: the next in the order of programming.

    Returns:
        A seed.
    """
    run = _RUN.get(_PROCESS)
    return child_seed(run.seed, "place", *names) if names else run.next()
