"""ARLC: what the programmed rules answer, what training finds, and that answers depend on nothing they should not."""

import dataclasses

import pytest
import torch

import datasets
import vsa
from datasets.arrays import NUMBER
from datasets.rules import rule_code
from reasoning.learners.arlc import ARLC, _simplicity
from reasoning.learners.base import component_rules
from reasoning.learners.soft.formula import coefficients
from reasoning.learners.soft.programs import program
from reasoning.learners.soft.selection import choose_rules, fit_prior
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey, Scene
from reasoning.solver import Solver
from vsa.errors import SettingsError, ShapeError, UnknownNameError

ALGEBRA = vsa.get("gsbc", dim=1024, blocks=4)


def puzzles(constellation="center", n=200, seed=11, name="iraven", **options):
    return datasets.PuzzleDataset(datasets.generate(name, constellation, n=n, seed=seed, **options))


def batch(dataset):
    return next(iter(dataset.batches(len(dataset))))


ONE = {"populations": 1, "frequencies": None}  # a single set of rules, trained on the whole spectrum


def solver(**options):
    return Solver(Oracle(), ARLC(ALGEBRA, **{**ONE, **options}))


def accuracy(model, dataset):
    right = sum(int((model.solve(part).answers == part.target).sum()) for part in dataset.batches(100))
    return right / len(dataset)


# Floors: the accuracy measured on 2,000 puzzles, less 4 standard errors at n = 200.
@pytest.mark.parametrize(
    ("constellation", "floor"),
    [
        ("center", 0.97),
        ("2x2", 0.78),
        ("3x3", 0.76),
        ("left_right", 0.97),
        ("up_down", 0.97),
        ("out_in", 0.97),
        ("out_in_grid", 0.84),
    ],
)
def test_programmed_rules_answer(constellation, floor):
    assert accuracy(solver(mode="programmed"), puzzles(constellation)) >= floor


def test_programmed_rules_answer_rows_of_ten():
    data = puzzles("center", n=60, name="iraven_x", columns=10, maxval=100)
    assert accuracy(solver(mode="programmed", columns=10), data) >= 0.95


def test_rules_are_named_as_the_generator_names_them():
    data = puzzles(n=300)
    part = batch(data)
    prediction = solver(mode="programmed").solve(part)
    named = component_rules(prediction, 0)
    assert set(named) == {"Type", "Size", "Color"}
    for slot, column in (("Type", 1), ("Size", 2), ("Color", 3)):
        truth = torch.from_numpy(part.arrays.components[0].rules[:, column])
        assert float((named[slot] == truth).float().mean()) >= 0.9, slot


def test_number_and_position_are_one_rule_slot():
    part = batch(puzzles("2x2", n=200))
    named = component_rules(solver(mode="programmed").solve(part), 0)
    component = part.arrays.components[0]
    number = torch.from_numpy((component.governed == NUMBER) & (component.rules[:, 0] == rule_code("Distribute_Three")))
    assert number.sum() > 10
    right = (named["Number/Position"] == rule_code("Distribute_Three")) & (named["governed"] == NUMBER)
    assert float(right[number].float().mean()) > 0.8


def test_a_candidates_score_depends_on_the_context_and_itself_alone(replace_candidates):
    model = solver(mode="programmed")
    scene = model.perception(batch(puzzles("2x2", n=12)))
    other = model.perception(batch(puzzles("2x2", n=12, seed=99)))
    scores = model.learner(scene).scores
    for keep in (0, 5):
        changed = replace_candidates(scene, other, keep)
        torch.testing.assert_close(model.learner(changed).scores[:, keep], scores[:, keep])


