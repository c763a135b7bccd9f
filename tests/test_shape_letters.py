"""Shapes in docstrings use the letters that vsa/axes.py declares."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vsa.axes import AXES

ROOT = Path(__file__).resolve().parents[1]
PART = r"\.\.\.|(?:<=? ?)?[A-Za-z0-9]'?(?:\s*(?:[-+*/]|//)\s*[A-Za-z0-9]+)*|\d+"
SHAPE = re.compile(rf"\(\s*((?:{PART})(?:\s*,\s*(?:{PART}))*\s*,?)\s*\)")


def shapes(text: str) -> Iterator[str]:
    """``(B, N, D)`` and ``(N,)``, with at least one capital letter; ``(R)`` is prose."""
    for found in SHAPE.finditer(text):
        if "," in found.group(1) and re.search(r"\b[A-Z]\b", found.group(1)):
            yield found.group(1)


def undeclared(source: str) -> list[str]:
    docstrings = (
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    )
    return [f"({s})" for text in docstrings for s in shapes(text) if set(re.findall(r"\b[A-Z]\b", s)) - set(AXES)]


@pytest.mark.parametrize("room", ["vsa", "factorizers", "datasets", "reasoning"])
def test_docstrings_use_declared_letters(room: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix(): wrong
        for path in (ROOT / room).rglob("*.py")
        if (wrong := undeclared(path.read_text(encoding="utf-8")))
    }
    assert not found, f"declare the letters in vsa/axes.py: {found}"


def test_an_undeclared_letter_is_found() -> None:
    assert undeclared('"""Takes (B, Z), gives (..., 2 * D) or (N,)."""') == ["(B, Z)"]
