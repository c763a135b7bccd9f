"""Learned codebooks: gradients, constraints, freezing, training against a noisy backend, checksums of states."""

from __future__ import annotations

import copy
import io
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

import vsa
from vsa.backends.base import StoredMatrix
from vsa.backends.digital import Digital

GSBC = vsa.get("gsbc", dim=64, blocks=4)
LEARNED = ("map", "map_real", "hrr", "fhrr", "gsbc")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def learnable(name: str, **options) -> vsa.LearnableCodebook:
    algebra = vsa.get(name, dim=64)
    atoms = algebra.random(5, generator=generator())
    return vsa.LearnableCodebook(algebra, atoms, labels=list("abcde"), **options)


@dataclass(frozen=True)
class Noisy(Digital):
    """Adds a fixed error, drawn when atoms are stored."""

    spread: float = 0.1
    name = "noisy"
    exact = False

    def _store(self, atoms: Tensor, kind, block_length, seed: int) -> StoredMatrix:
        dense = atoms.to(torch.float32)
        noise = torch.randn(dense.shape, generator=generator(seed % 2**31))
        return super()._store(dense + self.spread * noise, "dense", block_length, seed)


@pytest.mark.parametrize("name", LEARNED)
def test_reads_equal_those_of_the_frozen_codebook(name: str) -> None:
    book = learnable(name)
    frozen = book.freeze()
    assert not list(frozen.parameters()) and [p.shape for p in book.parameters()] == [(5, 64)]
    x, w = book.algebra.random(3, generator=generator(1)), torch.rand(3, 5, generator=generator(2))
    torch.testing.assert_close(book.similarity(x), frozen.similarity(x))
    torch.testing.assert_close(book.superpose(w), frozen.superpose(w))
    assert book.cleanup(book["c"]).labels == "c" == frozen.cleanup(frozen["c"]).labels


@pytest.mark.parametrize("name", LEARNED)
def test_learning_moves_atoms_towards_a_target(name: str) -> None:
    book = learnable(name)
    target = book.algebra.random(5, generator=generator(9))
    optimizer = torch.optim.Adam(book.parameters(), lr=0.05)
    before = book.similarity(target).diagonal().mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = (1 - book.similarity(target).diagonal()).sum()
        loss.backward()
        optimizer.step()
    after = book.similarity(target).diagonal().mean().item()
    assert after > 0.8 > before + 0.3


def test_gradients_are_exact() -> None:
    algebra = vsa.get("hrr", dim=12)
    book = vsa.LearnableCodebook(algebra, algebra.random(3, generator=generator(), dtype=torch.float64))
    x = algebra.random(2, generator=generator(1), dtype=torch.float64).requires_grad_()

    def read(x: Tensor, atoms: Tensor) -> Tensor:
        return torch.func.functional_call(book, {"atoms": atoms}, (x,))

    book.forward = book.similarity  # functional_call calls forward
    assert torch.autograd.gradcheck(read, (x, book.atoms.detach().clone().requires_grad_()))


def test_quantized_atoms_are_hard_and_learn_straight_through() -> None:
    book = learnable("map", constraint="quantized")
    with torch.no_grad():
        book.atoms.mul_(0.3)
    assert (book.constrained.abs() == 1).all()
    assert (book.freeze().atoms.abs() == 1).all()
    book.similarity(torch.ones(64)).sum().backward()
    torch.testing.assert_close(book.atoms.grad, torch.full((5, 64), 1 / 64))
    free = learnable("map", constraint="free")
    assert free.constrained is free.atoms


def test_train_view_is_noisy_forward_and_exact_backward() -> None:
    book = learnable("gsbc", view=Noisy())
    x = GSBC.random(3, generator=generator(1)).requires_grad_()
    exact = book.freeze().similarity(x.detach())
    first, again = book.similarity(x), book.similarity(x)
    assert torch.equal(first, again)  # one array for the whole batch
    assert not torch.allclose(first, exact)
    book.refresh()
    assert not torch.allclose(book.similarity(x), first)  # and another one for the next
    first.sum().backward()
    noisy_grad, noisy_x = book.atoms.grad.clone(), x.grad.clone()
    book.zero_grad()
    x.grad = None
    book.eval()
    torch.testing.assert_close(book.similarity(x), exact)
    book.similarity(x).sum().backward()
    torch.testing.assert_close(book.atoms.grad, noisy_grad)
    torch.testing.assert_close(x.grad, noisy_x)


