"""A command of ours in this process: exit code, or the traceback, and what it prints."""

from __future__ import annotations

import contextlib
import importlib
import io
import traceback
from collections.abc import Sequence

from vsa.commands import screen

__all__ = ["call"]


def call(module: str, arguments: Sequence[str]) -> tuple[int | str, str, str]:
    """Exit code (or the traceback), stdout, stderr of a command in this process."""
    command = importlib.import_module(module)
    screen._console.cache_clear()
    out, err = io.StringIO(), io.StringIO()
    code: int | str
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command.main(list(arguments))
        except BaseException:
            code = traceback.format_exc()
    screen._console.cache_clear()
    return code, out.getvalue(), err.getvalue()
