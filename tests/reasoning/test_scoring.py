"""Similarities in the spectral domain equal those of the vectors; attribute weights are per puzzle."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning.learners.soft.scoring import ATTRIBUTE_WEIGHTINGS, attribute_weights, cosine
from vsa.errors import UnknownNameError
from vsa.models.gsbc import GSBC


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(2, 17), st.integers(0, 2**31))
def test_cosine_of_spectra_is_cosine_of_vectors(blocks, length, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, blocks, length, dtype=torch.float64, generator=generator)
    y = torch.rand(2, blocks, length, dtype=torch.float64, generator=generator)
    weights = GSBC(dim=blocks * length, blocks=blocks).spectral_weights(torch.float64).repeat(blocks)
    found = cosine(torch.fft.rfft(x).flatten(-2), torch.fft.rfft(y).flatten(-2), weights)
    expected = torch.nn.functional.cosine_similarity(x.flatten(1)[:, None], y.flatten(1)[None], dim=-1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("size", [1e-33, 1e-16, 1e16])
def test_cosines_know_vectors_of_any_size(size):
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(3, 17, dtype=torch.complex64, generator=generator) for _ in range(2))
    weights = torch.ones(17)
    plain = cosine(u, v, weights)
    torch.testing.assert_close(cosine(u * size, v, weights), plain)
    power = 2.0 ** round(torch.tensor(size).log2().item())
    assert torch.equal(cosine(u * power, v, weights), plain)
    tiny = (u * 1e-16).requires_grad_()  # what many soft terms bind is as small; its direction is learned all the same
    cosine(tiny, v, weights).sum().backward()
    usual = u.clone().requires_grad_()
    cosine(usual, v, weights).sum().backward()
    torch.testing.assert_close(tiny.grad * 1e-16, usual.grad)


def test_a_vector_of_zeros_is_like_nothing_and_its_gradient_is_finite():
    u = torch.zeros(2, 5, dtype=torch.complex64, requires_grad=True)
    found = cosine(u, torch.ones(1, 5, dtype=torch.complex64), torch.ones(5))
    found.sum().backward()
    assert torch.equal(found, torch.zeros(2, 1)) and bool(torch.isfinite(torch.view_as_real(u.grad)).all())


def test_entropy_weights_follow_the_published_clipping():
    sure = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]])
    unsure = torch.full((1, 5), 0.2)
    weights = attribute_weights("entropy", torch.cat([sure, unsure]), torch.ones(2))
    torch.testing.assert_close(weights, torch.tensor([10.0, 1 / torch.log(torch.tensor(5.0)).item()]))


@pytest.mark.parametrize("kind", ATTRIBUTE_WEIGHTINGS)
def test_weights_of_a_puzzle_do_not_depend_on_its_neighbours(kind):
    generator = torch.Generator().manual_seed(0)
    rule_weights = torch.rand(6, 3, 5, generator=generator).softmax(-1)
    confidence = torch.rand(6, 3, generator=generator)
    whole = attribute_weights(kind, rule_weights, confidence)
    assert bool((whole >= 0).all())
    torch.testing.assert_close(attribute_weights(kind, rule_weights[2:3], confidence[2:3]), whole[2:3])


def test_unknown_weighting_says_what_exists():
    with pytest.raises(UnknownNameError, match="entropy"):
        attribute_weights("entrpy", torch.ones(1, 5), torch.ones(1))
