"""Certainty: what the scores say, that counts add, what is withheld, and that nobody is asked who does not know."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import datasets
import reasoning
import reasoning.learners
from reasoning import train
from reasoning.learners.base import Learner, Prediction, join
from reasoning.outcome.metrics import Metrics, Tally, observe, total
from reasoning.outcome.reliability import BINS, Reliability
from reasoning.perception.oracle import Oracle
from reasoning.records import runs
from reasoning.scene import AttributeKey
from reasoning.solver import Solver
from reasoning.tables import comparison, plots, tables
from reasoning.training import run as training
from reasoning.training import start
from vsa.commands import schema
from vsa.errors import CorruptFileError, SettingsError, ShapeError, VSAError


def predicted(scores, calibrated=True):
    scores = torch.as_tensor(scores)
    one = (len(scores), 1)
    return Prediction(
        scores,
        (AttributeKey(0, "Type"),),
        torch.zeros(one, dtype=torch.long),
        torch.ones(*one, 1),
        torch.ones(*one, 8),
        torch.ones(one),
        torch.zeros(one, dtype=torch.int8),
        calibrated=calibrated,
    )


# -- what the scores say ---------------------------------------------------------------------------------------------


def test_certainty_is_the_softmax_at_the_answer(generator):
    for dtype in (torch.float16, torch.float32, torch.float64):
        scores = (3 * torch.randn(200, 8, generator=generator)).to(dtype)
        found = predicted(scores)
        wanted = torch.softmax(scores.double(), -1).gather(1, found.answers.unsqueeze(1)).squeeze(1)
        alone = found.best.sum(1) == 1
        assert alone.sum() > 150
        assert torch.allclose(found.certainty[alone], wanted[alone], atol=1e-12)
        moved = predicted(scores.double() + 5 * torch.randn(200, 1, generator=generator).double())
        assert torch.allclose(moved.certainty[alone], wanted[alone], atol=1e-12)


@pytest.mark.parametrize("ties", range(1, 9))
@pytest.mark.parametrize("level", [0.0, 1e4, -1e4, math.inf, -math.inf])
def test_candidates_that_tie_share(ties, level):
    """Also those that rounding alone tells apart, and infinities."""
    scores = torch.full((1, 8), -math.inf)
    scores[0, :ties] = level
    found = predicted(scores)
    said = int(found.best.sum())
    assert said == (8 if level == -math.inf else ties)
    assert found.certainty.item() == pytest.approx(1 / said, abs=1e-15)
    if math.isfinite(level):
        scores[0, 0] += 1e-7 * abs(level)
        assert predicted(scores).certainty.item() == pytest.approx(1 / ties, abs=1e-15)


def test_who_does_not_declare_says_nothing():
    assert predicted(torch.zeros(2, 8), calibrated=False).certainty is None
    whole = join([predicted(torch.zeros(2, 8)), predicted(torch.ones(3, 8))])
    assert whole.certainty.shape == (5,)
    assert not join([predicted(torch.zeros(2, 8), calibrated=False)]).calibrated


DECLARED = [
    ("fora", (), True),
    ("symbolic", (), True),
    ("symbolic", ("model.sharpen=true",), False),
    *((name, (), False) for name in ("nvsa", "arlc", "learn_vrf")),
    *((name, ("model.mode=programmed",), False) for name in ("arlc",)),
    *((name, ("model.scoring=likelihood",), True) for name in ("nvsa", "arlc", "learn_vrf")),
    ("symbolic", ("decoder=codebook",), False),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("model", "said", "declares"), DECLARED)
def test_what_learners_declare(model, said, declares):
    """The prediction carries it through pieces and decoders; softmax of others' scores is no probability."""
    arrays = datasets.generate("iraven", "2x2", n=12, seed=1)
    solver = reasoning.make_solver(model, *said)
    found = solver.solve(datasets.PuzzleBatch.of(arrays))
    assert solver.learner.calibrated == found.calibrated == declares
    assert (found.certainty is not None) == declares
    if declares:
        assert bool(((found.certainty >= 1 / 8) & (found.certainty <= 1)).all())
    explanation = solver.explain(arrays, 3)
    assert explanation.certainty == (pytest.approx(found.certainty[3].item(), abs=1e-4) if declares else None)
    assert ("(certainty " in explanation.verdict) == declares
    assert json.loads(json.dumps(explanation.as_dict()))["certainty"] == (
        pytest.approx(explanation.certainty, abs=1e-6) if declares else None
    )


