"""Rules and published values of the in-memory factorizer, its noise, asymmetric flips, and reads through the seam."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

import factorizers
import vsa
from factorizers.activations import hard_threshold, int8_shift, int8_threshold_, random_subset
from factorizers.asymmetric import as_queries, flip
from factorizers.in_memory import PUBLISHED, alive_atoms, chance_threshold, noise_level
from factorizers.problem import Problem
from factorizers.spaces import NoisePool
from vsa.backends.base import DeviceHandle, Kind, StoredMatrix
from vsa.backends.digital import Digital


def books(dim: int, size: int, factors: int = 3, name: str = "map", seed: int = 0) -> list[vsa.Codebook]:
    algebra = vsa.get(name, dim=dim)
    return [vsa.Codebook.random(algebra, size, seed=100 * seed + factor) for factor in range(factors)]


def drawn(made: factorizers.Factorizer, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(n, (count,), generator=generator) for n in made.problem.sizes], -1)
    return made.problem.product(indices), indices


def test_the_rule_is_the_published_threshold_where_that_was_tuned() -> None:
    problem = Problem(tuple(books(256, 256)))
    assert chance_threshold(problem, 256) == pytest.approx(PUBLISHED["threshold"], abs=0.003)


@pytest.mark.parametrize("dim,size,factors", [(256, 46, 3), (512, 256, 3), (512, 40, 4), (1000, 1000, 2)])
def test_as_many_atoms_survive_by_chance_as_the_rule_says(dim: int, size: int, factors: int) -> None:
    problem = Problem(tuple(books(dim, size, factors)))
    threshold, alive = chance_threshold(problem, size), alive_atoms(size, factors, 1 / math.sqrt(dim))
    vectors = problem.algebra.random(2000, generator=torch.Generator().manual_seed(1))
    survivors = (problem.books[0].similarity(vectors) >= threshold).sum(-1).double()
    # similarities come in steps of 2 / D, so a threshold between steps keeps the atoms of the step above it
    step = NormalDist().pdf(NormalDist().inv_cdf(1 - alive / size)) * 2 / math.sqrt(dim) * size
    assert abs(float(survivors.mean()) - alive) < step + 5 * float(survivors.std()) / math.sqrt(2000)


def test_noise_falls_with_the_search_space() -> None:
    levels = [noise_level(10**power) for power in (2, 6, 7, 8, 12)]
    assert levels[0] == levels[1] == 0.45
    assert levels == sorted(levels, reverse=True)
    assert levels[3] == levels[4] == 0.2
    assert factorizers.InMemory(books(64, 9)).noise == 0.45


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_the_noise_pool_is_normal_and_repeats_from_a_seed(dtype: torch.dtype) -> None:
    def reads(seed: int) -> Tensor:
        pool = NoisePool(7.0, 6400, torch.Generator().manual_seed(seed), dtype, torch.device("cpu"))
        return torch.stack([pool.window((100, 64)) for _ in range(50)]).double()

    noise = reads(0)
    assert torch.equal(noise, reads(0))
    assert not torch.equal(noise, reads(1))
    # 320,000 values of which about 200,000 are distinct draws; rounding adds 1/12 to the variance
    count, variance = 200_000, 49 + (1 / 12 if dtype == torch.int32 else 0)
    assert abs(float(noise.mean())) < 5 * 7 / math.sqrt(count)
    assert abs(float(noise.var()) - variance) < 5 * variance * math.sqrt(2 / count)


@pytest.mark.parametrize("noise_from", ["activation", "columns"])
def test_both_sources_of_noise_find_the_factors(noise_from: str) -> None:
    made = factorizers.InMemory(books(256, 30), noise_from=noise_from)
    queries, indices = drawn(made, 64)
    answer = made(queries)
    assert torch.equal(answer.indices, indices)
    assert bool(answer.valid.all())


def test_the_published_dynamics_are_there_unimproved() -> None:
    made = factorizers.InMemory.published(books(256, 256), budget=1)
    assert (made.threshold, made.second_noise, made.converge) == (0.136, 0.001, 0.6)
    assert (made.stop, made.restart) == ("converged", None)
    assert made.noise == pytest.approx(0.0136 * 16)
    made = factorizers.InMemory.published(books(256, 22), budget=400)
    queries, indices = drawn(made, 64)
    answer = made(queries)
    right = (answer.indices == indices).all(-1)
    assert int(right.sum()) >= 50
    assert torch.equal(answer.valid, right)
    assert factorizers.InMemory.published(books(256, 40)).iterations == 40 * 40 // 3


def test_activations_are_what_they_say() -> None:
    x = torch.tensor([[-3.0, 0.5, 2.0], [1.0, 0.2, 0.3]])
    assert hard_threshold(x, 0.5).tolist() == [[0, 0.5, 2], [1, 0, 0]]
    assert [int8_shift(v) for v in (0, 127, 128, 256, 8192)] == [0, 0, 1, 2, 7]
    whole = torch.tensor([[-90, 33, 34, 35, 256]], dtype=torch.int32)
    assert int8_threshold_(whole, 34, 2).tolist() == [[0, 0, 8, 8, 64]]
    picked = random_subset(50, 9, 4, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert all(len(set(row)) == 4 for row in picked.tolist())
    assert set(picked.flatten().tolist()) == set(range(9))


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_flips_have_their_rate(rate: float) -> None:
    book = books(512, 64, 1)[0]
    signs = flip(book, rate, "sign", torch.Generator().manual_seed(0))
    count = book.atoms.numel()
    flipped = int((signs.atoms != book.atoms).sum())
    assert abs(flipped - rate * count) < 5 * math.sqrt(count * rate * (1 - rate))
    released = flip(book, rate, "zero_two", torch.Generator().manual_seed(0))
    assert torch.equal(released.atoms != book.atoms, signs.atoms != book.atoms)
    assert set(released.atoms[signs.atoms != book.atoms].tolist()) == {0.0, 2.0}


def test_the_released_flips_and_queries_can_be_reproduced() -> None:
    made = factorizers.Asymmetric(books(512, 30, 2), flips="zero_two", rate=0.01)
    readers, _ = made.flipped(torch.Generator().manual_seed(0))
    _, indices = drawn(made, 32)
    answer = made(as_queries(readers, indices), generator=torch.Generator().manual_seed(0))
    assert torch.equal(answer.indices, indices)


@dataclass(frozen=True)
class Noisy(Digital):
    """Exact atoms, noisy reads: what the factorizer may use of an array is its reads."""

    std: float = 0.0
    name = "noisy"
    exact = False

    def _store(self, atoms: Tensor, kind: Kind, block_length: int | None, seed: int) -> StoredMatrix:
        return _Noisy(super()._store(atoms, kind, block_length, seed), self.std, seed)


class _Noisy(StoredMatrix):
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

    def _noise(self, x: Tensor) -> Tensor:
        self.reads += 1
        return x + self.std * torch.randn(x.shape, generator=self.generator)

    def _matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self._noise(self.inner._matvec(x, None))

    def _rmatvec(self, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.inner._rmatvec(weights, None)

    def _block_matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self._noise(self.inner._block_matvec(x, None))


def test_an_array_with_noisy_reads_supplies_the_noise() -> None:
    # read noise of .45 standard deviations of the crosstalk, sqrt(256) in raw units
    noisy = [book.on(Noisy(std=0.45 * 16), seed=factor) for factor, book in enumerate(books(256, 40))]
    made = factorizers.InMemory(noisy, noise_from="reads", budget=1500)
    queries, indices = drawn(made, 40)
    answer = made(queries)
    assert int((answer.indices == indices).all(-1).sum()) >= 38
    stored = made.problem.books[0].stored
    assert isinstance(stored, _Noisy)
    assert stored.reads > 50
