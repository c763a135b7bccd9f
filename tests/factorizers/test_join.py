"""The join finds exact products, stands little noise, and admits defeat."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factorizers
import vsa
from factorizers import Join
from factorizers.join import _halves
from factorizers.sweeps import digits


def books(algebra: vsa.Algebra, sizes: list[int], seed: int = 0) -> list[vsa.Codebook]:
    return [vsa.Codebook.random(algebra, size, seed=100 * seed + f) for f, size in enumerate(sizes)]


@given(
    st.sampled_from(["map", "bsc", "gsbc", "sbc"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 2**20),
    st.sampled_from([1, 7, 2**22]),
)
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


def test_the_sorted_keys_are_kept_and_stay_right() -> None:
    made = Join(books(vsa.get("bsc", dim=256), [20, 30, 25]))
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        indices = torch.stack([torch.randint(size, (10,), generator=generator) for size in made.problem.sizes], -1)
        assert torch.equal(made(made.problem.product(indices), generator=generator).indices, indices)
    assert made._sorted is not None
    fresh = Join(books(vsa.get("bsc", dim=256), [20, 30, 25]))
    assert torch.equal(fresh(made.problem.product(indices)).macs, made(made.problem.product(indices)).macs)


def test_real_queries_are_read_by_their_signs() -> None:
    made = Join(books(vsa.get("map", dim=512), [30, 30, 30]))
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(30, (40, 3), generator=generator)
    queries = made.problem.product(indices) + 0.3 * torch.randn(40, 512, generator=generator)
    answer = made(queries)
    assert torch.equal(answer.indices, indices)
    assert bool(answer.converged.all())


def test_wrong_uses() -> None:
    with pytest.raises(vsa.UnsupportedError, match=r"join: received codebooks of fhrr, which does not declare laws.s"):
        Join(books(vsa.get("fhrr", dim=64), [4, 4]))
    signs = books(vsa.get("map", dim=64), [4, 4])
    loud = vsa.Codebook(vsa.get("map", dim=64), 2.0 * signs[0].atoms.float())
    with pytest.raises(vsa.UnsupportedError, match=r"join: received atoms of other entries than .1 and -1; expected"):
        Join([loud, loud])
    with pytest.raises(vsa.VSAError, match="join trials: received 0; expected at least 1"):
        Join(signs, trials=0)
    with pytest.raises(vsa.VSAError, match="join elements: received 0; expected at least 1"):
        Join(signs, elements=0)
