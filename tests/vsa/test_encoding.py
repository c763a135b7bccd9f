"""Structures as vectors: records, sequences, distributions, scalars, sets of slots; on every algebra that can."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vsa
from vsa import encoding
from vsa.models.gsbc import GSBC
from vsa.slots import SlotSets

LINEAR = ("map", "map_real", "hrr", "fhrr", "gsbc")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of(name: str, dim: int = 1440) -> vsa.Algebra:
    """Block codes with blocks of 18, which 9 divides."""
    takes_blocks = "blocks" in inspect.signature(vsa.ALGEBRAS.get(name)).parameters
    return vsa.get(name, dim=dim, blocks=dim // 18) if takes_blocks else vsa.get(name, dim=dim)


# ---------------------------------------------------------------------- records, sequences


def test_records_are_read_back(algebra_name: str) -> None:
    algebra = of(algebra_name)
    roles, fillers = (algebra.random(n, generator=generator(n)) for n in (3, 10))
    book = vsa.Codebook(algebra, fillers)
    chosen = torch.tensor([[7, 0, 3], [1, 1, 9]])
    vector = encoding.record(algebra, roles, fillers[chosen])
    assert vector.shape == (2, fillers.shape[-1])
    assert torch.equal(book.cleanup(encoding.read_record(algebra, vector, roles)).indices, chosen)


def test_a_weighted_record_is_the_weighted_sum() -> None:
    algebra = of("hrr", 64)
    roles, fillers = algebra.random(2, 3, generator=generator())
    w = torch.tensor([0.5, 0.25, 2.0])
    expected = sum(w[i] * algebra.bind(roles[i], fillers[i]) for i in range(3))
    torch.testing.assert_close(encoding.record(algebra, roles, fillers, w), expected)


def test_sequences_are_read_back_in_order(algebra_name: str) -> None:
    algebra = of(algebra_name)
    atoms = algebra.random(10, generator=generator())
    book = vsa.Codebook(algebra, atoms)
    order = [3, 1, 4, 5, 9]
    vector = encoding.sequence(algebra, atoms[order])
    read = [book.cleanup(encoding.read_sequence(algebra, vector, i)).labels for i in range(5)]
    assert read == order
    assert float(algebra.cosine(vector, encoding.sequence(algebra, atoms[order[::-1]]))) < 0.5


def test_sequences_do_not_outgrow_the_permutation() -> None:
    algebra = GSBC(64, 4)
    with pytest.raises(vsa.VSAError, match="gsbc sequence: received 5 items; expected at most 4, after which permut"):
        encoding.sequence(algebra, algebra.random(5, generator=generator()))
    with pytest.raises(vsa.ShapeError, match=r"sequence: received \(64,\) of float32; expected \(..., N, D\)"):
        encoding.sequence(algebra, algebra.random(generator=generator()))


def test_ngrams_are_their_definition(algebra_name: str) -> None:
    algebra = of(algebra_name, 180)
    a = algebra.random(4, generator=generator())
    runs = [algebra.bind(algebra.permute(a[i]), a[i + 1]) for i in range(3)]
    torch.testing.assert_close(encoding.ngrams(algebra, a, 2), algebra.bundle(torch.stack(runs)))
    torch.testing.assert_close(encoding.ngrams(algebra, a, 1), algebra.bundle(a))
    for n in (0, 5):
        with pytest.raises(vsa.ShapeError, match=f"ngrams: received n = {n} for 4 items; expected n from 1 to 4"):
            encoding.ngrams(algebra, a, n)


# ---------------------------------------------------------------------- distributions and counts


@pytest.mark.parametrize("name", LINEAR)
def test_a_pmf_survives_the_vector(name: str) -> None:
    book = vsa.Codebook.random(of(name, 7200), 10, seed=0)
    pmf = torch.softmax(torch.randn(20, 10, generator=generator()), -1)
    back = encoding.vector_to_pmf(book, encoding.pmf_to_vector(book, pmf))
    torch.testing.assert_close(back.sum(-1), torch.ones(20))
    # Each weight is off by crosstalk: the norm of the others times its spread; 5 of those.
    assert (back - pmf).abs().max() < 5 * book.algebra.laws.crosstalk_std * pmf.norm(dim=-1).max() * 1.5


def test_a_pmf_over_orthogonal_atoms_is_exact() -> None:
    book = vsa.Codebook.fractional_power(GSBC(64, 4), 16, seed=0)
    pmf = torch.softmax(torch.randn(5, 16, generator=generator()), -1)
    torch.testing.assert_close(encoding.vector_to_pmf(book, encoding.pmf_to_vector(book, pmf)), pmf)
    counts = torch.tensor([3.0, 0, 1, *[0.0] * 12, 7])
    back = encoding.vector_to_pmf(book, encoding.pmf_to_vector(book, counts), normalize=False)
    torch.testing.assert_close(back, counts)
    empty = encoding.vector_to_pmf(book, torch.zeros(64))
    torch.testing.assert_close(empty, torch.full((16,), 1 / 16))


def test_counts_of_a_multiset_without_bias() -> None:
    """1,000 codebooks of block codes, where chance similarity is 1/8: the mean of a count within 5 standard errors."""
    algebra = GSBC(32, 4)
    counts = torch.tensor([2.0, 0, 0, 1])
    reads = []
    for seed in range(1000):
        book = vsa.Codebook(algebra, algebra.random(4, generator=generator(seed)))
        similarity = book.similarity(encoding.pmf_to_vector(book, counts))
        c = algebra.laws.crosstalk_mean
        reads.append((similarity - c * similarity.sum() / (1 + 3 * c)) / (1 - c))
        assert encoding.vector_to_pmf(book, book.superpose(counts), normalize=False).allclose(reads[-1].clamp_min(0))
    found = torch.stack(reads)
    assert ((found.mean(0) - counts).abs() < 5 * found.std(0) / math.sqrt(1000)).all()


@pytest.mark.parametrize(("name", "use"), [("bsc", "map"), ("sbc", "gsbc")])
def test_votes_keep_no_weights(name: str, use: str) -> None:
    book = vsa.Codebook.random(of(name), 3, seed=0)
    with pytest.raises(vsa.UnsupportedError, match=f"{name} pmf_to_vector: .*is a vote.*use {use}, whose"):
        encoding.pmf_to_vector(book, torch.ones(3))
    with pytest.raises(vsa.UnsupportedError, match=f"{name} SlotSets: .*bundle is a vote"):
        SlotSets(of(name), 9, seed=0)


# ---------------------------------------------------------------------- scalars


@pytest.mark.parametrize("name", ["fhrr", "hrr"])
@pytest.mark.parametrize("kind", ["sinc", "gaussian"])
def test_kernels(name: str, kind: str) -> None:
    """D = 10,000: each similarity is a mean of at least D / 2 cosines, so 5 standard errors are 5 / sqrt(D)."""
    algebra = vsa.get(name, dim=10_000)
    base = encoding.kernel_base(algebra, kind, 0.8, seed=1)
    d = torch.linspace(-3, 3, 25)
    found = algebra.similarity(algebra.power(base, d + 0.5), algebra.power(base, 0.5))
    expected = encoding.kernel(kind, d, 0.8)
    assert (found - expected).abs().max() < 5 / math.sqrt(10_000) + 0.002


def test_wrong_kernels() -> None:
    for bandwidth in (0.0, 1.5, math.nan):
        with pytest.raises(vsa.VSAError, match=r"kernel: received bandwidth .*; expected above 0, at most 1"):
            encoding.kernel_base(vsa.get("fhrr"), bandwidth=bandwidth, seed=0)
    with pytest.raises(vsa.VSAError, match="kernel: received kind 'box'; expected one of sinc, gaussian"):
        encoding.kernel("box", torch.ones(1))
    with pytest.raises(vsa.UnsupportedError, match="map kernel_base: received an algebra without phases"):
        encoding.kernel_base(vsa.get("map"), seed=0)


def test_levels_fall_linearly(algebra_name: str) -> None:
    """D = 7,200 (400 blocks): a similarity is a mean of at least 400 entries with spread below 1."""
    algebra = of(algebra_name, 7200)
    book = encoding.level(algebra, 9, seed=0)
    i = torch.arange(9)
    expected = 1 - (1 - algebra.laws.crosstalk_mean) * (i[:, None] - i).abs() / 8
    found = algebra.similarity(book.atoms[:, None], book.atoms)
    assert (found - expected).abs().max() < 5 * 0.5 / math.sqrt(400)
    torch.testing.assert_close(found.diagonal(), torch.ones(9))


def test_circles_close(algebra_name: str) -> None:
    algebra = of(algebra_name, 7200)
    book = encoding.circular(algebra, ["n", "ne", "e", "se", "s", "sw", "w", "nw"], seed=0)
    i = torch.arange(8)
    apart = (i[:, None] - i).abs()
    around = torch.minimum(apart, 8 - apart)
    expected = 1 - (1 - algebra.laws.crosstalk_mean) * 2 * around / 8
    found = algebra.similarity(book.atoms[:, None], book.atoms)
    assert (found - expected).abs().max() < 5 * 0.5 / math.sqrt(400)
    assert book.cleanup(book["nw"]).labels == "nw"


def test_a_scale_needs_two_values() -> None:
    for make in (encoding.level, encoding.circular):
        with pytest.raises(vsa.VSAError, match=f"{make.__name__}: received 1 values; expected at least 2"):
            make(vsa.get("map"), 1, seed=0)


# ---------------------------------------------------------------------- sets of slots

sets9 = st.lists(st.booleans(), min_size=9, max_size=9)


def bits(values: list[bool]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize("name", LINEAR)
@settings(max_examples=25, deadline=None)
@given(a=sets9, b=sets9, steps=st.integers(-20, 20))
def test_set_operations_are_those_of_sets(name: str, a: list[bool], b: list[bool], steps: int) -> None:
    slots = SLOTS[name]
    x, y = slots.encode(bits(a)), slots.encode(bits(b))
    for independent in (False, True):
        for operation, expected in (
            (slots.union, [p or q for p, q in zip(a, b, strict=True)]),
            (slots.difference, [p and not q for p, q in zip(a, b, strict=True)]),
            (slots.intersection, [p and q for p, q in zip(a, b, strict=True)]),
        ):
            found = slots.decode(operation(x, y, independent=independent))
            torch.testing.assert_close(found, bits(expected), atol=1e-3, rtol=0)
    rolled = [a[(i - steps) % 9] for i in range(9)]
    torch.testing.assert_close(slots.decode(slots.roll(x, steps)), bits(rolled), atol=1e-3, rtol=0)
    torch.testing.assert_close(slots.decode(slots.complement(x)), 1 - bits(a), atol=1e-3, rtol=0)
    torch.testing.assert_close(slots.size(x), bits(a).sum(), atol=1e-2, rtol=0)


SLOTS = {name: SlotSets(of(name), 9, seed=0) for name in LINEAR}


def test_sets_move_by_binding_where_they_can() -> None:
    motions = {name: slots.motion for name, slots in SLOTS.items()}
    assert motions == {"map": "permute", "map_real": "permute", "hrr": "bind", "fhrr": "bind", "gsbc": "bind"}


@pytest.mark.parametrize("name", LINEAR)
def test_uncertain_sets(name: str) -> None:
    slots = SLOTS[name]
    p, q = torch.rand(2, 4, 9, generator=generator())
    x, y = slots.encode(p), slots.encode(q)
    for operation, expected, independent in (
        (slots.union, p + q - p * q, True),
        (slots.union, (p + q).clamp(max=1), False),
        (slots.difference, p * (1 - q), True),
        (slots.difference, (p - q).clamp(min=0), False),
        (slots.intersection, p * q, True),
    ):
        found = slots.decode(operation(x, y, independent=independent))
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_saturation_counts_once_and_has_a_gradient() -> None:
    slots = SLOTS["gsbc"]
    x = slots.encode(torch.eye(9)[2])
    torch.testing.assert_close(slots.counts(3 * x), 3 * torch.eye(9)[2], atol=1e-4, rtol=0)
    torch.testing.assert_close(slots.saturate(3 * x), x, atol=1e-5, rtol=0)
    p = torch.full((9,), 0.3, requires_grad=True)
    slots.size(slots.union(slots.encode(p), x)).backward()
    expected = torch.ones(9)
    expected[2] = 0  # already full
    torch.testing.assert_close(p.grad, expected, atol=1e-3, rtol=0)


def test_sets_that_cannot_move_are_refused() -> None:
    with pytest.raises(vsa.VSAError, match="map SlotSets: received 9 slots, and permutations that repeat after 64"):
        SlotSets(vsa.get("map", dim=64), 9, seed=0)
    with pytest.raises(vsa.VSAError, match="gsbc cyclic_base: received period 9 for blocks of length 16"):
        SlotSets(GSBC(64, 4), 9, motion="bind", seed=0)
    with pytest.raises(vsa.DtypeError, match=r"SlotSets roll: received steps 0.5; expected an integer"):
        SLOTS["gsbc"].roll(torch.zeros(1440), 0.5)
    with pytest.raises(vsa.VSAError, match="SlotSets: received motion 'jump'; expected bind, permute, or None"):
        SlotSets(of("gsbc"), 9, motion="jump", seed=0)
    with pytest.raises(vsa.VSAError, match="slots in dimension 4 that are not independent"):
        SlotSets(vsa.get("fhrr", dim=4), 9, seed=0)
