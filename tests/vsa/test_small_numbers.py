"""Half precision, very small and very large vectors, far powers, and what is no number."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import vsa
from vsa import arithmetic

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
REAL = ("map", "map_real", "hrr", "gsbc")
CASES = [(name, dtype) for name in REAL for dtype in FLOATS]
COMPLEX = [("fhrr", torch.complex64), ("fhrr", torch.complex128)]


def vectors(name: str, dim: int, *batch: int, dtype: torch.dtype) -> tuple[vsa.Algebra, Tensor]:
    algebra = vsa.get(name, dim=dim)
    return algebra, algebra.random(*batch, seed=0, dtype=dtype)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_a_bundle_of_ten_in_half_precision(name: str, dtype: torch.dtype) -> None:
    """As in double precision, within half precision's digits."""
    algebra, x = vectors(name, 10_000, 10, dtype=dtype)
    bundle, exact = algebra.bundle(x), algebra.bundle(x.double())
    close = {"rel": 8 * torch.finfo(dtype).eps, "abs": 1e-6}
    assert float(algebra.cosine(bundle, x[0])) == pytest.approx(float(algebra.cosine(exact, x[0].double())), **close)
    assert float(algebra.similarity(bundle, bundle)) == pytest.approx(float(algebra.similarity(exact, exact)), **close)
    normal, wanted = algebra.normalize(bundle), algebra.normalize(exact)
    assert normal.dtype == dtype
    assert float((normal.double() - wanted).norm() / wanted.norm()) < 8 * torch.finfo(dtype).eps
    assert torch.allclose(
        algebra.similarity_to_set(bundle, x).double(), algebra.similarity_to_set(exact, x.double()), rtol=0.05
    )


@pytest.mark.parametrize("name", ["map", "map_real", "hrr", "fhrr", "gsbc"])
@pytest.mark.parametrize("scale", [1e-30, 1e-24, 1e-12, 1e12, 1e20, 1e30])
def test_the_direction_survives_any_size(name: str, scale: float) -> None:
    dtype = torch.complex64 if name == "fhrr" else torch.float32
    algebra, (x, y) = vectors(name, 1000, 2, dtype=dtype)
    expected = float(algebra.cosine(x, x + y))
    assert float(algebra.cosine(x * scale, x + y)) == pytest.approx(expected, abs=1e-5)
    assert float(algebra.cosine(algebra.normalize(x * scale), x + y)) == pytest.approx(expected, abs=1e-5)
    assert float(algebra.cosine(x * scale, torch.zeros_like(x))) == 0


@pytest.mark.parametrize(("name", "dtype"), [*CASES, *COMPLEX])
def test_zeros_have_gradients_that_are_numbers(name: str, dtype: torch.dtype) -> None:
    algebra = vsa.get(name, dim=64)
    x = torch.zeros(algebra.forms[0].width, dtype=dtype, requires_grad=True)
    for operation in (algebra.normalize, lambda v: algebra.cosine(v, algebra.random(seed=1, dtype=dtype))):
        y = operation(x)
        (y.real if y.is_complex() else y).sum().backward()
        assert x.grad is not None
        assert bool(torch.isfinite(torch.view_as_real(x.grad) if x.is_complex() else x.grad).all())


@pytest.mark.parametrize("name", ["fhrr", "hrr"])
@pytest.mark.parametrize("exponent", [1e3, 1e6, 1e9, 2.0**39])
def test_far_powers_add_up(name: str, exponent: float) -> None:
    algebra = vsa.get(name, dim=1000)
    base = algebra.random(seed=0) if name == "fhrr" else algebra.unitary(algebra.random(seed=0))
    one_more = algebra.power(base, exponent + 1)
    assert float(algebra.cosine(algebra.bind(algebra.power(base, exponent), base), one_more)) > 0.99


@pytest.mark.parametrize("name", ["fhrr", "hrr", "gsbc"])
def test_a_power_without_digits_is_refused(name: str) -> None:
    algebra = vsa.get(name, dim=64)
    base = algebra.random(seed=0) if name != "gsbc" else algebra.random(seed=0, dtype=torch.float32)
    with pytest.raises(vsa.VSAError, match=r"power: received an exponent of 1e\+13; expected at most"):
        algebra.power(base, 1e13)


