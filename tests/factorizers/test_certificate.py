"""tau keeps its promise: expected false certificates below 1e-3, measured where chance can be seen."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch

import vsa
from factorizers.certificate import EXPECTED_FALSE, blocks_needed
from factorizers.problem import Problem


@pytest.mark.parametrize("name", ["map", "bsc", "fhrr", "hrr", "map_real"])
@pytest.mark.parametrize("dim", [64, 512])
def test_unrelated_products_have_the_cosine_spread_that_tau_counts_on(name: str, dim: int) -> None:
    algebra = vsa.get(name, dim=dim)
    books = tuple(vsa.Codebook.random(algebra, 60, seed=seed) for seed in (1, 2))
    problem = Problem(books)
    draw = torch.Generator().manual_seed(3)
    queries = algebra.random(4000, generator=draw, dtype=books[0].atoms.dtype)
    certificate = problem.certificate(queries)
    rows = torch.arange(4000)
    indices = torch.randint(60, (4000, 2), generator=draw)
    cosines = certificate.similarity(rows, indices).double()
    # 4,000 cosines: standard error std / 63 of the mean, sqrt(2 / 4000) of the variance. Kept to 5 of each.
    standardised = cosines / certificate.tau * NormalDist().inv_cdf(1 - EXPECTED_FALSE / problem.combinations)
    assert abs(float(standardised.mean())) < 5 / math.sqrt(4000)
    assert abs(float(standardised.var()) - 1) < 5 * math.sqrt(2 / 4000)
    if algebra.laws.products == "normal":
        spread = certificate.tau / NormalDist().inv_cdf(1 - EXPECTED_FALSE / problem.combinations)
        torch.testing.assert_close(spread, torch.full((4000,), algebra.embedding.width**-0.5))
    assert bool(certificate.valid(rows, cosines.float()).sum() == 0)


@pytest.mark.parametrize("name", ["map", "fhrr", "hrr", "map_real"])
def test_far_out_chance_is_no_more_likely_than_the_normal_tail_that_tau_counts_on(name: str) -> None:
    algebra = vsa.get(name, dim=256)
    draw = torch.Generator().manual_seed(11)
    books = tuple(vsa.Codebook.random(algebra, 30, generator=draw) for _ in range(3))
    others = Problem(tuple(vsa.Codebook.random(algebra, 30, generator=draw) for _ in range(3)))
    problem = Problem(books)
    queries = others.product(torch.arange(30).unsqueeze(-1).expand(30, 3))
    certificate = problem.certificate(queries)
    indices = torch.cartesian_prod(*(torch.arange(30) for _ in books))
    passed = by_cosine = 0
    bar = NormalDist().inv_cdf(1 - 4e-4)  # seen often enough to be counted, far enough to see a heavy tail
    stretch = bar / NormalDist().inv_cdf(1 - EXPECTED_FALSE / problem.combinations)
    product = problem.product(indices)
    for row in range(10):
        similarity = certificate.similarity(torch.full((len(indices),), row), indices)
        passed += int((similarity >= stretch * certificate.tau[row]).sum())
        by_cosine += int((algebra.cosine(queries[row], product) >= bar * algebra.embedding.width**-0.5).sum())
    # 270,000 pairs, 108 expected; inner products of signs come in steps of 2, worth a quarter more at most. Pairs
    # share atoms, so counts vary more than Poisson's: kept to 5 of its standard errors, doubled.
    assert passed < 108 * 1.25 + 10 * math.sqrt(108)
    if algebra.laws.products == "flattened":
        assert by_cosine > 1.5 * 108  # why these two are not compared by their cosine
        exact = problem.product(indices[::400])
        own = problem.certificate(exact)
        rows = torch.arange(len(exact))
        torch.testing.assert_close(own.similarity(rows, indices[::400]), torch.ones(len(exact)))
        assert bool(own.valid(rows, own.similarity(rows, indices[::400])).all())


def test_tau_at_the_customary_size() -> None:
    books = tuple(vsa.Codebook.random(vsa.get("map", dim=256), 256, seed=seed) for seed in range(3))
    certificate = Problem(books).certificate(books[0].atoms)
    assert float(certificate.tau[0]) == pytest.approx(0.404, abs=0.002)  # 6.46 standard deviations
    assert float(certificate.false_expected[0]) == pytest.approx(EXPECTED_FALSE, rel=0.05)


def test_tau_of_very_large_search_spaces() -> None:
    """Chance stays at 1e-3 where 1 minus its share of one product would be 1."""
    algebra = vsa.get("map", dim=8192)
    for factors in (5, 9, 20):
        seeds = [vsa.child_seed(0, factor) for factor in range(factors)]
        problem = Problem(tuple(vsa.Codebook.random(algebra, 400, seed=seed) for seed in seeds))
        certificate = problem.certificate(problem.product(torch.zeros(1, factors, dtype=torch.int64)))
        assert 0 < float(certificate.tau) < 1
        assert float(certificate.false_expected) == pytest.approx(EXPECTED_FALSE, rel=1e-3)


@pytest.mark.parametrize("blocks,length,size", [(4, 8, 9), (3, 16, 20), (6, 4, 12)])
def test_lambda_counts_the_wrong_products_that_pass(blocks: int, length: int, size: int) -> None:
    algebra = vsa.get("gsbc", dim=blocks * length, blocks=blocks)
    books = tuple(vsa.Codebook.random(algebra, size, seed=seed) for seed in range(40, 43))
    problem = Problem(books)
    every = torch.cartesian_prod(*(torch.arange(size) for _ in books))
    draw = torch.Generator().manual_seed(5)
    passed, rows = 0, torch.zeros(len(every), dtype=torch.int64)
    queries = algebra.random(400, generator=draw, dtype=torch.int64)
    certificate = problem.certificate(queries)
    for query in range(400):
        passed += int(certificate.valid(rows + query, certificate.similarity(rows + query, every)).sum())
    expected = 400 * float(certificate.false_expected[0])
    assert float(certificate.tau[0]) == 1  # so few outcomes that even all blocks do not rule out chance
    assert expected == pytest.approx(400 * size**3 / length**blocks, rel=1e-6)
    # Products share atoms, so counts vary more than Poisson's: kept to 5 of its standard errors, doubled.
    assert abs(passed - expected) < 10 * math.sqrt(expected)


def test_fewer_blocks_suffice_where_chance_is_ruled_out() -> None:
    needed, chance = blocks_needed(combinations=10**4, blocks=8, agree=1 / 64)
    exact = sum(math.comb(8, j) * 64.0**-j * (63 / 64) ** (8 - j) for j in range(needed, 9))
    one_less = exact + math.comb(8, needed - 1) * 64.0 ** -(needed - 1) * (63 / 64) ** (9 - needed)
    assert needed < 8
    assert chance == pytest.approx(exact)
    assert 10**4 * exact < EXPECTED_FALSE <= 10**4 * one_less


def test_a_missing_block_neither_agrees_nor_counts() -> None:
    algebra = vsa.get("gsbc", dim=256, blocks=4)
    books = tuple(vsa.Codebook.random(algebra, 5, seed=seed) for seed in range(2))
    problem = Problem(books)
    indices = torch.tensor([[1, 3]])
    query = algebra.from_index(problem.product(indices))
    query[:, :64] = 1 / 64
    certificate = problem.certificate(query)
    rows = torch.zeros(1, dtype=torch.int64)
    assert float(certificate.similarity(rows, indices)) == 1
    assert float(certificate.similarity(rows, torch.tensor([[1, 2]]))) < 1
    whole = problem.certificate(algebra.from_index(problem.product(indices)))
    assert (float(whole.tau), float(certificate.tau)) == (0.75, 1.0)  # three of four blocks, or three of three


def test_superposed_products_agree_by_chance_more_often() -> None:
    """Two peaks in each block: lambda is 2^K times that of one product, and so many wrong products pass."""
    algebra = vsa.get("gsbc", dim=64, blocks=4)
    books = tuple(vsa.Codebook.random(algebra, 12, seed=seed) for seed in range(40, 43))
    problem = Problem(books)
    every = torch.cartesian_prod(*(torch.arange(12) for _ in books))
    draw = torch.Generator().manual_seed(5)
    queries = algebra.from_index(algebra.random(2, 300, generator=draw, dtype=torch.int64)).mean(0)
    certificate = problem.certificate(queries)
    two = (queries.unflatten(-1, (4, 16)).amax(-1) < 1).all(-1).nonzero().squeeze(-1)  # no block where both agree
    assert len(two) > 200
    expected = len(two) * 12**3 * (2 / 16) ** 4
    assert float(certificate.false_expected[two].sum()) == pytest.approx(expected, rel=1e-5)
    zeros = torch.zeros(len(every), dtype=torch.int64)
    passed = sum(
        int(certificate.valid(zeros + row, certificate.similarity(zeros + row, every)).sum()) for row in two.tolist()
    )
    # Products share atoms, so counts vary more than Poisson's: kept to 5 of its standard errors, doubled.
    assert abs(passed - expected) < 10 * math.sqrt(expected)
