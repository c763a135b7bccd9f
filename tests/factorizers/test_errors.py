"""Wrong uses of factorizers, each with the sentence that it gets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch

import factorizers
import vsa
from factorizers import Asymmetric, InMemory, Resonator
from vsa import Codebook, DtypeError, ShapeError, UnknownNameError, UnsupportedError, VSAError

A = vsa.get("map", dim=64)
BOOKS = [Codebook.random(A, 5, seed=seed) for seed in range(2)]
BLOCKS = Codebook.random(vsa.get("gsbc", dim=64, blocks=4), 5, seed=0)
FLOATS = Codebook.random(A, 5, seed=3, dtype=torch.float32)
TWINS = Codebook(A, BOOKS[0].atoms[[0, 1, 2, 1]])
STACK = Codebook(A, BOOKS[0].atoms.expand(2, 5, 64))
QUERY = BOOKS[0].atoms[0]
NAN = torch.full((64,), float("nan"))

WRONG: list[tuple[Callable[[], Any], type[VSAError], str]] = [
    (
        lambda: factorizers.get("resonate", BOOKS),
        UnknownNameError,
        "get factorizer: received factorizer 'resonate'; expected one of ",
    ),
    (
        lambda: factorizers.get("resonator", BOOKS, budgets=3),
        UnknownNameError,
        "get resonator: received option 'budgets'; expected one of optional, seed, budget, restart, slots, "
        "stop, readout, "
        "update, converge; did you mean 'budget'?",
    ),
    (lambda: Resonator([]), VSAError, "factorizer: received no codebooks; expected one codebook for each factor"),
    (
        lambda: Resonator(BOOKS[0]),
        DtypeError,
        "resonator: received one codebook; expected a list with one codebook for each factor",
    ),
    (
        lambda: Resonator([BOOKS[0], QUERY]),
        DtypeError,
        "factorizer, codebook 1: received (64,) of int8; expected a vsa.Codebook",
    ),
    (
        lambda: Resonator([BOOKS[0], BLOCKS]),
        VSAError,
        "factorizer, codebook 1: received GSBC(dim=64, blocks=4); expected MAP(dim=64), as codebook 0",
    ),
    (
        lambda: Resonator([BOOKS[0], FLOATS]),
        DtypeError,
        "factorizer, codebook 1: received atoms of torch.float32; expected torch.int8, as codebook 0; "
        "make all codebooks in one form",
    ),
    (
        lambda: Resonator([BOOKS[0], TWINS]),
        VSAError,
        "factorizer, codebook 1: received 1 atoms twice: rows 1 and 3 are the same vector; expected distinct "
        "atoms, else no "
        "query tells them apart; a fractional-power codebook repeats after power_period; use more positions",
    ),
    (
        lambda: Resonator([BOOKS[0], STACK]),
        ShapeError,
        "factorizer, codebook 1: received a stack of codebooks (2, 5, 64); expected atoms (N, D); "
        "give one codebook for each factor",
    ),
    (
        lambda: Resonator(BOOKS, optional=(2,)),
        VSAError,
        "factorizer optional: received 2; expected factors from 0 to 1",
    ),
    (lambda: Resonator(BOOKS, budget=0), VSAError, "resonator budget: received 0; expected at least 1"),
    (lambda: Resonator(BOOKS, slots=0), VSAError, "resonator slots: received 0; expected at least 1"),
    (
        lambda: Resonator(BOOKS, budget=1.5),
        DtypeError,
        "resonator budget: received 1.5 of type float; expected an int",
    ),
    (
        lambda: Resonator(BOOKS, stop="never"),
        VSAError,
        "resonator stop: received 'never'; expected 'certified' or 'converged'",
    ),
    (lambda: Resonator(BOOKS, seed="a"), DtypeError, "resonator seed: received 'a'; expected an integer"),
    (
        lambda: Resonator(BOOKS, update="random"),
        VSAError,
        "resonator update: received 'random'; expected 'sequential' or 'parallel'",
    ),
    (
        lambda: Resonator(BOOKS, readout="ols"),
        VSAError,
        "resonator readout: received 'ols'; expected outer_product, least_squares",
    ),
    (
        lambda: Resonator(BOOKS, converge=2.0),
        VSAError,
        "resonator converge: received 2.0; expected a similarity in (0, 1]",
    ),
    (
        lambda: InMemory(BOOKS, noise=-1.0),
        VSAError,
        "in_memory noise: received -1.0; expected a number, not negative",
    ),
    (
        lambda: InMemory(BOOKS, noise=float("nan")),
        VSAError,
        "in_memory noise: received nan; expected a number, not negative",
    ),
    (
        lambda: InMemory(BOOKS, noise_from="thermal"),
        VSAError,
        "in_memory noise_from: received 'thermal'; expected activation, columns or reads",
    ),
    (
        lambda: InMemory(BOOKS, threshold=0.0),
        VSAError,
        "in_memory threshold: received 0.0; expected a similarity in (0, 1]",
    ),
    (
        lambda: Asymmetric(BOOKS, rate=0.7),
        VSAError,
        "asymmetric rate: received 0.7; expected a share from 0 to 0.5",
    ),
    (
        lambda: Asymmetric(BOOKS, flips="both"),
        VSAError,
        "asymmetric flips: received 'both'; expected 'sign' or 'zero_two'",
    ),
    (
        lambda: Asymmetric([BLOCKS]),
        UnsupportedError,
        "asymmetric: received codebooks of gsbc, which does not declare laws.signs; expected entries of +1 and -1 that "
        "multiply when bound; use resonator or in_memory or block_code or exhaustive or join",
    ),
    # queries
    (
        lambda: Resonator(BOOKS)(QUERY[:60]),
        ShapeError,
        "map factorize: received (60,) of int8; expected bipolar (..., 64) of int8; check that the vector "
        "was made by an "
        "algebra of the same dimension and blocks",
    ),
    (
        lambda: Resonator(BOOKS)(QUERY.long()),
        DtypeError,
        "map factorize: received (64,) of int64; expected dense (..., 64) of "
        "float32/float64/bfloat16/float16 or bipolar "
        "(..., 64) of int8",
    ),
    (
        lambda: Resonator(BOOKS)(NAN),
        VSAError,
        "map factorize: received 64 NaN or infinite of 64 entries; expected finite values; look for a "
        "division by zero or "
        "an overflow upstream",
    ),
    (
        lambda: Resonator(BOOKS)(torch.stack((torch.zeros(64), torch.ones(64)))),
        VSAError,
        "factorize: received 1 queries of zeros only; expected products, exact or noisy; a bundle that "
        "cancels out holds "
        "nothing to factorize",
    ),
    (
        lambda: InMemory(BOOKS)(QUERY * 2),
        VSAError,
        "map factorize: received int8 entries from -2 to 2; expected +1 and -1 only; keep sums in a float "
        "form, or take "
        "their sign with quantize",
    ),
]


@pytest.mark.parametrize("call,error,sentence", WRONG, ids=[sentence[:60] for _, _, sentence in WRONG])
def test_wrong_uses(call: Callable[[], Any], error: type[VSAError], sentence: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(sentence)}"):
        call()


def test_books_of_one_atom_are_fine() -> None:
    books = [Codebook.random(A, 1, seed=0), Codebook.random(A, 3, seed=1)]
    answer = InMemory(books)(A.bind(books[0].atoms[0], books[1].atoms[2]))
    assert answer.labels == (0, 2)
    assert bool(answer.valid)


@pytest.mark.parametrize("method", factorizers.FACTORIZERS.names())
def test_options_of_another_type_are_refused(method: str) -> None:
    """No option takes a mapping; each names itself in the sentence, and no comparison fails by itself."""
    books = [Codebook.random(BLOCKS.algebra, 5, seed=0)] * 2 if method == "block_code" else BOOKS
    cls = factorizers.FACTORIZERS.get(method)
    options = [f.name for f in fields(cls) if f.init and f.name not in ("books", "optional", "as_published")]
    assert "seed" in options
    for option in options:
        with pytest.raises(VSAError, match=f"{method} {option}"):
            cls(books, **{option: {"a": 1}})
