"""A command of ours in this process: exit code, or the traceback, and what it prints."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import traceback
from collections.abc import Sequence

import pytest

from vsa.commands import screen

__all__ = ["call", "check_same_text"]

_NUMBER = re.compile(r"-?\d+\.\d+")


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


def check_same_text(printed: str, expected: str) -> None:
    """Word by word; numbers to a hundredth, since processors round differently."""
    texts = [re.sub(" +", " ", text.rstrip("\n")) for text in (printed, expected)]
    assert _NUMBER.sub("", texts[0]) == _NUMBER.sub("", texts[1])
    numbers = [list(map(float, _NUMBER.findall(text))) for text in texts]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.0101)
