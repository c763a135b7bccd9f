"""Codebooks: reads equal the dense formulas, constructors, files, copies."""

from __future__ import annotations

import copy
import io
import pickle
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vsa
from vsa.errors import DtypeError, ShapeError
from vsa.models.gsbc import GSBC

GSBC_64 = GSBC(dim=64, blocks=4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(2, 12),
    st.integers(1, 40),
    st.lists(st.integers(0, 20), max_size=2),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_reads_equal_the_dense_formulas(
    blocks: int, length: int, count: int, lead: list[int], dense: bool, seed: int
) -> None:
    algebra = GSBC(dim=blocks * length, blocks=blocks)
    g = generator(seed)
    book = vsa.Codebook.random(algebra, count, generator=g, dtype=torch.float32 if dense else None)
    assert book.stored.kind == ("dense" if dense else "onehot_blocks")
    atoms = algebra.embed(book.atoms)
    x, w = torch.rand(*lead, algebra.dim, generator=g), torch.rand(*lead, count, generator=g)
    products = (x.unsqueeze(-2) * atoms).unflatten(-1, (blocks, length)).sum(-1)
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(book.similarity(x), products.mean(-1), **close)
    torch.testing.assert_close(book.block_similarity(x), products, **close)
    torch.testing.assert_close(book.linf_similarity(x), products.amin(-1), **close)
    torch.testing.assert_close(book.superpose(w), w @ atoms, **close)
    k = min(count, 3)
    values, rows = book.topk(x, k)
    torch.testing.assert_close(values, products.mean(-1).topk(k).values, **close)
    torch.testing.assert_close(products.mean(-1).gather(-1, rows), values, **close)


def test_cleanup_names_the_nearest_atom() -> None:
    book = vsa.Codebook.random(GSBC_64, ["red", "green", "blue"], seed=0)
    noisy = GSBC_64.from_index(book.atoms) + 0.2 * torch.rand(3, 64, generator=generator())
    assert book.cleanup(noisy).labels == ["red", "green", "blue"]
    assert book.cleanup(noisy[torch.tensor([[2, 0]])]).labels == [["blue", "red"]]
    one = book.cleanup(book["green"])
    assert one.labels == "green"
    assert one.similarities == 1
    assert book.row("blue") == 2
    assert len(book) == 3


def test_a_pmf_becomes_its_mean_vector() -> None:
    book = vsa.Codebook.fractional_power(GSBC_64, 10, seed=0)
    pmf = torch.softmax(torch.randn(5, 10, generator=generator()), -1)
    vector = book.superpose(pmf)
    assert GSBC_64.is_valid(vector).all()
    torch.testing.assert_close(book.similarity(vector), pmf)  # powers of the default base are orthogonal


def test_fractional_power_atoms_add() -> None:
    book = vsa.Codebook.fractional_power(GSBC_64, 16, seed=3)
    assert torch.equal(book[0], GSBC_64.identity(dtype=torch.int64))
    for a, b in ((0, 5), (3, 4), (7, 8)):
        assert book.cleanup(GSBC_64.bind(book[a], book[b])).labels == a + b
        assert book.cleanup(GSBC_64.unbind(book[a + b], book[b])).labels == a
    one = torch.eye(16)[3]
    assert book.cleanup(GSBC_64.bind(book.superpose(one), book.superpose(torch.eye(16)[9]))).labels == 12


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(2, 12), st.integers(0, 2**31))
def test_atoms_coincide_exactly_at_multiples_of_the_period(blocks: int, length: int, seed: int) -> None:
    algebra = GSBC(dim=blocks * length, blocks=blocks)
    base = algebra.random(generator=generator(seed), dtype=torch.int64)
    period = algebra.power_period(base)
    book = vsa.Codebook.fractional_power(algebra, 3 * length, base=base, allow_repeats=True)
    same = (book.atoms[:, None] == book.atoms).all(-1)
    v = torch.arange(3 * length)
    assert torch.equal(same, (v[:, None] - v) % period == 0)


