"""What dummies return that is no prediction, no scene and no loss: each is refused with a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import datasets
from reasoning.learners.base import Learner, Prediction
from reasoning.outcome import checked
from reasoning.outcome.metrics import Metrics
from reasoning.perception.base import Perception
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey, Scene
from reasoning.solver import Solver
from reasoning.training import engine
from vsa.errors import DtypeError, ShapeError, VSAError

PUZZLES = 6


class Dummy(Learner):
    """A sound learner, whose prediction or loss a test spoils."""

    def __init__(self, spoil=lambda prediction: prediction, loss=None):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.spoil, self.loss = spoil, loss

    def forward(self, scene):
        puzzles, count = len(scene), len(scene.keys)
        index = torch.zeros(puzzles, count, dtype=torch.long)
        agreement = torch.linspace(0, 1, 8).expand(puzzles, count, 8) * self.weight
        confidence, families = torch.ones(puzzles, count), index.to(torch.int8)
        ones = torch.ones(puzzles, count, 1)
        return self.spoil(Prediction(agreement.sum(1), scene.keys, index, ones, agreement, confidence, families))

    def training_loss(self, scene, target, generator):
        return self.weight.square() if self.loss is None else self.loss(self.weight)

    def describe(self):
        return ["always the last"]


class Seen(Perception):
    """The oracle, whose scene a test spoils."""

    def __init__(self, spoil):
        super().__init__()
        self.spoil, self.oracle = spoil, Oracle()

    def forward(self, batch, *, mixed="shares", entities=False):
        return self.spoil(self.oracle(batch, mixed=mixed, entities=entities))


@pytest.fixture(scope="module")
def puzzles():
    return datasets.PuzzleDataset(datasets.generate("iraven", "2x2", n=PUZZLES, seed=0))


def other(tensor, **changes):
    return lambda prediction: replace(prediction, **{tensor: changes["to"](getattr(prediction, tensor))})


SPOILED = [
    ("scores", lambda x: x[:, :7], ShapeError, r"scores: received shape \(6, 7\); expected \(B, 8\) = \(6, 8\)"),
    ("scores", lambda x: torch.cat([x, x[:, :1]], 1), ShapeError, r"received shape \(6, 9\)"),
    ("scores", lambda x: x[:5], ShapeError, r"received shape \(5, 8\); expected \(B, 8\) = \(6, 8\)"),
    ("scores", lambda x: x.repeat(2, 1), ShapeError, r"received shape \(12, 8\)"),
    ("scores", lambda x: x[0], ShapeError, r"received shape \(8,\)"),
    ("scores", lambda x: x.unsqueeze(0), ShapeError, r"received shape \(1, 6, 8\)"),
    ("scores", lambda x: x.round().long(), DtypeError, r"received a tensor of torch.int64; expected floats"),
    ("scores", lambda x: x > 0, DtypeError, r"received a tensor of torch.bool; expected floats"),
    ("scores", lambda x: x.tolist(), DtypeError, r"received a list; expected a tensor of floats, \(B, 8\)"),
    (
        "scores",
        lambda x: torch.where(torch.arange(6)[:, None] > 3, torch.nan, x),
        VSAError,
        r"scores: received NaN in 2 of 6 puzzles",
    ),
    ("confidence", lambda x: x * torch.nan, VSAError, r"confidence: received NaN in 6 of 6 puzzles"),
    ("confidence", lambda x: x[:, 1:], ShapeError, r"confidence: received shape \(6, 4\); expected \(B, A\)"),
    ("families", lambda x: x[:, 1:], ShapeError, r"families: received shape \(6, 4\)"),
    ("families", lambda x: x.float(), DtypeError, r"families: received a tensor of torch.float32; expected integers"),
    ("rule_index", lambda x: x.float(), DtypeError, r"rule_index: received a tensor of torch.float32"),
    ("rule_weights", lambda x: x[..., 0], ShapeError, r"rule_weights: .*expected \(B, A, R\) = \(6, 5, any\)"),
    ("agreement", lambda x: x[..., 1:], ShapeError, r"agreement: received shape \(6, 5, 7\)"),
    ("governed", lambda _: torch.zeros(6, 2, dtype=torch.int8), ShapeError, r"governed: .*expected \(B, C\) = \(6, 1"),
    ("keys", lambda x: x[1:], ShapeError, r"expected \(B, A\) = \(6, 4\)"),
    ("keys", lambda x: (*x[1:], x[1]), VSAError, r"keys: .*expected attributes of the scene, each once: 0\|"),
    ("keys", lambda x: (*x[1:], AttributeKey(3, "Taste")), VSAError, r"keys: received 3\|Taste"),
]


@pytest.mark.parametrize(("tensor", "change", "error", "words"), SPOILED)
def test_a_spoiled_prediction(puzzles, tensor, change, error, words):
    """Where a benchmark, an evaluation after training, an explanation and Python get it: always the same sentence."""
    solver = Solver(Oracle(), Dummy(other(tensor, to=change)))
    batch = next(iter(puzzles.batches(PUZZLES)))
    for use in (
        lambda: solver.solve(batch),
        lambda: engine.evaluate(solver, puzzles, PUZZLES),
        lambda: solver.explain(puzzles.arrays),
    ):
        with pytest.raises(error, match=f"^learner Dummy, {words}|^learner Dummy, .*{words}"):
            use()


def test_no_prediction_at_all(puzzles):
    with pytest.raises(DtypeError, match=r"^learner Dummy: received a Tensor; expected a reasoning.learners.base"):
        Solver(Oracle(), Dummy(lambda prediction: prediction.scores)).solve(next(iter(puzzles.batches(2))))


def test_a_sound_prediction_passes_with_minus_infinity(puzzles):
    """A candidate that cannot be is one that a learner may say."""
    solver = Solver(Oracle(), Dummy(other("scores", to=lambda x: torch.where(torch.arange(8) < 7, x, -torch.inf))))
    metrics = engine.evaluate(solver, puzzles, 4)
    assert isinstance(metrics, Metrics)
    assert metrics.answers.total == PUZZLES


def first(scene, change):
    key = next(iter(scene.pmfs))
    return replace(scene, pmfs={**scene.pmfs, key: change(scene.pmfs[key])})


def place(value, number):
    value = value.clone()
    value[2, 3, 1] = number
    return value


SCENES = [
    (lambda s: s.pmfs, DtypeError, r"received a dict; expected a reasoning.scene.Scene"),
    (lambda s: None, DtypeError, r"received a NoneType"),
    (lambda s: s[:5], ShapeError, r"received a scene of 5 puzzles with 3 columns; expected 6 puzzles with 3 columns"),
    (lambda s: s[torch.arange(12) % 6], ShapeError, r"a scene of 12 puzzles"),
    (lambda s: first(s, lambda p: place(p, -0.5)), VSAError, r"attribute 0\|\w+: .* from -0.5, and"),
    (lambda s: first(s, lambda p: place(p, torch.nan)), VSAError, r"received NaN in 1 of 6 puzzles"),
    (lambda s: first(s, lambda p: place(p, torch.inf)), VSAError, r"sum to inf; expected none below 0, and at most 1"),
    (lambda s: first(s, lambda p: 1.5 * p), VSAError, r"probabilities of a panel that sum to 1.5"),
    (lambda s: first(s, lambda p: p.long()), DtypeError, r"received a tensor of torch.int64; expected floats"),
    (lambda s: replace(s, sets={k: v + 1 for k, v in s.sets.items()}), VSAError, r"probabilities up to 2; expected"),
    (lambda s: replace(s, entities={AttributeKey(0, "Type"): -torch.ones(6, 16, 4, 6)}), VSAError, r"from -1, and"),
    (
        lambda s: Scene(4, {AttributeKey(0, "Type"): torch.full((6, 19, 5), 0.2)}),
        ShapeError,
        r"6 puzzles with 4 columns",
    ),
]


@pytest.mark.parametrize(("spoil", "error", "words"), SCENES)
def test_a_spoiled_scene(puzzles, spoil, error, words):
    """Where training, a benchmark and an explanation get it."""
    solver = Solver(Seen(spoil), Dummy())
    batch = next(iter(puzzles.batches(PUZZLES)))
    for use in (lambda: solver.scene(batch), lambda: solver.solve(batch), lambda: solver.explain(batch)):
        with pytest.raises(error, match=f"^front-end Seen.*{words}"):
            use()


LOSSES = [
    (lambda w: w.expand(3), ShapeError, r"received shape \(3,\); expected \(\), a scalar"),
    (lambda w: w.reshape(1), ShapeError, r"received shape \(1,\)"),
    (lambda w: 0.5, DtypeError, r"received a float; expected a tensor of floats, \(\), a scalar"),
    (lambda w: w.detach(), DtypeError, r"received a tensor without gradient"),
    (lambda w: w.detach().long(), DtypeError, r"received a tensor of torch.int64"),
    (lambda w: None, DtypeError, r"received a NoneType"),
]


@pytest.mark.parametrize(("loss", "error", "words"), LOSSES)
def test_a_spoiled_loss(puzzles, tmp_path, loss, error, words):
    from reasoning.records.checkpoints import CheckpointFolder
    from reasoning.training.plan import Plan

    plan = Plan(1, 4, 0.1, 0.0, "constant", 0, 60.0, 1)
    solver = Solver(Oracle(), Dummy(loss=loss))
    trainer = engine.Trainer(solver, puzzles, plan, CheckpointFolder(tmp_path / "c"), tmp_path / "metrics.jsonl")
    with pytest.raises(error, match=f"^learner Dummy, training_loss: {words}"):
        trainer.run()


def test_what_is_sound_comes_back_as_it_is(puzzles):
    """Checks change nothing: not the objects, not the gradient."""
    learner, batch = Dummy(), next(iter(puzzles.batches(PUZZLES)))
    solver = Solver(Oracle(), learner)
    scene = solver.scene(batch)
    prediction = learner(scene)
    assert checked.check_scene(scene, solver.perception, batch) is scene
    assert checked.check_prediction(prediction, learner, scene) is prediction
    loss = learner.weight.square()
    assert checked.check_loss(loss, learner) is loss
    assert prediction.scores.requires_grad


@pytest.mark.parametrize("name", ["train", "benchmark", "explain"])
def test_commands_say_the_sentence_before_they_write_anything(command, fake, tmp_path, monkeypatch, name):
    real = fake.Fake.forward
    monkeypatch.setattr(
        fake.Fake, "forward", lambda self, scene: replace(p := real(self, scene), scores=p.scores[:, :7])
    )
    where = {"train": "dataset.n=8", "benchmark": "dataset.n=8", "explain": "constellation=center"}[name]
    code, _, err = command(name, "+model=fake", where, f"out={tmp_path / 'out'}")
    assert code == 2
    assert "learner Fake, scores: received shape (" in " ".join(err.split())
    assert "expected (B, 8)" in " ".join(err.split())
    assert not (tmp_path / "out").exists()