def test_a_superposition_has_no_likelihood():
    said = ("model.scoring=likelihood", "model.grids=superposed", "model.mode=pretrained")
    assert not reasoning.make_solver("learn_vrf", *said).learner.calibrated


class Guess(Learner):
    """Scores from a list; declares what it is told."""

    def __init__(self, scores, calibrated):
        super().__init__()
        self.scores, self.calibrated = scores, calibrated

    def forward(self, scene):
        return dataclasses.replace(predicted(self.scores[: len(scene)], calibrated=not self.calibrated))

    def describe(self):
        return ["a guess"]


@pytest.mark.parametrize("declares", [False, True])
def test_the_learner_decides_and_not_the_prediction(declares):
    arrays = datasets.generate("iraven", "center", n=6, seed=1)
    solver = Solver(Oracle(), Guess(torch.eye(8)[:6], declares))
    assert solver.solve(datasets.PuzzleBatch.of(arrays)).calibrated == declares


def test_an_explanation_tells_ties_and_what_they_share():
    arrays = datasets.generate("iraven", "center", n=1, seed=1)
    scores = torch.tensor([[0.0, 9.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]])
    explanation = Solver(Oracle(), Guess(scores, True)).explain(arrays)
    assert explanation.verdict == "answer: candidate 2 (certainty 0.50), which ties with candidate 5"
    assert explanation.tied == (4,)


# -- counts ----------------------------------------------------------------------------------------------------------

answers = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60)


def counted(pairs):
    certainty, right = np.array([p for p, _ in pairs], dtype=float), np.array([r for _, r in pairs], dtype=bool)
    return Reliability.of(certainty, right)


@given(answers, answers, answers)
def test_counts_add_in_any_order(a, b, c):
    whole = counted([*a, *b, *c])
    assert (counted(a) + counted(b)) + counted(c) == counted(c) + (counted(b) + counted(a)) == whole
    assert whole + Reliability() == whole
    assert Reliability.from_dict(json.loads(json.dumps(whole.as_dict()))) == whole
    parts = [Metrics(Tally(len(part), len(part)), certainty=counted(part)) for part in (a, b, c)]
    assert total(parts) == total(parts[::-1])
    assert total(parts).certainty == whole


@given(answers)
def test_what_follows_from_the_counts(pairs):
    """Against the sums over single answers: mean, error, answers above an edge."""
    found = counted(pairs)
    assert found.count == len(pairs)
    if not pairs:
        assert found.mean is None and found.error is None
        return
    certainty, right = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    assert found.mean == pytest.approx(certainty.mean(), abs=1e-9)
    rounded = np.rint(certainty * 1e9) / 1e9  # as it is kept; edges are of thirds
    edges = np.arange(BINS + 1) / BINS
    error = 0.0
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = (rounded > low) & (rounded <= high) if k else rounded <= high
        error += abs((right[inside] - certainty[inside]).sum()) / len(pairs)
        above = rounded > low if k else rounded >= 0
        assert found.above(k) == (int(right[above].sum()), int(above.sum()))
    assert found.error == pytest.approx(error, abs=1e-8)


def synthetic(rng, n):
    """Scores of a perfectly calibrated predictor and the candidate that is right, drawn by the softmax."""
    scores = rng.normal(size=(n, 8)) * rng.uniform(0, 4, (n, 1))
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    target = (chances.cumsum(1) < rng.uniform(size=(n, 1))).sum(1).clip(0, 7)
    return torch.from_numpy(scores), target


