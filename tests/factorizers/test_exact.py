"""Exhaustive search, group search and the join against a plain comparison with every product."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import factorizers
import vsa
from factorizers import Exhaustive, GroupSearch, Join
from factorizers.exhaustive import digits
from factorizers.join import _halves

REAL = ("map", "bsc", "map_real", "fhrr", "hrr", "gsbc", "sbc")


def books(algebra: vsa.Algebra, sizes: list[int], seed: int = 0) -> list[vsa.Codebook]:
    return [vsa.Codebook.random(algebra, size, seed=100 * seed + f) for f, size in enumerate(sizes)]


def plain(made: factorizers.Factorizer, query: Tensor) -> Tensor:
    """The most similar product, by making all of them."""
    every = torch.cartesian_prod(*(torch.arange(size) for size in made.problem.sizes)).reshape(-1, made.problem.factors)
    products = made.problem.product(every)
    best = made.problem.algebra.similarity_to_set(query, products.reshape(len(every), -1)).argmax(-1)
    return every[best]


@given(
    st.sampled_from(REAL), st.lists(st.integers(1, 7), min_size=1, max_size=3), st.integers(0, 2**20),
    st.sampled_from([1, 5, 2**17]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_exhaustive_search_is_the_plain_comparison(name: str, sizes: list[int], seed: int, elements: int) -> None:
    algebra = vsa.get(name, dim=128)
    made = Exhaustive(books(algebra, sizes, seed % 50), elements=elements)
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(size, (5,), generator=generator) for size in sizes], -1)
    queries = made.problem.product(indices)
    answer = made(queries)
    if name not in ("hrr", "map_real"):  # there a louder product may read more than the right one
        assert torch.equal(answer.indices, indices)
    if name in ("map", "bsc", "sbc"):  # vectors that are no products: the nearest all the same
        noise = algebra.random(5, generator=generator, dtype=queries.dtype)
        found, right = made.problem.product(made(noise).indices), made.problem.product(plain(made, noise))
        torch.testing.assert_close(algebra.similarity(noise, found), algebra.similarity(noise, right))


def test_early_exit_saves_work_and_nothing_else() -> None:
    algebra = vsa.get("map", dim=256)
    hasty = Exhaustive(books(algebra, [20, 20, 20]), elements=400)
    whole = Exhaustive(books(algebra, [20, 20, 20]), elements=400, early_exit=False)
    indices = torch.randint(20, (30, 3), generator=torch.Generator().manual_seed(0))
    queries = hasty.problem.product(indices)
    first, second = hasty(queries), whole(queries)
    assert torch.equal(first.indices, second.indices)
    assert second.exhaustive_share == pytest.approx(1)
    assert 0.4 < first.exhaustive_share < 0.7  # a uniform place is found half way, plus the piece it is in


@pytest.mark.parametrize("name", ["map", "bsc"])
@pytest.mark.parametrize("flips", [0.0, 0.2])
def test_group_search_misses_hardly_any(name: str, flips: float) -> None:
    algebra = vsa.get(name, dim=512)
    made = GroupSearch(books(algebra, [24, 25, 26]), noise=flips)
    assert made.group_size > 1
    generator = torch.Generator().manual_seed(0)
    indices = torch.stack([torch.randint(size, (300,), generator=generator) for size in made.problem.sizes], -1)
    queries = factorizers.damage.flip_bits(algebra, made.problem.product(indices), flips, generator)
    answer = made(queries)
    # missed with probability 1e-4 each: more than one of 300 has probability 4e-4
    assert int((answer.indices != indices).any(-1).sum()) <= 1
    assert answer.exhaustive_share < 0.5


def test_groups_shrink_with_noise() -> None:
    sizes = [GroupSearch(books(vsa.get("map", dim=256), [64, 64]), noise=p).group_size for p in (0.0, 0.1, 0.2, 0.4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2
    assert sizes[-1] == 1


@given(
    st.sampled_from(["map", "bsc", "gsbc", "sbc"]), st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 2**20), st.sampled_from([1, 7, 2**22]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_join_finds_exact_products(name: str, sizes: list[int], seed: int, elements: int) -> None:
    algebra = vsa.get(name, dim=1024)
    made = Join(books(algebra, sizes, seed % 50), elements=elements)
    indices = torch.stack(
        [torch.randint(size, (4,), generator=torch.Generator().manual_seed(seed)) for size in sizes], -1
    )
    answer = made(made.problem.product(indices))
    assert torch.equal(answer.indices, indices)
    assert bool(answer.valid.all())


def test_the_join_stands_little_noise_and_admits_defeat() -> None:
    algebra = vsa.get("map", dim=512)
    made = Join(books(algebra, [30, 30, 30]))
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(30, (40, 3), generator=generator)
    queries = made.problem.product(indices)
    answer = made(factorizers.damage.flip_bits(algebra, queries, 0.05, generator))
    assert torch.equal(answer.indices, indices)
    lost = made(algebra.random(3, generator=generator, dtype=torch.int8))
    assert not bool(lost.valid.any() | lost.converged.any())


def test_the_join_answers_with_one_of_several_right_products() -> None:
    algebra = vsa.get("gsbc", dim=16, blocks=2)  # 64 outcomes for 512 products
    generator = torch.Generator().manual_seed(1)
    outcomes = [torch.randperm(64, generator=generator)[:8] for _ in range(3)]
    made = Join([vsa.Codebook(algebra, torch.stack((some // 8, some % 8), -1)) for some in outcomes])
    indices = torch.randint(8, (50, 3), generator=torch.Generator().manual_seed(0))
    answer = made(made.problem.product(indices))
    assert bool(answer.valid.all())
    assert float(answer.false_expected[0]) == pytest.approx(8)


def test_halves_and_digits() -> None:
    left, right = _halves([256, 256, 256])
    assert (len(left), len(right)) == (1, 2)
    assert _halves([100, 10, 10]) in (([0], [1, 2]), ([1, 2], [0]))
    assert _halves([7]) == ([], [0])
    numbers = torch.arange(24)
    a, b, c = digits(numbers, [2, 3, 4])
    assert torch.equal((a * 3 + b) * 4 + c, numbers)
    assert (int(a.max()), int(b.max()), int(c.max())) == (1, 2, 3)


def test_wrong_uses() -> None:
    floats = books(vsa.get("fhrr", dim=64), [4, 4])
    for cls in (Join, GroupSearch):
        with pytest.raises(vsa.UnsupportedError, match=f"{cls.name}: received codebooks of fhrr; expected map"):
            cls(floats)
    signs = books(vsa.get("map", dim=64), [4, 4])
    with pytest.raises(vsa.VSAError, match=r"group_search noise: received 0.5; expected a share of flipped bits"):
        GroupSearch(signs, noise=0.5)
    with pytest.raises(vsa.VSAError, match="exhaustive elements: received 0; expected at least 1"):
        Exhaustive(signs, elements=0)
    with pytest.raises(vsa.VSAError, match="join trials: received 0; expected at least 1"):
        Join(signs, trials=0)
    assert math.isclose(Exhaustive(signs).problem.exhaustive_macs, 4 * 4 * 64)
