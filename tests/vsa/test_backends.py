"""The seam and the digital backend: kinds agree, int8 is exact, top-k is bounded, devices without state do nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vsa
from vsa.backends import BACKENDS
from vsa.backends import digital as digital_module
from vsa.backends.digital import Digital
from vsa.checks import LawError, check_backend
from vsa.models.gsbc import GSBC


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def signs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(2, shape, generator=generator(seed), dtype=torch.int8) * 2 - 1


@pytest.mark.parametrize("name", BACKENDS.names())
@pytest.mark.parametrize("dim, blocks", [(64, 4), (63, 3)])
def test_every_exact_backend_reads_like_the_dense_formulas(name: str, dim: int, blocks: int) -> None:
    backend = vsa.backends.get(name)
    results = check_backend(backend, GSBC(dim=dim, blocks=blocks), tolerance=1e-5 if backend.exact else None)
    assert len(results) == 2 * 3 * 4 * 5  # forms, shapes, leading axes, reads


@dataclass(frozen=True)
class _Scaled(Digital):
    """A digital backend whose reads are off by a factor."""

    factor: float = 1.0001

    def _store(self, atoms, kind, block_length, seed):  # type: ignore[no-untyped-def]
        stored = super()._store(atoms, kind, block_length, seed)
        right = stored._matvec
        stored._matvec = lambda x, generator: right(x, generator) * self.factor
        return stored


def test_check_backend_finds_a_wrong_read() -> None:
    with pytest.raises(
        LawError, match=r"digital similarity of .*relative error 0.0001, expected|relative error 0.0001"
    ):
        check_backend(_Scaled(), GSBC(dim=64, blocks=4))
    assert check_backend(_Scaled(), GSBC(dim=64, blocks=4), tolerance=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(1, 30),
    st.integers(1, 40),
    st.lists(st.integers(0, 5), max_size=2),
    st.integers(0, 2**31),
)
def test_bipolar_is_exact_in_integers_and_equals_dense(
    stack: list[int], count: int, width: int, lead: list[int], seed: int
) -> None:
    atoms, x = signs(*stack, count, width, seed=seed), signs(*lead, *stack, width, seed=seed + 1)
    stored, dense = Digital().store(atoms, "bipolar"), Digital().store(atoms.double())
    integers = stored.matvec(x)
    assert integers.dtype == torch.int32
    assert torch.equal(integers.double(), dense.matvec(x.double()))
    assert torch.equal(stored.matvec(x.double()), dense.matvec(x.double()))
    w = torch.rand(*lead, *stack, count, generator=generator(seed), dtype=torch.float64)
    assert torch.equal(stored.rmatvec(w), dense.rmatvec(w))
    steps = torch.randint(-128, 128, w.shape, generator=generator(seed), dtype=torch.int8)
    whole = stored.rmatvec(steps)
    assert whole.dtype == torch.int32
    assert torch.equal(whole.double(), dense.rmatvec(steps.double()))
    values, rows = stored.topk(x, 1)
    assert torch.equal(values, integers.amax(-1, keepdim=True))
    assert torch.equal(integers.gather(-1, rows), values)


def test_the_integer_unit_and_its_fallback_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, x = Digital().store(signs(24, 64), "bipolar"), signs(32, 64, seed=1)
    answers = []
    for fast in (True, False):
        monkeypatch.setattr(digital_module, "_int8_is_faster", lambda *_, fast=fast: fast)
        answers.append(stored.matvec(x))
    assert torch.equal(*answers)


@pytest.mark.parametrize(("count", "width"), [(1, 64), (24, 1), (24, 2), (24, 64)])
@pytest.mark.parametrize("batch", [1, 2, 3, 20])
def test_int8_vectors_are_read_right_however_they_lie_in_memory(batch: int, count: int, width: int) -> None:
    stored = Digital().store(signs(count, width), "bipolar")
    for read, size in ((stored.matvec, width), (stored.rmatvec, count)):
        for x in (
            signs(batch, size),
            signs(size).expand(batch, size),
            signs(size, batch).t(),
            signs(batch, 2 * size)[:, ::2],
            signs(3 * batch, size + 3)[::3, 2:-1],
        ):
            assert torch.equal(read(x).float(), read(x.float()))
            assert torch.equal(torch.vmap(read)(x), read(x))


@pytest.mark.parametrize("batch", [1, 2, 4, 5])
def test_few_int8_vectors_are_read_one_by_one(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, x = Digital().store(signs(24, 64), "bipolar"), signs(batch, 64, seed=1)
    monkeypatch.setattr(digital_module, "_int8_is_faster", lambda *_: True)
    monkeypatch.setattr(digital_module, "_TURNED_FROM", 1)
    read = stored.matvec(x)
    assert read.dtype == torch.int32 and torch.equal(read.float(), stored.matvec(x.float()))


def test_large_bipolar_matrices_are_converted_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms, x, w = signs(50, 32), torch.rand(3, 32, generator=generator()), torch.rand(3, 50, generator=generator(1))
    small = Digital().store(atoms, "bipolar", block_length=8)
    reads = [
        lambda m: m.matvec(x),
        lambda m: m.rmatvec(w),
        lambda m: m.block_matvec(x),
        lambda m: m.block_min(x),
        lambda m: m.topk(x, 9)[0],
        lambda m: m.topk(x, 9)[1],
    ]
    expected = [read(small) for read in reads]
    monkeypatch.setattr(digital_module, "_CACHED_BYTES", 4 * 32 * 7)
    large = Digital().store(atoms, "bipolar", block_length=8)
    widest, convert = [], large._float  # type: ignore[attr-defined]
    monkeypatch.setattr(large, "_float", lambda *where: widest.append(convert(*where)) or widest[-1])
    for read, value in zip(reads, expected, strict=True):
        torch.testing.assert_close(read(large), value)
        assert max(rows.shape[-2] for rows in widest) <= 9  # a top-k of 9 needs so many
    torch.testing.assert_close(large.topk(signs(3, 32), 50), small.topk(signs(3, 32), 50))
    assert large._copy is None  # type: ignore[attr-defined]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 12), st.integers(1, 64), st.sampled_from(["dense", "bipolar", "onehot_blocks"])
)
def test_topk_in_pieces_equals_topk_at_once(count: int, k: int, elements: int, kind: str) -> None:
    k = min(k, count)
    blocks = torch.randint(8, (count, 4), generator=generator(count))
    atoms = {
        "dense": torch.rand(count, 32, generator=generator(k)),
        "bipolar": signs(count, 32),
        "onehot_blocks": blocks,
    }
    stored = Digital(topk_elements=elements).store(atoms[kind], kind, block_length=8)
    x = torch.rand(5, 32, generator=generator(elements))
    values, rows = stored.topk(x, k)
    everything = stored.matvec(x)
    torch.testing.assert_close(values, everything.topk(k).values)
    torch.testing.assert_close(everything.gather(-1, rows), values)
    assert all(len(set(row)) == k for row in rows.tolist())


def test_topk_never_holds_all_similarities() -> None:
    """20,000 atoms, 8 queries, 4,096 similarities at once: no tensor of a step is larger than 8 * 512."""
    stored = Digital(topk_elements=4096).store(
        torch.randint(8, (20_000, 4), generator=generator()), "onehot_blocks", block_length=8
    )
    largest = 0
    right = stored._range  # type: ignore[attr-defined]

    def watch(x: Tensor, start: int, stop: int) -> Tensor:
        nonlocal largest
        part = right(x, start, stop)
        largest = max(largest, part.numel())
        return part

    stored._range = watch  # type: ignore[attr-defined]
    stored.topk(torch.rand(8, 32, generator=generator()), 3)
    assert largest == 4096


def test_dense_shares_memory_with_its_atoms() -> None:
    atoms = torch.rand(5, 8, generator=generator())
    stored = Digital().store(atoms)
    atoms.zero_()
    assert stored.matvec(torch.ones(8)).abs().max() == 0


def test_reads_vmap() -> None:
    positions = torch.randint(8, (7, 4), generator=generator())
    x = torch.rand(20, 32, generator=generator())
    for stored in (Digital().store(positions, "onehot_blocks", block_length=8), Digital().store(x[:7], block_length=8)):
        for read in (stored.matvec, stored.block_min, stored.block_matvec):
            torch.testing.assert_close(torch.vmap(read)(x), read(x))


def test_a_digital_device_has_no_state() -> None:
    handle = Digital().store(torch.ones(2, 3)).handle
    handle.advance(3600.0)
    assert handle.cost() is None
    assert handle.state_dict() == {}
    handle.load_state_dict({})
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(vsa.VSAError, match=f"advance: received {wrong} seconds; expected a finite time"):
            handle.advance(wrong)
    with pytest.raises(vsa.VSAError, match="load_state_dict: received entries conductance; expected no entries"):
        handle.load_state_dict({"conductance": torch.ones(1)})


@pytest.mark.parametrize("named", [0, 1, 3])
def test_superpositions_that_name_few_of_many_atoms_equal_the_product(named: int) -> None:
    atoms = torch.randn(200, 24, generator=generator(1))
    weights = torch.zeros(5, 7, 200)
    chosen = torch.randint(200, (5, 7, named), generator=generator(2))
    weights.scatter_(-1, chosen, torch.rand(chosen.shape, generator=generator(3)) + 0.1)
    weights[2, 3] = 0  # a row that names nothing
    found = vsa.backends.get("digital").store(atoms).rmatvec(weights)
    torch.testing.assert_close(found, weights @ atoms)


def test_a_sparse_superposition_has_the_gradient_of_the_product() -> None:
    atoms = torch.randn(200, 8, generator=generator(1))
    weights = torch.zeros(3, 200)
    weights[:, 5] = 1.0
    weights.requires_grad_()
    vsa.backends.get("digital").store(atoms).rmatvec(weights).sum().backward()
    assert weights.grad is not None
    torch.testing.assert_close(weights.grad, atoms.sum(-1).expand(3, -1))


@pytest.mark.parametrize("name", [name for name in BACKENDS.names() if not BACKENDS.get(name)().exact])
@pytest.mark.parametrize("read", ["matvec", "rmatvec", "block_matvec", "block_min", "topk"])
def test_reads_of_every_backend_have_the_exact_gradient(name: str, read: str) -> None:
    """With respect to the argument: whatever the noise forward, the exact matrix's gradient backward."""
    draw = torch.Generator().manual_seed(3)
    atoms = torch.rand(2, 6, 32, generator=draw)  # a stack of two
    noisy = BACKENDS.get(name)().store(atoms, block_length=8)
    exact = BACKENDS.get("digital")().store(atoms, block_length=8)
    x = torch.rand(5, 2, 6 if read == "rmatvec" else 32, generator=draw)

    def gradient(matrix: vsa.StoredMatrix) -> torch.Tensor:
        argument = x.clone().requires_grad_()
        answer = getattr(matrix, read)(argument, 6) if read == "topk" else getattr(matrix, read)(argument)
        values = answer[0] if read == "topk" else answer
        assert values.requires_grad
        values.sum().backward()
        assert argument.grad is not None
        return argument.grad

    torch.testing.assert_close(gradient(noisy), gradient(exact))
    with torch.no_grad():
        assert not getattr(noisy, "rmatvec" if read == "rmatvec" else "matvec")(x).requires_grad
