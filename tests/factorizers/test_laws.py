"""Every registered factorizer keeps the laws of `factorizers.checks`, on every algebra that it takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import factorizers
import vsa

# What a method does not take is refused; the sentence is in test_errors.py or in the method's own tests.
ALL = ("map", "bsc", "map_real", "fhrr", "hrr", "gsbc", "sbc")
TAKES = {
    "asymmetric": ("map", "bsc"),
    "block_code": ("gsbc", "sbc"),
    "exhaustive": ALL,
    "group_search": ("map", "bsc"),
    "in_memory": ALL,
    "join": ("map", "bsc", "gsbc", "sbc"),
    "resonator": ALL,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "asymmetric": {"budget": 120, "restart": 20},
    "in_memory": {"budget": 120, "restart": 30},
    "resonator": {"budget": 120, "restart": 30},
}


@pytest.mark.parametrize("name", TAKES)
def test_factorizers_keep_their_laws(name: str, algebra_name: str) -> None:
    if algebra_name not in TAKES[name]:
        algebra = vsa.get(algebra_name, dim=64)
        with pytest.raises(vsa.UnsupportedError):
            factorizers.get(name, [vsa.Codebook.random(algebra, 3, seed=0)])
        return

    def make(books: list[vsa.Codebook]) -> factorizers.Factorizer:
        return factorizers.get(name, books, **OPTIONS.get(name, {}))

    results = factorizers.check_factorizer(make, vsa.get(algebra_name, dim=1024))
    assert {result.status for result in results} == {"held"}


@pytest.mark.parametrize("name", TAKES)
def test_a_product_may_lack_an_optional_factor(name: str) -> None:
    algebra = vsa.get(TAKES[name][0], dim=1024)
    shapes, colors = vsa.Codebook.random(algebra, ["square", "star"], seed=0), vsa.Codebook.random(algebra, 9, seed=1)
    factorizer = factorizers.get(name, [shapes, colors], optional=(1,), **OPTIONS.get(name, {}))
    queries = torch.stack((shapes["star"], algebra.bind(shapes["square"], colors[4])))
    answer = factorizer(queries)
    assert answer.labels == [("star", None), ("square", 4)]
    assert bool(answer.valid.all())


def test_a_broken_factorizer_is_caught() -> None:
    class Hasty(factorizers.InMemory):
        def _solve(self, queries: Any, certificate: Any, generator: Any, trace: bool) -> Any:
            outcome = super()._solve(queries, certificate, generator, trace)
            outcome.indices[0, 0] = (outcome.indices[0, 0] + 1) % 5
            return outcome

    with pytest.raises(vsa.checks.LawError, match="1 of 12 wrong; expected all factors of all products"):
        factorizers.check_factorizer(Hasty, vsa.get("map", dim=512))


def test_every_registered_factorizer_is_tested_here() -> None:
    assert set(TAKES) == set(factorizers.FACTORIZERS.names())


def test_the_package_imports_with_torch_and_einops_alone() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('hydra','omegaconf','rich','safetensors','matplotlib','scipy'): sys.modules[name] = None\n"
        "import vsa, factorizers, torch\n"
        "algebra = vsa.get('map', dim=256)\n"
        "books = [vsa.Codebook.random(algebra, 9, seed=s) for s in range(3)]\n"
        "for name in factorizers.FACTORIZERS.names():\n"
        "    a = vsa.get('gsbc', dim=256, blocks=4) if name == 'block_code' else algebra\n"
        "    books = [vsa.Codebook.random(a, 9, seed=s) for s in range(3)]\n"
        "    query = a.bind_all(torch.stack([b.atoms[2] for b in books]))\n"
        "    answer = factorizers.get(name, books)(query)\n"
        "    assert answer.labels == (2, 2, 2), (name, answer)\n"
        "    str(answer)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
