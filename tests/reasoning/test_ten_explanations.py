"""docs/explanations.md shows what the commands beside its texts print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command_line import check_same_text

PAGE = Path(__file__).parents[2] / "docs" / "explanations.md"
SHOWN = re.findall(
    r"```bash\npython -m reasoning\.explain (.+)\n```\n\n```text\n([^`]*)\n```", PAGE.read_text(encoding="utf-8")
)
WRONG = [number for number, (_, text) in enumerate(SHOWN) if "; it is wrong" in text]


def compare(command, number):
    arguments, expected = SHOWN[number]
    code, screen, err = command("explain", *arguments.split())
    assert code == 0, err
    check_same_text(screen, expected)


def test_there_are_ten_of_which_some_are_wrong():
    assert len(SHOWN) == 10 and len(WRONG) >= 2
    assert any("+model=arlc constellation=3x3" in SHOWN[number][0] for number in WRONG)
    assert {re.search(r"\+model=(\w+)", arguments)[1] for arguments, _ in SHOWN} == {
        "arlc",
        "learn_vrf",
        "nvsa",
        "symbolic",
    }


@pytest.mark.parametrize("number", [3, WRONG[0]])
def test_the_page_shows_what_is_printed(command, number):
    compare(command, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SHOWN)))
def test_all_of_the_page_is_what_is_printed(command, number):
    compare(command, number)
