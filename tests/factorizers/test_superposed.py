"""Sums of products: none found twice, as many as there are, and none where there is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import factorizers
import vsa

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("in_memory", "map", {}),
    ("exhaustive", "map", {}),
    ("in_memory", "fhrr", {}),
    ("exhaustive", "hrr", {}),
    ("exhaustive", "map_real", {}),
    ("block_code", "gsbc", {"blocks": 8}),
    ("exhaustive", "gsbc", {"blocks": 8}),
]


def problem(method: str, name: str, options: dict[str, Any]) -> factorizers.Factorizer:
    algebra = vsa.get(name, dim=1024, **options)
    return factorizers.get(method, [vsa.Codebook.random(algebra, 12, seed=factor) for factor in range(3)])


def summed(made: factorizers.Factorizer, indices: Tensor) -> Tensor:
    algebra = made.problem.algebra
    parts = algebra.embed(made.problem.product(indices))
    return algebra.unembed(parts.mean(-2) if algebra.block_length is not None else parts.sum(-2))


def certified(answer: factorizers.Factorization) -> list[list[tuple[int, ...]]]:
    return [
        sorted(tuple(row) for row, valid in zip(rows, valids, strict=True) if valid)
        for rows, valids in zip(answer.indices.tolist(), answer.valid.tolist(), strict=True)
    ]


@pytest.mark.parametrize("method,name,options", CASES)
@pytest.mark.parametrize("asked", [2, 4, None])
def test_no_product_is_found_twice(method: str, name: str, options: dict[str, Any], asked: int | None) -> None:
    made = problem(method, name, options)
    indices = torch.randint(12, (20, 2, 3), generator=torch.Generator().manual_seed(0))
    answer = factorizers.explain_away(made, summed(made, indices), asked)
    assert tuple(answer.indices.shape) == (20, asked or 2, 3)
    assert certified(answer) == [sorted(map(tuple, rows)) for rows in indices.tolist()]
    if asked == 4:
        assert all(labels[2:] == [None, None] for labels in answer.labels)  # nothing is left of an exact sum
        assert "no product" in str(answer)


def test_each_query_has_its_own_number_of_products() -> None:
    made = problem("exhaustive", "map", {})
    indices = torch.randint(12, (4, 3, 3), generator=torch.Generator().manual_seed(1))
    products = made.problem.product(indices).float()
    noise = torch.randn(5, 1024, generator=torch.Generator().manual_seed(2))
    queries = 0.3 * noise
    for row in range(4):
        queries[row] += products[row, : row % 4].sum(0)
    queries[4] += 2 * products[0, 0] + products[1, 0]  # one of them twice
    answer = factorizers.explain_away(made, queries)
    assert answer.valid.sum(-1).tolist() == [0, 1, 2, 3, 2]
    assert certified(answer)[4] == sorted([tuple(indices[0, 0].tolist()), tuple(indices[1, 0].tolist())])
    assert answer.labels[0] == [None, None, None]
    assert certified(answer)[3] == sorted(map(tuple, indices[3].tolist()))


def test_none_is_an_answer() -> None:
    made = problem("exhaustive", "map", {})
    noise = torch.randn(1024, generator=torch.Generator().manual_seed(3))
    answer = factorizers.explain_away(made, noise)
    assert tuple(answer.indices.shape) == (0, 3)
    assert (answer.labels, str(answer), len(answer)) == ([], "exhaustive: no queries", 0)
    both = factorizers.explain_away(made, noise.expand(2, 3, 1024))
    assert tuple(both.valid.shape) == (2, 3, 0)
    assert made(noise).certified is None
    assert made(torch.stack((noise, made.problem.product(torch.tensor([1, 2, 3])).float()))).certified == [
        None,
        (1, 2, 3),
    ]


@pytest.mark.parametrize("scale", [1e-24, 1e20])
def test_sums_of_any_length(scale: float) -> None:
    made = problem("in_memory", "fhrr", {})
    indices = torch.randint(12, (6, 2, 3), generator=torch.Generator().manual_seed(0))
    answer = factorizers.explain_away(made, summed(made, indices) * scale)
    assert certified(answer) == [sorted(map(tuple, rows)) for rows in indices.tolist()]


@pytest.mark.parametrize("lead", [(0,), (2, 0), (0, 3)])
@pytest.mark.parametrize("name", factorizers.FACTORIZERS.names())
def test_a_batch_of_none(name: str, lead: tuple[int, ...]) -> None:
    algebra = vsa.get(factorizers.FACTORIZERS.get(name).customary_algebra, dim=256)
    books = [vsa.Codebook.random(algebra, 5, seed=seed) for seed in range(2)]
    made = factorizers.get(name, books)
    queries = books[0].atoms[0].expand(*lead, -1)
    answer = made(queries, trace=True)
    assert tuple(answer.indices.shape) == (*lead, 2)
    assert answer.valid.shape == answer.macs.shape == lead
    assert str(answer).startswith(f"{name}: no queries")
    assert answer.labels == ([] if lead[0] == 0 else [[], []])
    with pytest.raises(vsa.ShapeError):
        made(queries[..., :-1])
    if algebra.laws.linear:
        assert tuple(factorizers.explain_away(made, algebra.unembed(algebra.embed(queries))).valid.shape) == (*lead, 0)


def test_answers_are_indexed() -> None:
    made = problem("in_memory", "map", {})
    indices = torch.randint(12, (4, 3, 3), generator=torch.Generator().manual_seed(0))
    answer = made(made.problem.product(indices), trace=True)
    assert answer[2].labels == answer.labels[2]
    assert answer[1, 2].labels == answer.labels[1][2]
    assert answer[-1][0].indices.tolist() == indices[3, 0].tolist()
    assert tuple(answer[1:3].valid.shape) == (2, 3)
    assert answer[answer.valid].indices.shape == (12, 3)
    assert [one.labels for one in answer] == answer.labels
    assert [one.labels for one in answer[0, 0]] == [answer.labels[0][0]]
    part = answer[1, 1:]
    assert part.trace is not None
    assert answer.trace is not None
    assert len(part.trace.of(0)) == len(answer.trace.of(4)) == int(part.iterations[0])
    assert "2 of 2 queries certified" in str(part)
    with pytest.raises(IndexError):
        answer[4]
    with pytest.raises(vsa.VSAError, match=r"Factorization\[...\]: received the answer to one query"):
        answer[0, 0][0]
