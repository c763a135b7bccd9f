"""Group search finds what exhaustive search finds, at the miss rate and the cost that its statistics promise."""

from __future__ import annotations

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import factorizers
import vsa
from factorizers import Exhaustive, GroupSearch
from factorizers.damage import flip_bits

MAP = vsa.get("map", dim=256)


def books(name: str, dim: int, sizes: tuple[int, ...], seed: int = 0) -> list[vsa.Codebook]:
    algebra = vsa.get(name, dim=dim)
    return [vsa.Codebook.random(algebra, size, seed=100 * seed + factor) for factor, size in enumerate(sizes)]


def drawn(search: factorizers.Factorizer, count: int, flips: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(n, (count,), generator=generator) for n in search.problem.sizes], -1)
    return flip_bits(search.problem.algebra, search.problem.product(indices), flips, generator), indices


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(("map", "bsc")),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    group=st.sampled_from([None, 1, 2, 5, 100]),
    elements=st.sampled_from([1, 5000, 2**19]),
    seed=st.integers(0, 99),
)
def test_groups_of_any_size_find_exact_products(
    name: str, sizes: list[int], group: int | None, elements: int, seed: int
) -> None:
    search = GroupSearch(books(name, 1024, tuple(sizes), seed), group=group, elements=elements)
    queries, indices = drawn(search, 6, seed=seed)
    answer = search(queries)
    assert torch.equal(answer.indices, indices)
    assert bool(answer.valid.all())
    assert torch.allclose(answer.similarities, torch.ones(()))


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_it_agrees_with_exhaustive_search(noise: float) -> None:
    made = books("map", 256, (64, 64, 64))
    search, plain = GroupSearch(made, noise=noise), Exhaustive(made, early_exit=False)
    queries, indices = drawn(search, 64, noise)
    answer, reference = search(queries), plain(queries)
    assert torch.equal(reference.indices, indices)
    assert int((answer.indices == indices).all(-1).sum()) >= 63  # misses: 64 * 1e-3
    assert search.group_size >= (3 if noise == 0 else 2)
    assert answer.exhaustive_share < reference.exhaustive_share / 1.5
    assert answer.sweep  # whatever it saves
    assert "a sweep" in str(answer)


def test_misses_are_as_rare_as_the_bar_says() -> None:
    search = GroupSearch(books("map", 256, (12, 12, 12)), noise=0.15)
    assert search.group_size >= 2
    queries, indices = drawn(search, 20_000, 0.15)
    wrong = int((search(queries).indices != indices).any(-1).sum())
    # a rate of 1e-3 on 20,000 queries: 20 misses, standard deviation 4.5
    assert wrong <= 20 + 5 * math.sqrt(20)


def test_as_many_groups_open_as_the_statistics_say() -> None:
    search = GroupSearch(books("map", 256, (64, 64)), group=4)
    groups = search._groups
    generator = torch.Generator().manual_seed(0)
    noise = MAP.random(400, generator=generator)
    _, sums = next(groups.chunks(1000))
    reads = search.problem.books[1].stored.matvec((noise.unsqueeze(1) * sums).flatten(0, 1))
    share = float((reads >= search.bar(4)).double().mean())
    assert len(sums) == 16
    # 400 * 16 * 64 reads, of which those of one query and one group count as independent; steps of 2 of 32 spread them
    expected = search.opened(4)
    assert abs(share - expected) < 5 * math.sqrt(expected / (400 * 16)) + 0.08 * expected


def test_the_group_costs_least() -> None:
    for noise in (0.0, 0.1, 0.3, 0.45):
        search = GroupSearch(books("map", 256, (100, 100)), noise=noise)
        costs = {size: search.expected_share(size) for size in range(1, 101)}
        assert costs[search.group_size] == min(costs.values())
    assert search.group_size == 1  # at .45 no group helps
    sizes = [GroupSearch(books("map", dim, (100, 100))).group_size for dim in (64, 256, 1024)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_real_queries_are_searched_by_their_signs() -> None:
    search = GroupSearch(books("map", 512, (20, 20, 20)), noise=0.1)
    queries, indices = drawn(search, 20)
    noisy = queries + 0.5 * torch.randn(queries.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(search(noisy).indices, indices)


WRONG = [
    (lambda: GroupSearch(books("fhrr", 64, (3, 3))), "received codebooks of fhrr, which does not declare laws.signs"),
    (lambda: GroupSearch(books("map", 64, (3, 3)), noise=0.5), "group_search noise: received 0.5; expected a share"),
    (lambda: GroupSearch(books("map", 64, (3, 3)), group=128), "group_search group: received 128; expected at most"),
    (lambda: GroupSearch(books("map", 64, (3, 3)), group=0), "group_search group: received 0; expected at least 1"),
    (
        lambda: GroupSearch([vsa.Codebook.random(MAP, 3, seed=0, dtype=torch.float32)]),
        "group_search: received float atoms, or a backend with noise; expected signs on an exact backend",
    ),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_uses_are_refused(case: int) -> None:
    call, message = WRONG[case]
    with pytest.raises(vsa.VSAError, match=re.escape(message)):
        call()
