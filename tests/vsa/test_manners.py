"""What one expects of a codebook, of random vectors, and of arguments: plain manners, and a fuzzer that tries them."""

from __future__ import annotations

import logging
import math
import random
import warnings
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


@pytest.mark.parametrize("name", ["bsc", "map", "sbc", "gsbc"])
@pytest.mark.parametrize("dim", [64, 1024, 10_000])
def test_no_two_equal_atoms_of_whole_entries_are_missed(name: str, dim: int, caplog: pytest.LogCaptureFixture) -> None:
    """A sample is compared first: equal pairs, and one that has most entries in common, are found in every place."""
    algebra = vsa.get(name, dim=dim, **({"blocks": 100 if dim == 10_000 else 16} if "sbc" in name else {}))
    x = algebra.random(40, seed=dim, dtype={"bsc": torch.bool, "map": torch.int8}.get(name, torch.int64))
    other = algebra.random(seed=1, dtype=x.dtype)
    share = torch.rand(x.shape[-1], generator=torch.Generator().manual_seed(2)) < 0.1
    for copy in (x[17], torch.where(share, other, x[17])) if dim > 1024 else (x[17],):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            vsa.Codebook(algebra, torch.cat((x[:30], copy[None], x[30:])))
        assert "atoms 17 and 30 are alike" in caplog.text
    caplog.clear()
    if dim > 64:  # short atoms are alike by chance
        vsa.Codebook(algebra, x)
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
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch calls them a prototype
    NESTED = torch.nested.nested_tensor([torch.zeros(64), torch.zeros(3)])


