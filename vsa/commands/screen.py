"""The screen of the commands: lines, tables, complaints, log messages, progress bars. The one place that prints.

rich is loaded when something is shown.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from .grids import Grid

__all__ = ["Bar", "complain", "configure_logging", "progress", "say", "show", "silence", "write"]

_WIDTH = 110


@lru_cache(maxsize=4)
def _console(stderr: bool = False, width: int = _WIDTH) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal and console.width < width:
        return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)
    return console


_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silence() -> Iterator[None]:
    """No lines, tables and bars while the block runs; complaints and log messages are shown."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def say(text: str = "") -> None:
    """A line on stdout, as it is."""
    from rich.markup import escape

    if not _silent.get():
        _console().print(escape(text))


def write(text: str) -> None:
    """Text for a program on stdout: nothing is wrapped, colored or replaced.

    Args:
        text: without the newline at its end.
    """
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show(table: Table | Grid, width: int = _WIDTH) -> None:
    """A table on stdout.

    Args:
        table: of rich.
        width: at least so many columns where the output is no terminal.
    """
    if not _silent.get():
        _console(width=width).print(table)


def complain(text: str) -> None:
    """A line on stderr."""
    from rich.markup import escape

    _console(stderr=True).print(f"[red]error:[/red] {escape(text)}")


def configure_logging(level: int) -> None:
    """Send the library's log messages to stderr.

    Args:
        level: the lowest level shown of our own packages; other libraries show warnings.
    """
    from rich.logging import RichHandler

    handler = RichHandler(console=_console(stderr=True), show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    for room in ("vsa", "factorizers", "datasets", "reasoning"):
        logging.getLogger(room).setLevel(level)


class Bar(Protocol):
    """A progress bar."""

    def __call__(self, done: int, note: str = "") -> None:
        """Advance by ``done``."""


@contextmanager
def progress(title: str, length: int, done: int = 0) -> Iterator[Bar]:
    """A progress bar on stderr while the block runs.

    Args:
        title: what is being done.
        length: steps in all.
        done: steps already done.

    Yields:
        A function that advances the bar.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=_console(stderr=True), disable=_silent.get()) as bars:
        task = bars.add_task(title, total=length, completed=done, note="")

        def advance(done: int, note: str = "") -> None:
            bars.update(task, advance=done, note=note)

        yield advance
