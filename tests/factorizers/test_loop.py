"""The loop: slots are refilled, budgets end, restarts happen, and what it answers does not depend on the pool."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import vsa
from factorizers.base import Dynamics, Iterative, Pool, Watch
from factorizers.certificate import Certificate

ALGEBRA = vsa.get("map", dim=128)
BOOKS = [vsa.Codebook.random(ALGEBRA, 6, seed=seed) for seed in range(2)]
INDICES = torch.stack((torch.arange(40) % 6, torch.arange(40) // 6 % 6), -1)
QUERIES = ALGEBRA.bind(BOOKS[0].atoms[INDICES[:, 0]], BOOKS[1].atoms[INDICES[:, 1]])


class Patient(Dynamics):
    """Knows the answers; query q says so at its iteration 1 + q % 5, and q % 7 == 3 says a wrong one before."""

    macs_per_iteration, macs_per_decode = 10, 3

    def __init__(self) -> None:
        self.starts: list[tuple[int, int]] = []
        self.largest_pool = 0

    def start(self, rows: Tensor, attempt: int) -> Pool:
        self.starts += [(int(row), attempt) for row in rows]
        return {"row": rows.clone(), "age": torch.zeros_like(rows)}

    def step(self, pool: Pool, watch: Watch | None) -> Tensor | None:
        pool["age"] += 1
        self.largest_pool = max(self.largest_pool, len(pool["age"]))
        ready = pool["age"] > pool["row"] % 5
        return ready | ((pool["row"] % 7 == 3) & (pool["age"] == 1))

    def decode(self, pool: Pool, rows: Tensor) -> tuple[Tensor, Tensor]:
        at, age = pool["row"][rows], pool["age"][rows]
        wrong = (age <= at % 5).long().unsqueeze(-1)
        return (INDICES[at] + wrong) % 6, torch.ones(len(rows), 2)


@dataclass(eq=False)
class Fake(Iterative):
    name = "fake"

    def _dynamics(self, queries: Tensor, certificate: Certificate, generator: torch.Generator) -> Dynamics:
        self.made = Patient()
        return self.made


@pytest.mark.parametrize("slots", [1, 3, 7, 40, 512])
def test_every_query_is_answered_whatever_the_slots(slots: int) -> None:
    factorizer = Fake(BOOKS, slots=slots)
    answer = factorizer(QUERIES)
    assert torch.equal(answer.indices, INDICES)
    assert bool(answer.valid.all() & answer.converged.all())
    assert torch.equal(answer.iterations, 1 + torch.arange(40) % 5)
    assert factorizer.made.largest_pool == min(slots, 40)
    assert [row for row, _ in factorizer.made.starts] == sorted(range(40))
    decodes = 1 + ((torch.arange(40) % 7 == 3) & (torch.arange(40) % 5 > 0)).long()
    assert torch.equal(answer.macs, answer.iterations * 10 + decodes * 3)


@pytest.mark.parametrize("slots", [4, 512])
def test_a_spent_budget_leaves_a_best_guess(slots: int) -> None:
    answer = Fake(BOOKS, slots=slots, budget=3)(QUERIES)
    late = torch.arange(40) % 5 >= 3
    assert torch.equal(answer.valid, ~late)
    assert torch.equal(answer.converged, ~late)
    assert torch.equal(answer.iterations, (1 + torch.arange(40) % 5).clamp_max(3))


def test_published_stop_takes_the_first_answer() -> None:
    answer = Fake(BOOKS, stop="converged")(QUERIES)
    hasty = (torch.arange(40) % 7 == 3) & (torch.arange(40) % 5 > 0)
    assert torch.equal((answer.indices != INDICES).any(-1), hasty)
    assert bool(answer.converged.all())
    assert torch.equal(answer.valid, ~hasty)  # the certificate is computed all the same


def test_restarts_begin_elsewhere() -> None:
    factorizer = Fake(BOOKS, restart=2, budget=8)
    answer = factorizer(QUERIES)
    again = {row for row, attempt in factorizer.made.starts if attempt == 1}
    # Started anew every second iteration, a query that needs three or more never gets there, nor one that was refused.
    assert again >= {row for row in range(40) if row % 5 >= 2}
    refused = (torch.arange(40) % 7 == 3) & (torch.arange(40) % 5 > 0)
    assert torch.equal(answer.valid, (torch.arange(40) % 5 < 2) & ~refused)
    assert 6 <= int(answer.iterations.max()) <= 8  # four attempts side by side cannot afford a third step together
    copies = [row for row, attempt in factorizer.made.starts if attempt == 1 and row == 4]
    assert len(copies) > 3


def test_slots_of_real_methods_do_not_change_certified_answers() -> None:
    import factorizers

    books = [vsa.Codebook.random(ALGEBRA, 8, seed=seed) for seed in range(3)]
    problem_indices = torch.randint(8, (30, 3), generator=torch.Generator().manual_seed(0))
    for slots in (1, 5, 30):
        made = factorizers.InMemory(books, slots=slots, budget=2000)
        answer = made(made.problem.product(problem_indices))
        assert bool(answer.valid.all())
        assert torch.equal(answer.indices, problem_indices)
