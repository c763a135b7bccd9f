"""What is particular to each model: its forms, its definition by loops, its exact cases, what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vsa
from vsa.checks import check_law
from vsa.models import _bits, _blocks
from vsa.models.bsc import BSC
from vsa.models.fhrr import FHRR
from vsa.models.gsbc import GSBC
from vsa.models.hrr import HRR
from vsa.models.map import MAP
from vsa.models.sbc import SBC

seeds = st.integers(0, 2**31)
GOLD_MAP = [1, -1, -1, 1, -1, -1, -1, -1]
GOLD_BSC = [6447741164176549878, 1]
GOLD_SBC = [12, 15, 5, 0]
GOLD_NORMAL = {
    "map_real": [1.1231, -0.2138, -1.5879, 0.4143],
    "hrr": [0.5615, -0.1069, -0.7939, 0.2071],
}
GOLD_PHASES = [2.9534, 1.3058, -0.2552]
few = settings(max_examples=40, deadline=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------------- every law at odd, even and awkward dimensions


@pytest.mark.parametrize("law", vsa.checks.ALGEBRA_LAWS)
@pytest.mark.parametrize(
    "name, dims",
    [("map", (63, 128)), ("map_real", (63, 128)), ("hrr", (63, 65)), ("fhrr", (63,)), ("bsc", (63, 65, 130))],
)
def test_laws_at_other_dimensions(name: str, dims: tuple[int, ...], law: str) -> None:
    for dim in dims:
        assert check_law(vsa.get(name, dim=dim), law, seed=dim).status in ("held", "skipped")


@pytest.mark.parametrize("law", vsa.checks.ALGEBRA_LAWS)
@pytest.mark.parametrize("dim, blocks", [(63, 9), (128, 64), (120, 4)])
def test_sparse_block_codes_of_every_geometry(dim: int, blocks: int, law: str) -> None:
    assert check_law(SBC(dim=dim, blocks=blocks), law, seed=dim).status in ("held", "skipped")


def test_what_is_skipped_is_what_is_declared_missing() -> None:
    """A law may be skipped only because the algebra lacks the operation, has one form, or has no gradients."""
    expected = {
        "map": {"fractional power"},
        "map_real": {"fractional power", "quantize", "soft quantize", "cyclic_base"},
        "hrr": {"quantize", "soft quantize"},
        "fhrr": {"quantize", "soft quantize"},
        "bsc": {"fractional power", "binding_matrix", "soft quantize"},
        "sbc": {"negative", "fractional power", "binding_matrix", "soft quantize", "vote_similarity"},
        "gsbc": {"negative"},
    }
    for name, lacks in expected.items():
        assert {operation for operation, _ in vsa.get(name).laws.lacks} == lacks


# ---------------------------------------------------------------------- definitions, by loops


@few
@given(st.integers(2, 20), seeds)
def test_hrr_binding_is_circular_convolution(dim: int, seed: int) -> None:
    algebra = HRR(dim)
    x, y = algebra.random(2, generator=generator(seed), dtype=torch.float64)
    z = torch.zeros(dim, dtype=torch.float64)
    for i in range(dim):
        for j in range(dim):
            z[(i + j) % dim] += x[i] * y[j]
    torch.testing.assert_close(algebra.bind(x, y), z)


@few
@given(st.integers(1, 200), st.integers(1, 6), seeds)
def test_bits_words_and_signs_agree(dim: int, count: int, seed: int) -> None:
    algebra, signs = BSC(dim), MAP(dim)
    x, y = algebra.random(2, count, generator=generator(seed))
    u, v = algebra.pack(x), algebra.pack(y)
    assert u.shape == (count, -(-dim // 64)) and torch.equal(algebra.unpack(u), x)
    assert torch.equal(algebra.unpack(algebra.bind(u, v)), x ^ y)
    torch.testing.assert_close(algebra.embed(algebra.bind(x, y)), signs.bind(algebra.embed(x), algebra.embed(y)))
    assert _bits.count(u).sum(-1).tolist() == x.sum(-1).tolist()
    for operation in (algebra.similarity, lambda a, b: algebra.similarity_to_set(a, b)):
        torch.testing.assert_close(operation(u, v), operation(x, y))
    assert torch.equal(algebra.unpack(algebra.negative(u)), ~x)
    assert torch.equal(algebra.unpack(algebra.permute(u, 3)), x.roll(3, -1))
    assert torch.equal(algebra.unpack(algebra.bundle(u)), algebra.bundle(x))
    assert algebra.is_valid(algebra.negative(u)).all()


@pytest.mark.parametrize("batch", [1, 3, 200])
def test_packed_similarity_is_the_same_whatever_counts_the_bits(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    algebra = BSC(500)
    atoms = algebra.random(77, generator=generator(0), dtype=torch.int64)
    x = algebra.random(batch, generator=generator(1), dtype=torch.int64)
    expected = algebra.similarity_to_set(algebra.unpack(x), algebra.unpack(atoms))
    torch.testing.assert_close(algebra.similarity_to_set(x, atoms), expected)
    monkeypatch.setattr(_bits, "_CHUNK", 16)
    torch.testing.assert_close(algebra.similarity_to_set(x, atoms), expected)
    monkeypatch.setattr(_bits, "_hardware_count", lambda words: None)
    torch.testing.assert_close(algebra.similarity_to_set(x, atoms), expected)


def test_every_word_is_counted_right() -> None:
    words = torch.tensor([0, 1, -1, 2**62, -(2**63), 2**63 - 1, -2])
    assert _bits.count(words).tolist() == [0, 1, 64, 1, 1, 63, 63]


def test_packed_bits_take_an_eighth_of_booleans() -> None:
    algebra = BSC(8192)
    bits, words = (algebra.random(10, generator=generator(), dtype=d) for d in (torch.bool, torch.int64))
    assert words.numel() * words.element_size() * 8 == bits.numel() * bits.element_size()


@few
@given(st.integers(1, 5), st.integers(2, 9), st.integers(1, 7), st.booleans(), seeds)
def test_sparse_vote_is_the_definition(blocks: int, length: int, count: int, weighted: bool, seed: int) -> None:
    algebra = SBC(dim=blocks * length, blocks=blocks)
    x = algebra.random(count, generator=generator(seed))
    w = torch.randint(1, 4, (count,), generator=generator(seed)).float() if weighted else None
    for k, winner in enumerate(algebra.bundle(x, w).tolist()):
        totals: dict[int, float] = {}
        for n in range(count):
            totals[int(x[n, k])] = totals.get(int(x[n, k]), 0) + (1 if w is None else float(w[n]))
        assert totals[winner] == max(totals.values())


@few
@given(st.integers(1, 70), st.integers(1, 7), st.booleans(), seeds)
def test_majority_is_the_definition(dim: int, count: int, weighted: bool, seed: int) -> None:
    algebra = BSC(dim)
    x = algebra.random(count, generator=generator(seed))
    w = torch.randint(1, 4, (count,), generator=generator(seed)).float() if weighted else None
    balance = ((2.0 * x - 1) * (1 if w is None else w[:, None])).sum(0)
    decided = balance != 0
    assert torch.equal(algebra.bundle(x, w)[decided], balance[decided] > 0)
    key = algebra.random(generator=generator(seed + 1))
    bound = algebra.bundle(algebra.bind(key, x), w)
    assert torch.equal(algebra.bind(key, algebra.bundle(x, w))[decided], bound[decided])


@few
@given(st.integers(1, 20), st.sampled_from([2, 3, 16, 256, 300, 2**15, 40000]), st.integers(0, 9), seeds)
def test_positions_are_compared_modulo_the_block_length(blocks: int, length: int, batch: int, seed: int) -> None:
    for algebra in (SBC(blocks * length, blocks), GSBC(blocks * length, blocks)):
        g = generator(seed)
        near = torch.randint(-5 * length, 5 * length, (2, batch, blocks), generator=g)
        atoms = near.reshape(-1, blocks)[:7] + length * torch.randint(-3, 4, (min(7, 2 * batch), blocks), generator=g)
        atoms = torch.cat((atoms, torch.randint(length, (3, blocks), generator=g)))
        expected = ((near.unsqueeze(-2) - atoms) % length == 0).float().mean(-1)
        with pytest.MonkeyPatch.context() as patch:
            for chunk in (_blocks._CHUNK, 1):
                patch.setattr(_blocks, "_CHUNK", chunk)
                torch.testing.assert_close(algebra.similarity_to_set(near, atoms), expected)
        torch.testing.assert_close(
            algebra.similarity_to_set(near[0].sum(0), atoms)[-1], algebra.similarity(near[0].sum(0), atoms[-1])
        )


@pytest.mark.parametrize("algebra", [BSC(4096), SBC(dim=4096 * 16, blocks=4096)], ids=["bsc", "sbc"])
@pytest.mark.parametrize("count", [2, 4])
def test_ties_favour_nobody(algebra: vsa.Algebra, count: int) -> None:
    """4,096 entries: similarities to the vectors of an even vote differ by less than 6 standard errors."""
    x = algebra.random(count, generator=generator())
    alike = algebra.similarity(algebra.bundle(x), x)
    assert float(alike.max() - alike.min()) < 6 / math.sqrt(4096) * math.sqrt(2)
    assert float(alike.min()) > 0.2


# ---------------------------------------------------------------------- exact unbinding, powers, periods


@pytest.mark.parametrize("dim", [64, 65])
def test_unitary_keys_unbind_exactly(dim: int) -> None:
    algebra = HRR(dim)
    x, y = algebra.random(2, generator=generator(), dtype=torch.float64)
    key = algebra.unitary(y)
    torch.testing.assert_close(algebra.unbind(algebra.bind(x, key), key), x)
    torch.testing.assert_close(algebra.unitary(key), key)
    assert algebra.is_valid(key)
    assert (algebra.unbind(algebra.bind(x, y), y) - x).abs().max() > 0.01


@pytest.mark.parametrize("name", ["hrr", "fhrr"])
def test_fractional_powers_add(name: str) -> None:
    algebra = vsa.get(name, dim=65)
    base = algebra.power_base(generator=generator())
    s, t = 0.3, -1.7
    left = algebra.bind(algebra.power(base, s), algebra.power(base, t))
    torch.testing.assert_close(left, algebra.power(base, s + t), atol=1e-5, rtol=0)
    torch.testing.assert_close(algebra.similarity(left, left), torch.tensor(1.0))


@pytest.mark.parametrize(
    "name, options",
    [
        ("hrr", {"dim": 64}),
        ("hrr", {"dim": 63}),
        ("fhrr", {"dim": 64}),
        ("gsbc", {"dim": 72, "blocks": 4}),
        ("sbc", {"dim": 72, "blocks": 4}),
    ],
)
def test_cyclic_bases_go_round(name: str, options: dict[str, int]) -> None:
    algebra = vsa.get(name, **options)
    base = algebra.cyclic_base(9, generator=generator())
    powers = algebra.power(base, torch.arange(19))
    torch.testing.assert_close(powers[9], powers[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(powers[18], powers[0], atol=1e-5, rtol=0)
    alike = algebra.similarity(powers[:9, None], powers[:9])
    assert (alike - torch.eye(9)).abs().max() < 0.5


def test_integers_do_not_overflow() -> None:
    algebra = MAP(16)
    x = algebra.random(generator=generator(), dtype=torch.int8)
    total = algebra.bundle(x.expand(1000, 16))
    assert total.dtype == torch.float32
    assert torch.equal(total, 1000 * x.float())
    bits = BSC(16).random(generator=generator())
    assert torch.equal(BSC(16).bundle(bits.expand(1001, 16)), bits)


@pytest.mark.parametrize("name", ["hrr", "gsbc"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_transforms_in_low_precision_run_in_float32(name: str, dtype: torch.dtype) -> None:
    algebra = vsa.get(name, dim=64)
    x, y = algebra.random(2, 5, generator=generator(), dtype=torch.float32)
    low, exact = algebra.bind(x.to(dtype), y.to(dtype)), algebra.bind(x.to(dtype).float(), y.to(dtype).float())
    assert low.dtype == dtype
    torch.testing.assert_close(low.float(), exact, atol=float(exact.abs().max()) * torch.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("name", ["map", "gsbc"])
def test_soft_quantization_has_a_gradient_and_turns_hard(name: str) -> None:
    algebra = vsa.get(name, dim=24)
    x = torch.randn(3, 24, generator=generator(), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: algebra.quantize(a, temperature=0.5), x)
    assert not algebra.quantize(x).requires_grad
    torch.testing.assert_close(algebra.quantize(x, temperature=1e-6), algebra.quantize(x), atol=1e-6, rtol=0)
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(vsa.VSAError, match=r"quantize: received temperature .*; expected a positive number"):
            algebra.quantize(x, temperature=wrong)


@pytest.mark.parametrize("name", ["map", "map_real", "hrr", "fhrr"])
def test_zero_vectors_normalize_without_nan(name: str) -> None:
    algebra = vsa.get(name, dim=8)
    zero = algebra.bundle(algebra.random(2, generator=generator())) * 0
    zero.requires_grad_()
    normal = algebra.normalize(zero)
    assert torch.isfinite(torch.view_as_real(normal) if normal.is_complex() else normal).all()


@pytest.mark.parametrize("name", ["map", "map_real", "hrr", "fhrr", "gsbc"])
def test_gradients_reach_every_argument(name: str) -> None:
    algebra = vsa.get(name, dim=12)
    dtype = torch.complex128 if name == "fhrr" else torch.float64
    x, y = (algebra.random(2, generator=generator(s), dtype=dtype).requires_grad_() for s in (0, 1))
    w = torch.rand(2, generator=generator(2), dtype=torch.float64).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(algebra.bind_all, x) and check(algebra.bundle, (x, w)) and check(algebra.cosine, (x, y))
    assert check(algebra.binding_matrix, x) and check(algebra.inverse, x)
    if name in ("map_real", "hrr", "fhrr"):
        assert check(algebra.normalize, x.detach().mul(1.5).requires_grad_())
    if name in ("hrr", "fhrr"):
        exponents = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
        assert check(lambda t: algebra.power(x.detach(), t), exponents)


@pytest.mark.parametrize("algebra", [MAP(16), BSC(16)], ids=str)
def test_self_inverse_bindings_have_period_two(algebra: vsa.Algebra) -> None:
    with pytest.raises(vsa.UnsupportedError, match=r"cyclic_base: received period 9; expected period 2"):
        algebra.cyclic_base(9, generator=generator())
    base = algebra.cyclic_base(2, generator=generator())
    assert algebra.power_period(base) == 2 and algebra.power_period(algebra.identity()) == 1


def test_random_vectors_are_fixed_by_their_seed() -> None:
    """Golden values: a change here changes every saved result."""
    assert MAP(8).random(generator=generator(0), dtype=torch.int8).tolist() == GOLD_MAP
    assert BSC(70).random(generator=generator(0), dtype=torch.int64).tolist() == GOLD_BSC
    assert SBC(64, 4).random(generator=generator(0)).tolist() == GOLD_SBC
    for name, gold in GOLD_NORMAL.items():
        x = vsa.get(name, dim=4).random(generator=generator(0), dtype=torch.float64)
        torch.testing.assert_close(x, torch.tensor(gold, dtype=torch.float64), atol=1e-4, rtol=0)
    phases = FHRR(3).random(generator=generator(0), dtype=torch.complex128).angle()
    torch.testing.assert_close(phases, torch.tensor(GOLD_PHASES, dtype=torch.float64), atol=1e-4, rtol=0)


def test_phases_are_what_fhrr_adds() -> None:
    algebra = FHRR(7)
    p, q = torch.rand(2, 7, generator=generator())
    bound = algebra.bind(algebra.from_phases(p), algebra.from_phases(q))
    torch.testing.assert_close(bound, algebra.from_phases(p + q))
    assert type(bound) is Tensor


def test_sparse_and_generalized_block_codes_share_their_atoms() -> None:
    sparse, general = SBC(64, 4), GSBC(64, 4)
    x, y = sparse.random(2, generator=generator())
    assert torch.equal(x, general.random(2, generator=generator(), dtype=torch.int64)[0])
    assert torch.equal(sparse.bind(x, y), general.bind(x, y))
    assert torch.equal(sparse.embed(x), general.from_index(x))
