"""Wrong uses of each model, each with the sentence that it gets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import vsa
from vsa.errors import DtypeError, ShapeError, UnsupportedError, VSAError


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


MAP, REAL, HRR = vsa.get("map", dim=64), vsa.get("map_real", dim=64), vsa.get("hrr", dim=64)
FHRR, BSC, SBC = vsa.get("fhrr", dim=64), vsa.get("bsc", dim=70), vsa.get("sbc", dim=64, blocks=4)
X, Z = REAL.random(3, generator=generator()), FHRR.random(3, generator=generator())
BITS, WORDS = BSC.random(3, generator=generator()), BSC.random(3, generator=generator(), dtype=torch.int64)
PLACES = SBC.random(3, generator=generator())
DENSE = "dense (..., 64) of float32/float64/bfloat16/float16"
SIGNS = f"{DENSE} or bipolar (..., 64) of int8"
PHASORS = "complex (..., 64) of complex64/complex128"
SAME = "check that the vector was made by an algebra of the same dimension and blocks"
META = torch.device("meta")
BOOK = vsa.Codebook.random(HRR, 3, seed=0)

SENTENCES: list[tuple[Callable[[], object], type[VSAError], str]] = [
    # dimensions and block splits
    (lambda: vsa.get("map", dim=0), VSAError, "map dim: received 0; expected at least 1"),
    (lambda: vsa.get("hrr", dim=2.5), DtypeError, "hrr dim: received 2.5 of type float; expected an int"),
    (
        lambda: vsa.get("sbc", dim=63, blocks=4),
        VSAError,
        "sbc blocks: received dim 63 and blocks 4; expected blocks that divide dim, of length 2 or more; "
        "for this dim use 1 or 3 or 7 or 9",
    ),
    (lambda: HRR.bind(X, X[:, :60]), ShapeError, f"hrr bind: received (3, 60) of float32; expected {DENSE}; {SAME}"),
    (
        lambda: FHRR.bind(Z, Z[:, :9]),
        ShapeError,
        f"fhrr bind: received (3, 9) of complex64; expected {PHASORS}; {SAME}",
    ),
    (
        lambda: BSC.bind(WORDS, WORDS[:, :1]),
        ShapeError,
        f"bsc bind: received (3, 1) of int64; expected packed (..., 2) of int64; {SAME}",
    ),
    # complex where real is needed, and the other way round
    (lambda: MAP.bind(Z, Z), DtypeError, f"map bind: received (3, 64) of complex64; expected {SIGNS}"),
    (lambda: HRR.normalize(Z), DtypeError, f"hrr normalize: received (3, 64) of complex64; expected {DENSE}"),
    (lambda: FHRR.bind(X, X), DtypeError, f"fhrr bind: received (3, 64) of float32; expected {PHASORS}"),
    (
        lambda: FHRR.unembed(Z),
        DtypeError,
        "fhrr unembed: received (3, 64) of complex64; expected a float tensor (..., 128)",
    ),
    (
        lambda: HRR.bundle(X, torch.ones(3, dtype=torch.complex64)),
        DtypeError,
        "hrr bundle: received weights (3,) of complex64; expected a float tensor",
    ),
    (
        lambda: FHRR.bundle(Z, torch.ones(3, dtype=torch.float64)),
        DtypeError,
        "fhrr bundle: received weights (3,) of float64 and vectors (3, 64) of complex64; expected one dtype; "
        "convert one of them with .to(dtype)",
    ),
    (lambda: BOOK.similarity(Z), DtypeError, f"hrr similarity: received (3, 64) of complex64; expected {DENSE}"),
    # mixing algebras and codebooks
    (
        lambda: SBC.bind(PLACES, X),
        DtypeError,
        "sbc bind: received (3, 64) of float32; expected index (..., 4) of int64",
    ),
    (
        lambda: BSC.bind(BITS, PLACES),
        ShapeError,
        f"bsc bind: received (3, 4) of int64; expected packed (..., 2) of int64; {SAME}",
    ),
    (
        lambda: BOOK.superpose(torch.ones(4)),
        ShapeError,
        "Codebook.superpose: received (4,) of float32; expected (..., 3)",
    ),
    # integers that would overflow
    (
        lambda: vsa.Codebook(MAP, torch.full((2, 64), 100, dtype=torch.int8)),
        VSAError,
        "map Codebook: received int8 entries from 100 to 100; expected +1 and -1 only; "
        "keep sums in a float form, or take their sign with quantize",
    ),
    (
        lambda: MAP.bundle(torch.ones(3, 64, dtype=torch.int32)),
        DtypeError,
        f"map bundle: received (3, 64) of int32; expected {SIGNS}",
    ),
    (
        lambda: vsa.Codebook(BSC, torch.full((2, 2), -1)),
        VSAError,
        "bsc Codebook: received words with bits beyond 70; expected 0 there; make words with pack",
    ),
    (
        lambda: vsa.Codebook(SBC, PLACES + 16),
        VSAError,
        f"sbc Codebook: received positions from {int(PLACES.min()) + 16} to {int(PLACES.max()) + 16}; "
        "expected positions from 0 to 15; take them modulo the block length with normalize",
    ),
    # empty sets
    (
        lambda: BSC.bundle(BITS[:0]),
        ShapeError,
        "bsc bundle: received (0, 70) of bool, no vectors along axis -2; expected at least one",
    ),
    (
        lambda: SBC.bind_all(PLACES[:0]),
        ShapeError,
        "sbc bind_all: received (0, 4) of int64, no vectors along axis -2; expected at least one",
    ),
    (lambda: vsa.Codebook.random(FHRR, 0, seed=0), VSAError, "Codebook.random n: received 0; expected at least 1"),
    # devices, NaN
    (
        lambda: FHRR.bind(Z, Z.to(META)),
        DtypeError,
        "fhrr bind: received a meta tensor; expected a dense one, with its entries",
    ),
    (
        lambda: vsa.Codebook(FHRR, torch.full((1, 64), complex("nan"))),
        VSAError,
        "fhrr Codebook: received 64 NaN or infinite of 64 entries; expected finite values; "
        "look for a division by zero or an overflow upstream",
    ),
    # what a model does not have
    (
        lambda: MAP.power(X, 0.5),
        UnsupportedError,
        "map fractional power: received a call; expected an operation that this algebra has; "
        "a power of -1 between the integers is not real; use fhrr",
    ),
    (
        lambda: BSC.binding_matrix(BITS),
        UnsupportedError,
        "bsc binding_matrix: received a call; expected an operation that this algebra has; "
        "it is no linear map of bits; embed first, where binding is that of map",
    ),
    (
        lambda: SBC.negative(PLACES),
        UnsupportedError,
        "sbc negative: received a call; expected an operation that this algebra has; "
        "a position cannot be cancelled; use gsbc and a weight of -1",
    ),
    (
        lambda: HRR.quantize(X),
        UnsupportedError,
        "hrr quantize: received a call; expected an operation that this algebra has; "
        "every direction is an atom; use normalize, or unitary for exact unbinding",
    ),
    (
        lambda: REAL.cyclic_base(3, generator=generator()),
        UnsupportedError,
        "map_real cyclic_base: received a call; expected an operation that this algebra has; "
        "no power of a real vector is the identity; use permutations, or gsbc, hrr or fhrr",
    ),
    (
        lambda: SBC.cyclic_base(9, generator=generator()),
        VSAError,
        "sbc cyclic_base: received period 9 for blocks of length 16; expected a period that divides the block length; "
        "choose dim and blocks so that dim / blocks is a multiple of the period",
    ),
    (
        lambda: vsa.Codebook.random(BSC, 3, seed=0).block_similarity(BITS),
        UnsupportedError,
        "block_matvec: received a matrix stored without blocks; expected one whose rows consist of blocks; "
        "give block_length= to store",
    ),
]


@pytest.mark.parametrize("wrong, kind, sentence", SENTENCES, ids=[sentence[:60] for *_, sentence in SENTENCES])
def test_sentence(wrong: Callable[[], object], kind: type[VSAError], sentence: str) -> None:
    with pytest.raises(VSAError) as caught:
        wrong()
    assert str(caught.value) == sentence
    assert type(caught.value) is kind


def test_a_codebook_of_one_algebra_refuses_the_vectors_of_another(algebra_name: str) -> None:
    """Where the form differs it is refused; two real algebras of one width cannot be told apart."""
    book = vsa.Codebook.random(vsa.get(algebra_name, dim=96), 3, seed=0)
    for other in vsa.ALGEBRAS.names():
        foreign = vsa.get(other, dim=48)
        if {form.width for form in foreign.forms} & {form.width for form in book.algebra.forms}:
            continue
        with pytest.raises(VSAError):
            book.similarity(foreign.random(generator=generator()))
