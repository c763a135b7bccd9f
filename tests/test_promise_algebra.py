"""The promise "one file per algebra": algebras that only this test knows run with everything, or are refused in words.

Each is written as somebody else would write it: one class that derives from ``vsa.Algebra`` and declares what holds.
"""

from __future__ import annotations

import ast
import json
import math
from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import factorizers
import vsa
from factorizers import capacity
from vsa import Embedding, Form, Laws

FLOATS = (torch.float32, torch.float64)
ITERATING = {"budget": 300, "restart": 30}


@dataclass(frozen=True)
class Hadamard(vsa.Algebra):
    """Real entries near +mu and -mu, bound by their products and unbound by exact division: no adjoint of binding."""

    dim: int = 1024
    mu: float = 1.0
    name: ClassVar[str] = "hadamard"

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (Form("dense", self.dim, FLOATS),)

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1 / self.dim, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        lacks = ("power", "permute", "quantize", "soft quantize", "binding_matrix", "flatten")
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=False,
            exact_keys="random",
            unbinding_similarity=1.0,
            crosstalk_mean=0.0,
            crosstalk_std=self.dim**-0.5,
            permutation_distributes=True,
            permutation_order=1,
            lacks=tuple((operation, "not written") for operation in lacks),
        )

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        sign = 2.0 * torch.randint(2, (*batch, self.dim), generator=generator) - 1
        noise = torch.randn(sign.shape, generator=generator, dtype=torch.float64) / math.sqrt(self.dim)
        return self._normalize(self.mu * sign + noise).to(dtype)

    def _identity(self, form: Form, dtype: torch.dtype, device: Any) -> Tensor:
        return torch.ones(self.dim, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x / y

    def _inverse(self, x: Tensor) -> Tensor:
        return 1 / x

    def _negative(self, x: Tensor) -> Tensor:
        return -x

    def _normalize(self, x: Tensor) -> Tensor:
        return x / x.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-30)

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return x

    def _unembed(self, e: Tensor) -> Tensor:
        return e

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return (x.square().mean(-1) - 1).abs() <= tolerance


@dataclass(frozen=True)
class Gaussian(Hadamard):
    """Real entries without a mode, unbound by the adjoint: approximate. It declares how its products spread."""

    mu: float = 0.0
    name: ClassVar[str] = "gaussian"

    @cached_property
    def laws(self) -> Laws:
        return replace(
            super().laws,
            exact_keys="none",
            unbinding_cosine=3**-0.5,
            adjoint=True,
            sign_pairs=True,
            products="flattened",
            lacks=tuple(pair for pair in super().laws.lacks if pair[0] != "flatten"),
        )

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _inverse(self, x: Tensor) -> Tensor:
        return x

    def _flatten(self, x: Tensor) -> Tensor:
        return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


@dataclass(frozen=True)
class Halfway(Gaussian):
    """Similarity from 0 to 1, one half for unrelated vectors: an embedding with an offset."""

    name: ClassVar[str] = "halfway"

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=0.5 / self.dim, offset=0.5)

    @cached_property
    def laws(self) -> Laws:
        laws = super().laws
        return replace(
            laws,
            crosstalk_mean=0.5,
            crosstalk_std=0.5 * self.dim**-0.5,
            sign_pairs=False,
            lacks=(*laws.lacks, ("negative", "no similarity is negative")),
        )


@dataclass(frozen=True)
class Unscaled(Gaussian):
    """A sum cannot be brought back to where vectors live."""

    name: ClassVar[str] = "unscaled"

    @cached_property
    def laws(self) -> Laws:
        return replace(super().laws, lacks=(*super().laws.lacks, ("normalize", "not written")))

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        x = torch.randn((*batch, self.dim), generator=generator, dtype=torch.float64)
        return (x / x.square().mean(-1, keepdim=True).sqrt()).to(dtype)

    def _normalize(self, x: Tensor) -> Tensor:
        self._refuse("normalize")


