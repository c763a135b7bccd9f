"""Every learner answers and learns on another device as on the CPU: on CUDA where there is one, and on a stand-in."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import datasets
import vsa
from reasoning import learners
from reasoning.perception.oracle import Oracle
from reasoning.solver import Solver

ALGEBRA = vsa.get("gsbc", dim=256, blocks=4)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("symbolic", {}),
    ("nvsa", {"algebra": ALGEBRA}),
    ("learn_vrf", {"algebra": ALGEBRA}),
    ("arlc", {"algebra": ALGEBRA, "mode": "programmed", "populations": 1, "frequencies": None}),
    ("arlc", {"algebra": ALGEBRA, "mode": "learned", "populations": 1, "frequencies": None}),
]


@pytest.mark.parametrize("constellation", ["center", "2x2"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{o.get('mode', '')}" for n, o in CASES])
def test_answers_and_gradients_are_those_of_the_cpu(
    name: str, options: dict[str, Any], constellation: str, device: torch.device
) -> None:
    puzzles = datasets.PuzzleDataset(datasets.generate("iraven", constellation, n=3, seed=1))
    batch = next(iter(puzzles.batches(3)))
    here = Solver(Oracle(), learners.get(name)(**options))
    there = copy.deepcopy(here).to(device)
    wanted, found = here.solve(batch), there.solve(batch.to(device))
    assert found.scores.device.type == device.type
    torch.testing.assert_close(found.scores.cpu(), wanted.scores, rtol=1e-3, atol=1e-4)
    assert torch.equal(found.answers.cpu(), wanted.answers)
    assert torch.equal(found.families.cpu(), wanted.families)
    if not any(p.requires_grad for p in here.learner.parameters()):
        return
    losses = []
    for solver, part in ((here, batch), (there, batch.to(device))):
        place = torch.device("cpu") if solver is here else device
        generator = torch.Generator() if device.type != "cuda" else torch.Generator(place)
        loss = solver.learner.training_loss(solver.scene(part), part.target, generator.manual_seed(0))
        loss.backward()
        losses.append(float(loss.detach()))
        made = [p.grad for p in solver.learner.parameters() if p.grad is not None]
        assert made
        assert all(bool(g.isfinite().all()) and g.device.type == place.type for g in made)
    if device.type != "cuda":  # the same draws
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
