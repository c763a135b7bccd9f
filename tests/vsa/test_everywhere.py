"""What every registered algebra returns works with the rest of torch: copies, workers, vmap, compile, backends."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch._subclasses import fake_tensor
from torch.utils.data import DataLoader, Dataset

import vsa
from vsa.backends import BACKENDS
from vsa.checks import check_backend

DIM = 128


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def operations(algebra: vsa.Algebra):
    """Every operation of two vectors, and of one, that the algebra has."""
    lacks = dict(algebra.laws.lacks)
    pairs = [algebra.bind, algebra.unbind, algebra.similarity, algebra.cosine]
    ones = [algebra.normalize, algebra.inverse, algebra.permute, algebra.embed, algebra.negative, algebra.quantize]
    ones = [operation for operation in ones if operation.__name__ not in lacks]
    return pairs, [*ones, lambda x: algebra.unembed(algebra.embed(x))]


@pytest.mark.parametrize("backend", BACKENDS.names())
def test_codebooks_of_every_algebra_read_right(algebra_name: str, backend: str) -> None:
    stored_on = vsa.backends.get(backend)
    results = check_backend(stored_on, vsa.get(algebra_name, dim=DIM), tolerance=1e-5 if stored_on.exact else None)
    assert len(results) >= 3 * 4 * 3  # shapes, leading axes, reads; per form


def test_plain_tensors(algebra_name: str) -> None:
    algebra = vsa.get(algebra_name, dim=DIM)
    product = algebra.bind(*algebra.random(2, 3, generator=generator()))
    assert type(product) is Tensor
    assert torch.equal(torch.stack([product, product])[1], product)
    for again in (copy.deepcopy(product), pickle.loads(pickle.dumps(product))):
        assert torch.equal(again, product)
    assert copy.deepcopy(algebra) == algebra


def test_vmap_of_every_operation(algebra_name: str) -> None:
    algebra = vsa.get(algebra_name, dim=DIM)
    x, y = algebra.random(2, 5, generator=generator())
    pairs, ones = operations(algebra)
    for operation in pairs:
        torch.testing.assert_close(torch.vmap(operation)(x, y), operation(x, y))
    for operation in ones:
        torch.testing.assert_close(torch.vmap(operation)(x), operation(x))
    sets = algebra.random(5, 3, generator=generator(1))
    for operation in (algebra.bundle, algebra.bind_all):
        torch.testing.assert_close(torch.vmap(operation)(sets), operation(sets))
    for dtype in (form.dtypes[0] for form in algebra.forms):
        x, atoms = algebra.random(8, generator=generator(), dtype=dtype).split((5, 3))
        compared = torch.vmap(algebra.similarity_to_set, in_dims=(0, None))(x, atoms)
        torch.testing.assert_close(compared, algebra.similarity_to_set(x, atoms))


def test_tracing_leaves_nothing_behind(algebra_name: str) -> None:
    algebra = vsa.get(algebra_name, dim=2 * DIM)  # no other test has kept anything for this many places
    x, y = algebra.random(2, 4, generator=generator())
    pairs, ones = operations(algebra)
    calls = [*(lambda x, y, f=f: f(x, y) for f in pairs), *(lambda x, y, f=f: f(x) for f in (*ones, algebra.bundle))]
    for traced in (fake_tensor.FakeTensorMode(), torch.inference_mode()):
        for call in calls:
            with traced:
                inside = call(*(traced.from_tensor(v) if hasattr(traced, "from_tensor") else v for v in (x, y)))
            outside = call(x, y)
            assert (type(outside), outside.shape, outside.dtype) == (Tensor, inside.shape, inside.dtype)


# In a process of its own, for here every function carries a check of its annotations.
COMPILED = """
import sys, torch, vsa
torch.set_num_threads(1)
for name in vsa.ALGEBRAS.names():
    algebra = vsa.get(name, dim=128)
    for dtype in (form.dtypes[0] for form in algebra.forms):
        x, y = algebra.random(2, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
        book = vsa.Codebook.random(algebra, 7, seed=0, dtype=dtype)
        def story(x, y):
            product = algebra.bind(x, algebra.permute(y))
            both = algebra.normalize(algebra.bundle(torch.stack((product, x), -2)))
            found = algebra.similarity(algebra.unbind(both, y), x)
            return found, book.superpose(book.similarity(product)), algebra.similarity_to_set(x, y)
        def slope(call):
            start = x.clone().requires_grad_()
            call(start, y)[0].sum().backward()
            return start.grad
        torch.compiler.reset()
        compiled = torch.compile(story, backend=sys.argv[1], fullgraph=True)
        for left, right in zip(compiled(x, y), story(x, y)):
            torch.testing.assert_close(left, right)
        if x.is_floating_point() or x.is_complex():
            torch.testing.assert_close(slope(compiled), slope(story))
    print(name)
"""


def compiled_right(backend: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, backend],
        capture_output=True,
        text=True,
        timeout=880,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(done.stdout.split()) == sorted(vsa.ALGEBRAS.names())


def test_compile_captures_whole_graphs() -> None:
    """Needs no compiler: the graph is captured without a break and run as it is."""
    compiled_right("eager")


@pytest.mark.slow  # about a minute
@pytest.mark.timeout(900)
@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "c++")), reason="no C++ compiler, which inductor needs")
def test_compile_by_the_default_backend(tmp_path) -> None:
    compiled_right("inductor", TORCHINDUCTOR_CACHE_DIR=str(tmp_path))


class Products(Dataset):
    """Items made by a codebook inside a worker."""

    def __init__(self, book: vsa.Codebook) -> None:
        self.book = book

    def __len__(self) -> int:
        return 8

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        vector = self.book.algebra.bind(self.book[item], self.book[(item + 1) % 8])
        return vector, self.book.similarity(vector)


def test_data_loader_workers(algebra_name: str) -> None:
    data = Products(vsa.Codebook.random(vsa.get(algebra_name, dim=DIM), 8, seed=0))
    for workers in (0, 1):
        loader = DataLoader(data, batch_size=4, num_workers=workers, generator=generator())
        vectors, similarities = (torch.cat(parts) for parts in zip(*loader, strict=True))
        torch.testing.assert_close(vectors, torch.stack([data[i][0] for i in range(8)]))
        torch.testing.assert_close(similarities, torch.stack([data[i][1] for i in range(8)]))


@pytest.mark.parametrize("copies", ["deepcopy", "pickle", "state_dict", "file"])
def test_codebooks_round_trip(algebra_name: str, copies: str, tmp_path) -> None:
    algebra = vsa.get(algebra_name, dim=DIM)
    for dtype in (form.dtypes[0] for form in algebra.forms):
        book = vsa.Codebook.random(algebra, ["a", "b", "c"], seed=0, dtype=dtype)
        if copies == "deepcopy":
            again = copy.deepcopy(book)
        elif copies == "pickle":
            again = pickle.loads(pickle.dumps(book))
        elif copies == "state_dict":
            again = vsa.Codebook.random(algebra, ["a", "b", "c"], seed=1, dtype=dtype)
            again.load_state_dict(book.state_dict())
        else:
            book.save(tmp_path / "book.safetensors")
            again = vsa.Codebook.load(tmp_path / "book.safetensors")
        assert again.fingerprint() == book.fingerprint()
        x = algebra.random(4, generator=generator())
        assert torch.equal(again.similarity(x), book.similarity(x))


@pytest.mark.gpu
def test_cuda_agrees_with_cpu(algebra_name: str) -> None:
    algebra = vsa.get(algebra_name, dim=DIM)
    x, y = algebra.random(2, 40, generator=generator())
    pairs, ones = operations(algebra)
    for operation in pairs:
        torch.testing.assert_close(operation(x.cuda(), y.cuda()).cpu(), operation(x, y), atol=1e-5, rtol=1e-5)
    for operation in ones:
        torch.testing.assert_close(operation(x.cuda()).cpu(), operation(x), atol=1e-5, rtol=1e-5)
    book = vsa.Codebook.random(algebra, 50, seed=0)
    expected = book.similarity(x), book.superpose(book.similarity(x))
    book.cuda()
    torch.testing.assert_close(book.similarity(x.cuda()).cpu(), expected[0], atol=1e-5, rtol=1e-5)