@dataclass(frozen=True)
class Spins(Hadamard):
    """Signs in floats, stored as such: MAP's laws in another class."""

    name: ClassVar[str] = "spins"

    @cached_property
    def laws(self) -> Laws:
        return replace(
            super().laws,
            self_inverse=True,
            adjoint=True,
            signs=True,
            sign_pairs=True,
            products="normal",
        )

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        return (2 * torch.randint(2, (*batch, self.dim), generator=generator) - 1).to(dtype)

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def _inverse(self, x: Tensor) -> Tensor:
        return x.clone()


@dataclass(frozen=True)
class Parity(Spins):
    """Bits as int8 zeros and ones, which are neither signs nor positions; their bundle is a vote without a tie."""

    name: ClassVar[str] = "parity"

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (Form("bits", self.dim, (torch.int8,)),)

    @cached_property
    def laws(self) -> Laws:
        return replace(super().laws, exact_keys="all", linear=False)

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        return torch.randint(2, (*batch, self.dim), generator=generator, dtype=torch.int8)

    def _identity(self, form: Form, dtype: torch.dtype, device: Any) -> Tensor:
        return torch.zeros(self.dim, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x ^ y

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x ^ y

    def _inverse(self, x: Tensor) -> Tensor:
        return x.clone()

    def _negative(self, x: Tensor) -> Tensor:
        return 1 - x

    def _normalize(self, x: Tensor) -> Tensor:
        return x.clone()

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        signs = 1.0 - 2.0 * vectors
        return self._unembed((signs if weights is None else signs * weights.unsqueeze(-1)).sum(-2))

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return 1 - 2 * x.to(dtype or torch.get_default_dtype())

    def _unembed(self, e: Tensor) -> Tensor:
        return (e < 0).to(torch.int8)

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return ((x == 0) | (x == 1)).all(-1)


@dataclass(frozen=True)
class Clock(vsa.Algebra):
    """Modular composite representation: integers modulo r that add when bound, compared as hands of a clock."""

    dim: int = 1024
    hours: int = 8
    name: ClassVar[str] = "clock"

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        return (Form("steps", self.dim, (torch.int64,)),)

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=2 * self.dim, scale=1 / self.dim, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        lacks = ("negative", "permute", "soft quantize", "binding_matrix", "power")
        return Laws(
            commutative=True,
            associative=True,
            distributive=True,
            self_inverse=False,
            exact_keys="all",
            unbinding_similarity=1.0,
            crosstalk_mean=0.0,
            crosstalk_std=(0.5 / self.dim) ** 0.5,
            linear=False,
            permutation_distributes=True,
            permutation_order=1,
            adjoint=True,
            products="normal",
            lacks=tuple((operation, "not written") for operation in lacks),
        )

    @property
    def relaxed(self) -> vsa.Algebra:
        return vsa.get("fhrr", dim=self.dim)

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        return torch.randint(self.hours, (*batch, self.dim), generator=generator)

    def _identity(self, form: Form, dtype: torch.dtype, device: Any) -> Tensor:
        return torch.zeros(self.dim, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return (x + y) % self.hours

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y) % self.hours

    def _inverse(self, x: Tensor) -> Tensor:
        return -x % self.hours

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        hands = self._embed(vectors)
        return self._unembed((hands if weights is None else hands * weights.unsqueeze(-1).to(hands)).sum(-2))

    def _normalize(self, x: Tensor) -> Tensor:
        return x % self.hours

    def _quantize(self, x: Tensor) -> Tensor:
        return x % self.hours

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        angle = x.to(dtype or torch.get_default_dtype()) * (2 * math.pi / self.hours)
        return torch.cat((angle.cos(), angle.sin()), -1)

    def _unembed(self, e: Tensor) -> Tensor:
        angle = torch.atan2(e[..., self.dim :], e[..., : self.dim])
        return (angle * (self.hours / (2 * math.pi))).round().to(torch.int64) % self.hours

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return ((x >= 0) & (x < self.hours)).all(-1)


@dataclass(frozen=True)
class Wheels(Clock):
    """Blocks of one-hot positions whose bundle is a vote, with no algebra that would keep sums."""

    dim: int = 1024
    wheels: int = 16
    name: ClassVar[str] = "wheels"

    @property
    def block_length(self) -> int:
        return self.dim // self.wheels

    @property
    def forms(self) -> tuple[Form, ...]:  # type: ignore[override]
        return (Form("steps", self.wheels, (torch.int64,)),)

    @property
    def embedding(self) -> Embedding:
        return Embedding(width=self.dim, scale=1 / self.wheels, offset=0.0)

    @cached_property
    def laws(self) -> Laws:
        chance = 1 / self.block_length
        std = (chance * (1 - chance) / self.wheels) ** 0.5
        return replace(super().laws, crosstalk_mean=chance, crosstalk_std=std, products="unknown")

    @property
    def relaxed(self) -> vsa.Algebra:
        return self

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        return torch.randint(self.block_length, (*batch, self.wheels), generator=generator)

    def _identity(self, form: Form, dtype: torch.dtype, device: Any) -> Tensor:
        return torch.zeros(self.wheels, dtype=dtype, device=device)

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return (x + y) % self.block_length

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y) % self.block_length

    def _inverse(self, x: Tensor) -> Tensor:
        return -x % self.block_length

    def _normalize(self, x: Tensor) -> Tensor:
        return x % self.block_length

    def _quantize(self, x: Tensor) -> Tensor:
        return x % self.block_length

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        """Of equal votes the smallest position wins, whoever voted first."""
        votes = self._embed(vectors) if weights is None else self._embed(vectors) * weights.unsqueeze(-1).float()
        return self._unembed(votes.sum(-2))

    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        hot = torch.nn.functional.one_hot(x % self.block_length, self.block_length)
        return hot.to(dtype or torch.get_default_dtype()).flatten(-2)

    def _unembed(self, e: Tensor) -> Tensor:
        return e.unflatten(-1, (self.wheels, -1)).argmax(-1)

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        return ((x >= 0) & (x < self.block_length)).all(-1)


