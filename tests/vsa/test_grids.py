"""Tables in narrow windows: no number is cut, no name disappears, no line is too long."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vsa.commands import Grid

WINDOWS = (60, 80, 120)


def printed(grid: Grid, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), soft_wrap=True)
    console.print(grid)
    return console.file.getvalue()


@given(
    columns=st.integers(1, 12),
    names=st.lists(st.text("abcdefgh ", min_size=1, max_size=40).map(str.strip).filter(bool), min_size=1, max_size=6),
    width=st.sampled_from(WINDOWS),
    number=st.sampled_from(("100.00", "99.85\n±0.17", "100.0 (100.0)", "-")),
)
def test_nothing_is_cut(columns: int, names: list[str], width: int, number: str) -> None:
    grid = Grid("Answers right, %", [f"set_{place}" for place in range(columns)], emphasis=["set_0"])
    for name in names:
        grid.add(name, [number] * columns)
    text = printed(grid, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for part in number.split("\n"):
        assert text.count(part) >= columns * len(names)
    for place in range(columns):
        assert f"set_{place}" in text


@pytest.mark.parametrize("width", WINDOWS)
def test_seven_constellations_of_three_models(width: int) -> None:
    heads = ["center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid", "average"]
    grid = Grid("Answers right, % (± half of the 95 % interval)", heads, emphasis=["average"])
    for name in ("arlc, programmed", "nvsa-codebook, programmed", "learn_vrf, pretrained"):
        grid.add(name, ["100.00\n±0.10"] * 8, "green")
    text = printed(grid, width)
    assert len(re.findall(r"100\.00", text)) == 24
    assert max(map(len, text.splitlines())) <= width
    assert ("(1 of 2)" in text) == (width == 60), "in pieces where it does not fit turned, either"
    for name in ("arlc", "nvsa", "learn_vrf"):
        assert name in text


def test_turned_where_that_is_shorter() -> None:
    grid = Grid("Rules", [f"a_long_name_of_a_file_{place}" for place in range(9)])
    grid.add("ours", ["1.0"] * 9)
    text = printed(grid, 60)
    assert "of" not in text.splitlines()[0]
    assert len([line for line in text.splitlines() if "1.0" in line]) == 9
    assert grid.turned().turned().rows == grid.rows


def test_what_looks_like_markup_is_printed() -> None:
    grid = Grid("t", ["[bold]x"])
    grid.add("[red]arlc", ["[1]"])
    assert {"[bold]x", "[red]arlc", "[1]"} <= set(printed(grid, 60).replace("│", " ").replace("┃", " ").split())


def test_wide_letters_have_room() -> None:
    grid = Grid("", ["模型的正确率"])
    grid.add("模型", ["100.00"])
    assert "模型的正确率" in printed(grid, 60)
