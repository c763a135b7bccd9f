"""docs/results.md: its figures are those of the stored records, each with a command and a date; README only links."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
TABLE = re.compile(r"<!-- table: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = ROOT / "benchmarks" / "results_page.py"
    spec = importlib.util.spec_from_file_location("results_page", path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(made)
    sys.path[:] = before
    return made


def test_all_figures_are_those_of_the_records(program: ModuleType) -> None:
    assert program.filled(TEXT) == TEXT, "run python benchmarks/results_page.py"


def test_another_figure_would_be_seen(program: ModuleType) -> None:
    changed = TEXT.replace("| 99.85 |", "| 99.95 |", 1)
    assert changed != TEXT
    assert program.filled(changed) != changed


def test_every_table_is_made_by_the_program_and_every_one_it_makes_is_there(program: ModuleType) -> None:
    outside = TABLE.sub("", TEXT)
    assert not [line for line in outside.splitlines() if line.startswith("|")]
    assert sorted(name for name, _ in TABLE.findall(TEXT)) == sorted(program.TABLES)


@pytest.mark.parametrize(("name", "table"), TABLE.findall(TEXT), ids=[name for name, _ in TABLE.findall(TEXT)])
def test_every_table_says_what_made_it_and_when(name: str, table: str) -> None:
    said = re.findall(r"`python [^`]+` \(\d{4}-\d\d-\d\d\)", table)
    assert said, f"{name} has no command with a date"
    numbers = {int(number) for number in re.findall(r"\| ours, \((\d+)\) \|", table)}
    assert numbers <= set(range(1, len(said) + 1))
    for line in table.splitlines():
        if "| from |" in table and line.startswith("|") and not line.startswith(("|  |", "|---")):
            assert re.search(r"\| (ours, \(\d+\)|(measured|published); .+) \|$", line), f"whence: {line}"


def test_readme_says_averages_that_the_page_has_and_links_to_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Results\n")[1].split("\n## ")[0]
    assert "](docs/results.md)" in section
    assert not [line for line in section.splitlines() if line.startswith("|")]
    rows = [line.split("|") for line in TEXT.splitlines() if line.startswith("|")]
    averages = {cells[-3].strip() for cells in rows}
    found = re.findall(r"\d\d\.\d+", section)
    assert len(found) >= 8
    for figure in found:
        digits = len(figure.partition(".")[2])
        rounded = {f"{float(one):.{digits}f}" for one in averages if re.fullmatch(r"\d+\.\d+", one)}
        assert figure in rounded, f"README says {figure}, which is no average of the page"
