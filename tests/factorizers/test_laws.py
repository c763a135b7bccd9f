"""Every registered factorizer keeps the laws of `factorizers.checks`, on every algebra that it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import factorizers
import vsa
from factorizers.needs import first_missing
from factorizers.problem import Problem

NAMES = factorizers.FACTORIZERS.names()
OPTIONS: dict[str, dict[str, Any]] = {
    "asymmetric": {"budget": 120, "restart": 20},
    "in_memory": {"budget": 120, "restart": 30},
    "resonator": {"budget": 120, "restart": 30},
}


@pytest.mark.parametrize("name", NAMES)
def test_factorizers_keep_their_laws(name: str, algebra_name: str) -> None:
    """What a method takes follows from what the algebra declares; what it does not take is refused with the reason."""
    algebra = vsa.get(algebra_name, dim=64)
    if not factorizers.FACTORIZERS.get(name).takes(algebra):
        assert name not in factorizers.takers(algebra)
        missing = first_missing(factorizers.FACTORIZERS.get(name).needs, algebra)
        with pytest.raises(vsa.UnsupportedError, match=f"{algebra_name}, which does not declare {missing.declared}"):
            factorizers.get(name, [vsa.Codebook.random(algebra, 3, seed=0)])
        return
    assert name in factorizers.takers(algebra)

    def make(books: list[vsa.Codebook]) -> factorizers.Factorizer:
        return factorizers.get(name, books, **OPTIONS.get(name, {}))

    results = factorizers.check_factorizer(make, vsa.get(algebra_name, dim=1024))
    assert {result.status for result in results} == {"held"}
    found = {result.law: result.detail for result in results}
    bits = algebra.unembed(algebra.embed(algebra.identity(1))).dtype in (torch.bool, torch.int64)
    assert (found["answers queries of any length"] == "vectors have no length") == bits
    assert found["tells atoms apart that are alike"].endswith("all as similar as the right product")


@pytest.mark.parametrize("name", NAMES)
def test_a_product_may_lack_an_optional_factor(name: str) -> None:
    algebra = vsa.get(factorizers.FACTORIZERS.get(name).customary_algebra, dim=1024)
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


class Unscaled(factorizers.InMemory):
    """Computes with queries as they come."""

    def __post_init__(self) -> None:
        super().__post_init__()

        class Raw(Problem):
            def check_query(self, query: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...]]:
                super().check_query(query)
                return query.reshape(-1, query.shape[-1]), tuple(query.shape[:-1])

        self.problem = Raw(self.problem.books)


class Infinite(factorizers.InMemory):
    """Divides by a squared norm that underflows, and takes infinity for a large similarity."""

    def __call__(self, query: torch.Tensor, **options: Any) -> factorizers.Factorization:
        answer = super().__call__(query, **options)
        if not query.is_floating_point():
            return answer
        return replace(answer, valid=answer.valid | (query.square().sum(-1) == 0))


class NoBatch(factorizers.InMemory):
    """Needs at least one query."""

    def __call__(self, query: torch.Tensor, **options: Any) -> factorizers.Factorization:
        answer = super().__call__(query, **options)
        return answer if query.numel() else replace(answer, indices=torch.zeros(1, 3, dtype=torch.int64))


class First(factorizers.InMemory):
    """Takes the first product over tau, whatever is beside it."""

    @property
    def _climbs(self) -> bool:
        return False


class Silent(factorizers.InMemory):
    """Does not say what cannot be told."""

    def __call__(self, query: torch.Tensor, **options: Any) -> factorizers.Factorization:
        return replace(super().__call__(query, **options), interchangeable=())


class Sure(factorizers.InMemory):
    """Says which factors share atoms, but not that other atoms make the same product."""

    def _told_apart(self, *arguments: Any) -> tuple[Any, ...]:
        *found, false = super()._told_apart(*arguments)
        return *found, false.clamp_max(1e-3)


class Blind(factorizers.InMemory):
    """Looks at no products where no atoms are shared."""

    def _told_apart(self, *arguments: Any) -> tuple[Any, ...]:
        if not self.problem.sameness.shared:
            self.problem.sameness.__dict__["tables"] = {}
        return super()._told_apart(*arguments)


class Pairs(factorizers.InMemory):
    """Notices two codebooks that share atoms, and no circle of three."""

    def _told_apart(self, *arguments: Any) -> tuple[Any, ...]:
        same = self.problem.sameness
        same.__dict__["shared"] = tuple(members for members in same.shared if len(members) == 2)
        return super()._told_apart(*arguments)


class Tolerant(factorizers.InMemory):
    """Answers zeros."""

    def __call__(self, query: torch.Tensor, **options: Any) -> factorizers.Factorization:
        empty = query.is_floating_point() and bool((query == 0).all(-1).any())
        return super().__call__(query + 1 if empty else query, **options)


@pytest.mark.parametrize(
    "cls,sentence",
    [
        (Unscaled, "products times .* lost"),
        (Infinite, "a certificate for noise times 1e-25"),
        (NoBatch, r"\(1, 3\); expected \(0, 6, 3\)"),
        (First, "certificates for neighbours of the right product"),
        (Silent, "factors 0 and 1, interchangeable"),
        (Sure, "certificates for other atoms"),
        (Blind, "certificates for one of two equal products"),
        (Pairs, "interchangeable|certificates"),
        (Tolerant, "an answer to zeros"),
    ],
)
def test_each_law_catches_its_sabotage(cls: type[factorizers.Factorizer], sentence: str) -> None:
    with pytest.raises(vsa.checks.LawError, match=sentence):
        factorizers.check_factorizer(cls, vsa.get("map", dim=512))


def test_what_each_method_takes_of_our_algebras() -> None:
    """A declaration that is lost would make a method refuse what it took."""
    names = ("map", "bsc", "map_real", "fhrr", "hrr", "gsbc", "sbc")
    signs = {"resonator", "in_memory", "asymmetric", "group_search", "exhaustive", "join"}
    blocks = {"resonator", "in_memory", "block_code", "exhaustive", "join"}
    reals = {"resonator", "in_memory", "exhaustive"}
    assert {name: set(factorizers.takers(vsa.get(name, dim=64))) for name in names} == {
        "map": signs,
        "bsc": signs,
        "map_real": reals,
        "fhrr": reals,
        "hrr": reals,
        "gsbc": blocks,
        "sbc": blocks,
    }


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