@dataclass(frozen=True)
class Turned(Spins):
    """Signs whose second argument is turned before it is multiplied: binding has an order, and brackets."""

    name: ClassVar[str] = "turned"

    @cached_property
    def laws(self) -> Laws:
        return replace(
            super().laws,
            commutative=False,
            associative=False,
            self_inverse=True,
            signs=False,
            sign_pairs=True,
            adjoint=False,
            products="unknown",
            lacks=(*super().laws.lacks, ("inverse", "not written")),
        )

    def _bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y.roll(1, -1)

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y.roll(1, -1)

    def _inverse(self, x: Tensor) -> Tensor:
        self._refuse("inverse")


REAL = {"resonator", "in_memory", "exhaustive"}
TAKEN: dict[type[vsa.Algebra], set[str]] = {
    Hadamard: {"exhaustive"},
    Gaussian: REAL,
    Halfway: REAL,
    Unscaled: {"exhaustive"},
    Spins: {*REAL, "asymmetric", "join"},  # not group_search: it stores floats
    Parity: {*REAL, "asymmetric", "group_search", "join"},
    Clock: REAL,
    Wheels: {"block_code", "exhaustive", "join"},
    Turned: set(),
}
DUMMIES = tuple(TAKEN)


def heir(parent: type[vsa.Algebra]) -> type[vsa.Algebra]:
    """An algebra of ours under another name."""
    return make_dataclass(
        f"Heir{parent.__name__}", [], bases=(parent,), namespace={"name": f"heir_{parent.name}"}, frozen=True
    )


