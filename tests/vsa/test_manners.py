"""What one expects of a codebook, of random vectors, and of arguments: plain manners, and a fuzzer that tries them."""

from __future__ import annotations

import logging
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vsa
from vsa import encoding

MAP = vsa.get("map", dim=512)


def book_of(labels: Any, seed: int = 0) -> vsa.Codebook:
    return vsa.Codebook.random(MAP, labels, seed=seed)


def test_a_codebook_is_asked_like_a_mapping() -> None:
    book = book_of(["red", "green", "blue"])
    assert "red" in book
    assert "pink" not in book
    assert ["red"] not in book
    assert list(book) == ["red", "green", "blue"]
    assert torch.equal(book[["blue", "red"]], book.atoms[[2, 0]])
    assert torch.equal(book[1:], book.atoms[1:])
    assert torch.equal(book[torch.tensor([2, 2])], book.atoms[[2, 2]])
    for wrong, words in (
        (torch.tensor([3]), "rows from 3 to 3"),
        (torch.tensor([0.5]), "expected integers"),
        ("r", "'r'"),
    ):
        with pytest.raises(vsa.VSAError, match=words):
            book[wrong]


LABELS: list[Any] = [("red", 1), ("red", 2), 0.5, np.int64(7), np.float32(1.5), "seven", None]


def test_labels_of_every_kind_are_kept(tmp_path: Path) -> None:
    book = book_of(LABELS)
    book.save(tmp_path / "book.safetensors")
    again = vsa.Codebook.load(tmp_path / "book.safetensors")
    for n, label in enumerate(LABELS):
        assert again.row(label) == n
        assert again.cleanup(book[label]).labels == label
    assert again.fingerprint() == book.fingerprint()
    assert torch.equal(book[7], book[np.int64(7)])


def test_none_of_them_is_an_answer() -> None:
    book, stranger = book_of(20), MAP.random(seed=99).float()
    found = book.cleanup(torch.stack((book[3].float(), stranger)), threshold=0.5)
    assert found.labels == [3, None]
    assert found.indices.tolist() == [3, -1]
    assert book.cleanup(stranger).labels in range(20)
    with pytest.raises(vsa.DtypeError, match="threshold"):
        book.cleanup(stranger, threshold="half")  # type: ignore[arg-type]


def test_books_of_sums_are_compared_by_cosine() -> None:
    """The longest sum wins every inner product; by cosine each finds itself."""
    x = MAP.random(30, seed=1).float()
    sums = torch.stack([x[: n + 1].sum(0) for n in (0, 3, 8)] + [x[10], 20 * x[:9].sum(0) + 30 * x[20]])
    book = vsa.Codebook(MAP, sums, unrelated=False)
    assert book.cleanup(sums, measure="cosine").labels == list(range(5))
    assert book.cleanup(sums[0]).labels != 0
    assert torch.allclose(book.cosine(sums[1]), torch.stack([MAP.cosine(sums[1], row) for row in sums]), atol=1e-5)
    with pytest.raises(vsa.UnknownNameError, match="did you mean 'cosine'"):
        book.cleanup(sums[0], measure="cosin")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", vsa.ALGEBRAS.names())
def test_atoms_that_are_alike_are_named(name: str, caplog: pytest.LogCaptureFixture) -> None:
    algebra = vsa.get(name, dim=1024)
    x = algebra.random(5, seed=0)
    with caplog.at_level(logging.WARNING):
        vsa.Codebook(algebra, x, labels=list("abcde"))
        encoding.level(algebra, 9, seed=0)
        vsa.Codebook.random(algebra, 5, seed=0)
        assert not caplog.records
        vsa.Codebook(algebra, torch.cat((x, x[2:3])), labels=list("abcdef"))
    assert "atoms 'c' and 'f' are alike (cosine 1.00)" in caplog.text
    caplog.clear()
    vsa.Codebook(algebra, torch.cat((x, x[2:3])), unrelated=False)
    assert not caplog.records


def test_a_wrong_label_in_a_large_book_gets_a_short_sentence() -> None:
    with pytest.raises(vsa.UnknownNameError) as caught:
        book_of([f"word{n}" for n in range(20_000)])["wrod7"]
    assert len(str(caught.value)) < 300
    assert "one of 20000 names: word0" in str(caught.value)


@pytest.mark.parametrize("name", vsa.ALGEBRAS.names())
def test_seeds_several_arguments_and_permutations(name: str) -> None:
    algebra = vsa.get(name, dim=512)
    x = algebra.random(4, seed=5)
    assert torch.equal(x, algebra.random(4, generator=torch.Generator().manual_seed(5)))
    product = algebra.bind(algebra.bind(x[0], x[1]), x[2])
    assert torch.equal(algebra.bind(x[0], x[1], x[2]), product)
    assert torch.equal(algebra.bundle(x[0], x[1]), algebra.bundle(x[:2]))
    assert torch.equal(algebra.bundle(x[0], x[1], x[2]), algebra.bundle(x[:3]))
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert torch.equal(algebra.bundle(x, weights), algebra.bundle(x, weights=weights))
    order = algebra.random_permutation(seed=3)
    moved = algebra.permute(x, order)
    assert torch.equal(algebra.permute(moved, order.argsort()), x)
    other = float(algebra.similarity(moved[0], algebra.permute(x[0])))
    assert abs(other - algebra.laws.crosstalk_mean) < 6 * algebra.laws.crosstalk_std
    if algebra.laws.permutation_distributes:
        assert torch.allclose(
            algebra.embed(algebra.permute(product, order)),
            algebra.embed(algebra.bind(moved[0], moved[1], moved[2])),
            atol=1e-5,
        )
    for wrong in (order[:-1], order.clone().fill_(0), order.double()):
        with pytest.raises(vsa.VSAError, match="order"):
            algebra.permute(x, wrong)


