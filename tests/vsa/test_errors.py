"""Wrong uses of the library, each with the sentence that it gets."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch

import vsa
from vsa.backends.digital import Digital
from vsa.errors import (
    CorruptFileError,
    DtypeError,
    SettingsError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
    VSAError,
    closest,
)
from vsa.models.gsbc import GSBC

A = GSBC(dim=64, blocks=4)
X = A.random(3, generator=torch.Generator().manual_seed(0))
I = A.to_index(X)  # noqa: E741
S = A.spectrum(X)
BOOK = vsa.Codebook.random(A, ["red", "green", "blue"], seed=0)
DENSE = "dense (..., 64) of float32/float64/bfloat16/float16"
FORMS = f"{DENSE} or index (..., 4) of int64"
SAME = "check that the vector was made by an algebra of the same dimension and blocks"
META = torch.device("meta")
KNOWN = ", ".join((*vsa.ALGEBRAS.names(), *sorted(vsa.ALGEBRAS.aliases())))
NAN = torch.full((1, 64), float("nan"))

SENTENCES: list[tuple[Callable[[], object], type[VSAError], str]] = [
    # making an algebra
    (
        lambda: vsa.get("gsbx"),
        UnknownNameError,
        f"get algebra: received algebra 'gsbx'; expected one of {KNOWN}; did you mean 'gsbc'?",
    ),
    (
        lambda: vsa.get("gsbc", block=4),
        UnknownNameError,
        "get gsbc: received option 'block'; expected one of dim, blocks; did you mean 'blocks'?",
    ),
    (
        lambda: vsa.backends.get("analogue"),
        UnknownNameError,
        "get backend: received backend 'analogue'; expected one of crossbar, crossbar_ideal, crossbar_gaussian, "
        "crossbar_pcm, crossbar_hermes, crossbar_reram, digital",
    ),
    (
        lambda: GSBC(dim=100, blocks=3),
        VSAError,
        "gsbc blocks: received dim 100 and blocks 3; expected blocks that divide dim, of length 2 or more; "
        "for this dim use 1 or 2 or 4 or 5",
    ),
    (
        lambda: GSBC(dim=4, blocks=4),
        VSAError,
        "gsbc blocks: received dim 4 and blocks 4; expected blocks that divide dim, of length 2 or more; "
        "for this dim use 1 or 2",
    ),
    (lambda: GSBC(dim=0), VSAError, "gsbc dim: received 0; expected at least 1"),
    (lambda: GSBC(dim=64.0), DtypeError, "gsbc dim: received 64.0 of type float; expected an int"),
    (lambda: GSBC(64, True), DtypeError, "gsbc blocks: received True of type bool; expected an int"),
    # randomness
    (
        lambda: A.random(2, generator=7),
        DtypeError,
        "gsbc random: received an object of type int; expected a torch.Generator; "
        "pass torch.Generator().manual_seed(seed), or seed=",
    ),
    (
        lambda: A.random(generator=torch.Generator(), dtype=torch.complex64),
        DtypeError,
        f"gsbc random: received dtype complex64; expected {FORMS}",
    ),
    (
        lambda: vsa.Codebook.random(A, 3, seed="0"),
        DtypeError,
        "Codebook.random: received seed '0'; expected an integer",
    ),
    # operations
    (
        lambda: A.bind(X, X[:, :60]),
        ShapeError,
        f"gsbc bind: received (3, 60) of float32; expected {DENSE}; {SAME}",
    ),
    (
        lambda: A.bind(I, torch.zeros(3, 5, dtype=torch.int64)),
        ShapeError,
        f"gsbc bind: received (3, 5) of int64; expected index (..., 4) of int64; {SAME}",
    ),
    (
        lambda: A.unbind(torch.tensor(1.0), X),
        ShapeError,
        f"gsbc unbind: received () of float32; expected {DENSE}; {SAME}",
    ),
    (
        lambda: A.bind(X, X.tolist()),
        DtypeError,
        "gsbc bind: received an object of type list; expected a tensor; use torch.as_tensor",
    ),
    (
        lambda: A.bind(X, X.to(torch.complex64)),
        DtypeError,
        f"gsbc bind: received (3, 64) of complex64; expected {FORMS}",
    ),
    (lambda: A.inverse(I.int()), DtypeError, f"gsbc inverse: received (3, 4) of int32; expected {FORMS}"),
    (
        lambda: A.bind(X, X.double()),
        DtypeError,
        "gsbc bind: received (3, 64) of float32 and (3, 64) of float64; expected one dtype; "
        "convert one of them with .to(dtype)",
    ),
    (
        lambda: A.bind(X, X.to(META)),
        DtypeError,
        "gsbc bind: received a meta tensor; expected a dense one, with its entries",
    ),
    (
        lambda: A.similarity(X, X[:2]),
        ShapeError,
        "gsbc similarity: received leading axes (3,) and (2,); expected leading axes that broadcast; "
        "insert axes of length 1 with unsqueeze",
    ),
    (
        lambda: A.bind_all(X[:0]),
        ShapeError,
        "gsbc bind_all: received (0, 64) of float32, no vectors along axis -2; expected at least one",
    ),
    (
        lambda: A.bundle(X[0]),
        ShapeError,
        "gsbc bundle: received dim -2 for (64,) of float32; expected at least two axes",
    ),
    (
        lambda: A.bundle(X, dim=-1),
        ShapeError,
        "gsbc bundle: received dim -1 for (3, 64) of float32; expected a leading axis, from -2 to -2",
    ),
    (
        lambda: A.bundle(X, torch.ones(2)),
        ShapeError,
        "gsbc bundle: received weights (2,) of float32 for 3 vectors; expected (..., 3)",
    ),
    (
        lambda: A.bundle(X, torch.ones(3, dtype=torch.int64)),
        DtypeError,
        "gsbc bundle: received weights (3,) of int64; expected a float tensor",
    ),
    (lambda: A.permute(X, 0.5), DtypeError, "gsbc permute: received shifts 0.5; expected an integer"),
    (
        lambda: A.power(X, torch.ones(2)),
        ShapeError,
        "gsbc power: received leading axes (3,) and (2,); expected leading axes that broadcast; "
        "insert axes of length 1 with unsqueeze",
    ),
    (
        lambda: A.power(X, 1j),
        DtypeError,
        "gsbc power exponents: received 1j of type complex; expected a number",
    ),
    (
        lambda: A.similarity_to_set(X, X[:0]),
        ShapeError,
        "gsbc similarity_to_set: received atoms of shape (0, 64); expected (N, D) with N at least 1",
    ),
    (
        lambda: A.from_index(X),
        DtypeError,
        "gsbc from_index: received (3, 64) of float32; expected index (..., 4) of int64",
    ),
    (
        lambda: A.from_spectrum(X),
        DtypeError,
        "gsbc from_spectrum: received (3, 64) of float32; expected complex (..., 4, 9); make it with spectrum",
    ),
    (
        lambda: A.spectral_similarity(S, S[..., :8]),
        ShapeError,
        "gsbc spectral_similarity: received (3, 4, 8) of complex64; expected (..., 4, 9)",
    ),
    (
        lambda: A.unembed(X[:, :5]),
        ShapeError,
        "gsbc unembed: received (3, 5) of float32; expected (..., 64)",
    ),
    # values
    (
        lambda: A.check_values("bind", NAN),
        VSAError,
        "gsbc bind: received 64 NaN or infinite of 64 entries; expected finite values; "
        "look for a division by zero or an overflow upstream",
    ),
    (
        lambda: A.check_values("bind", I + 16),
        VSAError,
        f"gsbc bind: received positions from {int(I.min()) + 16} to {int(I.max()) + 16}; "
        "expected positions from 0 to 15; take them modulo the block length with to_index",
    ),
    # codebooks
    (
        lambda: vsa.Codebook(A, NAN),
        VSAError,
        "gsbc Codebook: received 64 NaN or infinite of 64 entries; expected finite values; "
        "look for a division by zero or an overflow upstream",
    ),
    (
        lambda: vsa.Codebook("gsbc", X),
        DtypeError,
        "Codebook: received an object of type str; expected an algebra; see vsa.get",
    ),
    (
        lambda: vsa.Codebook(A, X, backend="digital"),
        DtypeError,
        "Codebook: received an object of type str; expected a backend; see vsa.backends.get",
    ),
    (
        lambda: vsa.Codebook(A, X[0]),
        ShapeError,
        "Codebook: received atoms (64,) of float32; expected (..., N, D), N at least 1",
    ),
    (
        lambda: vsa.Codebook(A, X, labels=["a", "b", "a"]),
        VSAError,
        "Codebook: received 3 labels, 2 distinct, for 3 atoms; expected 3 distinct labels",
    ),
    (lambda: vsa.Codebook.random(A, 0, seed=0), VSAError, "Codebook.random n: received 0; expected at least 1"),
    (
        lambda: BOOK["gren"],
        UnknownNameError,
        "Codebook: received label 'gren'; expected one of red, green, blue; did you mean 'green'?",
    ),
    (
        lambda: BOOK.similarity(torch.zeros(128)),
        ShapeError,
        f"gsbc similarity: received (128,) of float32; expected {DENSE}; {SAME}",
    ),
    (
        lambda: BOOK.superpose(torch.ones(4)),
        ShapeError,
        "Codebook.superpose: received (4,) of float32; expected (..., 3)",
    ),
    (
        lambda: BOOK.superpose(torch.ones(3, dtype=torch.int64)),
        DtypeError,
        "Codebook.superpose: received (3,) of int64; expected a float tensor (..., 3)",
    ),
    (
        lambda: BOOK.similarity(X.to(META)),
        DtypeError,
        "gsbc similarity: received a meta tensor; expected a dense one, with its entries",
    ),
    (lambda: BOOK.topk(X, 4), ShapeError, "topk: received k = 4 of 3 rows; expected k from 1 to 3"),
    (
        lambda: vsa.Codebook.fractional_power(A, 3, seed=0, base=I[0]),
        VSAError,
        "Codebook.fractional_power: received a base and a seed; expected one of them",
    ),
    (
        lambda: vsa.Codebook(A, X, labels=[1j, 2j, 3j]).fingerprint(),
        DtypeError,
        "save codebook: received label 1j; expected strings, numbers, None, or tuples of these",
    ),
    # backends
    (
        lambda: Digital().store(X, "sparse"),
        VSAError,
        "store: received kind 'sparse'; expected one of dense, bipolar, onehot_blocks",
    ),
    (
        lambda: Digital().store(X[0]),
        ShapeError,
        "store: received (64,) of float32; expected (..., N, E), nothing empty",
    ),
    (lambda: Digital().store(I), DtypeError, "store: received (3, 4) of int64 as dense; expected a float tensor"),
    (
        lambda: Digital().store(X, "bipolar"),
        VSAError,
        "store: received bipolar atoms with other entries; expected +1 and -1 only",
    ),
    (
        lambda: Digital().store(NAN),
        VSAError,
        "store: received atoms with NaN or infinite entries; expected finite atoms",
    ),
    (
        lambda: Digital().store(I, "onehot_blocks"),
        VSAError,
        "store: received onehot_blocks without block_length; expected block_length=L",
    ),
    (
        lambda: Digital().store(I + 16, "onehot_blocks", block_length=16),
        VSAError,
        f"store: received positions from {int(I.min()) + 16} to {int(I.max()) + 16}; "
        "expected positions in blocks of 16",
    ),
    (
        lambda: Digital().store(X, block_length=5),
        ShapeError,
        "store: received rows of 64 and block_length 5; expected a block length that divides the rows",
    ),
    (
        lambda: Digital().store(X).block_min(X),
        UnsupportedError,
        "block_min: received a matrix stored without blocks; expected one whose rows consist of blocks; "
        "give block_length= to store",
    ),
    (
        lambda: Digital().store(X).matvec(X[:, :9]),
        ShapeError,
        "matvec: received (3, 9) of float32; expected (..., 64)",
    ),
    (
        lambda: Digital().store(X).matvec(X.to(torch.int8)),
        DtypeError,
        "matvec: received (3, 64) of int8; expected a float tensor (..., 64)",
    ),
    (
        lambda: Digital().store(X).rmatvec(torch.ones(3, device=META)),
        DtypeError,
        "rmatvec: received a meta tensor; expected a dense one, with its entries",
    ),
    (lambda: Digital(0), VSAError, "digital topk_elements: received 0; expected at least 1"),
]


@pytest.mark.parametrize("wrong, kind, sentence", SENTENCES, ids=[sentence[:60] for *_, sentence in SENTENCES])
def test_sentence(wrong: Callable[[], object], kind: type[VSAError], sentence: str) -> None:
    with pytest.raises(VSAError) as caught:
        wrong()
    assert str(caught.value) == sentence
    assert type(caught.value) is kind


@pytest.mark.parametrize("cls", [VSAError, ShapeError, DtypeError, CorruptFileError, SettingsError, UnsupportedError])
def test_errors_survive_worker_processes(cls: type[VSAError]) -> None:
    error = cls("read", received=3, expected="4", hint="add one")
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(again) is cls
        assert str(again) == str(error) == "read: received 3; expected 4; add one"
        assert (again.operation, again.received, again.expected, again.hint) == ("read", "3", "4", "add one")


def test_unknown_names_survive_worker_processes() -> None:
    error = UnknownNameError("get", name="appel", known=["apple", "pear"], kind="fruit")
    again = pickle.loads(pickle.dumps(error))
    assert (again.name, again.known, again.kind, again.suggestions) == ("appel", ("apple", "pear"), "fruit", ("apple",))
    assert str(again) == str(error)


def test_kinds_of_error() -> None:
    assert issubclass(VSAError, ValueError)
    assert issubclass(DtypeError, TypeError)
    assert all(
        issubclass(cls, VSAError)
        for cls in (ShapeError, DtypeError, UnknownNameError, UnsupportedError, CorruptFileError, SettingsError)
    )


def test_parts_that_are_missing_are_left_out() -> None:
    assert str(VSAError("read")) == "read"
    assert str(VSAError("read", hint="try again")) == "read: try again"
    assert str(VSAError("read", received=0, expected="more")) == "read: received 0; expected more"


def test_closest_ignores_case_and_dashes() -> None:
    assert closest("Center-Single", ["center_single", "left_right"]) == ("center_single",)
    assert closest("zzz", ["center_single"]) == ()