OURS = {name: vsa.ALGEBRAS.get(name) for name in vsa.ALGEBRAS.names()}
HEIRS = tuple(heir(cls) for cls in OURS.values())


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered for the time of a test."""
    vsa.ALGEBRAS.names()  # ours are found first
    monkeypatch.setattr(vsa.ALGEBRAS, "_entries", dict(vsa.ALGEBRAS._entries))
    for cls in (*DUMMIES, *HEIRS):
        vsa.ALGEBRAS.register(cls.name)(cls)


def of(cls: type[vsa.Algebra], dim: int = 1024) -> vsa.Algebra:
    return vsa.get(cls.name, dim=dim)


def make(method: str, books: Any) -> factorizers.Factorizer:
    options = {key: value for key, value in ITERATING.items() if key in {f.name for f in fields(classes[method])}}
    return factorizers.get(method, books, **options)


classes = {name: factorizers.FACTORIZERS.get(name) for name in factorizers.FACTORIZERS.names()}


@pytest.mark.parametrize("cls", DUMMIES)
def test_laws(cls: type[vsa.Algebra]) -> None:
    results = vsa.check_algebra(of(cls, 128))
    held = {result.law for result in results if result.status == "held"}
    assert held >= {"random", "identity", "commutative", "unbinding", "embedding", "similarity", "bundle", "crosstalk"}


@pytest.mark.parametrize("cls", DUMMIES)
def test_codebooks_on_both_backends(cls: type[vsa.Algebra]) -> None:
    algebra = of(cls, 256)
    for backend in (vsa.backends.get("digital"), vsa.backends.get("crossbar", device="ideal")):
        results = vsa.check_backend(backend, algebra, tolerance=1e-5)
        assert {result.status for result in results} <= {"held", "skipped"}
    vsa.check_backend(vsa.backends.get("crossbar", device="pcm"), algebra, tolerance=None)
    book = vsa.Codebook.random(algebra, ["a", "b", "c", "d"], seed=0)
    product = algebra.bind(book["b"], algebra.random(generator=torch.Generator().manual_seed(1)))
    assert book.cleanup(algebra.bundle(torch.stack((book["c"], product, product, book["c"], book["c"])))).labels == "c"


@pytest.mark.parametrize("method", classes)
@pytest.mark.parametrize("cls", DUMMIES)
def test_every_factorizer_is_right_or_refuses(cls: type[vsa.Algebra], method: str) -> None:
    algebra = of(cls)
    books = [vsa.Codebook.random(algebra, 12, seed=seed) for seed in range(3)]
    if method not in TAKEN[cls]:
        sentence = r"which does not declare |received float atoms, or a backend with noise"
        with pytest.raises(vsa.UnsupportedError, match=sentence):
            make(method, books)
        return
    results = factorizers.check_factorizer(lambda books: make(method, list(books)), algebra)
    assert {result.status for result in results} <= {"held", "skipped"}
    factorizer = make(method, books)
    indices = torch.randint(12, (100, 3), generator=torch.Generator().manual_seed(2))
    answer = factorizer(factorizer.problem.product(indices))
    right = (answer.indices == indices).all(-1)
    assert int(right.sum()) >= 98
    assert bool((right | ~answer.valid).all()), "a wrong answer was certified"


@pytest.mark.parametrize("cls", [cls for cls in DUMMIES if TAKEN[cls]])
def test_every_factorizer_on_arrays(cls: type[vsa.Algebra]) -> None:
    algebra = of(cls, 512)
    for device in ("ideal", "pcm"):
        books = [
            vsa.Codebook.random(algebra, 6, seed=seed, backend=vsa.backends.get("crossbar", device=device))
            for seed in range(3)
        ]
        for method in sorted(TAKEN[cls]):
            if method == "group_search" or not algebra.laws.adjoint:  # these read no array, and say so
                with pytest.raises(vsa.UnsupportedError, match="exact backend"):
                    make(method, books)
                continue
            factorizer = make(method, books)
            indices = torch.randint(6, (20, 3), generator=torch.Generator().manual_seed(2))
            assert torch.equal(factorizer(factorizer.problem.product(indices)).indices, indices), (device, method)


@pytest.mark.parametrize("cls", [cls for cls in DUMMIES if TAKEN[cls]])
def test_damage_and_superposition_go_by_declarations(cls: type[vsa.Algebra]) -> None:
    algebra, draw = of(cls), torch.Generator().manual_seed(3)
    books = [vsa.Codebook.random(algebra, 6, seed=seed) for seed in range(3)]
    fits = {"flips": algebra.laws.signs, "blocks": algebra.block_length is not None, "gaussian": algebra.laws.linear}
    for kind, possible in fits.items():
        if possible:
            hurt = factorizers.damage.damage(kind, algebra, books[0].atoms, 0.1, draw)
            assert (hurt.dtype, hurt.shape) == (books[0].atoms.dtype, books[0].atoms.shape)
            assert not torch.equal(hurt, books[0].atoms)
            assert torch.equal(books[0].cleanup(hurt).indices, torch.arange(6))
        else:
            with pytest.raises(vsa.UnsupportedError, match=r"laws.signs|laws.linear|block_length"):
                factorizers.damage.damage(kind, algebra, books[0].atoms, 0.1, draw)
    factorizer = make("exhaustive", books)
    products = factorizer.problem.product(torch.tensor([[0, 1, 2], [3, 4, 5]]))
    if algebra.laws.linear:
        answer = factorizers.explain_away(factorizer, algebra.bundle(products), 2)
        assert sorted(answer.indices.tolist()) == [[0, 1, 2], [3, 4, 5]]
    else:
        hint = "use fhrr" if cls is Clock else "expected sums of products$"
        with pytest.raises(vsa.UnsupportedError, match=f"whose bundle is a vote.*{hint}"):
            factorizers.explain_away(factorizer, algebra.bundle(products), 2)


@pytest.mark.parametrize("method", classes)
@pytest.mark.parametrize("cls", HEIRS)
def test_a_name_changes_no_answer(cls: type[vsa.Algebra], method: str) -> None:
    answers = []
    for algebra in (vsa.get(cls.name, dim=512), vsa.get(cls.name.removeprefix("heir_"), dim=512)):
        books = [vsa.Codebook.random(algebra, 9, seed=seed) for seed in range(3)]
        assert (method in factorizers.takers(algebra)) == classes[method].takes(algebra)
        if not classes[method].takes(algebra):
            with pytest.raises(vsa.UnsupportedError, match="does not declare"):
                make(method, books)
            return
        factorizer = make(method, books)
        indices = torch.randint(9, (20, 3), generator=torch.Generator().manual_seed(2))
        answers.append(factorizer(factorizer.problem.product(indices)))
    for field in fields(answers[0]):
        mine, ours = (getattr(answer, field.name) for answer in answers)
        assert torch.equal(mine, ours) if isinstance(mine, Tensor) else mine == ours


def test_a_refusal_names_the_property_and_what_works() -> None:
    for cls, method, words in (
        (
            Hadamard,
            "resonator",
            "hadamard, which does not declare laws.adjoint; expected unbinding as the adjoint of "
            "binding; use exhaustive",
        ),
        (
            Wheels,
            "in_memory",
            "wheels, which does not declare laws.signs, or laws.linear with normalize, itself or in "
            "its relaxed algebra; expected room for a sum of atoms, which estimates are; use block_code or exhaustive",
        ),
        (Clock, "join", "clock, which does not declare laws.signs or block_length"),
        (Turned, "exhaustive", "factorizer: received codebooks of turned, which does not declare laws.commutative"),
    ):
        with pytest.raises(vsa.UnsupportedError) as caught:
            make(method, [vsa.Codebook.random(of(cls), 3, seed=0)])
        assert words in str(caught.value)


@dataclass(frozen=True)
class RealSigns(OURS["map"]):  # type: ignore[name-defined, misc]
    """Real entries that inherit the claims of signs: the trial that was accepted once, and wrong."""

    name: ClassVar[str] = "real_signs"
    compact_dtype: ClassVar[None] = None

    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor:
        return self._normalize(torch.randn(*batch, self.dim, generator=generator)).to(dtype)


@dataclass(frozen=True)
class Divides(OURS["map_real"]):  # type: ignore[name-defined, misc]
    """The exact inverse of the Hadamard product under the claim of an adjoint."""

    name: ClassVar[str] = "divides"

    def _unbind(self, x: Tensor, y: Tensor) -> Tensor:
        return x / y


@pytest.mark.parametrize("method", classes)
@pytest.mark.parametrize(("cls", "law"), [(RealSigns, "signs"), (Divides, "adjoint")])
def test_a_claim_is_not_taken_on_trust(cls: type[vsa.Algebra], law: str, method: str) -> None:
    algebra = cls(dim=1024)
    assert factorizers.takers(algebra) == ()
    with pytest.raises(vsa.UnsupportedError, match=f"codebooks of {cls.name}, which claims and breaks the law {law}: "):
        make(method, [vsa.Codebook.random(algebra, 3, seed=seed, dtype=torch.float32) for seed in range(2)])


def test_chance_that_is_not_declared_certifies_equal_products_only() -> None:
    books = [vsa.Codebook.random(of(Hadamard), 12, seed=seed) for seed in range(3)]
    factorizer = make("exhaustive", books)
    product = factorizer.problem.product(torch.tensor([[3, 4, 5]]))
    noisy = product + 0.5 * torch.randn(product.shape, generator=torch.Generator().manual_seed(0))
    exact, near = factorizer(product), factorizer(noisy)
    assert exact.labels == near.labels == [(3, 4, 5)]
    assert (bool(exact.valid), bool(near.valid)) == (True, False)
    assert "how many wrong combinations pass by chance is not known" in str(exact)
    with pytest.raises(vsa.UnsupportedError, match="hadamard on a backend that is not exact; expected"):
        make("exhaustive", [book.on(vsa.backends.get("crossbar", device="pcm")) for book in books])


@pytest.mark.parametrize("cls", [cls for cls in DUMMIES if TAKEN[cls]])
def test_capacity_reaches_every_algebra_with_its_own_options(cls: type[vsa.Algebra], tmp_path: Path) -> None:
    own = [f for f in fields(cls) if f.name != "dim"]
    method = sorted(TAKEN[cls])[0]
    options = [f"algebra.{f.name}={f.default}" for f in own]
    out = tmp_path / "cells.json"
    command = [f"+factorizer={method}", f"algebra={cls.name}", *options, "dim=512", "size=6", "queries=10", "draws=2"]
    assert capacity.main([*command, f"out={out}"]) == 0
    (cell,) = json.loads(out.read_text(encoding="utf-8"))
    assert (cell["algebra"], cell["right"]) == (cls.name, 10)
    assert cell.get("algebra_options", {}) == {f.name: f.default for f in own}


def test_capacity_says_what_an_algebra_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (
            ["algebra=clock", "algebra.minutes=3"],
            "algebra.minutes: received an unknown key; expected one of dim, hours",
        ),
        (["algebra=clock", "algebra.dim=3"], "setting algebra.dim: received 3; expected dim=3, a setting of its own"),
        (["algebra=clocks"], "did you mean 'clock'?"),
        (["algebra=turned"], "which does not declare laws.commutative"),
    ):
        assert capacity.main(["+factorizer=exhaustive", *arguments]) == 2
        assert words in capsys.readouterr().err


def test_training_takes_blocks_under_another_name() -> None:
    import datasets
    from reasoning.setup import commands, training_settings
    from reasoning.training import run as training

    layout = datasets.Layout("iraven", ("center_single",))
    settings = training_settings.parse(commands.compose_settings("train", ["+model=arlc", "algebra.name=heir_gsbc"]))
    assert training.recipe_of(settings, layout).solver(training=True).learner.learns
    settings = training_settings.parse(
        commands.compose_settings("train", ["+model=arlc", "algebra.name=hadamard", "~algebra.blocks"])
    )
    with pytest.raises(vsa.VSAError, match="use algebra=gsbc"):
        training.recipe_of(settings, layout).solver(training=True)


def test_no_file_compares_with_an_algebra_name() -> None:
    """Declared properties decide; a name in a comparison would be a branch that no other algebra can take."""
    root, found = Path(__file__).resolve().parents[1], []
    for path in sorted((*root.glob("factorizers/*.py"), *root.glob("vsa/*.py"), *root.glob("vsa/backends/**/*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare | ast.MatchValue):
                words = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                found += [f"{path.name}:{node.lineno} {word}" for word in words & set(OURS)]
            if isinstance(node, ast.ImportFrom) and path.parent.name == "factorizers":
                found += [f"{path.name}:{node.lineno}"] if "models" in (node.module or "") else []
    assert not found
