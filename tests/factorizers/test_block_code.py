"""The block-code factorizer against the naive form of its definition, its rule, and queries that are not one-hot."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

import factorizers
import vsa
from factorizers import BlockCode
from factorizers.block_code import BlockDynamics
from factorizers.block_rule import PUBLISHED, subset_rule
from factorizers.damage import gaussian_noise, missing_blocks
from vsa import Codebook, UnsupportedError, VSAError
from vsa.backends.digital import Digital

ALGEBRA = vsa.get("gsbc", dim=256, blocks=4)


def books(size: int, factors: int, algebra: vsa.Algebra = ALGEBRA, seed: int = 0) -> list[Codebook]:
    return [Codebook.random(algebra, size, seed=10 * seed + factor) for factor in range(factors)]


def drawn(made: factorizers.Factorizer, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(n, (count,), generator=generator) for n in made.problem.sizes], -1)
    return made.problem.product(indices), indices


@pytest.mark.parametrize("factors,size", [(1, 40), (2, 40), (3, 14), (4, 6)])
@pytest.mark.parametrize("name", ["gsbc", "sbc"])
def test_exact_products_are_found(factors: int, size: int, name: str) -> None:
    made = BlockCode(books(size, factors, vsa.get(name, dim=512, blocks=4)))
    queries, indices = drawn(made, 50)
    answer = made(queries)
    assert torch.equal(answer.indices, indices)
    assert bool(answer.valid.all())


def naive_similarity(target: Tensor, atoms: Tensor) -> Tensor:
    """1 - max |v - atom| over all entries, by the tensor (R, N, D)."""
    return 1 - (target.unsqueeze(1) - atoms).abs().amax(-1)


@pytest.mark.parametrize("sample", [0, 5])
def test_a_step_is_the_published_step(sample: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unbind, compare, threshold, best alone, superpose: against the definition, searching and at the end."""
    made = BlockCode(books(30, 3), sample=sample, threshold=0.05)
    queries, indices = drawn(made, 20)
    dynamics = made._dynamics(queries, made.problem.certificate(queries), torch.Generator().manual_seed(0))
    assert isinstance(dynamics, BlockDynamics)
    pool = dynamics.start(torch.arange(20), 0)
    atoms = [ALGEBRA.embed(book.atoms) for book in made.problem.books]
    estimates = [a.mean(0).expand(20, -1) for a in atoms]
    # Half of the rows begin at the answer of two factors, so that the best atom of the third is kept alone.
    for factor in (1, 2):
        right, begun = atoms[factor][indices[:, factor]], (torch.arange(20) < 10)[:, None]
        estimates[factor] = torch.where(begun, right, estimates[factor])
        pool[f"spectrum{factor}"] = dynamics._spectrum(estimates[factor])
    subset = torch.zeros(3, 30)
    for factor in range(3):
        subset[factor, factor:25:5] = 1 / 5
    monkeypatch.setattr(dynamics, "_random", lambda factor, rows: subset[factor].expand(rows, -1))
    alone = lost = 0
    for _ in range(3):
        dynamics.step(pool, None)
        for factor in range(3):
            others = ALGEBRA.bind_all(torch.stack([e for f, e in enumerate(estimates) if f != factor], -2))
            target = ALGEBRA.unbind(ALGEBRA.embed(queries), others)
            seen = naive_similarity(target, atoms[factor])
            best, at = seen.max(-1)
            weights = torch.where(seen > 0.05, seen, 0)
            instead = subset[factor].expand(20, -1) if sample else seen.clamp_min(0)
            weights = torch.where((best <= 0.05)[:, None], instead, weights)
            alone += int((best >= 0.5).sum())
            lost += int((best <= 0.05).sum())
            weights = torch.where((best >= 0.5)[:, None], torch.nn.functional.one_hot(at, 30).float(), weights)
            estimates[factor] = ALGEBRA.normalize(weights @ atoms[factor])
        for factor in range(3):
            ours = torch.fft.irfft(pool[f"spectrum{factor}"], n=64).flatten(-2)
            torch.testing.assert_close(ours, estimates[factor], atol=2e-5, rtol=0)
    assert alone >= 60
    assert lost >= 20


def test_random_subsets_are_distinct_atoms_of_equal_weight() -> None:
    for exact in (True, False):
        made = BlockCode(books(50, 2), sample=7, as_published=exact)
        queries, _ = drawn(made, 4)
        dynamics = made._dynamics(queries, made.problem.certificate(queries), torch.Generator().manual_seed(0))
        weights = dynamics._random(0, 2000)  # type: ignore[attr-defined]
        assert torch.equal((weights > 0).sum(-1), torch.full((2000,), 7))
        torch.testing.assert_close(weights.sum(-1), torch.ones(2000))
        # Every atom is drawn with probability 7 / 50; windows of 64 permutations repeat, so kept to 10 standard errors.
        share = (weights > 0).float().mean(0)
        assert float((share - 0.14).abs().max()) < 10 * math.sqrt(0.14 * 0.86 / 2000)