# -- the fuzzer ------------------------------------------------------------------------------------------------------


class WorkedError(Exception):
    """A strange argument that made sense."""


def until_it_works(call: Any) -> None:
    call()
    raise WorkedError


DRAWS = torch.Generator().manual_seed(0)


def strange(generator: random.Random) -> Any:
    """An argument that somebody might pass by mistake."""
    x = torch.randn(3, 64, generator=DRAWS)
    return generator.choice(
        [
            None, True, 0, -1, 1.5, math.nan, math.inf, 2**64, -(2**70), "x", "", b"x", [], (), {}, [1, 2], (3,),
            object, x, x[0], x[:, :5], x.half(), x.double(), x.int(), x.bool(), x.to(torch.complex64), x.to_sparse(),
            x.to("meta"), x.to(torch.float8_e4m3fn), x[:0], x.fill_(math.nan).clone(), torch.tensor(1), torch.zeros(0),
            x.mul(9).long(), x.expand(2, 3, 64), torch.Generator(), np.zeros(64), np.int64(3),
        ]
    )  # fmt: skip


def calls(algebra: vsa.Algebra, book: vsa.Codebook, g: random.Random) -> list[Any]:
    def s() -> Any:
        return strange(g)

    good = book.atoms[0]
    return [
        lambda: algebra.bind(s(), s()), lambda: algebra.bind(good, s()), lambda: algebra.unbind(good, s()),
        lambda: algebra.inverse(s()), lambda: algebra.bind_all(s()), lambda: algebra.bind_all(book.atoms, s()),
        lambda: algebra.bundle(s()), lambda: algebra.bundle(book.atoms, s()), lambda: algebra.bundle(good, s()),
        lambda: algebra.bundle(good, good, s()), lambda: algebra.negative(s()), lambda: algebra.permute(s()),
        lambda: algebra.permute(good, s()), lambda: algebra.power(s(), 2), lambda: algebra.power(good, s()),
        lambda: algebra.normalize(s()), lambda: algebra.quantize(s()), lambda: algebra.quantize(good, s()),
        lambda: algebra.similarity(good, s()), lambda: algebra.similarity_to_set(good, s()),
        lambda: algebra.cosine(s(), good), lambda: algebra.unembed(s()), lambda: algebra.random(2, seed=s()),
        lambda: algebra.random(s(), seed=1), lambda: algebra.random(2, generator=s()),
        lambda: algebra.random(seed=1, dtype=s()), lambda: algebra.random_permutation(seed=s()),
        lambda: vsa.Codebook(algebra, s()), lambda: vsa.Codebook(algebra, book.atoms, labels=s()),
        lambda: vsa.Codebook.random(algebra, s(), seed=0), lambda: vsa.Codebook.random(algebra, 3, seed=s()),
        lambda: book.cleanup(s()), lambda: book.cleanup(good, threshold=s()), lambda: book.cleanup(good, measure=s()),
        lambda: book.topk(good, s()), lambda: book.superpose(s()), lambda: book.cosine(s()), lambda: s() in book,
        lambda: book[s()], lambda: book.row(s()), lambda: encoding.sequence(algebra, s()),
        lambda: encoding.ngrams(algebra, book.atoms, s()), lambda: encoding.ngrams(algebra, s(), 2),
        lambda: encoding.level(algebra, s(), seed=0), lambda: encoding.circular(algebra, s(), seed=0),
        lambda: encoding.record(algebra, s(), s()), lambda: vsa.Accumulator(algebra).add(s()),
        lambda: vsa.Accumulator(algebra).add(good, s()), lambda: vsa.get(algebra.name, dim=s()),
        lambda: vsa.get(s()), lambda: algebra.flatten(s()), lambda: algebra.is_valid(s()),
    ]  # fmt: skip


@pytest.mark.parametrize("name", vsa.ALGEBRAS.names())
def test_mistakes_are_sentences(name: str) -> None:
    """Of 1,500 strange calls each works, or is refused by an error of ours."""
    algebra = vsa.get(name, dim=64)
    book = vsa.Codebook.random(algebra, 3, seed=0)
    g, wrong = random.Random(1), set()
    for _ in range(30):
        for number, call in enumerate(calls(algebra, book, g)):
            with pytest.raises(Exception) as caught:  # noqa: PT011  # in such a block annotations are not checked
                until_it_works(call)
            if not isinstance(caught.value, vsa.VSAError | WorkedError):
                wrong.add((number, caught.typename, str(caught.value)[:90]))
    assert not wrong, "\n".join(map(str, sorted(wrong)))