def test_too_many_powers_are_refused_unless_allowed() -> None:
    sentence = (
        "Codebook.fractional_power: received 17 atoms from a base that repeats after 16; expected at most 16 atoms, "
        "else atom v + 16 equals atom v; use longer blocks (a larger dim or fewer blocks), or allow_repeats=True"
    )
    with pytest.raises(vsa.VSAError, match=f"^{re.escape(sentence)}$"):
        vsa.Codebook.fractional_power(GSBC_64, 17, seed=0)
    book = vsa.Codebook.fractional_power(GSBC_64, 17, seed=0, allow_repeats=True)
    assert torch.equal(book[16], book[0])


def test_stacks_share_labels_and_keep_apart() -> None:
    book = vsa.Codebook.random(GSBC_64, 5, seed=0)
    atoms = GSBC_64.random(3, 5, generator=generator(), dtype=torch.int64)
    stack = vsa.Codebook(GSBC_64, atoms)
    x = torch.rand(20, 3, 64, generator=generator())
    single = [vsa.Codebook(GSBC_64, atoms[f]).similarity(x[:, f]) for f in range(3)]
    torch.testing.assert_close(stack.similarity(x), torch.stack(single, 1))
    assert stack[2].shape == (3, 4)
    assert book[2].shape == (4,)


def test_gradients_flow_through_every_read() -> None:
    for dtype, count in ((torch.int64, 4), (torch.int64, 13), (torch.float64, 4)):
        book = vsa.Codebook.random(GSBC(dim=12, blocks=3), count, seed=0, dtype=dtype)
        for batch in (2, 17):  # below and above the batch from which the digital backend goes by rows
            x = torch.rand(batch, 12, generator=generator(), dtype=torch.float64).requires_grad_()
            w = torch.rand(batch, count, generator=generator(), dtype=torch.float64).requires_grad_()
            for read, argument in (
                (book.similarity, x),
                (book.block_similarity, x),
                (book.linf_similarity, x),
                (book.superpose, w),
                (lambda a, book=book: book.topk(a, 2)[0], x),
            ):
                assert torch.autograd.gradcheck(read, argument)
        assert not list(book.parameters())


def test_on_makes_a_detached_snapshot() -> None:
    book = vsa.Codebook.random(GSBC_64, 5, seed=0, dtype=torch.float32)
    snapshot = book.on(vsa.backends.get("digital", topk_elements=7))
    book.atoms.zero_()
    assert snapshot.cleanup(snapshot.atoms).labels == [0, 1, 2, 3, 4]
    assert snapshot.backend.topk_elements == 7  # type: ignore[attr-defined]


def test_moving_dtype_moves_what_is_read() -> None:
    book = vsa.Codebook.random(GSBC_64, 5, seed=0, dtype=torch.float32)
    with pytest.raises(vsa.DtypeError, match=r"matvec: received \(64,\) of float64; expected float32, as stored"):
        book.similarity(torch.rand(64, dtype=torch.float64, generator=generator()))
    book.double()
    assert book.similarity(torch.rand(64, dtype=torch.float64, generator=generator())).dtype == torch.float64


def test_same_seed_same_atoms_and_either_seed_or_generator() -> None:
    one, two = (vsa.Codebook.random(GSBC_64, 9, seed=5) for _ in range(2))
    assert torch.equal(one.atoms, two.atoms)
    assert torch.equal(one.atoms, vsa.Codebook.random(GSBC_64, 9, generator=generator(5)).atoms)
    for arguments in ({}, {"seed": 0, "generator": generator()}):
        with pytest.raises(vsa.VSAError, match=r"expected either generator= or seed="):
            vsa.Codebook.random(GSBC_64, 9, **arguments)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_copies_pickles_and_state_dicts(dtype: torch.dtype) -> None:
    book = vsa.Codebook.random(GSBC_64, ["a", "b", "c"], seed=0, dtype=dtype)
    x = torch.rand(2, 64, generator=generator())
    buffer = io.BytesIO()
    torch.save(book.state_dict(), buffer)
    buffer.seek(0)
    other = vsa.Codebook.random(GSBC_64, ["a", "b", "c"], seed=1, dtype=dtype)
    assert not torch.equal(other.similarity(x), book.similarity(x))
    other.load_state_dict(torch.load(buffer, weights_only=True))
    for copied in (copy.deepcopy(book), pickle.loads(pickle.dumps(book)), other):
        assert torch.equal(copied.similarity(x), book.similarity(x))
        assert copied.labels == book.labels