def test_a_calibrated_predictor_has_no_error_but_chance(rng):
    """n = 40,000: the error is below the mean of |noise| over the bins plus four standard errors; three times as sure
    scores, or a third as sure, are far off."""
    n = 40_000
    scores, target = synthetic(rng, n)
    right = predicted(scores).answers.numpy() == target

    def error(sharper):
        return Reliability.of(predicted(sharper * scores).certainty.numpy(), right)

    found = error(1.0)
    spread = np.array([math.sqrt(count * mean * (1 - mean)) / n for mean, _, count in found.bins()])
    chance = math.sqrt(2 / math.pi) * spread.sum() + 4 * math.sqrt((spread**2).sum())
    assert len(found.bins()) >= 13
    assert 0 < found.error < chance < 0.015
    assert abs(found.mean - right.mean()) < 4 * math.sqrt(right.mean() * (1 - right.mean()) / n)
    assert error(3.0).error > 10 * chance and error(1 / 3).error > 10 * chance


def test_the_error_says_by_how_much():
    """Nine of ten right at a certainty of .7: .2 apart."""
    found = Reliability.of(np.full(10, 0.7), np.arange(10) > 0)
    assert found.error == pytest.approx(0.2)
    assert Reliability.of(np.array([0.0, 1.0]), np.array([False, True])).error == 0
    assert found.total.index(10) == 10, "from 10/15 to 11/15"
    edge = Reliability.of(np.array([0.2, np.nextafter(0.2, 1)]), np.array([True, True]))
    assert edge.total[2] == 2, "bins hold their upper edge, but for a billionth"


@pytest.mark.parametrize("certainty", [[-0.1], [1.1], [math.nan]])
def test_what_is_no_probability(certainty):
    with pytest.raises(VSAError, match=r"Reliability.of: received a certainty that is no probability"):
        Reliability.of(np.array(certainty), np.array([True]))
    with pytest.raises(ShapeError, match=r"expected \(B,\) and \(B,\)"):
        Reliability.of(np.zeros(2), np.array([True]))


@pytest.mark.parametrize("name", ["total", "correct", "billionths"])
@pytest.mark.parametrize("row", [["3"] * BINS, [0] * 14, [0.0] * BINS, [-1] * BINS, [True] * BINS, None])
def test_files_of_another_form(name, row):
    whole = Metrics(certainty=Reliability.of(np.array([0.5]), np.array([True]))).counts()
    stored = {**whole, "certainty": {**whole["certainty"], name: row}}
    with pytest.raises(CorruptFileError, match="read metrics"):
        Metrics.from_json(stored, [])


# -- what is withheld ------------------------------------------------------------------------------------------------


def test_withheld_answers_are_counted(rng):
    arrays = datasets.generate("iraven", "center", n=400, seed=3)
    scores, _ = synthetic(rng, 400)
    prediction = predicted(scores)
    right = prediction.answers.numpy() == arrays.target
    certainty = prediction.certainty.numpy()
    plain = observe(arrays, prediction)
    assert plain.answered is None and plain.given is None
    for abstain in (0.2, 0.5, 0.9, 0.999999):
        found = observe(arrays, prediction, abstain)
        assert found.answered == Tally(int(right[certainty >= abstain].sum()), int((certainty >= abstain).sum()))
        assert found.given == Tally(found.answered.total, 400)
        assert dataclasses.replace(found, answered=None) == plain, "nothing else changes"
        parts = [observe(arrays[rows], predicted(scores[rows]), abstain) for rows in (slice(0, 7), slice(7, 400))]
        assert total(parts) == found
        stored = json.loads(json.dumps(found.results()))
        assert stored["answered"] == found.answered.as_dict()
        assert Metrics.from_json(stored, found.detail()) == found


def test_older_files_are_read():
    """Without certainty and withheld answers; those of learners that do not say have neither still."""
    arrays = datasets.generate("iraven", "center", n=20, seed=3)
    found = observe(arrays, predicted(torch.rand(20, 8, generator=torch.Generator().manual_seed(0)), calibrated=False))
    assert list(found.results()) == ["answers", "tied", "unambiguous", "rules"]
    new = dataclasses.replace(
        found, certainty=Reliability.of(np.full(20, 0.5), np.ones(20, bool)), answered=Tally(1, 2)
    )
    old = {name: entry for name, entry in new.results().items() if name not in ("certainty", "answered")}
    assert Metrics.from_json(old, found.detail()) == found


