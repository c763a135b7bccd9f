"""Every factorizer answers on another device as on the CPU: on CUDA where there is one, and on a stand-in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import factorizers
import vsa

SMALL: dict[str, dict[str, Any]] = {
    "asymmetric": {"budget": 60, "restart": 20},
    "in_memory": {"budget": 60, "restart": 30},
    "resonator": {"budget": 60, "restart": 30},
}
CASES = [
    (method, algebra)
    for algebra in ("map", "bsc", "map_real", "hrr", "fhrr", "gsbc", "sbc")
    for method in factorizers.takers(vsa.get(algebra, dim=256))
]


def both(method: str, books: list[vsa.Codebook], device: torch.device) -> list[factorizers.Factorizer]:
    there = [copy.deepcopy(book).to(device) for book in books]
    return [factorizers.get(method, part, **SMALL.get(method, {})) for part in (books, there)]


def alike(found: factorizers.Factorization, wanted: factorizers.Factorization, device: torch.device) -> None:
    assert found.indices.device.type == found.valid.device.type == device.type
    for name in ("indices", "valid", "iterations", "macs", "converged"):
        assert torch.equal(getattr(found, name).cpu(), getattr(wanted, name)), name
    for name in ("product_similarity", "tau", "false_expected", "similarities"):
        torch.testing.assert_close(getattr(found, name).cpu(), getattr(wanted, name), rtol=1e-4, atol=1e-5, msg=name)
    assert found.labels == wanted.labels
    assert str(found).split("\n")[0] == str(wanted).split("\n")[0]


@pytest.mark.parametrize(("method", "of"), CASES)
def test_answers_are_those_of_the_cpu(method: str, of: str, device: torch.device) -> None:
    algebra = vsa.get(of, dim=256)
    books = [vsa.Codebook.random(algebra, n, seed=seed) for seed, n in enumerate((4, 3, 5))]
    here, there = both(method, books, device)
    indices = torch.stack([torch.arange(3) % n for n in (4, 3, 5)], -1)
    queries = here.problem.product(indices)
    wanted, found = here(queries), there(queries.to(device))
    assert torch.equal(wanted.indices, indices)
    alike(found, wanted, device)
    alike(found[1:], wanted[1:], device)


@pytest.mark.parametrize("method", ["exhaustive", "join"])
def test_atoms_that_are_alike_or_shared_are_told_as_on_the_cpu(method: str, device: torch.device) -> None:
    algebra = vsa.get("map", dim=256)
    level = vsa.encoding.level(algebra, 6, seed=0)
    random = vsa.Codebook.random(algebra, 6, seed=1, dtype=level.atoms.dtype)
    for books in ([level, random, random], [level, level]):
        here, there = both(method, books, device)
        queries = here.problem.product(torch.arange(4).unsqueeze(-1).expand(-1, len(books)).contiguous())
        alike(there(queries.to(device)), here(queries), device)


@pytest.mark.parametrize("name", ["map", "gsbc"])
def test_sums_are_explained_as_on_the_cpu(name: str, device: torch.device) -> None:
    algebra = vsa.get(name, dim=512)
    here, there = both("exhaustive", [vsa.Codebook.random(algebra, 4, seed=seed) for seed in range(2)], device)
    parts = algebra.embed(here.problem.product(torch.tensor([[[0, 1], [2, 3]]]))).float()
    query = algebra.unembed(parts.mean(1))
    wanted, found = (factorizers.explain_away(f, q) for f, q in ((here, query), (there, query.to(device))))
    alike(found, wanted, device)
    assert int(wanted.valid.sum()) == 2


@pytest.mark.parametrize("of", ["map", "bsc", "hrr", "fhrr", "gsbc"])
def test_running_bundles_and_codebooks(of: str, device: torch.device) -> None:
    algebra = vsa.get(of, dim=256)
    x = algebra.random(5, seed=0)
    bundles = []
    for vectors in (x, x.to(device)):
        running = vsa.Accumulator(algebra)
        for vector in vectors:
            running.add(vector)
        bundles.append(running.bundle())
    assert bundles[1].device.type == device.type
    wanted, found = (algebra.embed(bundle.cpu()) for bundle in bundles)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    book = vsa.Codebook.random(algebra, 7, seed=1)
    there = copy.deepcopy(book).to(device)
    assert torch.equal(there.cleanup(x.to(device)).indices.cpu(), book.cleanup(x).indices)
    torch.testing.assert_close(there.similarity(x.to(device)).cpu(), book.similarity(x), rtol=1e-4, atol=1e-5)


def test_the_stand_in_finds_what_mixes_devices(stand_in: Callable[[], Any]) -> None:
    with stand_in() as place:
        x = torch.zeros(3, device=place)
        with pytest.raises(RuntimeError, match="on the CPU"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match="generator of the CPU"):
            torch.rand(3, generator=torch.Generator(), device=place)
        assert (x + 1).cpu().tolist() == [1, 1, 1]