def test_every_read_of_a_train_view() -> None:
    book = learnable("gsbc", view=Noisy(spread=1e-3))
    x, w = GSBC.random(3, generator=generator(1)), torch.rand(3, 5, generator=generator(2))
    frozen = book.freeze()
    for read, argument in (("similarity", x), ("superpose", w), ("block_similarity", x), ("linf_similarity", x)):
        found, expected = getattr(book, read)(argument), getattr(frozen, read)(argument)
        assert found.requires_grad
        assert 0 < (found - expected).abs().max() < 0.05
    assert book.cleanup(book["b"]).labels == "b"


def test_an_exact_backend_shows_atoms_as_they_are() -> None:
    atoms = GSBC.random(5, generator=generator()).requires_grad_()
    view = Digital().train_view(atoms, block_length=16)
    x = GSBC.random(3, generator=generator(1))
    torch.testing.assert_close(view.matvec(x), x @ atoms.mT)
    view.matvec(x).sum().backward()
    assert atoms.grad is not None


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "state_dict", "file", "double"])
def test_round_trips(how: str, tmp_path: Path) -> None:
    book = learnable("hrr")
    x = book.algebra.random(3, generator=generator(1))
    expected = book.similarity(x)
    if how == "deepcopy":
        again = copy.deepcopy(book)
        again.atoms.data.zero_()
        torch.testing.assert_close(book.similarity(x), expected)
        again = copy.deepcopy(book)
    elif how == "pickle":
        again = pickle.loads(pickle.dumps(book))
    elif how == "state_dict":
        buffer = io.BytesIO()
        torch.save(book.state_dict(), buffer)
        buffer.seek(0)
        again = learnable("hrr")
        again.atoms.data.mul_(-1)
        again.load_state_dict(torch.load(buffer, weights_only=True))
    elif how == "double":
        again = copy.deepcopy(book).double()
        torch.testing.assert_close(again.similarity(x.double()), expected.double())
        return
    else:
        book.save(tmp_path / "book.safetensors")
        again = vsa.Codebook.load(tmp_path / "book.safetensors")
    torch.testing.assert_close(again.similarity(x), expected)
    assert again.labels == book.labels


def test_a_state_of_another_codebook_is_refused() -> None:
    state = learnable("map").state_dict()
    for name, sentence in (("hrr", "another algebra or other labels"), ("map_real", "another algebra or other labels")):
        with pytest.raises(vsa.VSAError, match=sentence):
            learnable(name).load_state_dict(state)
    other = vsa.Codebook.random(vsa.get("gsbc", dim=64, blocks=8), 3, seed=0, dtype=torch.float32)
    mine = vsa.Codebook.random(GSBC, 3, seed=0, dtype=torch.float32)
    with pytest.raises(vsa.VSAError, match=r"expected one of GSBC\(dim=64, blocks=4\) with the labels"):
        mine.load_state_dict(other.state_dict())


def test_a_damaged_state_is_refused() -> None:
    book = vsa.Codebook.random(GSBC, 3, seed=0)
    state = book.state_dict()
    state["atoms"] = state["atoms"].roll(1, -1)
    with pytest.raises(vsa.CorruptFileError, match="atoms that do not match their checksum"):
        book.load_state_dict(state)
    del state["checksum"]
    book.load_state_dict(state)
    assert torch.equal(book.atoms, state["atoms"])


WRONG = [
    (
        lambda: vsa.LearnableCodebook(GSBC, GSBC.random(3, generator=generator(), dtype=torch.int64)),
        "LearnableCodebook: received atoms of int64; expected float or complex atoms, which have gradients; "
        "embed block codes with from_index and bipolar vectors with .to(dtype); bsc and sbc have none",
    ),
    (
        lambda: learnable("map", constraint="tight"),
        "LearnableCodebook: received constraint 'tight'; expected one of free, normalized, quantized",
    ),
    (lambda: learnable("map", view="noisy"), "LearnableCodebook: received view 'noisy'; expected a backend"),
    (
        lambda: learnable("hrr", constraint="quantized"),
        "hrr quantize: received a call; expected an operation that this algebra has; "
        "every direction is an atom; use normalize, or unitary for exact unbinding",
    ),
]


@pytest.mark.parametrize("wrong, sentence", WRONG, ids=[sentence[:40] for _, sentence in WRONG])
def test_sentences(wrong, sentence: str) -> None:
    with pytest.raises(vsa.VSAError) as caught:
        wrong()
    assert str(caught.value) == sentence
