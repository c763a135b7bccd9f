"""docs/solve.md: the sheet that it makes, and what the command prints of it with the weights that come along."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command_line import call, check_same_text

pytest.importorskip("cv2", reason="pixels need OpenCV (extra `images`)")
PAGE = (Path(__file__).parents[2] / "docs" / "solve.md").read_text(encoding="utf-8")


def test_the_page_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(source, "docs/solve.md", "exec"), {})
    ((arguments, expected),) = re.findall(
        r"```bash\npython -m reasoning\.solve (.+)\n```\n\n```text\n([^`]*)\n```", PAGE
    )
    code, printed, err = call("reasoning.solve", arguments.split())
    assert code == 0, err
    check_same_text(printed, expected)
