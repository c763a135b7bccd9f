"""Damage has the rate it says; formulas agree with simulation; several products are explained away."""

from __future__ import annotations

import math

import pytest
import torch

import factorizers
import vsa
from factorizers import damage, theory


@pytest.mark.parametrize("name,dtype", [("map", torch.int8), ("bsc", torch.bool), ("bsc", torch.int64)])
def test_flips_have_their_rate(name: str, dtype: torch.dtype, generator: torch.Generator) -> None:
    algebra = vsa.get(name, dim=1000)
    x = algebra.random(200, generator=generator, dtype=dtype)
    similarity = algebra.similarity(x, damage.flip_bits(algebra, x, 0.1, generator)).double()
    # 200,000 entries: the mean similarity is 1 - 2 p with a standard error of 2 sqrt(p (1 - p) / 200000)
    assert abs(float(similarity.mean()) - 0.8) < 5 * 2 * math.sqrt(0.09 / 200_000)


def test_noise_blocks_and_missing_blocks(generator: torch.Generator) -> None:
    algebra = vsa.get("map", dim=2000)
    x = algebra.random(50, generator=generator, dtype=torch.float32)
    noise = damage.gaussian_noise(algebra, x, 0.5, generator) - x
    assert abs(float(noise.std()) - 0.5) < 5 * 0.5 / math.sqrt(2 * 100_000)
    blocks = vsa.get("gsbc", dim=640, blocks=40)
    y = blocks.random(500, generator=generator, dtype=torch.int64)
    changed = (damage.corrupt_blocks(blocks, y, 0.2, generator) != y).float().mean()
    expected = 0.2 * 15 / 16  # a random position may be the old one
    assert abs(float(changed) - expected) < 5 * math.sqrt(expected * (1 - expected) / 20_000)
    dense = damage.missing_blocks(blocks, y, 0.2, generator).unflatten(-1, (40, 16))
    gone = (dense.amax(-1) < 0.1).float().mean()
    assert abs(float(gone) - 0.2) < 5 * math.sqrt(0.16 / 20_000)
    torch.testing.assert_close(dense.sum(-1), torch.ones(500, 40))
    assert torch.equal(damage.damage("flips", algebra, x, 0.0, generator), x)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_quantised_atoms(bits: int) -> None:
    book = vsa.Codebook.random(vsa.get("hrr", dim=256), 20, seed=0)
    rounded = damage.quantize_atoms(book, bits)
    assert len(rounded.atoms.unique()) <= 2**bits
    step = 2 * float(book.atoms.abs().max()) / (2**bits - 1)
    assert float((rounded.atoms - book.atoms).abs().max()) <= step / 2 + 1e-6


def test_wrong_damage(generator: torch.Generator) -> None:
    signs, blocks = vsa.get("map", dim=64), vsa.get("gsbc", dim=64, blocks=4)
    x, y = signs.random(generator=generator), blocks.random(generator=generator, dtype=torch.int64)
    for call, words in (
        (lambda: damage.flip_bits(blocks, y, 0.1, generator), "flip_bits: received vectors of gsbc; expected signs"),
        (lambda: damage.flip_bits(signs, x, 1.1, generator), "flip_bits: received 1.1; expected a probability"),
        (lambda: damage.corrupt_blocks(signs, x, 0.1, generator), "corrupt_blocks: received vectors of map; expected"),
        (lambda: damage.gaussian_noise(signs, x, -1.0, generator), "gaussian_noise: received -1.0; expected a level"),
        (lambda: damage.damage("flip", signs, x, 0.1, generator), "received damage 'flip'; .*did you mean 'flips'"),
        (lambda: damage.quantize_atoms(vsa.Codebook(signs, x[None]), 0), "quantize_atoms bits: received 0; expected"),
    ):
        with pytest.raises(vsa.VSAError, match=words):
            call()


@pytest.mark.parametrize("dim", [64, 256, 1024])
def test_crosstalk(dim: int, generator: torch.Generator) -> None:
    algebra = vsa.get("map", dim=dim)
    x, y = algebra.random(2, 4000, generator=generator)
    similarity = algebra.similarity(x, y)
    assert abs(float(similarity.std()) / theory.crosstalk_std(dim) - 1) < 5 / math.sqrt(2 * 4000)


def test_false_certificates(generator: torch.Generator) -> None:
    algebra = vsa.get("map", dim=1024)
    x, y = algebra.random(2, 20_000, generator=generator)
    passed = int((algebra.similarity(x, y) >= 2.5 / 32).sum())
    # similarities come in steps of 2 / D: half a step decides which of them pass
    expected = theory.false_certificates(20_000, 1024, 2.5 / 32 - 1 / 1024)
    assert abs(passed - expected) < 5 * math.sqrt(expected)


def test_the_ceiling_is_a_blind_choice_among_right_and_wrong(generator: torch.Generator) -> None:
    for expected in (0.03, 0.4, 2.0):
        wrong = torch.poisson(torch.full((40_000,), expected), generator=generator)
        simulated = float((1 / (1 + wrong)).mean())
        assert abs(simulated - theory.ceiling(expected)) < 5 * 0.5 / math.sqrt(40_000)
    assert theory.ceiling(0) == 1
    assert theory.false_factorizations(209**3, 4, 128) == pytest.approx(0.034, abs=0.0005)
    assert theory.exhaustive_macs((256, 256, 256), 256) == 256**4


def test_wilson() -> None:
    assert theory.wilson(0, 10)[0] == 0
    assert theory.wilson(10, 10)[1] == 1
    low, high = theory.wilson(996, 1000)
    assert (round(low, 4), round(high, 4)) == (0.9898, 0.9984)


@pytest.mark.parametrize(
    "method,name,options",
    [
        ("in_memory", "map", {}),
        ("exhaustive", "map", {}),
        ("in_memory", "fhrr", {}),
        ("block_code", "gsbc", {"blocks": 8}),
        ("exhaustive", "gsbc", {"blocks": 8}),
    ],
)
def test_superposed_products_are_explained_away(method: str, name: str, options: dict[str, int]) -> None:
    algebra = vsa.get(name, dim=1024, **options)
    made = factorizers.get(method, [vsa.Codebook.random(algebra, 12, seed=factor) for factor in range(3)])
    indices = torch.randint(12, (20, 3, 3), generator=torch.Generator().manual_seed(0))
    products = algebra.embed(made.problem.product(indices))
    query = algebra.unembed(products.mean(1) if algebra.block_length is not None else products.sum(1))
    answer = factorizers.explain_away(made, query, 3)
    assert tuple(answer.indices.shape) == (20, 3, 3)
    right = sum(
        sorted(map(tuple, found)) == sorted(map(tuple, true))
        for found, true in zip(answer.indices.tolist(), indices.tolist(), strict=True)
    )
    assert right >= 19
    assert answer.macs.shape == answer.valid.shape == (20, 3)


def test_a_vote_holds_no_sum() -> None:
    bits = vsa.get("bsc", dim=64)
    made = factorizers.Exhaustive([vsa.Codebook.random(bits, 3, seed=0)])
    with pytest.raises(vsa.UnsupportedError, match="vectors of bsc, whose bundle is a vote; expected sums of products"):
        factorizers.explain_away(made, bits.identity(), 2)