def test_the_rule_resembles_what_was_tuned() -> None:
    """T lies in the same range as the published one, and A within a factor of eight: a rule, not a table."""
    for (dim, blocks, factors, size), (sample, threshold) in PUBLISHED.items():
        ours = subset_rule(size, factors, blocks, dim // blocks)
        if sample:
            assert 1 / 8 <= ours[0] / sample <= 9
            assert 1 / 2.5 <= ours[1] / threshold <= 2.5
    assert subset_rule(50, 1, 4, 64) == (0, 0.0)


def test_the_published_dynamics_are_there_unimproved() -> None:
    algebra = vsa.get("gsbc", dim=512, blocks=4)
    made = BlockCode.published(books(49, 3, algebra))
    assert (made.sample, made.threshold) == (16, 0.0063)
    assert (made.stop, made.restart, made.as_published) == ("converged", None, True)
    queries, indices = drawn(made, 40)
    answer = made(queries)
    assert int((answer.indices == indices).all(-1).sum()) >= 39
    with pytest.raises(VSAError, match=re.escape("block_code published: received (D, K, F, N) = (512, 4, 2, 50)")):
        BlockCode.published(books(50, 2, algebra))


@pytest.mark.parametrize("kind", ["missing", "gaussian"])
def test_soft_queries(kind: str) -> None:
    algebra = vsa.get("gsbc", dim=512, blocks=8)
    made = BlockCode(books(20, 3, algebra))
    queries, indices = drawn(made, 40)
    generator = torch.Generator().manual_seed(1)
    damage = missing_blocks if kind == "missing" else gaussian_noise
    answer = made(damage(algebra, queries, 0.125 if kind == "missing" else 0.5, generator))
    assert torch.equal(answer.indices, indices)
    assert bool(answer.valid.all())


def test_the_mean_of_blocks_stands_a_wrong_block() -> None:
    algebra = vsa.get("gsbc", dim=512, blocks=8)
    made = BlockCode(books(12, 2, algebra), similarity="dot")
    queries, indices = drawn(made, 40)
    queries[:, 3] = (queries[:, 3] + 5) % 64
    answer = made(queries)
    assert int((answer.indices == indices).all(-1).sum()) >= 38


class Elsewhere(Digital):
    """A backend of which only the reads of the seam are known."""

    name = "elsewhere"
    exact = False


def test_another_backend_is_read_through_the_seam() -> None:
    made = BlockCode([book.on(Elsewhere()) for book in books(20, 3)])
    queries, indices = drawn(made, 20)
    assert torch.equal(made(queries).indices, indices)


def test_soft_queries_reach_the_published_dynamics_as_they_are() -> None:
    algebra = vsa.get("gsbc", dim=512, blocks=4)
    made = BlockCode.published(books(49, 3, algebra))
    soft = gaussian_noise(algebra, drawn(made, 3)[0], 0.5, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    dynamics = made._dynamics(soft, made.problem.certificate(soft), generator)
    assert torch.equal(dynamics.queries, soft)  # type: ignore[attr-defined]


def test_more_products_than_blocks_can_tell_are_counted() -> None:
    """Right answers stay at the ceiling, and all are valid: lambda wrong products equal the query."""
    algebra = vsa.get("gsbc", dim=64, blocks=4)  # L = 16: 65,536 outcomes
    made = BlockCode(books(36, 3, algebra))
    queries, indices = drawn(made, 200)
    answer = made(queries)
    expected = float(answer.false_expected[0])
    assert expected == pytest.approx(36**3 / 16**4)
    assert int(answer.valid.sum()) >= 199
    right, ceiling = float((answer.indices == indices).all(-1).float().mean()), factorizers.theory.ceiling(expected)
    assert abs(right - ceiling) < 4 * math.sqrt(ceiling * (1 - ceiling) / 200) + 0.02
    assert "wrong combinations pass by chance" in str(answer)


def test_wrong_uses() -> None:
    signs = Codebook.random(vsa.get("map", dim=64), 4, seed=0)
    with pytest.raises(UnsupportedError, match="codebooks of map, which does not declare block_length"):
        BlockCode([signs])
    with pytest.raises(UnsupportedError, match="codebooks of map, which does not declare block_length"):
        BlockCode.published([signs])
    with pytest.raises(VSAError, match="no codebooks; expected one codebook for each factor"):
        BlockCode.published([])
    with pytest.raises(VSAError, match=re.escape("received (D, K, F, N) = (256, 4, 2) and (5, 6)")):
        BlockCode.published([*books(5, 1), *books(6, 1, seed=1)])
    dense = Codebook.random(ALGEBRA, 4, seed=0, dtype=torch.float32)
    with pytest.raises(UnsupportedError, match="dense atoms; expected one-hot atoms in index form"):
        BlockCode([dense])
    for option, value, words in (
        ("threshold", 1.5, "block_code threshold: received 1.5; expected a similarity in [0, 1)"),
        ("converge", 0.0, "block_code converge: received 0.0; expected a similarity in (0, 1]"),
        ("sample", -1, "block_code sample: received -1; expected at least 0"),
        ("similarity", "cosine", "block_code similarity: received 'cosine'; expected 'linf' or 'dot'"),
    ):
        with pytest.raises(VSAError, match=f"^{re.escape(words)}$"):
            factorizers.get("block_code", books(5, 2), **{option: value})
