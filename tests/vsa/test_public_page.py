"""``import vsa`` is cheap, the public page is complete, and the examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import pytest

import vsa
from vsa.axes import AXES, describe


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(output.split())


def test_import_loads_the_standard_library_only() -> None:
    loaded = loaded_by("import vsa, vsa.axes, vsa.errors, vsa.registry, vsa.seeding")
    foreign = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"vsa"}
    assert not foreign
    assert "vsa.algebra" not in loaded


def test_algebra_and_codebook_need_torch_alone() -> None:
    blocked = ["hydra", "safetensors", "scipy", "datasets", "reasoning", "factorizers"]
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import vsa; vsa.Codebook; vsa.check_algebra"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", vsa.__all__)
def test_public_names_exist(name: str) -> None:
    assert getattr(vsa, name) is not None
    assert name in dir(vsa)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'vsa' has no attribute 'Codebok'; it has ALGEBRAS"):
        vsa.Codebok  # noqa: B018


@pytest.mark.parametrize("module", ["vsa", "vsa.registry", "vsa.seeding", "vsa.checks"])
def test_docstring_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_axes_are_described() -> None:
    assert describe("(..., K, L)") == "K: blocks of a vector; L: positions within a block (D = K * L)"
    assert describe("(..., K, K)") == "K: blocks of a vector"
    with pytest.raises(TypeError):
        AXES["X"] = "unknown"  # type: ignore[index]
