"""Malformed scenes for every learner, and from front-ends: the right answer where the meaning is clear, else our error.

A seeded fuzzer spoils one attribute at one place; what it does is either clear (other precisions, arrays, pairs as
keys, entities that follow) and must change no answer that is not a tie, or wrong and must be a sentence.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import datasets
import reasoning
from reasoning.learners import LEARNERS
from reasoning.perception.base import Perception
from reasoning.perception.oracle import Oracle
from reasoning.scene import Scene
from reasoning.solver import Solver
from vsa.errors import VSAError

TRIALS = 40
CONSTELLATIONS = ("center", "2x2", "out_in_grid", "left_right")


def at_one_place(number):
    def change(value, rng):
        value = value.clone()
        value[tuple(int(rng.integers(size)) for size in value.shape)] = number
        return value

    return change


def transposed(value, rng):
    return value.transpose(1, 2)


# How a tensor is spoiled: name -> (change, whether it is clear what is meant).
TENSORS = {
    "nan": (at_one_place(torch.nan), False),
    "infinite": (at_one_place(torch.inf), False),
    "minus infinite": (at_one_place(-torch.inf), False),
    "negative": (at_one_place(-0.3), False),
    "beyond one": (at_one_place(1.7), False),
    "all nan": (lambda v, rng: v * torch.nan, False),
    "logits": (lambda v, rng: 12 * v - 6, False),
    "log-probabilities": (lambda v, rng: (v + 1e-6).log(), False),
    "counts": (lambda v, rng: 3 * v, False),
    "integers": (lambda v, rng: v.round().long(), False),
    "booleans": (lambda v, rng: v > 0.5, False),
    "complex": (lambda v, rng: v.to(torch.complex64), False),
    "list": (lambda v, rng: v.tolist(), False),
    "nothing": (lambda v, rng: None, False),
    "text": (lambda v, rng: np.array(["circle"]), False),
    "objects": (lambda v, rng: np.full(tuple(v.shape), None), False),
    "one puzzle less": (lambda v, rng: v[1:], False),
    "one panel less": (lambda v, rng: v[:, 1:], False),
    "context alone": (lambda v, rng: v[:, :-8], False),
    "one axis more": (lambda v, rng: v.unsqueeze(-1), False),
    "no values": (lambda v, rng: v[..., :0], False),
    "sparse": (lambda v, rng: v.to_sparse(), False),
    "axes exchanged": (transposed, False),
    "double": (lambda v, rng: v.double(), True),
    "half": (lambda v, rng: v.half(), True),
    "bfloat16": (lambda v, rng: v.bfloat16(), True),
    "array": (lambda v, rng: v.numpy(), True),
    "array of doubles": (lambda v, rng: v.numpy().astype(np.float64), True),
    "array of halves": (lambda v, rng: v.numpy().astype(np.float16), True),
    "big-endian array": (lambda v, rng: v.numpy().astype(">f4"), True),
    "read-only view": (lambda v, rng: np.broadcast_to(v.numpy(), tuple(v.shape)), True),
    "with a gradient": (lambda v, rng: v.clone().requires_grad_(), True),
    "strided": (lambda v, rng: v.transpose(0, 1).contiguous().transpose(0, 1), True),
}


@pytest.fixture(scope="module")
def puzzles():
    return {name: datasets.PuzzleBatch.of(datasets.generate("iraven", name, n=6, seed=7)) for name in CONSTELLATIONS}


@pytest.fixture(scope="module", params=sorted(LEARNERS.names()))
def solver(request):
    if request.param in ("fake", "mine"):
        pytest.skip("a learner of another test")
    return reasoning.make_solver(request.param)


def parts_of(scene):
    return {"pmfs": dict(scene.pmfs), "sets": dict(scene.sets), "entities": dict(scene.entities)}


def spoiled(scene, kind, rng):
    """The scene, made anew with one tensor changed; what kind of keys it has is drawn, too."""
    change, _ = TENSORS[kind]
    parts = parts_of(scene)
    part = [name for name in parts if parts[name]][int(rng.integers(sum(map(bool, parts.values()))))]
    key = list(parts[part])[int(rng.integers(len(parts[part])))]
    parts[part][key] = change(parts[part][key], rng)
    pairs = (lambda key: tuple(key)) if rng.integers(2) else (lambda key: (np.int64(key[0]), key[1]))
    return Scene(scene.columns, *({pairs(k): value for k, value in p.items()} for p in parts.values()))


def settled(scores):
    """Puzzles whose best candidate does not tie."""
    best = scores.detach().topk(2, -1).values
    return best[:, 0] - best[:, 1] > 1e-3 * best[:, 0].abs().clamp_min(1)


@pytest.mark.parametrize("kind", TENSORS)
def test_every_learner_answers_or_refuses(solver, puzzles, kind):
    rng = np.random.default_rng([ord(letter) for letter in kind])
    clear = TENSORS[kind][1]
    for trial in range(4):
        batch = puzzles[CONSTELLATIONS[trial]]
        sound = solver.scene(batch)
        if not clear:
            with pytest.raises(VSAError) as caught:
                solver.predict(spoiled(sound, kind, rng))
            assert str(caught.value).startswith("Scene"), "it is the scene's fault, and the sentence says so"
            continue
        expected, found = solver.predict(sound), solver.predict(spoiled(sound, kind, rng))
        told = settled(expected.scores)
        assert torch.equal(found.answers[told], expected.answers[told])


@pytest.mark.parametrize("kind", [kind for kind in TENSORS if kind not in ("strided", "read-only view")])
def test_a_front_end_that_returns_it(puzzles, kind):
    """The same kinds out of a front-end: its name is in the sentence."""
    rng = np.random.default_rng([ord(letter) for letter in kind])

    class Own(Perception):
        def forward(self, batch, *, mixed="shares", entities=False):
            return spoiled(Oracle()(batch, mixed=mixed, entities=entities), kind, rng)

    for model in ("arlc", "symbolic"):
        solver = Solver(Own(), reasoning.make_solver(model).learner)
        for name in ("center", "2x2"):
            batch = puzzles[name]
            if TENSORS[kind][1]:
                assert len(solver.solve(batch).answers) == len(batch)
                continue
            with pytest.raises(VSAError, match=r"^front-end Own, Scene"):
                solver.solve(batch)


def test_what_is_written_into_a_scene_afterwards_is_seen(solver, puzzles):
    for name, number in (("center", torch.nan), ("2x2", -1.0), ("out_in_grid", 7.0)):
        sound = solver.scene(puzzles[name])
        for part in (sound.pmfs, sound.sets, sound.entities):
            for key, value in part.items():
                kept = value.clone()
                value[-1, -1, ..., 0] = number
                with pytest.raises(VSAError, match=rf"Scene attribute {key.component}\|{key.name}"):
                    solver.learner(sound)
                value.copy_(kept)
        solver.learner(sound)


def test_no_scene_at_all(solver):
    for thing in (None, {}, torch.zeros(2, 16, 5)):
        with pytest.raises(VSAError, match=r"expected a reasoning\.scene\.Scene"):
            solver.predict(thing)


@pytest.mark.parametrize("constellation", ["2x2", "3x3", "out_in_grid"])
def test_entities_that_are_missing_follow_from_panels(solver, constellation):
    """A grid of which only panels are given: fewer answers may be right, but it is solved; 90 % of 60 at least."""
    batch = datasets.PuzzleBatch.of(datasets.generate("iraven", constellation, n=60, seed=11))
    scene = solver.scene(batch)
    alone = Scene(scene.columns, scene.pmfs, scene.sets)
    found = solver.predict(alone)
    least = float((solver.predict(scene).answers == batch.target).double().mean()) - 0.1
    assert float((found.answers == batch.target).double().mean()) >= least
    if solver.learner.mixed == "missing":
        assert set(solver.learner.expected(alone)) == set(scene.keys)


@pytest.mark.parametrize("to", [torch.float64, torch.float16])
def test_every_entry_of_a_learner_takes_other_precisions(solver, puzzles, to):
    batch = puzzles["center"]
    scene = solver.scene(batch)
    other = Scene(3, {key: value.to(to) for key, value in scene.pmfs.items()})
    solver.learner.expected(other)
    if solver.learner.teaches:
        loss = solver.learner.training_loss(other, batch.target, torch.Generator().manual_seed(0))
        assert torch.isfinite(loss)
