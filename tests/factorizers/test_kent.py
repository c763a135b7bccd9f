"""Kent's alternatives work where the problem is small, and are refused by name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import vsa

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "kent" / "methods.py"


@pytest.fixture(scope="module")
def methods() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kent_methods", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kent_methods"] = module
    spec.loader.exec_module(module)
    return module


NAMES = [
    "alternating_least_squares",
    "projected_gradient",
    "iterative_soft_thresholding",
    "multiplicative_weights",
    "map_seeking",
]


@pytest.mark.parametrize("name", NAMES)
def test_small_problems_are_solved(methods: ModuleType, name: str) -> None:
    assert list(methods.METHODS) == NAMES
    books = [vsa.Codebook.random(vsa.get("map", dim=256), 5, seed=factor) for factor in range(3)]
    made = methods.Alternative(books, method=name, budget=300)
    indices = torch.randint(5, (40, 3), generator=torch.Generator().manual_seed(0))
    assert int((made(made.problem.product(indices)).indices == indices).all(-1).sum()) >= 38


def test_the_projection_is_the_nearest_point_of_the_simplex(methods: ModuleType) -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    nearest = methods.simplex(x)
    assert bool((nearest >= 0).all())
    torch.testing.assert_close(nearest.sum(-1), torch.ones(50))
    others = torch.distributions.Dirichlet(torch.ones(6)).mean.expand(50, 6)
    for _ in range(3):  # towards any other point of the simplex the distance grows: the angle is not acute
        assert bool((((x - nearest) * (others - nearest)).sum(-1) <= 1e-5).all())
        others = others.roll(1, 0).softmax(-1)


def test_an_unknown_method_is_refused(methods: ModuleType) -> None:
    book = vsa.Codebook.random(vsa.get("map", dim=64), 3, seed=0)
    with pytest.raises(vsa.VSAError, match="alternative method: received adam; expected one of alternating_least_squa"):
        methods.Alternative([book], method="adam")