def test_answers_do_not_depend_on_the_batch_nor_on_target_and_rules():
    model, part = solver(mode="programmed"), batch(puzzles("out_in_grid", n=40))
    whole = model.solve(part)
    scene = model.perception(part)
    pieces = torch.cat([model.learner(scene[i : i + 7]).scores for i in range(0, 40, 7)])
    torch.testing.assert_close(pieces, whole.scores, atol=1e-5, rtol=0)
    blind = dataclasses.replace(part, target=torch.zeros_like(part.target))
    assert torch.equal(model.solve(blind).scores, whole.scores)


def test_attributes_are_anonymous():
    model, part = solver(mode="programmed"), batch(puzzles(n=50))
    scene = model.perception(part)
    names = {AttributeKey(0, "Type"): "A", AttributeKey(0, "Size"): "B", AttributeKey(0, "Color"): "C"}
    hidden = Scene(3, {AttributeKey(0, names[key]): scene.pmfs[key] for key in reversed(list(scene.pmfs))})
    torch.testing.assert_close(model.learner(hidden).scores, model.learner(scene).scores)


def train(model, data, epochs, lr=0.05):
    optimizer = torch.optim.AdamW([model.learner.logits], lr=lr)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for epoch in range(epochs):
        for part in data.batches(16, shuffle=True, seed=0, epoch=epoch):
            loss = model.learner.training_loss(model.perception(part), part.target, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    model.learner.finish((model.perception(part), part.target) for part in data.batches(64))
    return losses


def test_training_lowers_the_loss():
    losses = train(solver(populations=1, frequencies=48, seed=1), puzzles(n=320, seed=5), epochs=3)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


@pytest.mark.slow
def test_center_is_learned_from_1200_puzzles():
    # Measured: 100.0 % on 2,000 puzzles; the bar is the authors' 99.75 % less 2.5 standard errors at n = 2,000.
    model = solver(populations=4, frequencies=96, seed=0)
    train(model, puzzles(n=1200, seed=100), epochs=5)
    assert accuracy(model, puzzles(n=2000, seed=77)) >= 0.9947


def test_the_same_seed_gives_the_same_gradient():
    part = batch(puzzles(n=8))
    gradients = []
    for _ in range(2):
        model = solver(populations=2, frequencies=32, seed=4)
        loss = model.learner.training_loss(model.perception(part), part.target, torch.Generator().manual_seed(7))
        loss.backward()
        gradients.append(model.learner.logits.grad.clone())
    assert torch.equal(*gradients)


@pytest.mark.parametrize("weighting", ["none", "entropy", "confidence"])
def test_sampled_frequencies_estimate_the_full_loss(weighting):
    # 40 draws of 64 of 516 frequencies: the mean is within 4 standard errors plus 2 % of bias of the cosine's ratio.
    part = batch(puzzles("2x2", n=6))
    full = solver(mode="programmed_then_learned", weighting=weighting)
    some = solver(mode="programmed_then_learned", weighting=weighting, frequencies=64)
    scene = full.perception(part)
    with torch.no_grad():
        exact = full.learner.training_loss(scene, part.target, torch.Generator())
        generator = torch.Generator().manual_seed(0)
        draws = torch.stack([some.learner.training_loss(scene, part.target, generator) for _ in range(40)])
    bound = 4 * draws.std() / 40**0.5 + 0.02 * exact
    assert abs(draws.mean() - exact) < bound


def test_training_goes_from_slow_frequencies_to_all():
    model = ARLC(ALGEBRA, populations=1, frequencies=16, octaves=5)
    encoded = model.encode(Oracle()(batch(puzzles(n=2))))
    turns, widest, draws = model.encoder.turns(), [], torch.Generator().manual_seed(0)
    for epoch in range(6):
        model.begin_epoch(epoch, 6)
        seen = model._training_frequencies(encoded, draws)[0].frequencies
        assert bool((turns[seen] > 0).all()) or epoch == 5
        widest.append(float(turns[seen].max()))
    assert widest[0] <= torch.pi / 2**4 and widest == sorted(widest) and widest[-1] > torch.pi / 2
    with pytest.raises(SettingsError, match="octaves=-1"):
        ARLC(ALGEBRA, octaves=-1)


def test_likelihood_answers_rows_of_ten_under_calibrated_stress():
    """Of 100; on 1,000 puzzles 63.4 % by similarity and 98.9 % by likelihood."""
    stress = Oracle(stress="calibrated", p_left=0.51)
    wide = vsa.get("gsbc", dim=4096, blocks=4)
    rows = batch(puzzles(n=100, name="iraven_x", columns=10, maxval=1000))
    right = {}
    for scoring in ("similarity", "likelihood"):
        model = Solver(stress, ARLC(wide, **ONE, columns=10, mode="programmed", scoring=scoring))
        right[scoring] = int((model.solve(rows).answers == rows.target).sum())
    assert right["likelihood"] >= 95 and right["similarity"] < 85, right


def test_finish_keeps_the_formulas_that_explain_the_data():
    model = solver(populations=3, seed=2)
    right = program(3, 12)
    with torch.no_grad():
        model.learner.logits[2] = 9 * right
    data = puzzles(n=200)
    model.learner.finish((model.perception(part), part.target) for part in data.batches(64))
    # Constant is a progression by zero: once that is in, a random formula can take its place.
    kept = {tuple(row) for row in coefficients(model.learner.rule_weights()).tolist()}
    assert {tuple(row) for row in coefficients(right[1:]).tolist()} <= kept
    assert accuracy(model, puzzles(n=200, seed=8)) >= 0.95


def test_greedy_choice_takes_what_adds_most():
    explained = torch.tensor([[1.0, 0.9, 0.0], [1.0, 0.9, 0.0], [0.0, 0.1, 1.0]])
    assert choose_rules(explained, 2).tolist() == [0, 2]


def test_prior_prefers_the_rule_that_is_right_where_both_fit():
    evidence = torch.tensor([[50.0, 50.0]] * 20 + [[50.0, 0.0]] * 5 + [[0.0, 50.0]] * 5)
    outcome = torch.tensor([[100.0, 0.0]] * 18 + [[0.0, 100.0]] * 2 + [[100.0, 0.0]] * 5 + [[0.0, 100.0]] * 5)
    prior = fit_prior(evidence, outcome)
    assert prior[0] > prior[1] + 1.0
    assert abs(float(prior.sum())) < 1e-5


def test_simplicity_prefers_own_panels():
    constant, progression, plus, minus, distribute = _simplicity(coefficients(program(3, 12)), 3).tolist()
    assert progression == plus == minus == 0 and distribute < constant < 0


def test_published_sizes():
    assert ARLC(ALGEBRA, populations=1).logits.numel() == 480
    assert ARLC(ALGEBRA, columns=10, populations=1).logits.shape == (1, 5, 22, 29)


def test_rules_in_words_name_themselves():
    words = ARLC(ALGEBRA, mode="programmed").describe()
    assert len(words) == 5
    assert any("x3 = - x1 + 2 x2" in line and "Progression" in line for line in words)
    assert any("Distribute_Three" in line for line in words)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "lerned"}, UnknownNameError, "learned"),
        ({"weighting": "entopy"}, UnknownNameError, "entropy"),
        ({"terms": 7}, SettingsError, "even number of terms"),
        ({"rules": 0}, SettingsError, "rules=0"),
        ({"temperature": 0.0}, SettingsError, "> 0"),
        ({"frequencies": 0}, SettingsError, "frequencies=0"),
        ({"mode": "programmed_then_learned", "rules": 2}, SettingsError, ">= 5 programmed"),
    ],
)
def test_wrong_settings_are_a_sentence(options, error, words):
    with pytest.raises(error, match=words):
        ARLC(ALGEBRA, **options)


def test_rules_for_three_columns_refuse_ten():
    model = solver(mode="programmed")
    with pytest.raises(ShapeError, match=r"model\.columns=10"):
        model.solve(batch(puzzles("center", n=2, name="iraven_x", columns=10, maxval=20)))
