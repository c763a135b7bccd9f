"""README.md keeps its word: its examples give the output shown, commands and links exist; slow: commands run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)


def marked(name: str) -> list[str]:
    """The lines of the shell block behind a marker."""
    found = re.search(rf"<!-- {name} -->\n```bash\n(.*?)```\n<!-- end -->", README, re.DOTALL)
    assert found, f"README.md has no block '{name}'"
    return found.group(1).strip().splitlines()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize(("source", "expected"), EXAMPLES)
def test_example_prints_what_the_readme_shows(source: str, expected: str) -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "README.md", "exec"), {})
    assert output.getvalue() == expected


def test_first_example_has_fifteen_lines() -> None:
    lines = [line for line in EXAMPLES[0][0].splitlines() if line.strip() and not line.startswith("import")]
    assert len(lines) <= 15


@pytest.mark.parametrize("name", ["train command", "test command"])
def test_set_up_commands_are_one_line_and_use_the_tested_set(name: str) -> None:
    (command,) = marked(name)
    steps = [shlex.split(step) for step in command.split(" && ")]
    assert steps[0] == ["python3", "-m", "venv", ".venv"]
    assert steps[1][:6] == [".venv/bin/python", "-m", "pip", "install", "-c", "constraints.txt"]
    assert steps[2][:2] == [".venv/bin/python", "-m"]
    assert len(steps) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_and_links_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"python3? -m ((?:vsa|factorizers|datasets|reasoning)[\w.]*)", text):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{page.name} names {module}"
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    for path in re.findall(r"`((?:tests|conf|docs|benchmarks)/[\w./]+)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_shape_letters_page_equals_the_code() -> None:
    from vsa.axes import AXES

    page = (ROOT / "docs" / "shape_letters.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| ([A-Z]) \| (.+?) \|", page, re.MULTILINE)) == dict(AXES)


def test_ci_calls_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "<!-- test command -->" in script
    assert "pip install" not in script, "the set-up is README's; a second one would drift apart"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_commands_run(tmp_path: Path) -> None:
    """README's train command (without its set-up, which this environment has) and all of "More commands", in order."""
    shutil.copytree(ROOT / "tests" / "fixtures" / "puzzles" / "I-RAVEN-json", tmp_path / "my_puzzles")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in [marked("train command")[0].split(" && ")[-1], *marked("commands")]:
        program, *arguments = shlex.split(command)
        assert Path(program).name == "python"
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    for run in ("first", "learned", "programmed", "wide", "mine"):
        results = json.loads((tmp_path / "runs" / run / "results.json").read_text())
        for tally in results.values():
            assert 0 <= tally["answers"]["correct"] <= tally["answers"]["total"]
            assert tally["answers"]["total"] > 0