def strange(generator: random.Random) -> Any:
    """An argument that somebody might pass by mistake."""
    x = torch.randn(3, 64, generator=DRAWS)
    return generator.choice(
        [
            None, True, 0, -1, 1.5, math.nan, math.inf, 2**64, -(2**70), "x", "", b"x", [], (), {}, [1, 2], (3,),
            object, x, x[0], x[:, :5], x.half(), x.double(), x.int(), x.bool(), x.to(torch.complex64), x.to_sparse(),
            x.to("meta"), x.to(torch.float8_e4m3fn), x[:0], x.fill_(math.nan).clone(), torch.tensor(1), torch.zeros(0),
            x.mul(9).long(), x.expand(2, 3, 64), NESTED, torch.Generator(), np.zeros(64), np.int64(3),
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


def calls_of_parts(algebra: vsa.Algebra, book: vsa.Codebook, g: random.Random) -> list[Any]:
    """What is made of an algebra: books and their files, sets of slots, layers, arrays, statistics, laws."""

    def s() -> Any:
        return strange(g)

    good, backend = book.atoms[0], vsa.backends.get(g.choice(["digital", "crossbar_pcm"]))
    sums = vsa.get("map", dim=64)
    slots, start = vsa.SlotSets(sums, 4, seed=0), sums.random(3, seed=0).float()
    full, acc = slots.everything(), vsa.Accumulator(algebra)
    learned = vsa.LearnableCodebook(sums, start, view=backend, seed=0)
    stored, layer = backend.store(start, seed=0), vsa.nn.Linear(64, 3, backend=backend, seed=0)
    bits = vsa.get("bsc", dim=64)
    gsbc = vsa.get("gsbc", dim=64, blocks=4)
    blocks = vsa.Codebook.random(gsbc, 3, seed=0)
    return [
        lambda: vsa.Codebook(s(), book.atoms), lambda: vsa.Codebook(algebra, book.atoms, backend=s()),
        lambda: vsa.Codebook(algebra, book.atoms, seed=s()), lambda: vsa.Codebook.random(s(), 3, seed=0),
        lambda: vsa.Codebook.random(algebra, 3, seed=0, dtype=s()),
        lambda: vsa.Codebook.fractional_power(s(), 3, seed=0),
        lambda: vsa.Codebook.fractional_power(algebra, s(), seed=0),
        lambda: vsa.Codebook.random(algebra, 3, generator=s()),
        lambda: vsa.Codebook.fractional_power(algebra, 3, base=s()), lambda: vsa.Codebook.load(s()),
        lambda: book.on(s()), lambda: book.on(backend, seed=s()), lambda: book.similarity(s()),
        lambda: book.block_similarity(s()), lambda: book.linf_similarity(s()), lambda: book.topk(s(), 1),
        lambda: blocks.similarity(s()), lambda: blocks.block_similarity(s()), lambda: blocks.linf_similarity(s()),
        lambda: book[[s()]], lambda: book[s() : s()],
        lambda: vsa.SlotSets(s(), 4, seed=0), lambda: vsa.SlotSets(sums, s(), seed=0),
        lambda: vsa.SlotSets(sums, 4, seed=s()),
        lambda: vsa.SlotSets(sums, 4, generator=s()), lambda: vsa.SlotSets(sums, 4, seed=0, motion=s()),
        lambda: vsa.SlotSets(sums, 4, seed=0, backend=s()), lambda: slots.encode(s()), lambda: slots.decode(s()),
        lambda: slots.counts(s()), lambda: slots.size(s()), lambda: slots.saturate(s()), lambda: slots.union(full, s()),
        lambda: slots.union(s(), full, independent=True), lambda: slots.difference(s(), full),
        lambda: slots.intersection(full, s()), lambda: slots.complement(s()), lambda: slots.roll(s(), 1),
        lambda: slots.roll(full, s()), lambda: vsa.LearnableCodebook(s(), start),
        lambda: vsa.LearnableCodebook(sums, s()),
        lambda: vsa.LearnableCodebook(sums, start, constraint=s()),
        lambda: vsa.LearnableCodebook(sums, start, view=s()),
        lambda: vsa.LearnableCodebook(sums, start, seed=s()), lambda: vsa.LearnableCodebook(sums, start, labels=s()),
        lambda: learned.similarity(s()), lambda: learned.superpose(s()), lambda: learned[s()],
        lambda: learned.freeze(s()),
        lambda: learned.freeze(backend, seed=s()), lambda: vsa.Accumulator(s()), lambda: acc.add(good, s()),
        lambda: acc.remove(s()), lambda: acc.add_all(s()), lambda: acc.add_all(book.atoms, s()), lambda: acc.merge(s()),
        lambda: vsa.Accumulator(algebra).load_state_dict(s()),
        lambda: encoding.record(s(), good, good), lambda: encoding.record(algebra, book.atoms, book.atoms, s()),
        lambda: encoding.read_record(algebra, s(), book.atoms), lambda: encoding.read_record(algebra, good, s()),
        lambda: encoding.sequence(s(), book.atoms), lambda: encoding.read_sequence(algebra, s(), 1),
        lambda: encoding.read_sequence(algebra, good, s()), lambda: encoding.ngrams(s(), book.atoms, 2),
        lambda: encoding.pmf_to_vector(book, s()), lambda: encoding.pmf_to_vector(s(), torch.ones(3)),
        lambda: encoding.vector_to_pmf(book, s()), lambda: encoding.vector_to_pmf(s(), good),
        lambda: encoding.kernel_base(algebra, s(), seed=0), lambda: encoding.kernel_base(algebra, "sinc", s(), seed=0),
        lambda: encoding.kernel_base(algebra, seed=s()), lambda: encoding.kernel(s(), torch.ones(2)),
        lambda: encoding.kernel("sinc", s()), lambda: encoding.kernel("sinc", torch.ones(2), s()),
        lambda: encoding.level(s(), 3, seed=0), lambda: encoding.level(algebra, 3, seed=s()),
        lambda: encoding.level(algebra, 3, seed=0, backend=s()), lambda: encoding.circular(algebra, 3, generator=s()),
        lambda: vsa.nn.Linear(s(), 3), lambda: vsa.nn.Linear(3, s()), lambda: vsa.nn.Linear(3, 3, backend=s()),
        lambda: vsa.nn.Linear(3, 3, seed=s()), lambda: layer(s()), lambda: layer.eval()(s()),
        lambda: vsa.nn.without_arrays(s()), lambda: vsa.backends.get(s()), lambda: backend.store(s()),
        lambda: backend.store(start, s()), lambda: backend.store(start, block_length=s()),
        lambda: backend.store(start, seed=s()),
        lambda: backend.train_view(s()), lambda: stored.matvec(s()), lambda: stored.rmatvec(s()),
        lambda: stored.topk(s(), 1),
        lambda: stored.topk(start, s()), lambda: stored.block_matvec(s()), lambda: stored.handle.advance(s()),
        lambda: vsa.statistics.crosstalk(s()), lambda: vsa.statistics.bundle_scores(s(), 3),
        lambda: vsa.statistics.bundle_scores(algebra, s()), lambda: vsa.statistics.retrieval_accuracy(s(), 3),
        lambda: vsa.statistics.bundling_accuracy(algebra, s(), 3), lambda: vsa.check_algebra(s()),
        lambda: vsa.check_backend(s(), algebra), lambda: vsa.check_device(s()),
        lambda: vsa.checks.check_law(algebra, s()),
        lambda: algebra.identity(s()), lambda: algebra.identity(dtype=s()), lambda: algebra.random(seed=0, device=s()),
        lambda: algebra.embed(s()), lambda: algebra.embed(good, s()), lambda: algebra.binding_matrix(s()),
        lambda: algebra.storage(s()), lambda: algebra.is_valid(good, s()), lambda: algebra.power_base(generator=s()),
        lambda: algebra.cyclic_base(2, generator=s()), lambda: algebra.cyclic_base(s(), generator=DRAWS),
        lambda: algebra.from_phases(s()), lambda: algebra.power_period(s()), lambda: algebra.vote_similarity(s()),
        lambda: algebra.check_values("here", s()), lambda: algebra.bind(good, good, s()),
        lambda: algebra.bundle(book.atoms, dim=s()),
        lambda: bits.pack(s()), lambda: bits.unpack(s()), lambda: gsbc.to_index(s()), lambda: gsbc.from_index(s()),
        lambda: gsbc.from_index(blocks.atoms, s()), lambda: gsbc.spectrum(s()), lambda: gsbc.from_spectrum(s()),
        lambda: gsbc.spectral_similarity(s(), s()), lambda: gsbc.block_similarity(blocks.atoms, s()),
        lambda: gsbc.linf_similarity(s(), blocks.atoms), lambda: vsa.get("hrr", dim=64).unitary(s()),
        lambda: vsa.get("sbc", dim=64, blocks=s()), lambda: vsa.child_seed(s(), s()),
    ]  # fmt: skip


@pytest.mark.parametrize("made", [calls, calls_of_parts])
@pytest.mark.parametrize("name", vsa.ALGEBRAS.names())
def test_mistakes_are_sentences(name: str, made: Any) -> None:
    """Of 1,500 and 4,000 strange calls each works, or is refused by an error of ours, or of the file system."""
    algebra = vsa.get(name, dim=64)
    book = vsa.Codebook.random(algebra, 3, seed=0)
    g, wrong = random.Random(1), set()
    for _ in range(30):
        for number, call in enumerate(made(algebra, book, g)):
            with pytest.raises(Exception) as caught:  # noqa: PT011  # in such a block annotations are not checked
                until_it_works(call)
            if not isinstance(caught.value, vsa.VSAError | WorkedError | OSError):
                place = [entry.frame.code.name for entry in caught.traceback[1:4]]
                wrong.add((number, caught.typename, str(caught.value)[:90], *map(str, place)))
    assert not wrong, "\n".join(map(str, sorted(wrong)))
