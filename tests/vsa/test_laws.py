"""Every registered algebra keeps every law it claims, and the suite notices when one does not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

import vsa
from vsa.checks import ALGEBRA_LAWS, LawError, check_law
from vsa.laws import Laws
from vsa.models.gsbc import GSBC

# Odd and even block lengths, few and many blocks, and the shortest block.
GEOMETRIES = [(64, 4), (63, 3), (30, 3), (16, 8), (17, 1)]


@pytest.mark.parametrize("law", ALGEBRA_LAWS)
def test_registered_algebra(algebra_name: str, law: str) -> None:
    result = check_law(vsa.get(algebra_name, dim=64), law)
    if result.status == "skipped":
        pytest.skip(result.detail)
    assert result.status == "held"


@pytest.mark.parametrize("law", ALGEBRA_LAWS)
@pytest.mark.parametrize("dim, blocks", GEOMETRIES)
def test_block_codes_of_every_geometry(dim: int, blocks: int, law: str) -> None:
    result = check_law(GSBC(dim=dim, blocks=blocks), law, seed=dim)
    says_nothing = ("negative", "signs", "sign_pairs", "relaxed", "products", "phases")
    says_nothing += ("nested_votes", "votes_carried_along")
    assert result.status == ("skipped" if law in says_nothing else "held"), result.detail


def test_check_algebra_runs_all_laws() -> None:
    results = vsa.check_algebra(GSBC(dim=32, blocks=2), seed=3)
    assert [result.law for result in results] == list(ALGEBRA_LAWS)


def test_unknown_law_is_named() -> None:
    with pytest.raises(vsa.UnknownNameError, match=r"law 'asociative'.*did you mean 'associative'"):
        check_law(GSBC(), "asociative")


@dataclass(frozen=True)
class _BindsLikeUnbind(GSBC):
    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return super()._unbind(x, y)


@dataclass(frozen=True)
class _UnbindsByTooMuch(GSBC):
    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return super()._unbind(super()._unbind(x, y), y)


@dataclass(frozen=True)
class _ForgetsAnEntry(GSBC):
    def _normalize(self, x: Tensor) -> Tensor:
        return super()._normalize(x) * 0.999


@dataclass(frozen=True)
class _RollsWholeVectors(GSBC):
    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        return x.roll(shifts, -1)


@dataclass(frozen=True)
class _ClaimsTooLittle(GSBC):
    @property
    def laws(self) -> Laws:  # type: ignore[override]
        return replace(super().laws, commutative=False)


@dataclass(frozen=True)
class _ClaimsTooLargeCrosstalk(GSBC):
    @property
    def laws(self) -> Laws:  # type: ignore[override]
        return replace(super().laws, crosstalk_mean=1.2 / self.block_length)


@dataclass(frozen=True)
class _OneVector(GSBC):
    def _random(self, batch, generator, form, dtype):  # type: ignore[no-untyped-def]
        return super()._random(batch, torch.Generator().manual_seed(0), form, dtype)


@pytest.mark.parametrize(
    "cls, law",
    [
        (_BindsLikeUnbind, "commutative"),
        (_BindsLikeUnbind, "associative"),
        (_BindsLikeUnbind, "bind_all"),
        (_UnbindsByTooMuch, "unbinding"),
        (_UnbindsByTooMuch, "inverse"),
        (_ForgetsAnEntry, "normalize"),
        (_RollsWholeVectors, "permute"),
        (_ClaimsTooLittle, "commutative"),
        (_ClaimsTooLargeCrosstalk, "crosstalk"),
        (_OneVector, "random"),
    ],
)
def test_the_suite_finds_what_is_broken(cls: type[GSBC], law: str) -> None:
    with pytest.raises(LawError, match=f"law {law}"):
        check_law(cls(dim=64, blocks=4), law)


def test_what_an_algebra_lacks_is_refused_with_its_reason_and_skipped() -> None:
    @dataclass(frozen=True)
    class NoPower(GSBC):
        @property
        def laws(self) -> Laws:  # type: ignore[override]
            return replace(super().laws, lacks=(("power", "use bind_all"),))

        def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
            self._refuse("power")

    algebra = NoPower(dim=64, blocks=4)
    with pytest.raises(vsa.UnsupportedError, match=r"gsbc power: .*use bind_all"):
        algebra.power(algebra.identity(), 2)
    result = check_law(algebra, "power")
    assert (result.status, result.detail) == ("skipped", "no power: use bind_all")