@pytest.mark.parametrize("abstain", [0.0, 1.0, -0.5, 2.0, math.nan, math.inf])
def test_thresholds_that_are_none(abstain):
    arrays = datasets.generate("iraven", "center", n=2, seed=3)
    with pytest.raises(SettingsError, match=r"setting abstain: received .*; expected between 0 and 1"):
        reasoning.evaluate(reasoning.make_solver("symbolic"), arrays, abstain=abstain)


def test_a_learner_that_does_not_know_is_not_asked():
    arrays = datasets.generate("iraven", "center", n=2, seed=3)
    with pytest.raises(SettingsError, match=r"setting abstain=0.9: received learner NVSA, whose scores are no log"):
        reasoning.evaluate(reasoning.make_solver("nvsa"), arrays, abstain=0.9)
    found = reasoning.evaluate(reasoning.make_solver("symbolic"), arrays, abstain=0.9)
    assert found.certainty.count == 2 and found.given == Tally(2, 2)


# -- tables and pictures ---------------------------------------------------------------------------------------------


def some(seed, n=300, abstain=0.5):
    rng = np.random.default_rng(seed)
    arrays = datasets.generate("iraven", "center", n=n, seed=seed)
    scores, _ = synthetic(rng, n)
    return observe(arrays, predicted(scores), abstain)


def test_tables_say_so():
    certain, silent = some(1), Metrics(Tally(3, 4))
    rows = {"sure": {"center_single": certain}, "silent": {"center_single": silent}}
    grid = tables.answers_table(rows, [], abstain=0.5)
    lines = {row.label: list(row.cells) for row in grid.rows}
    assert "withheld below a certainty of 0.5" in grid.title
    assert lines["- answered"] == [f"{certain.given.percent:.2f}"]
    assert lines["- right of these"] == [f"{certain.answered.percent:.2f}"]
    assert lines["- calibration error"] == [f"{100 * certain.certainty.error:.2f}"]
    plain = tables.answers_table({"silent": {"center_single": silent}}, [])
    assert not {"- answered", "- right of these", "- calibration error"} & {row.label for row in plain.rows}
    assert "withheld" not in plain.title
    measured = comparison.measures(certain)
    assert measured["calibration error"] == 100 * certain.certainty.error
    assert (measured["answered"], measured["answered right"]) == (certain.given.percent, certain.answered.percent)
    assert not {"calibration error", "answered"} & set(comparison.measures(silent))


@pytest.mark.parametrize("sets", [["center_single"], ["center_single", "distribute_four", "left_right", "x", "y"]])
def test_the_picture_shows_every_bin(tmp_path, sets):
    rows = {
        "sure": {name: some(seed) for seed, name in enumerate(sets)},
        "silent": {name: Metrics(Tally(3, 4)) for name in sets},
    }
    figure = plots.draw_reliability(plots._figure(), rows)
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert len(shown) == (1 if len(sets) == 1 else len(sets) + 1)
    everything = total(rows["sure"].values()).certainty
    points = shown[-1].collections[-1].get_offsets()
    assert np.allclose(points, [(100 * mean, 100 * right / count) for mean, right, count in everything.bins()])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sure"]
    plots.write_reliability(str(tmp_path / "a.png"), rows)
    assert (tmp_path / "a.png").stat().st_size > 5000


# -- the command -----------------------------------------------------------------------------------------------------

STRESSED = ("perception.stress=calibrated", "perception.p_left=0.7", "dataset.n=20", "constellation=[center,up_down]")


def benchmark(command, out, *arguments):
    code, screen, err = command("benchmark", *STRESSED, f"out={out}", *arguments)
    assert code == 0, err
    return screen


