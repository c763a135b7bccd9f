"""Nothing is certified at random: tiny and huge queries, real atoms, products found twice, no queries at all."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import factorizers
import vsa

METHODS = [
    (name, algebra)
    for algebra in ("map", "map_real", "hrr", "fhrr")
    for name in factorizers.takers(vsa.get(algebra, dim=512))
]


def problem(algebra_name: str, count: int = 10) -> tuple[list[vsa.Codebook], Tensor, Tensor]:
    algebra = vsa.get(algebra_name, dim=512)
    books = [vsa.Codebook.random(algebra, 8, seed=seed) for seed in range(3)]
    indices = torch.randint(8, (count, 3), generator=torch.Generator().manual_seed(5))
    products = algebra.bind(*(book.atoms[indices[:, f]] for f, book in enumerate(books)))
    return books, indices, products if products.is_complex() else products.float()


@pytest.mark.parametrize(("method", "algebra"), METHODS)
@pytest.mark.parametrize("scale", [1e-36, 1e-25, 1e20, 1e36])
def test_the_size_of_a_query_decides_nothing(method: str, algebra: str, scale: float) -> None:
    books, indices, queries = problem(algebra)
    strangers = books[0].algebra.random(10, seed=77, dtype=queries.dtype)
    solve = factorizers.get(method, books)
    exact = solve(queries * scale)
    assert torch.equal(exact.indices, solve(queries).indices)
    assert torch.equal(exact.valid, solve(queries).valid)
    assert torch.equal(exact.indices[exact.valid], indices[exact.valid])
    noise = solve(strangers * scale)
    assert not bool(noise.valid.any())
    assert bool(noise.product_similarity.isfinite().all())


@pytest.mark.parametrize(("method", "algebra"), METHODS)
@pytest.mark.parametrize(("entry", "words"), [(math.nan, "NaN"), (math.inf, "infinite"), (0.0, "zeros")])
def test_what_is_no_product_is_a_sentence(method: str, algebra: str, entry: float, words: str) -> None:
    books, _, queries = problem(algebra, 2)
    queries[1] = entry
    with pytest.raises(vsa.VSAError, match=words):
        factorizers.get(method, books)(queries)


@pytest.mark.parametrize("kind", ["normal", "positive"])
def test_real_atoms_in_an_algebra_of_signs(kind: str) -> None:
    """Learned embeddings, say: unrelated products are not certified (before: a third, or all), true ones are."""
    algebra, g = vsa.get("map", dim=256), torch.Generator().manual_seed(1)

    def draw(count: int) -> Tensor:
        x = torch.randn(count, 256, generator=g)
        return x.abs() if kind == "positive" else x

    books = [vsa.Codebook(algebra, draw(20), unrelated=False) for _ in range(3)]
    solve = factorizers.Exhaustive(books)
    others = solve(draw(200) * draw(200) * draw(200))
    assert int(others.valid.sum()) == 0
    indices = torch.randint(20, (50, 3), generator=g)
    true = solve(math.prod(book.atoms[indices[:, f]] for f, book in enumerate(books)))
    assert bool(true.valid.all())
    assert torch.equal(true.indices, indices)
    assert math.isnan(float(true.false_expected[0])) == (kind == "positive")


def test_a_product_found_twice_certifies_nothing() -> None:
    books, indices, queries = problem("map", 2)
    solve = factorizers.Exhaustive(books)
    found = factorizers.explain_away(solve, queries[0] + queries[1], 4)
    certified = [tuple(row) for row, valid in zip(found.indices.tolist(), found.valid.tolist(), strict=True) if valid]
    assert len(certified) == len(set(certified))
    assert {tuple(row) for row in indices.tolist()} <= set(certified)


@pytest.mark.parametrize(("method", "algebra"), METHODS)
def test_no_query_is_answered_by_no_factors(method: str, algebra: str) -> None:
    books, _, queries = problem(algebra, 1)
    solve = factorizers.get(method, books)
    for shape in ((0,), (0, 3), (2, 0)):
        found = solve(queries[:0].expand(0, 512).reshape(*shape, 512))
        assert found.indices.shape == (*shape, 3)
        assert found.valid.shape == shape
        assert found.labels == torch.zeros(shape).tolist()
        assert str(found).startswith(f"{method}: no queries")


def test_answers_one_by_one() -> None:
    books, indices, queries = problem("map", 4)
    found = factorizers.Exhaustive(books)(queries.reshape(2, 2, 512))
    assert found[1].indices.tolist() == indices[2:].tolist()
    assert found[1, 0].labels == tuple(indices[2].tolist())
    assert [part.labels for part in found[0]] == [tuple(row) for row in indices[:2].tolist()]
    assert len(found[:1]) == 1
    for wrong in (2, "x", (0, 0, 0)):
        with pytest.raises(vsa.VSAError, match="leading axes"):
            found[wrong]  # type: ignore[index]
    with pytest.raises(vsa.VSAError, match="leading axes"):
        found[0, 0][0]