def shows(result: object) -> bool:
    """Whether a result has NaN, or is a refusal."""
    if isinstance(result, Tensor):
        return (result.is_floating_point() or result.is_complex()) and bool(result.isnan().any())
    return False


@pytest.mark.parametrize(("name", "dtype"), [*CASES, *COMPLEX])
@pytest.mark.parametrize("whole", [False, True], ids=["an entry", "a vector"])
def test_what_is_no_number_does_not_become_one(name: str, dtype: torch.dtype, whole: bool) -> None:
    algebra, (x, y) = vectors(name, 64, 2, dtype=dtype)
    x = torch.full_like(x, math.nan) if whole else x.index_fill(-1, torch.tensor([0]), math.nan)
    both = torch.stack((x, y))
    operations = {
        "bind": lambda: algebra.bind(x, y),
        "unbind": lambda: algebra.unbind(y, x),
        "inverse": lambda: algebra.inverse(x),
        "bind_all": lambda: algebra.bind_all(both),
        "bundle": lambda: algebra.bundle(both),
        "negative": lambda: algebra.negative(x),
        "permute": lambda: algebra.permute(x),
        "power": lambda: algebra.power(x, 2),
        "power 0": lambda: algebra.power(x, 0),
        "power 0.5": lambda: algebra.power(x, 0.5),
        "normalize": lambda: algebra.normalize(x),
        "quantize": lambda: algebra.quantize(x),
        "soft quantize": lambda: algebra.quantize(x, temperature=0.1),
        "flatten": lambda: algebra.flatten(x),
        "similarity": lambda: algebra.similarity(x, y),
        "to a set": lambda: algebra.similarity_to_set(x, y.unsqueeze(0)),
        "set": lambda: algebra.similarity_to_set(y, x.unsqueeze(0)),
        "cosine": lambda: algebra.cosine(x, y),
        "unembed": lambda: algebra.unembed(algebra.embed(x)),
        "codebook": lambda: vsa.Codebook(algebra, both),
        "clean-up": lambda: vsa.Codebook(algebra, torch.stack((y, y)), unrelated=False).cleanup(x),
        "by cosine": lambda: vsa.Codebook(algebra, torch.stack((y, y)), unrelated=False).cleanup(x, measure="cosine"),
    }
    for operation, call in operations.items():
        try:
            result = call()
        except vsa.VSAError:
            continue
        assert shows(result), operation
    assert not bool(algebra.is_valid(x))


@pytest.mark.parametrize("name", ["bsc", "sbc"])
def test_weights_that_are_no_numbers_are_refused_where_votes_would_hide_them(name: str) -> None:
    algebra = vsa.get(name, dim=64)
    book = vsa.Codebook.random(algebra, 3, seed=0)
    for weights in (torch.tensor([1.0, math.nan, 1.0]), torch.tensor([1.0, math.inf, 1.0])):
        with pytest.raises(vsa.VSAError, match="no number"):
            algebra.bundle(book.atoms, weights)
    with pytest.raises(vsa.VSAError, match="no number"):
        book.superpose(torch.tensor([1.0, math.nan, 1.0]))


def test_norms_by_definition() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e-30, 4e-30], [3e30, 4e30]])
    found = arithmetic.to_norm(x, 10.0)
    assert torch.allclose(found, torch.tensor([[6.0, 8.0], [0.0, 0.0], [6.0, 8.0], [6.0, 8.0]]))
    assert bool(arithmetic.to_norm(torch.tensor([math.nan, 1.0]), 1.0).isnan().any())
    torch.autograd.gradcheck(lambda v: arithmetic.to_norm(v, 2.0), x[:1].double().requires_grad_())
    torch.autograd.gradcheck(arithmetic.cosine, (x[:1].double().requires_grad_(), torch.tensor([[1.0, -2.0]]).double()))