def test_the_command_withholds_and_draws(command, tmp_path):
    out, picture = tmp_path / "one", tmp_path / "reliability.png"
    screen = benchmark(command, out, "+model=symbolic", "abstain=0.8", f"reliability={picture}")
    assert "- answered" in screen and "- right of these" in screen and "- calibration error" in screen
    assert picture.stat().st_size > 5000
    results = json.loads((out / "results.json").read_text())
    for entry in results.values():
        assert sum(entry["certainty"]["total"]) == entry["answers"]["total"] == 20
        assert sum(entry["certainty"]["correct"]) == entry["answers"]["correct"]
        assert 0 < entry["answered"]["total"] < 20
    record = json.loads((out / "run.json").read_text())
    assert record["abstain"] == 0.8
    # on any number of workers, and whole or again from the cells
    other = tmp_path / "two"
    benchmark(command, other, "+model=symbolic", "abstain=0.8", "executor=processes", "workers=2")
    assert json.loads((other / "results.json").read_text()) == results
    assert "2 of 2 results are there already" in benchmark(command, out, "+model=symbolic", "abstain=0.8")
    assert json.loads((out / "results.json").read_text()) == results
    # another threshold makes another result, none as well
    for said in (("abstain=0.9",), ()):
        code, _, err = command("benchmark", *STRESSED, f"out={out}", "+model=symbolic", *said)
        assert code == 2 and "made with other abstain" in " ".join(err.split())
    benchmark(command, out, "+model=symbolic", "overwrite=true")
    plain = json.loads((out / "results.json").read_text())
    assert all("answered" not in entry for entry in plain.values())
    assert {name: entry["answers"] for name, entry in plain.items()} == {n: e["answers"] for n, e in results.items()}


def test_a_comparison_has_it(command, tmp_path):
    out = tmp_path / "several"
    screen = benchmark(command, out, "compare=[symbolic,arlc]", f"reliability={tmp_path / 'a.pdf'}")
    assert screen.count("- calibration error") == 1
    assert (tmp_path / "a.pdf").stat().st_size > 5000
    lines = [line.split(",") for line in (out / "table.csv").read_text().splitlines()]
    assert {line[0] for line in lines if "calibration error" in line} == {"symbolic"}


REFUSED = [
    (("+model=symbolic", "abstain=1"), "setting abstain: received 1.0; expected between 0 and 1"),
    (("+model=symbolic", "abstain=0"), "setting abstain: received 0.0; expected between 0 and 1"),
    (("+model=symbolic", "abstain=99%"), "abstain"),
    (("+model=arlc", "abstain=0.9"), "learner ARLC, whose scores are no log likelihoods"),
    (("compare=[symbolic,nvsa]", "abstain=0.9"), "learner NVSA, whose scores are no log likelihoods"),
    (("compare=[nvsa]", "reliability=a.png"), "setting reliability=a.png: received learner NVSA"),
    (("+model=symbolic", "decoder=codebook", "abstain=0.9"), "learner Decoded, whose scores"),
    (("+model=symbolic", "reliability=a.txt"), "setting reliability: received a.txt; expected a file's name"),
    (
        ("+model=symbolic", "reliability=no/a.png"),
        "setting reliability: received no/a.png; expected a file in a folder",
    ),
    (("answers=a.jsonl", "abstain=0.9"), "which do not say how certain they are"),
    (("answers=a.jsonl", "reliability=a.png"), "which do not say how certain they are"),
]


