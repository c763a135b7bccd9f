"""Atoms that are alike, codebooks that share atoms, atoms of any values, queries of any length."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

import factorizers
import vsa
from factorizers.problem import Problem
from factorizers.sameness import Sameness

SMALL: dict[str, dict[str, Any]] = {
    "asymmetric": {"budget": 200, "restart": 20},
    "in_memory": {"budget": 200, "restart": 30},
    "resonator": {"budget": 200, "restart": 30},
}


def made(name: str, books: list[vsa.Codebook]) -> factorizers.Factorizer:
    return factorizers.get(name, books, **SMALL.get(name, {}))


def drawn(sizes: list[int], count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(size, (count,), generator=generator) for size in sizes], -1)


# ---------------------------------------------------------------------- atoms that are alike


def scales(kind: str) -> list[vsa.Codebook]:
    if kind == "level":
        return [vsa.encoding.level(vsa.get("map", dim=512), 30, seed=seed) for seed in range(3)]
    if kind == "circular":
        return [vsa.encoding.circular(vsa.get("map", dim=512), 30, seed=seed) for seed in range(3)]
    algebra = vsa.get("fhrr", dim=512)
    bases = [vsa.encoding.kernel_base(algebra, seed=seed) for seed in range(3)]
    return [vsa.Codebook(algebra, algebra.power(base, torch.arange(30) / 3)) for base in bases]


@pytest.mark.parametrize("kind", ["level", "circular", "power"])
@pytest.mark.parametrize("method", ["resonator", "in_memory", "exhaustive"])
def test_of_atoms_that_are_alike_the_right_one_is_certified(kind: str, method: str) -> None:
    books = scales(kind)
    factorizer = made(method, books)
    assert factorizer.problem.likeness.alike == (0, 1, 2)
    indices = drawn([30, 30, 30], 200)
    answer = factorizer(factorizer.problem.product(indices))
    wrong = (answer.indices != indices).any(-1)
    assert int((answer.valid & wrong).sum()) == 0
    assert int(answer.valid.sum()) >= 198
    assert float(answer.false_expected[answer.valid].max()) < 2e-3  # an exact query leaves no doubt


@pytest.mark.parametrize("method", ["resonator", "in_memory", "join", "group_search"])
def test_neighbours_that_noise_lifts_are_expected(method: str) -> None:
    books = scales("level")
    indices = drawn([30, 30, 30], 200)
    products = Problem(tuple(books)).product(indices)
    flips = torch.rand(products.shape, generator=torch.Generator().manual_seed(5)) < 0.2
    noisy = torch.where(flips, -products, products)
    answer, best = made(method, books)(noisy), factorizers.Exhaustive(books)(noisy)
    assert int(answer.valid.sum()) >= 198
    wrong = int((answer.indices != indices).any(-1).sum())
    # The best of all products is wrong in 37 of 200; ascent ends beside it in a few cases.
    assert wrong <= int((best.indices != indices).any(-1).sum()) + 8
    expected = float(answer.false_expected.sum())  # counts products, of which several may beat the right one at once
    assert 0.7 * wrong < expected < 2 * wrong


def test_without_the_ascent_neighbours_are_certified() -> None:
    class First(factorizers.Resonator):
        @property
        def _climbs(self) -> bool:
            return False

    indices = drawn([30, 30, 30], 200)
    factorizer = First(scales("level"))
    answer = factorizer(factorizer.problem.product(indices))
    assert int((answer.valid & (answer.indices != indices).any(-1)).sum()) > 5


@pytest.mark.parametrize("stop", ["certified", "converged"])
def test_published_stops_are_left_alone(stop: str) -> None:
    """Right or wrong, as the method itself says."""
    indices = drawn([30, 30, 30], 200)
    factorizer = factorizers.Resonator(scales("level"), stop=stop, budget=200)
    answer = factorizer(factorizer.problem.product(indices))
    assert bool((answer.indices != indices).any()) == (stop == "converged")


@pytest.mark.parametrize("size", [1, 2, 40])
def test_random_atoms_are_not_alike(algebra_name: str, size: int) -> None:
    for seed in range(20):
        algebra = vsa.get(algebra_name, dim=256)
        problem = Problem((vsa.Codebook.random(algebra, size, seed=seed),))
        assert problem.likeness.alike == ()
        assert problem.sameness.shared == problem.sameness.ambiguous == ()


# ---------------------------------------------------------------------- codebooks that share atoms


def multisets(rows: Tensor) -> list[Counter[int]]:
    return [Counter(row) for row in rows.tolist()]


@pytest.mark.parametrize("method", factorizers.FACTORIZERS.names())
def test_one_seed_thrice_gives_the_class(method: str, caplog: pytest.LogCaptureFixture) -> None:
    algebra = vsa.get(factorizers.FACTORIZERS.get(method).customary_algebra, dim=1024)
    factorizer = made(method, [vsa.Codebook.random(algebra, 12, seed=7) for _ in range(3)])
    indices = drawn([12, 12, 12], 120)
    with caplog.at_level(logging.WARNING):
        answer = factorizer(factorizer.problem.product(indices))
        factorizer(factorizer.problem.product(indices))
    assert [record.getMessage()[:61] for record in caplog.records] == [
        "factorizer: the codebooks of factors 0, 1, 2 share atoms; exp"
    ]
    assert answer.interchangeable == ((0, 1, 2),)
    assert "right up to the order of factors 0, 1, 2, which share atoms" in str(answer)
    assert torch.equal(answer.indices, answer.indices.sort(-1).values)  # one and the same for the whole class
    same = torch.tensor([a == b for a, b in zip(multisets(answer.indices), multisets(indices), strict=True)])
    assert int(answer.valid.sum()) >= 100
    silent = answer.valid & ~same & (answer.false_expected < 0.5)
    assert int(silent.sum()) == 0
    if algebra.laws.self_inverse:  # an atom bound with itself is gone: any other could have been it
        twice = torch.tensor([max(count.values()) > 1 for count in multisets(indices)])
        assert torch.equal(answer.false_expected >= 11, twice & answer.valid)


def test_atoms_that_two_codebooks_share_in_part_and_in_another_order() -> None:
    algebra = vsa.get("fhrr", dim=512)
    atoms = algebra.random(25, generator=torch.Generator().manual_seed(0))
    books = [vsa.Codebook(algebra, atoms[:15]), vsa.Codebook(algebra, atoms[torch.arange(24, 4, -1)])]
    answer = factorizers.Exhaustive(books)(algebra.bind(atoms[[6, 12, 2]], atoms[[12, 6, 20]]))
    assert answer.interchangeable == ((0, 1),)
    assert torch.equal(answer.indices[0], answer.indices[1])
    assert answer.labels[0] == (6, 12)  # atom 12 is row 12 of the second
    assert answer.labels[2] == (2, 4)


@pytest.mark.parametrize("name", ["fhrr", "hrr", "gsbc", "sbc"])
def test_powers_of_one_base_are_counted(name: str, caplog: pytest.LogCaptureFixture) -> None:
    algebra = vsa.get(name, dim=1024)
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    first = vsa.Codebook.fractional_power(algebra, 20, seed=3)
    other = vsa.Codebook(algebra, algebra.bind(first.atoms, first.atoms[3])[shuffled])  # exponents 3 to 22, shuffled
    factorizer = made("exhaustive", [first, other, vsa.Codebook.random(algebra, 9, seed=1, dtype=first.atoms.dtype)])
    indices = drawn([20, 20, 9], 100)
    answer = factorizer(factorizer.problem.product(indices))
    assert caplog.records
    assert (0, 1) in factorizer.problem.sameness.ambiguous
    total = indices[:, 0] + shuffled[indices[:, 1]]
    equal = 19 - (total - 19).abs()
    counted = answer.false_expected + (answer.interchangeable != ()) * 1.0  # the same two exchanged are not counted
    wrong = (answer.indices != indices).any(-1)
    assert int((wrong & answer.valid & (answer.false_expected < 0.5) & (equal > 2)).sum()) == 0
    assert bool(((counted - equal).abs() <= 1.01).all())


def test_books_that_share_one_atom_or_none_are_as_before(caplog: pytest.LogCaptureFixture) -> None:
    algebra = vsa.get("map", dim=256)
    books = [vsa.Codebook.random(algebra, 9, seed=seed) for seed in range(2)]
    answer = factorizers.Exhaustive(books, optional=(0, 1))(books[0].atoms)  # both have the identity
    assert answer.interchangeable == ()
    assert answer.labels == [(row, None) for row in range(9)]
    assert not caplog.records


def test_the_same_atom_has_one_number() -> None:
    algebra = vsa.get("gsbc", dim=256, blocks=4)
    one, two = (vsa.Codebook.random(algebra, 7, seed=seed) for seed in range(2))
    mixed = vsa.Codebook(algebra, torch.cat((two.atoms[3:5], one.atoms[6:])))
    ids = Sameness(Problem((one, two, mixed))).ids
    assert [part.tolist() for part in ids] == [list(range(7)), list(range(7, 14)), [10, 11, 6]]


def test_atoms_that_differ_in_their_length_are_said(caplog: pytest.LogCaptureFixture) -> None:
    algebra = vsa.get("hrr", dim=512)
    atoms, other = (algebra.random(12, seed=seed) for seed in (0, 1))
    books = [vsa.Codebook(algebra, torch.cat((atoms, 3 * atoms[4:6])), unrelated=False), vsa.Codebook(algebra, other)]
    answer = factorizers.Exhaustive(books)(algebra.bind(atoms, other))
    assert "atoms 4 and 12 of factor 0 differ in nothing but their length" in caplog.text
    assert (answer.false_expected >= 1).nonzero().squeeze(-1).tolist() == [4, 5]
    again = factorizers.Exhaustive([vsa.Codebook(algebra, atoms), vsa.Codebook(algebra, 2.5 * atoms)])
    assert again(algebra.bind(atoms[3], 2.5 * atoms[7])).interchangeable == ((0, 1),)


def test_two_alike_atoms_of_a_large_codebook_are_found_where_they_matter() -> None:
    """Of 4,000 atoms some are compared with all at first; those of an answer that is not exact always are."""
    algebra = vsa.get("map", dim=512)
    atoms = algebra.random(4000, seed=9, dtype=torch.int8)
    atoms[3999, :384] = atoms[17, :384]
    books = [vsa.Codebook(algebra, atoms, unrelated=False), vsa.Codebook.random(algebra, 10, seed=3)]
    problem = Problem(tuple(books))
    assert problem.likeness.alike == ()
    assert problem.likeness.sampled == (0,)
    rows = torch.tensor([[17, 2], [3999, 2], [5, 2]])
    assert problem.likeness.marked(rows, torch.ones(3) > 0).tolist() == [[True, False], [True, False], [False, False]]
    query = problem.product(rows[:1]).float()
    query[:, torch.randperm(512, generator=torch.Generator().manual_seed(1))[:200]] *= -1  # four of ten signs
    answer = factorizers.Exhaustive(books)(query)
    expected = problem.certificate(query).false_expected
    assert not bool(answer.valid) or float(answer.false_expected) > 1.5 * float(expected)


def test_what_was_looked_for_in_a_part_is_said() -> None:
    algebra = vsa.get("map", dim=1024)
    books = [vsa.Codebook.random(algebra, n, seed=n) for n in (1000, 900, 20)]
    answer = factorizers.get("join", books[:2])(books[0].atoms[:1] * books[1].atoms[:1])
    assert len(answer.assumes) == 1
    assert answer.assumes[0].endswith("of 1000 x 900 atoms")
    assert factorizers.get("join", books[1:])(books[1].atoms[:1] * books[2].atoms[:1]).assumes == ()


@pytest.mark.parametrize("method", ["resonator", "in_memory", "exhaustive"])
def test_a_noisy_copy_of_a_codebook_is_no_trap(method: str) -> None:
    """Both atoms of a product have copies across that make a product over tau."""
    algebra = vsa.get("map", dim=512)
    atoms = algebra.random(20, seed=0, dtype=torch.int8)
    flips = torch.rand(atoms.shape, generator=torch.Generator().manual_seed(1)) < 0.15
    books = [
        vsa.Codebook(algebra, atoms),
        vsa.Codebook(algebra, torch.where(flips, -atoms, atoms)),
        vsa.Codebook.random(algebra, 20, seed=2),
    ]
    factorizer = made(method, books)
    assert factorizer.problem.likeness.across == ((0, 1),)
    indices = drawn([20, 20, 20], 100)
    answer = factorizer(factorizer.problem.product(indices))
    assert int((answer.valid & (answer.indices != indices).any(-1)).sum()) == 0
    assert int(answer.valid.sum()) >= 98


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize("name", ["map", "fhrr"])
def test_real_atoms_are_judged_by_their_values(name: str) -> None:
    algebra = vsa.get(name, dim=256)
    drawn_atoms = algebra.random(30, generator=torch.Generator().manual_seed(0))
    assert Problem((vsa.Codebook(algebra, drawn_atoms),) * 2).spread == "normal"
    assert Problem((vsa.Codebook(algebra, drawn_atoms * (1 + 1e-6)),) * 2).spread == "normal"
    generator = torch.Generator().manual_seed(1)
    real = [vsa.Codebook(algebra, torch.randn(30, 256, dtype=drawn_atoms.dtype, generator=generator)) for _ in range(6)]
    ours, others = Problem(tuple(real[:3])), Problem(tuple(real[3:]))
    assert ours.spread == "flattened"
    search = factorizers.Exhaustive(real[:3])
    indices = drawn([30, 30, 30], 100)
    assert int(search(others.product(indices)).valid.sum()) <= 1  # .1 expected; by their cosine 30 of 100
    own = search(ours.product(indices))
    assert torch.equal(own.indices, indices)
    assert bool(own.valid.all())


def test_of_atoms_that_lean_to_one_side_only_an_equal_product_is_certified() -> None:
    algebra = vsa.get("map", dim=256)
    generator = torch.Generator().manual_seed(1)
    books = [vsa.Codebook(algebra, torch.randn(30, 256, generator=generator).relu()) for _ in range(6)]
    search = factorizers.Exhaustive(books[:3])
    indices = drawn([30, 30, 30], 100)
    assert search.problem.spread == "unknown"
    assert not bool(search(Problem(tuple(books[3:])).product(indices)).valid.any())
    own = search(search.problem.product(indices))
    assert torch.equal(own.indices, indices)
    assert bool(own.valid.all() & own.false_expected.isnan().all())


# ---------------------------------------------------------------------- lengths


@pytest.mark.parametrize("method", factorizers.FACTORIZERS.names())
def test_queries_of_any_length_in_any_dtype(method: str, algebra_name: str) -> None:
    algebra = vsa.get(algebra_name, dim=512)
    if method not in factorizers.takers(algebra):
        pytest.skip(f"{method} does not take {algebra_name}")
    dtypes = [dtype for form in algebra.forms for dtype in form.dtypes]
    real = [dtype for dtype in dtypes if dtype.is_floating_point or dtype.is_complex]
    if not real:
        pytest.skip(f"vectors of {algebra_name} have no length")
    indices = drawn([5, 7, 4], 8)
    for of_atoms in dtypes:
        books = [vsa.Codebook.random(algebra, n, seed=seed, dtype=of_atoms) for seed, n in enumerate((5, 7, 4))]
        try:
            factorizer = made(method, books)
        except vsa.UnsupportedError:
            continue  # atoms of another kind than the method takes
        products = algebra.unembed(algebra.embed(factorizer.problem.product(indices)).to(torch.float64))
        noise = algebra.random(2, generator=torch.Generator().manual_seed(6), dtype=products.dtype)
        for dtype in real:
            for scale in (1e-3, 1e2) if dtype == torch.float16 else (1e-36, 1e20):
                answer = factorizer((products * scale).to(dtype))
                assert torch.equal(answer.indices, indices), (of_atoms, dtype, scale)
                assert bool(answer.valid.all()), (of_atoms, dtype, scale)
        small = torch.float16 if torch.float16 in real else real[0]
        assert not bool(factorizer((noise * (1e-3 if small == torch.float16 else 1e-24)).to(small)).valid.any())


def test_a_similarity_that_is_no_number_certifies_nothing() -> None:
    algebra = vsa.get("map", dim=64)
    problem = Problem((vsa.Codebook.random(algebra, 5, seed=0),))
    certificate = problem.certificate(problem.books[0].atoms)
    similarity = torch.tensor([float("inf"), float("nan"), -float("inf"), 1.0, 0.0])
    assert certificate.valid(torch.arange(5), similarity).tolist() == [False, False, False, True, False]
