"""Block codes: the forms agree with each other and with the definition, as laws over random geometries and values."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vsa
from vsa.models.gsbc import GSBC

geometries = st.builds(lambda k, length: GSBC(dim=k * length, blocks=k), st.integers(1, 6), st.integers(2, 19))
seeds = st.integers(0, 2**31)
few = settings(max_examples=60, deadline=None)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distributions(algebra: GSBC, *batch: int, seed: int) -> Tensor:
    """Random valid vectors, none of whose blocks is one-hot."""
    return algebra.normalize(torch.rand(*batch, algebra.dim, generator=generator(seed), dtype=torch.float64))


def convolve(algebra: GSBC, x: Tensor, y: Tensor) -> Tensor:
    """The definition, by loops: z[k, n] = sum_i x[k, i] y[k, (n - i) mod L]."""
    length = algebra.block_length
    a, b = x.view(algebra.blocks, length), y.view(algebra.blocks, length)
    z = torch.zeros_like(a)
    for i in range(length):
        for j in range(length):
            z[:, (i + j) % length] += a[:, i] * b[:, j]
    return z.flatten()


@few
@given(geometries, seeds)
def test_binding_is_blockwise_circular_convolution(algebra: GSBC, seed: int) -> None:
    x, y = distributions(algebra, 2, seed=seed)
    torch.testing.assert_close(algebra.bind(x, y), convolve(algebra, x, y))
    torch.testing.assert_close(algebra.unbind(x, y), convolve(algebra, x, algebra.inverse(y)))
    assert algebra.is_valid(algebra.bind(x, y))


@few
@given(geometries, seeds)
def test_index_form_is_addition(algebra: GSBC, seed: int) -> None:
    i, j = algebra.random(2, 7, generator=generator(seed), dtype=torch.int64)
    x, y = algebra.from_index(i, torch.float64), algebra.from_index(j, torch.float64)
    assert torch.equal(algebra.bind(i, j), (i + j) % algebra.block_length)
    torch.testing.assert_close(algebra.from_index(algebra.bind(i, j), torch.float64), algebra.bind(x, y))
    torch.testing.assert_close(algebra.from_index(algebra.unbind(i, j), torch.float64), algebra.unbind(x, y))
    assert torch.equal(algebra.to_index(x), i)
    assert torch.equal(algebra.unbind(algebra.bind(i, j), j), i)


@few
@given(geometries, seeds)
def test_one_hot_with_dense_by_gather_equals_the_transform(algebra: GSBC, seed: int) -> None:
    x = distributions(algebra, 3, seed=seed)
    i = algebra.random(3, generator=generator(seed), dtype=torch.int64)
    y = algebra.from_index(i, torch.float64)
    for operation in (algebra.bind, algebra.unbind):
        torch.testing.assert_close(operation(x, i), operation(x, y))
        torch.testing.assert_close(operation(i, x), operation(y, x))
        torch.testing.assert_close(operation(x[:, None], i), operation(x[:, None], y))
    torch.testing.assert_close(algebra.block_similarity(x, i), algebra.block_similarity(x, y))
    torch.testing.assert_close(algebra.linf_similarity(x, i), 1 - (x - y).abs().amax(-1))


@few
@given(geometries, seeds)
def test_spectral_form(algebra: GSBC, seed: int) -> None:
    x, y = distributions(algebra, 2, 5, seed=seed)
    s, t = algebra.spectrum(x), algebra.spectrum(y)
    torch.testing.assert_close(algebra.from_spectrum(s), x)
    torch.testing.assert_close(algebra.from_spectrum(s * t), algebra.bind(x, y))
    torch.testing.assert_close(algebra.from_spectrum(s * t.conj()), algebra.unbind(x, y))
    torch.testing.assert_close(algebra.spectral_similarity(s, t), algebra.similarity(x, y))
    torch.testing.assert_close(algebra.spectral_cosine(s, t), algebra.cosine(x, y))
    i = algebra.random(5, generator=generator(seed), dtype=torch.int64)
    torch.testing.assert_close(algebra.spectrum(i), algebra.spectrum(algebra.from_index(i)), atol=1e-5, rtol=0)


@few
@given(geometries, seeds, st.integers(-40, 40), st.integers(-40, 40))
def test_integer_powers_are_exact_and_add(algebra: GSBC, seed: int, m: int, n: int) -> None:
    i = algebra.random(generator=generator(seed), dtype=torch.int64)
    assert torch.equal(algebra.bind(algebra.power(i, m), algebra.power(i, n)), algebra.power(i, m + n))
    dense = algebra.power(algebra.from_index(i, torch.float64), m)
    torch.testing.assert_close(dense, algebra.from_index(algebra.power(i, m), torch.float64), atol=1e-12, rtol=0)


@few
@given(geometries, seeds, st.floats(-3, 3), st.floats(-3, 3))
def test_fractional_powers_add_and_keep_their_sum(algebra: GSBC, seed: int, s: float, t: float) -> None:
    base = algebra.from_index(algebra.power_base(generator=generator(seed)), torch.float64)
    power = algebra.power(base, torch.tensor([s, t, s + t], dtype=torch.float64))
    blocks = power.unflatten(-1, (algebra.blocks, -1))
    torch.testing.assert_close(blocks.sum(-1), torch.ones_like(blocks[..., 0]))
    if algebra.block_length % 2:  # for even L the highest frequency is excepted, as power says
        torch.testing.assert_close(algebra.bind(power[0], power[1]), power[2], atol=1e-10, rtol=0)


def test_similarity_of_fractional_powers_is_the_dirichlet_kernel() -> None:
    """For a base without common factor with L it depends on the difference only: sin(pi d) / (L sin(pi d / L))."""
    algebra = GSBC(dim=3 * 31, blocks=3)
    base = algebra.power_base(generator=generator(0))
    d = torch.linspace(0.1, 4.1, 9, dtype=torch.float64)
    powers = algebra.power(base, d)
    origin = algebra.power(base, torch.zeros((), dtype=torch.float64))
    expected = torch.sin(torch.pi * d) / (31 * torch.sin(torch.pi * d / 31))
    torch.testing.assert_close(algebra.similarity(powers, origin), expected)


@few
@given(geometries, seeds)
def test_period_is_the_first_power_that_is_the_identity(algebra: GSBC, seed: int) -> None:
    i = algebra.random(generator=generator(seed), dtype=torch.int64)
    period = algebra.power_period(i)
    assert period is not None
    powers = algebra.power(i, torch.arange(1, period + 1))
    assert (powers == 0).all(-1).tolist() == [False] * (period - 1) + [True]
    assert algebra.power_period(algebra.power_base(generator=generator(seed))) == algebra.block_length


@few
@given(geometries, seeds)
def test_normalize_and_quantize(algebra: GSBC, seed: int) -> None:
    x = torch.randn(4, algebra.dim, generator=generator(seed), dtype=torch.float64)
    x[0] = 0
    normal = algebra.normalize(x)
    assert algebra.is_valid(normal).all()
    torch.testing.assert_close(normal[0], torch.full_like(x[0], 1 / algebra.block_length))
    assert not algebra.is_valid(x).any()
    hard = algebra.quantize(x)
    assert algebra.is_valid(hard).all()
    assert torch.equal(algebra.to_index(hard), algebra.to_index(x))


def test_gradients_of_every_differentiable_operation() -> None:
    algebra = GSBC(dim=15, blocks=3)
    x, y = (distributions(algebra, 2, seed=seed).requires_grad_() for seed in (0, 1))
    w = torch.rand(2, generator=generator(2), dtype=torch.float64).requires_grad_()
    i = algebra.random(2, generator=generator(3), dtype=torch.int64)
    t = torch.tensor([0.5, -1.25], dtype=torch.float64, requires_grad=True)
    check = torch.autograd.gradcheck
    assert check(lambda a: algebra.bind(a, i), x)
    assert check(lambda a: algebra.unbind(i, a), x)
    assert check(algebra.bind_all, x)
    assert check(algebra.bundle, (x, w))
    assert check(algebra.normalize, x)
    assert check(algebra.power, (x, t))
    assert check(lambda a: algebra.power(i, a), t)
    assert check(algebra.cosine, (x, y))
    assert check(algebra.binding_matrix, x)
    assert check(lambda a, b: algebra.spectral_similarity(algebra.spectrum(a), algebra.spectrum(b)), (x, y))
    assert check(lambda a, b: algebra.spectral_cosine(algebra.spectrum(a), algebra.spectrum(b)), (x, y))
    assert check(lambda a, b: algebra.linf_similarity(a, b), (x, y))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_transformed_in_float32(dtype: torch.dtype) -> None:
    algebra = GSBC(dim=64, blocks=4)
    x, y = (distributions(algebra, 3, seed=seed).to(dtype) for seed in (0, 1))
    z = algebra.bind(x, y)
    assert z.dtype == dtype
    expected = algebra.bind(x.float(), y.float())
    torch.testing.assert_close(z.float(), expected, atol=float(expected.max()) * torch.finfo(dtype).eps, rtol=0)


def test_bundle_of_positions_is_a_histogram() -> None:
    algebra = GSBC(dim=6, blocks=2)
    positions = torch.tensor([[0, 2], [0, 1], [1, 1]])
    counts = algebra.bundle(positions)
    assert counts.tolist() == [2.0, 1.0, 0.0, 0.0, 2.0, 1.0]
    weights = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]], dtype=torch.float64)
    assert algebra.bundle(positions, weights).tolist() == [
        [0.75, 0.25, 0.0, 0.0, 0.5, 0.5],
        [1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
    ]


def test_random_is_fixed_by_its_seed() -> None:
    """Golden values: a change here changes every saved result."""
    positions = GSBC(dim=1024, blocks=4).random(2, generator=generator(0), dtype=torch.int64)
    assert positions.tolist() == [[172, 47, 117, 192], [67, 251, 195, 103]]


def test_algebras_are_values() -> None:
    algebra = vsa.get("block_codes", dim=64, blocks=4)
    assert algebra.laws and algebra.forms  # fills the caches, which must not count
    for other in (GSBC(64, 4), copy.deepcopy(algebra), pickle.loads(pickle.dumps(algebra))):
        assert other == algebra
        assert hash(other) == hash(algebra)
    assert algebra != GSBC(64, 8)


def test_results_are_plain_tensors_that_stack_copy_pickle_and_vmap() -> None:
    algebra = GSBC(dim=32, blocks=4)
    x, y = algebra.random(2, 5, generator=generator(0))
    product = algebra.bind(x, y)
    assert type(product) is Tensor
    assert torch.equal(torch.stack([product, product])[1], product)
    assert torch.equal(copy.deepcopy(product), product)
    assert torch.equal(pickle.loads(pickle.dumps(product)), product)
    for operation in (algebra.bind, algebra.unbind, algebra.similarity, algebra.cosine, algebra.linf_similarity):
        torch.testing.assert_close(torch.vmap(operation)(x, y), operation(x, y))
    torch.testing.assert_close(torch.vmap(algebra.normalize)(x), x)
    i = algebra.to_index(y)
    torch.testing.assert_close(torch.vmap(algebra.bind)(x, i), product)


@pytest.mark.gpu
@pytest.mark.parametrize("form", ["dense", "index"])
def test_cuda_agrees_with_cpu(form: str) -> None:
    algebra = GSBC(dim=64, blocks=4)
    dtype = torch.float64 if form == "dense" else torch.int64
    x, y = algebra.random(2, 40, generator=generator(0), dtype=dtype)
    for operation in (algebra.bind, algebra.unbind, algebra.similarity, algebra.linf_similarity):
        torch.testing.assert_close(operation(x.cuda(), y.cuda()).cpu(), operation(x, y))
    book = vsa.Codebook.random(algebra, 100, seed=0, dtype=dtype)
    queries = torch.rand(40, 64, generator=generator(1), dtype=torch.float64)
    expected = book.similarity(queries), book.superpose(book.similarity(queries)), book.linf_similarity(queries)
    book.cuda()
    similar = book.similarity(queries.cuda())
    for value, right in zip(
        (similar, book.superpose(similar), book.linf_similarity(queries.cuda())), expected, strict=True
    ):
        assert value.is_cuda
        torch.testing.assert_close(value.cpu(), right)
