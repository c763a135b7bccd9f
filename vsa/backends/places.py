"""Which noise an array has: its seed descends from the seed of the run and from its place in it.

Two arrays are two pieces of hardware: unless one asks for the same seed, their errors have nothing in common. The place
of an array is the order of programming, or a name.

>>> with array_seeds(7):
...     first, second, named = array_seed(), array_seed(), array_seed("colours")
>>> with array_seeds(7):
...     again = array_seed("colours"), array_seed()
>>> first != second, again == (named, first)
(True, True)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import SupportsIndex

from ..seeding import child_seed

__all__ = ["array_seed", "array_seeds"]


class _Run:
    """A seed, and how many arrays have been programmed without a name."""

    def __init__(self, seed: SupportsIndex) -> None:
        self.seed, self.order = seed, itertools.count()


_RUN: ContextVar[_Run] = ContextVar("run whose arrays are programmed")
_PROCESS = _Run(0)  # a script is a run with seed 0


@contextmanager
def array_seeds(seed: SupportsIndex) -> Iterator[None]:
    """A run: arrays that are programmed inside without a seed have those of this run, counted from the first.

    Args:
        seed: of the run.
    """
    token = _RUN.set(_Run(child_seed(seed)))
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
    return child_seed(run.seed, "place", *names) if names else child_seed(run.seed, "order", next(run.order))