def test_a_copy_reads_its_own_atoms() -> None:
    book = vsa.Codebook.random(GSBC_64, 3, seed=0, dtype=torch.float32)
    copied = copy.deepcopy(book)
    copied.atoms.zero_()
    assert copied.similarity(book.atoms).abs().max() == 0
    assert book.similarity(book.atoms).diagonal().tolist() == [1, 1, 1]


@pytest.mark.parametrize("labels", [["a", "b", "c"], 3])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bfloat16])
def test_files_round_trip(tmp_path: Path, labels: list[str] | int, dtype: torch.dtype) -> None:
    book = vsa.Codebook.random(GSBC_64, labels, seed=0, dtype=dtype)
    book.save(tmp_path / "book.safetensors")
    again = vsa.Codebook.load(tmp_path / "book.safetensors")
    assert again.algebra == book.algebra
    assert again.labels == book.labels
    assert again.atoms.dtype == dtype
    assert torch.equal(again.atoms, book.atoms)
    assert again.fingerprint() == book.fingerprint()


def test_every_damaged_byte_of_a_file_is_noticed(tmp_path: Path) -> None:
    book = vsa.Codebook.random(GSBC(dim=8, blocks=2), ["a", "b"], seed=0)
    path = tmp_path / "book.safetensors"
    book.save(path)
    good = path.read_bytes()
    for at in range(8, len(good)):  # the first eight bytes are the header's length
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            again = vsa.Codebook.load(path)
        except vsa.CorruptFileError:
            continue
        assert again.fingerprint() == book.fingerprint(), f"byte {at}"
    for size in (0, 5, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(vsa.CorruptFileError, match=r"expected a file written by Codebook\.save"):
            vsa.Codebook.load(path)
    with pytest.raises(FileNotFoundError):
        vsa.Codebook.load(tmp_path / "missing.safetensors")


def test_a_learnable_codebook_needs_nothing_changed() -> None:
    """The design admits atoms that are a parameter: only ``stored`` differs, and a read gives them a gradient."""

    class Learnable(vsa.Codebook):
        def __init__(self, algebra: vsa.Algebra, atoms: Tensor) -> None:
            super().__init__(algebra, atoms)
            del self.atoms
            self.atoms = torch.nn.Parameter(atoms)

        @property
        def stored(self) -> vsa.StoredMatrix:
            return self._store()

    book = Learnable(GSBC_64, GSBC_64.random(5, generator=generator()))
    x = torch.rand(3, 64, generator=generator())
    book.similarity(x).sum().backward()
    torch.testing.assert_close(book.atoms.grad, x.sum(0).expand(5, -1) / 4)


@pytest.mark.parametrize(("name", "dtype"), [("map", torch.int8), ("bsc", torch.bool), ("bsc", torch.int64)])
def test_bipolar_atoms_are_read_in_integers_and_bit_for_bit_as_in_floats(name: str, dtype: torch.dtype) -> None:
    algebra = vsa.get(name, dim=200)
    book = vsa.Codebook.random(algebra, 30, seed=0, dtype=dtype)
    x = algebra.random(2, 5, generator=torch.Generator().manual_seed(1), dtype=dtype)
    integers, floats = book.similarity(x), book.stored.matvec(algebra.embed(x)) * algebra.embedding.scale
    assert integers.dtype == torch.float32 and torch.equal(integers, floats)
    assert torch.equal(torch.vmap(book.similarity)(x), floats)
    values, rows = book.topk(x, 30)
    assert torch.equal(values, floats.topk(30).values) and torch.equal(floats.gather(-1, rows), values)


def _books(algebra: str) -> list[vsa.Codebook]:
    """In every form of an algebra, with more atoms than a gather of some reads."""
    made = vsa.get(algebra, dim=64)
    dtypes = [dtype for form in made.forms for dtype in form.dtypes]
    return [vsa.Codebook.random(made, 200, seed=3, dtype=dtype) for dtype in dtypes]


@pytest.mark.parametrize("algebra", vsa.ALGEBRAS.names())
@pytest.mark.parametrize("backend", ["digital", "crossbar_ideal"])
def test_superposing_some_atoms_is_superposing_all_with_zeros(algebra: str, backend: str) -> None:
    g = generator(1)
    rows = torch.rand(5, 7, 200, generator=g).topk(3).indices
    shares = torch.rand(5, 7, 3, generator=g)
    whole = torch.zeros(5, 7, 200).scatter(-1, rows, shares)
    for book in _books(algebra):
        if backend != "digital" and (book.atoms.is_floating_point() and book.atoms.dtype != torch.float32):
            continue
        book = book if backend == "digital" else book.on(vsa.backends.get(backend))
        dtype = book.stored.dtype or torch.float32
        found = book.superpose_some(rows, shares.to(dtype))
        expected = book.superpose(whole.to(dtype))
        assert found.dtype == expected.dtype
        slack = 1e-5 if dtype not in (torch.float16, torch.bfloat16) else 2e-2
        torch.testing.assert_close(found, expected, atol=slack * 3, rtol=slack)


@pytest.mark.parametrize("form", [torch.float32, torch.float64, None])
def test_superposing_some_atoms_has_the_gradient_of_superposing_all(form: torch.dtype | None) -> None:
    book = vsa.Codebook.random(GSBC_64, 150, seed=0, dtype=form)
    dtype = torch.float32 if form is None else form
    rows = torch.tensor([[3, 149, 7], [0, 1, 2]])
    shares = torch.rand(2, 3, generator=generator(), dtype=dtype, requires_grad=True)
    wanted = torch.rand(2, 64, generator=generator(1), dtype=dtype)
    (some,) = torch.autograd.grad((book.superpose_some(rows, shares) * wanted).sum(), shares)
    whole = torch.zeros(2, 150, dtype=dtype).scatter(-1, rows, shares)
    (all_,) = torch.autograd.grad((book.superpose(whole) * wanted).sum(), shares)
    torch.testing.assert_close(some, all_)


def test_superposing_some_atoms_of_a_stack_and_of_learned_ones() -> None:
    algebra = vsa.get("hrr", dim=32)
    book = vsa.Codebook(algebra, algebra.random(2, 6, generator=generator()), unrelated=False)
    rows, shares = torch.tensor([[[1, 5], [0, 0]]]), torch.tensor([[[0.5, 2.0], [1.0, 1.0]]])
    whole = torch.zeros(1, 2, 6).scatter_add(-1, rows, shares)
    torch.testing.assert_close(book.superpose_some(rows, shares), book.superpose(whole))
    assert book.superpose_some(rows[:0], shares[:0]).shape == (0, 2, 32)
    learned = vsa.LearnableCodebook(algebra, algebra.random(6, generator=generator()))
    learned.superpose_some(rows[0, 0], shares[0, 0]).sum().backward()
    (gradient,) = [one.grad for one in learned.parameters()]
    assert gradient is not None and gradient.abs().sum(-1).nonzero().flatten().tolist() == [1, 5]


@pytest.mark.parametrize(
    ("rows", "error"),
    [(torch.tensor([0, 3]), ShapeError), (torch.tensor([-1, 0]), ShapeError), (torch.tensor([0]), ShapeError),
     (torch.tensor([0.0, 1.0]), DtypeError)],
)  # fmt: skip
@pytest.mark.parametrize("algebra", ["gsbc", "bsc"])
def test_rows_that_a_codebook_does_not_have_are_refused(algebra: str, rows: Tensor, error: type[Exception]) -> None:
    book = vsa.Codebook.random(vsa.get(algebra, dim=64), 3, seed=0)
    with pytest.raises(error, match="rows"):
        book.superpose_some(rows, torch.tensor([0.5, 0.5]))


def test_superposing_some_atoms_of_an_array_lends_the_gradient_and_draws_noise() -> None:
    book = vsa.Codebook.random(vsa.get("hrr", dim=64), 150, seed=0)
    array = book.on(vsa.backends.get("crossbar_pcm"), seed=1)
    rows = torch.tensor([[3, 149, 7], [0, 1, 2]])
    shares = torch.rand(2, 3, generator=generator(), requires_grad=True)
    found, exact = array.superpose_some(rows, shares), book.superpose_some(rows, shares)
    assert 1e-3 < float((found - exact).detach().norm() / exact.detach().norm()) < 1
    wanted = torch.rand(2, 64, generator=generator(1))
    gradients = [torch.autograd.grad((one * wanted).sum(), shares)[0] for one in (found, exact)]
    torch.testing.assert_close(*gradients)
