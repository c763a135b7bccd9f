"""Exhaustive search answers as a plain comparison with every product does, whatever its chunks."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import factorizers
import vsa
from factorizers.problem import Problem
from factorizers.sweeps import Products, best_of_each, digits
from vsa.backends.base import DeviceHandle, Kind, StoredMatrix
from vsa.backends.digital import Digital

NAMES = ("map", "bsc", "map_real", "fhrr", "hrr", "gsbc", "sbc")


def made(name: str, dim: int, sizes: tuple[int, ...], seed: int = 0, **options: Any) -> factorizers.Exhaustive:
    algebra = vsa.get(name, dim=dim)
    books = [vsa.Codebook.random(algebra, size, seed=100 * seed + factor) for factor, size in enumerate(sizes)]
    return factorizers.Exhaustive(books, **options)


def every_similarity(problem: Problem, queries: Tensor) -> tuple[Tensor, Tensor]:
    """All combinations (C, F) and the cosine (B, C) of each, by the algebra alone."""
    combinations = torch.tensor(list(product(*(range(size) for size in problem.sizes))))
    products = problem.product(combinations)
    embed = problem.algebra.embed
    a, b = embed(queries).double(), embed(products).double()
    return combinations, (a @ b.mT) / a.norm(dim=-1, keepdim=True) / b.norm(dim=-1)


def vectors(problem: Problem, count: int, noisy: bool, seed: int) -> Tensor:
    """Products, or vectors that have nothing to do with any: there the best of all is hard to name."""
    generator = torch.Generator().manual_seed(seed)
    if noisy:
        return problem.algebra.random(count, generator=generator, dtype=problem.books[0].atoms.dtype)
    return problem.product(torch.stack([torch.randint(n, (count,), generator=generator) for n in problem.sizes], -1))


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    noisy=st.booleans(),
    elements=st.sampled_from([1, 40, 700, 2**19]),
    early_exit=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_a_plain_brute_force(
    name: str, sizes: list[int], noisy: bool, elements: int, early_exit: bool, seed: int
) -> None:
    search = made(name, 64, tuple(sizes), seed, elements=elements, early_exit=early_exit)
    queries = vectors(search.problem, 5, noisy, seed)
    combinations, similarity = every_similarity(search.problem, queries)
    answer = search(queries)
    column = (answer.indices.unsqueeze(1) == combinations).all(-1).double().argmax(-1, keepdim=True)
    chosen = similarity.gather(-1, column).squeeze(-1)
    assert torch.allclose(chosen, similarity.amax(-1), atol=1e-5)
    assert torch.allclose(answer.similarities[:, 0].double(), chosen, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_norms_of_products_do_not_decide(name: str) -> None:
    # products of real vectors differ in norm: a loud wrong one has a larger inner product than the right one
    search = made(name, 64, (12, 12, 12))
    queries = vectors(search.problem, 40, False, 7)
    answer = search(queries)
    _, similarity = every_similarity(search.problem, queries)
    best = similarity.amax(-1)
    assert torch.allclose(best, torch.ones_like(best), atol=1e-5)
    column = answer.indices @ torch.tensor([144, 12, 1])
    assert torch.allclose(similarity.gather(-1, column.unsqueeze(-1)).squeeze(-1), best, atol=1e-5)
    assert bool(answer.valid.all())


@pytest.mark.parametrize("name", NAMES)
def test_chunks_change_nothing(name: str) -> None:
    problem = made(name, 128, (7, 1, 9, 5)).problem
    queries = torch.cat((vectors(problem, 4, False, 1), vectors(problem, 4, True, 2)))
    answers = [made(name, 128, (7, 1, 9, 5), elements=n, early_exit=False)(queries) for n in (1, 1000, 2**19)]
    for answer in answers[1:]:
        assert torch.equal(answer.indices, answers[0].indices)
        # a block code's floor rises earlier in small chunks, so it compares less; all others compare everything
        if vsa.get(name).block_length is None:
            assert torch.equal(answer.macs, answers[0].macs)
            assert answer.exhaustive_share == pytest.approx(1)
        assert answer.exhaustive_share <= 1 + 1e-9


def test_an_exact_query_leaves_early() -> None:
    search = made("map", 256, (40, 40, 40), elements=2**14)
    first, last = search.problem.product(torch.tensor([[0, 3, 5], [39, 39, 5]]))
    noise = search.problem.algebra.random(1, generator=torch.Generator().manual_seed(0))[0]
    slow = made("map", 256, (40, 40, 40), early_exit=False)
    # by the first 64 entries: 256 products of 1,600 a chunk; then the one that agrees, whole
    answer = search(torch.stack((first, last, noise)))
    assert answer.macs.tolist() == [
        256 * 40 * 64 + 256,
        40**3 * 64 + 256,
        40**3 * 64 + 40**3 * 256,
    ]
    assert torch.equal(slow(torch.stack((first, last, noise))).indices, answer.indices)
    # a first query that is no product: the others are not looked for, but leave the full search when they are met
    answer = search(torch.stack((noise, first, last)))
    assert answer.macs.tolist() == [40**3 * 64 + 40**3 * 256, 64 * 40 * 256, 40**3 * 256]
    assert torch.equal(slow(torch.stack((noise, first, last))).indices, answer.indices)
    assert slow(first).exhaustive_share == 1


def test_atoms_that_begin_alike_are_told_apart() -> None:
    algebra = vsa.get("map", dim=256)
    atoms = algebra.random(30, generator=torch.Generator().manual_seed(0))
    atoms[:, :64] = atoms[0, :64]  # all products agree in their first 64 entries
    search = factorizers.Exhaustive([vsa.Codebook(algebra, atoms), vsa.Codebook(algebra, atoms[:20])], elements=2**10)
    indices = torch.tensor([[a, b] for a in range(30) for b in range(20)])
    products = search.problem.product(indices)
    answer = search(products)
    assert torch.equal(search.problem.product(answer.indices), products)
    assert bool((answer.product_similarity == 1).all())


def test_pruning_of_block_codes_pays() -> None:
    algebra = vsa.get("gsbc", dim=512, blocks=4)
    books = [vsa.Codebook.random(algebra, 60, seed=seed) for seed in range(3)]
    search = factorizers.Exhaustive(books, early_exit=False)
    indices = torch.randint(60, (20, 3), generator=torch.Generator().manual_seed(0))
    answer = search(search.problem.product(indices))
    assert torch.equal(answer.indices, indices)
    assert answer.exhaustive_share < 0.6


def test_real_queries_are_rounded_finely() -> None:
    search = made("map", 256, (30, 30, 30))
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(30, (50, 3), generator=generator)
    queries = search.problem.product(indices) + 0.8 * torch.randn(50, 256, generator=generator)
    answer = search(queries)
    assert torch.equal(answer.indices, indices)
    _, similarity = every_similarity(search.problem, queries)
    # rounding to 1/32 rms has a standard deviation of .009 rms, .009 / sqrt(256) of similarity; 6 of them
    best = similarity.amax(-1)
    assert float((answer.similarities[:, 0].double() - best).abs().max()) < 6 * 0.009 / math.sqrt(256)


def test_products_are_numbered_in_mixed_radix(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = made("map", 64, (3, 4, 5, 2)).problem
    whole = Products(problem, (0, 1, 2), problem.atoms)
    monkeypatch.setattr("factorizers.sweeps.TABLE_BYTES", 64 * 6)  # only the last factor fits
    pieces = Products(problem, (0, 1, 2), problem.atoms)
    assert len(whole._inner) == 60
    assert len(pieces._inner) == 5
    for rows in (1, 3, 5, 12, 100):
        seen = torch.cat([chunk for _, chunk in pieces.chunks(rows)])
        assert next(start for start, _ in pieces.chunks(rows)) == 0
        assert max(len(chunk) for _, chunk in pieces.chunks(rows)) <= max(rows, 1)
        assert torch.equal(seen, torch.cat([chunk for _, chunk in whole.chunks(rows)]))
    at = whole.indices(torch.arange(60))
    expected = problem.atoms[0][at[:, 0]] * problem.atoms[1][at[:, 1]] * problem.atoms[2][at[:, 2]]
    assert torch.equal(whole._inner, expected)
    assert [column.tolist() for column in digits(torch.tensor([7]), [2, 4])] == [[1], [3]]


def test_the_first_of_equal_scores_wins() -> None:
    scores, places = best_of_each(3, torch.tensor([2, 0, 2, 0, 2]), torch.tensor([-5, 7, 4, 7, 4]))
    assert scores.tolist() == [7, -1, 4]
    assert places.tolist() == [1, -1, 2]


class _Noisy(StoredMatrix):
    """Exact atoms, reads with normal noise."""

    def __init__(self, inner: StoredMatrix, std: float, seed: int) -> None:
        super().__init__(
            stack=inner.stack,
            count=inner.count,
            width=inner.width,
            block_length=inner.block_length,
            kind=inner.kind,
            device=inner.device,
            dtype=inner.dtype,
            handle=DeviceHandle(),
        )
        self.inner, self.std, self.reads = inner, std, 0
        self.generator = torch.Generator().manual_seed(seed)

    def _matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        self.reads += x.shape[0]
        exact = self.inner._matvec(x, None)
        return exact + self.std * torch.randn(exact.shape, generator=self.generator)

    def _rmatvec(self, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.inner._rmatvec(weights, None)

    def _block_matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.inner._block_matvec(x, None)


class _NoisyBackend(Digital):
    name = "noisy"
    exact = False

    def _store(self, atoms: Tensor, kind: Kind, block_length: int | None, seed: int) -> StoredMatrix:
        return _Noisy(super()._store(atoms, kind, block_length, seed), 1.0, seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_noisy_array_is_what_is_read(name: str) -> None:
    plain = made(name, 256, (6, 5, 8))
    search = factorizers.Exhaustive([book.on(_NoisyBackend(), seed=3) for book in plain.problem.books])
    queries = vectors(search.problem, 6, False, 0)
    first = search(queries)
    stored = search.problem.books[2].stored
    assert isinstance(stored, _Noisy)
    assert stored.reads == 6 * 30  # every product of the others, for every query: noise ends no search
    again = search(queries)
    assert not torch.equal(first.similarities, again.similarities)
    if vsa.get(name).laws.products == "normal":  # noise of 1 beside a match of 256: certain
        assert torch.equal(first.indices, plain(queries).indices)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(vsa.VSAError, match="exhaustive elements: received 0; expected at least 1"):
        made("map", 64, (3,), elements=0)
