"""A factorization prints and plots itself, and its trace tells what happened."""

from __future__ import annotations

import math

import matplotlib
import pytest
import torch

import factorizers
import vsa

matplotlib.use("Agg")

ALGEBRA = vsa.get("map", dim=512)
BOOKS = [
    vsa.Codebook.random(ALGEBRA, ["triangle", "square", "circle"], seed=0),
    vsa.Codebook.random(ALGEBRA, 40, seed=1),
    vsa.Codebook.random(ALGEBRA, 40, seed=2),
]


def products(indices: list[list[int]]) -> torch.Tensor:
    rows = torch.tensor(indices)
    return ALGEBRA.bind_all(torch.stack([book.atoms[rows[:, f]] for f, book in enumerate(BOOKS)], -2))


def test_it_prints_itself() -> None:
    answer = factorizers.InMemory(BOOKS)(products([[1, 30, 7], [2, 0, 39]]))
    lines = str(answer).splitlines()
    assert lines[0].startswith("in_memory: 2 of 2 queries certified (tau 0.2")
    assert lines[1].split() == ["query", "factor", "0", "factor", "1", "factor", "2", "similarity", "iterations"]
    assert lines[2].split()[:5] == ["0", "square", "30", "7", "1.000"]
    assert lines[3].split()[-1] == "certified"
    assert repr(answer) == str(answer)
    assert answer.labels == [("square", 30, 7), ("circle", 0, 39)]


def test_a_guess_is_called_a_guess_and_a_sweep_a_sweep() -> None:
    noise = ALGEBRA.random(generator=torch.Generator().manual_seed(0), dtype=torch.int8)
    answer = factorizers.InMemory(BOOKS, budget=40)(noise)
    assert not bool(answer.valid)
    assert str(answer).splitlines()[-1].endswith("best guess")
    assert answer.sweep
    assert "a sweep" in str(answer)
    assert answer.exhaustive_macs == 3 * 40 * 40 * 512
    assert answer.exhaustive_share == pytest.approx(float(answer.macs) / answer.exhaustive_macs)


def test_long_answers_are_cut_and_leading_axes_kept() -> None:
    indices = [[i % 3, i % 40, (7 * i) % 40] for i in range(24)]
    answer = factorizers.InMemory(BOOKS)(products(indices).reshape(4, 6, 512))
    assert str(answer).splitlines()[-1] == "... and 14 more"
    assert answer.labels[3][5] == ("circle", 23, 1)
    assert len(answer) == 4


def test_the_trace_is_free_when_off_and_whole_when_on() -> None:
    queries = products([[1, 30, 7], [2, 0, 39], [0, 5, 5]])
    factorizer = factorizers.InMemory(BOOKS, slots=2)
    assert factorizer(queries).trace is None
    answer = factorizer(queries, trace=True)
    assert answer.trace is not None
    assert len(answer.trace) == int(answer.iterations.sum())
    for query in range(3):
        lines = answer.trace.of(query)
        assert lines.iteration.tolist() == list(range(1, int(answer.iterations[query]) + 1))
        assert lines.similarities.shape == (len(lines), 3)
        # The last read reaches tau, or no answer would have been examined; noise is on top of it.
        assert float(lines.similarities[-1].max()) > float(answer.tau[query]) - 5 * 0.45 / math.sqrt(512)
        assert float(lines.energy.abs().max()) <= 1
        assert float(lines.entropies.min()) >= 0
        assert float(lines.entropies.max()) <= math.log(40) + 1e-5
    assert torch.equal(factorizer(queries).indices, answer.indices)


def test_it_plots_its_trace() -> None:
    answer = factorizers.Resonator(BOOKS)(products([[1, 30, 7]]), trace=True)
    axes = answer.plot()
    assert [line.get_label() for line in axes.get_lines()] == [
        "factor 0",
        "factor 1",
        "factor 2",
        "product of the estimates",
        "tau",
    ]
    with pytest.raises(vsa.VSAError, match="query 5; expected 0 to 0, with iterations"):
        answer.plot(5)
    with pytest.raises(vsa.VSAError, match="a factorization without trace; expected one made with trace=True"):
        factorizers.Resonator(BOOKS)(products([[1, 30, 7]])).plot()
