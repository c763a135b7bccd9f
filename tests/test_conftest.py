"""The rules of a test run are kept: annotations, randomness, the budget of slow tests."""

from __future__ import annotations

import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from vsa.errors import DtypeError
from vsa.seeding import child_seed

ROOT = Path(__file__).resolve().parents[1]


def test_a_wrong_argument_type_is_reported() -> None:
    with pytest.warns(UserWarning, match=r"child_seed.*violates type hint"), suppress(DtypeError):
        child_seed(0, 1.5)  # type: ignore[arg-type]


def test_where_failure_is_expected_our_own_error_is_seen() -> None:
    with pytest.raises(DtypeError, match="child_seed"):
        child_seed(0, 1.5)  # type: ignore[arg-type]


def test_warnings_are_errors() -> None:
    with pytest.raises(UserWarning, match="boo"):
        warnings.warn("boo", stacklevel=1)


def test_generators_depend_on_the_name_of_the_test(rng: np.random.Generator, generator: torch.Generator) -> None:
    assert rng.integers(2**62) == 2488522987358119199
    assert torch.randint(2**62, (), generator=generator).item() == 3194168980628475037


def run_pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_slow_tests_beyond_the_budget_are_listed_as_not_run() -> None:
    done = run_pytest("-m", "slow", "--slow-budget=-1", "tests/test_packaging.py")
    assert done.returncode == 0, done.stdout
    assert "NOT RUN: 1 slow tests" in done.stdout
    assert "test_packaging.py::test_the_wheel_holds_every_module_and_config" in done.stdout
    assert " passed" not in done.stdout


def test_a_test_that_moves_global_randomness_fails(tmp_path: Path) -> None:
    # A conftest applies below its own folder, so a stand-in folder gets a copy.
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "test_it.py").write_text("import torch\ndef test_it():\n    torch.rand(1)\n")
    done = run_pytest("-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}", str(tmp_path))
    assert done.returncode == 1, done.stdout
    assert "moved the global random state" in done.stdout
