"""What factorizers go by is declared, and the law suite notices each declaration that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

import vsa
from vsa.algebra import Algebra
from vsa.checks import LawError, check_law
from vsa.laws import Laws, Storage
from vsa.models.bsc import BSC
from vsa.models.fhrr import FHRR
from vsa.models.gsbc import GSBC
from vsa.models.hrr import HRR
from vsa.models.map import MAP
from vsa.models.map_real import MAPReal
from vsa.models.sbc import SBC


def claims(parent: type[Algebra], **claimed: Any) -> Algebra:
    """An algebra that claims more than its parent does."""

    @dataclass(frozen=True)
    class Boaster(parent):  # type: ignore[misc, valid-type]
        @property
        def laws(self) -> Laws:
            return replace(super().laws, **claimed)

    return Boaster(dim=64)


@dataclass(frozen=True)
class Divides(MAPReal):
    """The Hadamard product with its exact inverse, which is no adjoint."""

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x / y


@dataclass(frozen=True)
class RealSigns(MAP):
    """The trial that was accepted once: real entries under the claims of signs."""

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Any, dtype: torch.dtype) -> Tensor:
        signs = super()._random(batch, generator, form, dtype)
        return signs if dtype == torch.int8 else signs + 0.1 * torch.randn(signs.shape, generator=generator).to(dtype)


@dataclass(frozen=True)
class Adds(BSC):
    """Bits that are not exclusive-ored."""

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x | y


@dataclass(frozen=True)
class Subtracts(SBC):
    """Binding moves positions the wrong way."""

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return self._wrap(x - y)


@dataclass(frozen=True)
class Halves(GSBC):
    """A block length that is not that of the blocks."""

    @property
    def block_length(self) -> int:
        return self.dim // self.blocks // 2


@dataclass(frozen=True)
class StoredWhole(GSBC):
    """An array that is not told of the blocks."""

    def _storage(self, atoms: Tensor) -> Storage:
        return Storage(self._embed(atoms), "dense")


@dataclass(frozen=True)
class NoBlocks(MAP):
    """Signs that are called blocks."""

    @property
    def block_length(self) -> int | None:
        return 8


def relaxed_to(other: Callable[[int], Algebra]) -> Algebra:
    """Positions whose sums are said to live elsewhere."""

    @dataclass(frozen=True)
    class Elsewhere(SBC):
        @property
        def relaxed(self) -> Algebra:
            return other(self.dim)

    return Elsewhere(dim=64, blocks=4)


@dataclass(frozen=True)
class Backwards(GSBC):
    """Binds as unbinding does."""

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return super()._unbind(x, y)


@dataclass(frozen=True)
class Loud(MAPReal):
    """Flattens to what is not flat."""

    def _flatten(self, x: Tensor) -> Tensor:
        return x.clone()


@dataclass(frozen=True)
class Coarse(MAPReal):
    """Flattens without regard to binding."""

    def _flatten(self, x: Tensor) -> Tensor:
        return torch.where(x < 0.5, -1.0, 1.0).to(x.dtype)


@dataclass(frozen=True)
class Doubled(MAP):
    """Every entry twice: half as many degrees of freedom as the embedding is wide."""

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Any, dtype: torch.dtype) -> Tensor:
        return super()._random(batch, generator, form, dtype)[..., : self.dim // 2].repeat_interleave(2, -1)


@dataclass(frozen=True)
class Stretched(FHRR):
    """Phases that do not add up."""

    def from_phases(self, phases: Tensor) -> Tensor:
        return super().from_phases(phases.remainder(2 * torch.pi) * 0.5)


@dataclass(frozen=True)
class Forgetful(MAP):
    """Lacks an operation and does not say so."""

    def _inverse(self, x: Tensor) -> Tensor:
        self._refuse("inverse")


@dataclass(frozen=True)
class Absolute(MAPReal):
    """A product whose sign is lost: two changed signs leave it, but one does as well."""

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return (x * y).abs()


@pytest.mark.parametrize(
    ("algebra", "law"),
    [
        (Divides(dim=64), "adjoint"),
        (Backwards(dim=64, blocks=4), "adjoint"),
        (claims(HRR, signs=True), "signs"),
        (claims(SBC, signs=True), "signs"),
        (RealSigns(dim=64), "signs"),
        (Adds(dim=64), "signs"),
        (Absolute(dim=64), "sign_pairs"),
        (Subtracts(dim=64, blocks=4), "blocks"),
        (Halves(dim=64, blocks=4), "blocks"),
        (StoredWhole(dim=64, blocks=4), "blocks"),
        (NoBlocks(dim=64), "blocks"),
        (Backwards(dim=64, blocks=4), "spectral"),
        (relaxed_to(lambda dim: SBC(dim=dim, blocks=8)), "relaxed"),
        (relaxed_to(lambda dim: HRR(dim=dim)), "relaxed"),
        (relaxed_to(lambda dim: Backwards(dim=dim, blocks=4)), "relaxed"),
        (claims(MAPReal, products="normal"), "products"),
        (claims(HRR, products="normal"), "products"),
        (claims(GSBC, products="normal"), "products"),
        (Loud(dim=64), "products"),
        (Coarse(dim=64), "products"),
        (Doubled(dim=64), "products"),
        (Stretched(dim=64), "phases"),
    ],
)
def test_a_wrong_declaration_is_found(algebra: Algebra, law: str) -> None:
    for seed in range(3):
        with pytest.raises(LawError, match=f"law {law}"):
            check_law(algebra, law, seed=seed)


def test_an_operation_that_is_missing_in_silence_is_found() -> None:
    with pytest.raises(LawError, match=r"law inverse: received no operation behind 'map inverse'; expected each that"):
        check_law(Forgetful(dim=64), "inverse")


def test_laws_are_checked_where_a_sum_cannot_be_normalised() -> None:
    @dataclass(frozen=True)
    class Unscaled(Divides):
        @property
        def laws(self) -> Laws:  # type: ignore[override]
            return replace(super().laws, commutative=False, lacks=(("normalize", "not written"),))

    with pytest.raises(LawError, match="law commutative"):
        check_law(Unscaled(dim=64), "commutative")


Products = Literal["normal", "flattened", "unknown"]


@pytest.mark.parametrize(
    ("name", "products", "adjoint", "phases"),
    [
        ("map", "normal", True, None),
        ("bsc", "normal", True, None),
        ("fhrr", "normal", True, 64),
        ("hrr", "flattened", True, 33),
        ("map_real", "flattened", True, None),
        ("gsbc", "unknown", True, None),
        ("sbc", "unknown", True, None),
    ],
)
def test_what_ours_declare(name: str, products: Products, adjoint: bool, phases: int | None) -> None:
    algebra = vsa.get(name, dim=64)
    assert (algebra.laws.products, algebra.laws.adjoint, algebra.phases) == (products, adjoint, phases)
    relaxed = {"sbc": GSBC(dim=64, blocks=16), "bsc": MAP(dim=64)}
    assert algebra.relaxed == relaxed.get(name, algebra)


def test_what_is_not_declared_is_refused() -> None:
    with pytest.raises(vsa.UnsupportedError, match="bsc from_phases"):
        BSC(dim=64).from_phases(torch.zeros(64))
    with pytest.raises(vsa.UnsupportedError, match="gsbc flatten"):
        GSBC(dim=64, blocks=4).flatten(torch.zeros(64))
