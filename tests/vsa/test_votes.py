"""Bundles that are votes: nobody is forgotten, the order does not matter, rounding decides nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import vsa
from vsa.checks import LawError, check_law
from vsa.models.bsc import BSC
from vsa.models.sbc import SBC

VOTES = ("bsc", "sbc")
DIM = 10_000


def algebra_of(name: str) -> vsa.Algebra:
    return vsa.get(name, dim=DIM) if name == "bsc" else vsa.get(name, dim=DIM, blocks=100)


def vectors(algebra: vsa.Algebra, *batch: int, seed: int = 0) -> Tensor:
    return algebra.random(*batch, generator=torch.Generator().manual_seed(seed))


def both(algebra: vsa.Algebra, x: Tensor, y: Tensor) -> Tensor:
    return algebra.bundle(torch.stack((x, y), -2))


@pytest.mark.parametrize("name", VOTES)
def test_nested_bundles_keep_their_members(name: str) -> None:
    """Within 4 standard errors of a quarter each, over 20 draws; equal positions of sbc add their chance."""
    algebra = algebra_of(name)
    a, b, c, d = vectors(algebra, 4, 20)
    nested = both(algebra, both(algebra, a, b), both(algebra, c, d))
    entries = 20 * (DIM if name == "bsc" else 100)
    for member in (a, b, c, d):
        error = 4 * math.sqrt((1 - 0.25**2) / entries) + (0 if name == "bsc" else 0.02)
        assert float(algebra.similarity(nested, member).mean()) == pytest.approx(0.25, abs=error)


@pytest.mark.parametrize("name", VOTES)
def test_a_running_bundle_halves_what_is_older(name: str) -> None:
    algebra = algebra_of(name)
    x = vectors(algebra, 6, 20)
    running = x[0]
    for vector in x[1:]:
        running = both(algebra, running, vector)
    found = algebra.similarity(running, x).mean(-1)
    expected = torch.tensor([1 / 32, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2])
    assert torch.allclose(found, expected, atol=0.03)


@pytest.mark.parametrize("name", VOTES)
def test_similar_and_structured_members_share_a_tie(name: str) -> None:
    """Members that agree in nine of ten places; members whose places come in long runs; a vector and what all lack."""
    algebra = algebra_of(name)
    a, b = vectors(algebra, 2)
    width = a.shape[-1]
    mixed = torch.where(torch.rand(width, generator=torch.Generator().manual_seed(1)) < 0.1, b, a)
    low, high = a.clone(), a.clone()
    low[: width // 4], high[: width // 2] = b[: width // 4], b[: width // 2]
    for x, y in ((a, mixed), (low, high), (algebra.identity(), a)):
        shared = algebra.similarity(both(algebra, x, y), torch.stack((x, y)))
        assert float(shared[0]) == pytest.approx(float(shared[1]), abs=0.06), (x[:3], y[:3])


def test_ties_of_packed_bits_are_those_of_bits() -> None:
    algebra = BSC(1000)
    x = vectors(algebra, 7, 4)
    assert torch.equal(algebra.unpack(algebra.bundle(algebra.pack(x))), algebra.bundle(x))


@pytest.mark.parametrize("name", VOTES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_decides_no_tie(name: str, dtype: torch.dtype) -> None:
    algebra = algebra_of(name)
    x = vectors(algebra, 10)
    assert torch.equal(algebra.bundle(x, torch.full((10,), 0.1, dtype=dtype)), algebra.bundle(x))
    thrice = torch.tensor([0.3, 0.1, 0.1, 0.1], dtype=dtype if dtype.itemsize > 2 else torch.float32)
    whole = torch.tensor([3.0, 1.0, 1.0, 1.0])
    assert torch.equal(algebra.bundle(x[:4], thrice), algebra.bundle(x[:4], whole))
    odd = torch.rand(10, generator=torch.Generator().manual_seed(3)).to(dtype)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    assert torch.equal(algebra.bundle(x[order], odd[order]), algebra.bundle(x, odd))


@pytest.mark.parametrize("name", vsa.ALGEBRAS.names())
def test_an_accumulator_is_the_bundle(name: str) -> None:
    algebra = vsa.get(name, dim=1024)
    x = vectors(algebra, 3, 9)
    wide = vsa.Accumulator(algebra)
    wide.add_all(x)
    one, two = vsa.Accumulator(algebra), vsa.Accumulator(algebra)
    for n in range(9):
        (one if n % 2 else two).add(x[:, n])
    two.add(x[:, 0], 3.0)
    two.remove(x[:, 0], 3.0)
    one.merge(two)
    again = vsa.Accumulator(algebra)
    again.load_state_dict(one.state_dict())
    expected = algebra.bundle(x)
    exact = not algebra.laws.linear
    for found in (wide, one, again):
        bundle = found.bundle()
        assert torch.equal(bundle, expected) if exact else torch.allclose(bundle, expected, atol=1e-4)
    with pytest.raises(vsa.ShapeError, match="no vector"):
        vsa.Accumulator(algebra).bundle()
    with pytest.raises(vsa.ShapeError, match="expected"):
        one.add(x[0, 0])
    with pytest.raises(vsa.VSAError, match="an accumulator of"):
        one.merge(vsa.Accumulator(vsa.get("map", dim=512)))


@pytest.mark.parametrize("name", VOTES)
def test_rows_with_ties_are_settled_beside_rows_without(name: str) -> None:
    """In a batch so large that it is looked at in pieces: the tied rows alone are tossed, as they are when alone."""
    algebra = algebra_of(name)
    x = vectors(algebra, 50)
    weights = torch.rand(32, 50, generator=torch.Generator().manual_seed(5))
    weights[3], weights[20] = 0.0, 0.0
    weights[3, :4], weights[20, 7:9] = 0.5, torch.tensor([0.3, 0.3])
    found = vsa.Codebook(algebra, x).superpose(weights)
    rows = [algebra.bundle(x[row > 0], row[row > 0]) for row in weights]
    assert torch.equal(found, torch.stack(rows))
    assert torch.equal(found[20], algebra.bundle(x[7:9]))
    assert torch.equal(found, algebra.bundle(x.expand(32, -1, -1), weights))


# -- the laws notice -------------------------------------------------------------------------------------------------


def first_voter(entries: int, voters: int) -> Tensor:
    places = torch.arange(1, entries + 1)
    return (((places * 2654435761) & 0xFFFFFFFF) >> 12) % voters


@dataclass(frozen=True)
class ByPlace(BSC):
    """A tie goes to the voter whose turn it is at that place."""

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        if weights is not None:
            return super()._bundle(vectors, weights)
        balance = 2 * vectors.sum(-2) - vectors.shape[-2]
        asked = first_voter(self.dim, vectors.shape[-2]).expand(*vectors.shape[:-2], 1, -1)
        return torch.where(balance == 0, vectors.gather(-2, asked).squeeze(-2), balance > 0)


@dataclass(frozen=True)
class Favours(SBC):
    """A tie goes to the smallest position, whatever was voted for."""

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        votes = self._embed(vectors, torch.float64).unflatten(-1, (self.blocks, -1))
        return (votes if weights is None else votes * weights.double()[..., None, None]).sum(-3).argmax(-1)


@dataclass(frozen=True)
class ByMask(BSC):
    """A tie is decided by the place alone: all bundles agree where they know nothing."""

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        if weights is not None:
            return super()._bundle(vectors, weights)
        balance = 2 * vectors.sum(-2) - vectors.shape[-2]
        return torch.where(balance == 0, first_voter(self.dim, 2).bool(), balance > 0)


@dataclass(frozen=True)
class Rounds(BSC):
    """Weights are added as they come."""

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        if weights is None:
            return super()._bundle(vectors, weights)
        return (weights.unsqueeze(-2) @ (2 * vectors.to(weights.dtype) - 1)).squeeze(-2) > 0


@pytest.mark.parametrize(
    ("algebra", "law"),
    [
        (ByPlace(1024), "bundle_order"),
        (ByPlace(1024), "nested_votes"),
        (ByMask(1024), "bundle_order"),
        (Rounds(1024), "superposition"),
        (Favours(1024, 16), "bundle_order"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_laws_notice_who_is_forgotten(algebra: vsa.Algebra, law: str) -> None:
    with pytest.raises(LawError):
        check_law(algebra, law)