@pytest.mark.parametrize(("said", "sentence"), REFUSED)
def test_refusals(command, tmp_path, monkeypatch, said, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("benchmark", "dataset.n=4", f"out={tmp_path / 'out'}", *said)
    assert code == 2 and sentence in " ".join(err.split()), err
    assert not (tmp_path / "out").exists()


# -- learners on puzzles ---------------------------------------------------------------------------------------------


COME_TRUE = [
    ("symbolic", ()),
    ("fora", ("model.mode=programmed", "algebra.dim=4096")),
    ("arlc", ("model.mode=programmed", "algebra.dim=4096", "model.scoring=likelihood")),
]


@pytest.mark.parametrize(("model", "said"), COME_TRUE)
def test_rows_of_ten_come_true(model, said):
    """I-RAVEN-X, calibrated .51, n = 600: mean certainty and answers right are apart by less than one point and three
    standard errors. (The softmax of ARLC's similarities is forty points off.)"""
    arrays = datasets.generate("iraven_x", "center", n=600, seed=11, columns=10)
    stress = ("dataset=iraven_x", "perception.stress=calibrated", "perception.p_left=0.51")
    found = reasoning.evaluate(reasoning.make_solver(model, *said, *stress, columns=10), arrays)
    rate = found.answers.rate
    assert rate > 0.9
    slack = 0.01 + 3 * math.sqrt(rate * (1 - rate) / 600)
    assert abs(found.certainty.mean - rate) < slack
    assert found.certainty.error < 1.5 * slack


# -- of a training ---------------------------------------------------------------------------------------------------

LEARN = ("dataset.n=40", "dataset.test_n=30", "constellation=center", "test_constellation=[center,up_down]")
UNSURE = ("perception.stress=calibrated", "perception.p_left=0.7")


def test_a_training_withholds_too(command, tmp_path):
    out = tmp_path / "run"
    line = ("+model=fora", *LEARN, *UNSURE, f"out={out}", "abstain=0.9")
    code, screen, err = command("train", *line)
    assert code == 0, err
    assert "- answered" in screen and "withheld below a certainty of 0.9" in " ".join(screen.split())
    results = json.loads((out / "results.json").read_text())
    for entry in results.values():
        assert 0 < entry["answered"]["total"] < 30 == entry["answers"]["total"]
    assert json.loads((out / "run.json").read_text())["abstain"] == 0.9
    assert "abstain: 0.9" in (out / "settings.yaml").read_text()
    # the benchmark of its weights counts the same; shown again, the table is the same; another threshold is refused
    again = tmp_path / "again"
    more = ("dataset.n=30", "constellation=[center,up_down]", *UNSURE)
    assert command("benchmark", f"checkpoint={out}", *more, f"out={again}", "abstain=0.9")[0] == 0
    assert json.loads((again / "results.json").read_text()) == results
    code, shown, _ = command("train", f"resume={out}")
    assert code == 0 and "- answered" in shown
    code, _, err = command("train", f"resume={out}", "abstain=0.5")
    assert code == 2 and "changed settings: abstain=0.5 (the run has 0.9)" in " ".join(err.split())


def test_several_trainings_withhold_too(command, tmp_path):
    line = ("+model=fora", *LEARN, *UNSURE, "seeds=[0,1]", f"out={tmp_path / 'runs'}", "abstain=0.9")
    code, screen, err = command("train", *line)
    assert code == 0, err
    assert screen.count("- answered") == 2
    for seed in (0, 1):
        results = json.loads((tmp_path / "runs" / str(seed) / "results.json").read_text())
        assert all("answered" in entry for entry in results.values())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("+model=arlc", "abstain=0.9"), "setting abstain=0.9: received learner ARLC, whose scores are no log"),
        (("+model=learn_vrf", "abstain=0.9", "seeds=[0,1]"), "received learner LearnVRF, whose scores are no log"),
        (("+model=fora", "abstain=1"), "setting abstain: received 1.0; expected between 0 and 1"),
        (("+model=fora", "abstain=often"), "abstain"),
    ],
)
def test_a_training_refuses_before_anything_is_written(command, tmp_path, line, sentence):
    code, _, err = command("train", *LEARN, *line, f"out={tmp_path / 'run'}")
    assert code == 2 and sentence in " ".join(err.split())
    assert not (tmp_path / "run").exists()


def test_runs_from_before_the_setting_are_known_again(tmp_path):
    settings = train.parse(["+model=fora", *LEARN, "seed=0"])
    old = {key: value for key, value in schema.plain(settings).items() if key != "abstain"}
    runs.begin_record(runs.prepare_folder(tmp_path / "run"), {"status": "running"}, old)
    assert start._holds(tmp_path / "run", settings, training)
    assert not start._holds(tmp_path / "run", replace(settings, abstain=0.9), training)
