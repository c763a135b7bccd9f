"""Chance, against formulas: crosstalk of random codebooks and capacity of bundles, at three dimensions each.

Sample sizes and tolerances are stated with each test; everything is seeded.
"""

from __future__ import annotations

import inspect
import math

import pytest
import torch

import vsa
from vsa.models.bsc import BSC
from vsa.models.sbc import SBC
from vsa.statistics import bundle_scores, bundling_accuracy, crosstalk, retrieval_accuracy

DIMS = (256, 512, 1024)
CLOSED = ("map", "fhrr", "gsbc", "bsc")  # exact unbinding and a formula for what a bundle is like


def of(name: str, dim: int) -> vsa.Algebra:
    """Block codes with blocks of 16: the formulas are normal limits, and four blocks make no normal sum."""
    takes_blocks = "blocks" in inspect.signature(vsa.ALGEBRAS.get(name)).parameters
    return vsa.get(name, dim=dim, blocks=dim // 16) if takes_blocks else vsa.get(name, dim=dim)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dim", DIMS)
def test_crosstalk_of_random_codebooks(algebra_name: str, dim: int) -> None:
    """200 atoms, 19,900 pairs. Pairs share atoms: mean and variance of all pairs are held to 6 standard errors."""
    algebra = of(algebra_name, dim)
    found = crosstalk(vsa.Codebook.random(algebra, 200, seed=dim))
    assert found.pairs == 19_900
    error = found.expected_std / math.sqrt(found.pairs)
    # Similarity to the mean of the atoms is common to the pairs of an atom: it adds a few standard errors, no more.
    assert abs(found.mean - found.expected_mean) < 6 * error
    assert abs(found.std / found.expected_std - 1) < 6 * math.sqrt(0.5 / found.pairs) + 0.01
    assert found.largest < found.expected_mean + 8 * found.expected_std


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("name", CLOSED)
def test_bundling_capacity(name: str, dim: int) -> None:
    """Records of n random atoms under random keys, 100 atoms, 600 queries: accuracy within 5 standard errors.

    n is chosen so that the formula says between 0.4 and 0.9, where it could be wrong. The formula takes similarities as
    normal and independent: 0.03 more is allowed.
    """
    algebra = of(name, dim)
    items = next(n for n in range(3, 2000, 2) if bundling_accuracy(algebra, n, 100) < 0.8)
    expected = bundling_accuracy(algebra, items, 100)
    assert 0.4 < expected < 0.9
    g, trials = generator(dim), 60
    book = vsa.Codebook.random(algebra, 100, generator=g)
    chosen = torch.stack(
        [
            torch.randperm(100, generator=g)[:items] if items <= 100 else torch.randint(100, (items,), generator=g)
            for _ in range(trials)
        ]
    )
    keys = algebra.random(trials, items, generator=g, dtype=book.atoms.dtype)
    bundle = algebra.bundle(algebra.bind(keys, book.atoms[chosen]))
    asked = min(items, 10)
    # A vote breaks ties in favour of the first: the items asked for are the last ones.
    back = algebra.unbind(bundle.unsqueeze(1), keys[:, -asked:])
    right = (book.cleanup(back).indices == chosen[:, -asked:]).double()
    assert abs(float(right.mean()) - expected) < 5 * math.sqrt(expected * (1 - expected) / right.numel()) + 0.03


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("name", ["map", "map_real", "hrr", "fhrr", "gsbc", "bsc"])
def test_similarity_of_a_bundle_to_its_items(name: str, dim: int) -> None:
    """7 items, 2,000 bundles: means of hits and misses within 5 standard errors, spreads within 8 %."""
    algebra, g = of(name, dim), generator(dim)
    atoms = algebra.random(2000, 8, generator=g)
    bundle = algebra.bundle(atoms[:, :7])
    expected = bundle_scores(algebra, 7)
    for sample, mean, std in (
        (algebra.similarity(bundle, atoms[:, 6]), expected.hit_mean, expected.hit_std),
        (algebra.similarity(bundle, atoms[:, 7]), expected.miss_mean, expected.miss_std),
    ):
        assert abs(float(sample.mean()) - mean) < 5 * std / math.sqrt(2000) + 1e-6
        assert abs(float(sample.std()) / std - 1) < 0.08


def test_limits() -> None:
    algebra = BSC(1024)
    assert bundle_scores(algebra, 1).hit_mean == 1
    assert retrieval_accuracy(bundle_scores(algebra, 1), 50) == pytest.approx(1)
    assert bundling_accuracy(algebra, 100_001, 50) == pytest.approx(1 / 50, abs=0.01)
    assert bundling_accuracy(algebra, 3, 1) == pytest.approx(1)


def test_what_has_no_formula_says_so() -> None:
    with pytest.raises(vsa.UnsupportedError, match=r"sbc vote_similarity: .*no closed form; measure it"):
        bundle_scores(SBC(64, 4), 3)
    with pytest.raises(vsa.UnsupportedError, match=r"hrr bundling_accuracy: .*unbinding is approximate"):
        bundling_accuracy(vsa.get("hrr", dim=64), 3, 10)
