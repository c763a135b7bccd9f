"""Where independent cells are computed. The result is the same whatever the executor; only the time differs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from vsa.errors import SettingsError

__all__ = ["EXECUTORS", "check", "execute"]

C = TypeVar("C")
R = TypeVar("R")


def _serial(function: Callable[[C], R], cells: Sequence[C], workers: int | None) -> Iterator[tuple[int, R]]:
    for number, cell in enumerate(cells):
        yield number, function(cell)


def _processes(function: Callable[[C], R], cells: Sequence[C], workers: int | None) -> Iterator[tuple[int, R]]:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or available, len(cells))
    # Spawned, because a forked child of a process that has used torch's threads or CUDA can hang.
    with ProcessPoolExecutor(max(count, 1), mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(function, cell): number for number, cell in enumerate(cells)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


EXECUTORS = {"serial": _serial, "processes": _processes}


def check(executor: str) -> None:
    """Refuse an executor that is not there; none takes another's place in silence.

    Args:
        executor: its name.

    Raises:
        SettingsError: there is no such executor.
    """
    if executor not in EXECUTORS:
        raise SettingsError(
            f"executor={executor}", received="an executor that this version does not have",
            expected=f"one of {', '.join(EXECUTORS)}", hint="nothing was computed",
        )  # fmt: skip


def execute(
    executor: str, function: Callable[[C], R], cells: Sequence[C], workers: int | None = None
) -> Iterator[tuple[int, R]]:
    """Apply a function to every cell.

    Args:
        executor: serial or processes.
        function: importable, for other processes.
        cells: picklable, for other processes.
        workers: of ``processes``; None: one per available core.

    Yields:
        (number of the cell, its result), in the order in which they are done.

    Raises:
        SettingsError: an executor that is not there.
    """
    check(executor)
    yield from EXECUTORS[executor](function, cells, workers)
