"""Counts: adding is counting at once, and rules are judged by their label and by what the context excludes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import datasets
import datasets.puzzle
import reasoning
import reasoning.learners
from datasets.arrays import BOTH, NUMBER, POSITION, RULE_NAMES, RULE_SLOTS, UNKNOWN
from datasets.puzzle_arrays import arrays_of
from datasets.rules import rule_code
from datasets.rules.consistency import consistent_families
from reasoning.learners.base import Prediction
from reasoning.outcome.metrics import Metrics, RuleKey, RuleTally, Tally, observe, total
from reasoning.scene import AttributeKey
from vsa.errors import CorruptFileError, ShapeError, VSAError

tallies = st.integers(0, 50).flatmap(lambda n: st.builds(Tally, st.integers(0, n), st.just(n)))


@st.composite
def rule_tallies(draw):
    n = draw(st.integers(0, 50))
    named, consistent, answers, ambiguous = (draw(st.integers(0, n)) for _ in range(4))
    return RuleTally(named, consistent, answers, n, ambiguous)


keys = st.builds(
    RuleKey,
    st.integers(0, 1),
    st.sampled_from(["Type", "Size", "Color", "Number", "Position", "Number/Position"]),
    st.sampled_from(RULE_NAMES),
)
metrics = st.builds(Metrics, tallies, st.dictionaries(keys, rule_tallies(), max_size=6), tallies, tallies)


@given(metrics, metrics, metrics)
def test_merging_is_addition(a, b, c):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Metrics() == a
    assert total([a, b, c]) == a + b + c
    assert (a + b).answers.total == a.answers.total + b.answers.total
    for slot, tally in (a + b).by_slot().items():
        parts = [m.by_slot().get(slot, RuleTally()) for m in (a, b)]
        assert tally == parts[0] + parts[1]


@given(metrics)
def test_json_round_trip(a):
    detail = json.loads(json.dumps(a.detail()))
    assert Metrics.from_json(json.loads(json.dumps(a.counts())), detail) == a
    assert Metrics.from_json(a.results(), detail) == a


@given(metrics)
def test_results_schema(a):
    results = a.results()
    assert list(results) == ["answers", "tied", "unambiguous", "rules"]
    assert all(set(results[name]) == {"correct", "total"} for name in ("answers", "tied", "unambiguous"))
    assert set(results["rules"]) <= {"Type", "Size", "Color", "Number/Position"}
    for entry in results["rules"].values():
        assert set(entry) == {"correct", "total", "consistent"}
        assert 0 <= entry["correct"] <= entry["total"] >= entry["consistent"] >= 0
    assert sum(e["total"] for e in results["rules"].values()) == sum(t.total for t in a.rules.values())


def test_a_rate_is_one_division():
    small, large = Tally(1, 1), Tally(0, 99)
    assert (small + large).percent == 1.0
    assert Tally().rate is None


@pytest.mark.parametrize("values", [(2, 1), (-1, 1), (0, -1)])
def test_impossible_counts(values):
    with pytest.raises(VSAError, match="0 <= correct <= total"):
        Tally(*values)


@pytest.mark.parametrize("name", ["named", "consistent", "answers", "ambiguous"])
def test_more_than_all_is_impossible(name):
    with pytest.raises(VSAError, match=r"0 <= named, consistent, answers, ambiguous <= total"):
        RuleTally(**{name: 4}, total=3)


@pytest.mark.parametrize("answers", [{}, {"correct": 3, "total": 2}, {"correct": "x", "total": 2}])
def test_corrupt_json(answers):
    whole = Metrics().counts()
    assert Metrics.from_json(whole, []) == Metrics()
    with pytest.raises(CorruptFileError, match="read metrics"):
        Metrics.from_json({**whole, "answers": answers}, [])
    with pytest.raises(CorruptFileError, match="read metrics"):
        Metrics.from_json({"answers": whole["answers"]}, [])


@pytest.mark.parametrize(
    "key, value",
    [("attribute", {}), ("attribute", "Colour"), ("attribute", None), ("rule", 3), ("component", True), ("named", 1.0)],
)
def test_rows_of_another_form(key, value):
    row = {"component": 0, "attribute": "Color", "rule": "Constant"} | RuleTally(named=1, total=2).as_dict()
    assert Metrics.from_json(Metrics().counts(), [row]).by_slot()["Color"].named == 1
    with pytest.raises(CorruptFileError, match=r"read some/rules.json: received content of another form"):
        Metrics.from_json(Metrics().counts(), [{**row, key: value}], "some/rules.json")


def predict(arrays, family_of, answers, number_first=None):
    """A prediction that names ``family_of(component, attribute)`` and answers ``answers``."""
    names = {1: ("Type", "Size", "Color"), 4: ("Type", "Size", "Color", "Number", "Position")}
    columns, families, confidence = [], [], []
    for c, component in enumerate(arrays.components):
        for name in names[component.slots]:
            columns.append(AttributeKey(c, name))
            families.append(torch.as_tensor(np.asarray(family_of(c, name)).astype(np.int8)))
            by_number = torch.ones(len(arrays)) if number_first is None else torch.as_tensor(number_first).float()
            sure = {"Number": by_number, "Position": 1 - by_number}.get(name, torch.ones(len(arrays)))
            confidence.append(sure)
    shape = (len(arrays), len(columns))
    scores = torch.nn.functional.one_hot(torch.as_tensor(np.asarray(answers, dtype=np.int64)), 8).float()
    return Prediction(
        scores,
        tuple(columns),
        torch.zeros(shape, dtype=torch.long),
        torch.ones(*shape, 1),
        torch.ones(*shape, 8),
        torch.stack(confidence, 1),
        torch.stack(families, 1),
    )


def labels(arrays):
    """The generator's rules, said about whatever they govern; -1 about the other of Number and Position."""

    def family(c, name):
        rules, governed = arrays.components[c].rules, arrays.components[c].governed
        if name in ("Number", "Position"):
            mine = (governed == BOTH) | (governed == (NUMBER if name == "Number" else POSITION))
            return np.where(mine, rules[:, 0], UNKNOWN)
        return rules[:, RULE_SLOTS.index(name)]

    return family


@pytest.mark.parametrize("constellation", ["distribute_four", "in_distribute_four_out_center_single", "center_single"])
def test_the_labels_score_full_marks(constellation):
    arrays = datasets.generate("iraven", constellation, n=300, seed=1)
    grid = arrays.components[-1]
    result = observe(arrays, predict(arrays, labels(arrays), arrays.target, grid.governed == NUMBER))
    assert result.answers == Tally(300, 300)
    slots = result.by_slot()
    assert ("Number/Position" in slots) == (grid.slots > 1)
    for slot, tally in slots.items():
        single = slot == "Number/Position"
        assert tally.total == 300 * (1 if single else len(arrays.components))
        assert tally.named == tally.consistent == tally.total
    assert {key.attribute for key in result.rules if key.slot == "Number/Position"} == (
        {"Number", "Position", "Number/Position"} if grid.slots > 1 else set()
    )


def test_wrong_rules_count_where_the_context_allows_them():
    """Progression said of every Size: named where it is the label, consistent where the eight panels fit it."""
    arrays = datasets.generate("iraven", "center_single", n=4000, seed=2)
    result = observe(arrays, predict(arrays, lambda c, name: np.full(len(arrays), 1), (arrays.target + 1) % 8))
    assert result.answers == Tally(0, 4000)
    fits = consistent_families(arrays, 0)["Size"][:, 1]
    size = result.by_slot()["Size"]
    assert size.named == int((arrays.components[0].rules[:, 2] == rule_code("Progression")).sum())
    assert size.consistent == int(fits.sum())
    assert size.named < size.consistent < size.total
    assert result.rules[RuleKey(0, "Size", "Progression")].answers == 0


def test_no_rule_named_is_wrong():
    arrays = datasets.generate("iraven", "distribute_four", n=50, seed=2)
    result = observe(arrays, predict(arrays, lambda c, name: np.full(len(arrays), -1), arrays.target))
    assert all(tally.named == tally.consistent == 0 for tally in result.rules.values())
    assert all(tally.answers == tally.total for tally in result.rules.values())


def test_the_right_family_of_the_wrong_attribute_is_wrong():
    """Number progression where Position progresses: the family's name alone does not count."""
    arrays = datasets.generate("iraven", "distribute_four", n=2000, seed=3)
    grid = arrays.components[0]
    chosen = np.flatnonzero((grid.governed == POSITION) & (grid.rules[:, 0] == rule_code("Progression")))
    part = arrays[chosen]
    right = observe(part, predict(part, labels(part), part.target, np.zeros(len(part))))
    wrong = observe(part, predict(part, lambda c, name: np.full(len(part), 1), part.target, np.ones(len(part))))
    key = RuleKey(0, "Position", "Progression")
    assert right.rules[key].named == len(part) > 20
    assert wrong.rules[key].named == 0


def test_batches_add_up():
    arrays = datasets.generate("iraven", "in_distribute_four_out_center_single", n=97, seed=4)
    rng = np.random.default_rng(0)
    said, answers = rng.integers(-1, 4, (2, 5, 97)), rng.integers(0, 8, 97)
    names = ["Type", "Size", "Color", "Number", "Position"]

    def part(rows):
        return observe(arrays[rows], predict(arrays[rows], lambda c, n: said[c, names.index(n), rows], answers[rows]))

    pieces = np.array_split(np.arange(97), [1, 10, 64])
    assert total([part(piece) for piece in pieces]) == part(np.arange(97))


def test_one_answer_for_each_puzzle():
    arrays = datasets.generate("iraven", "center_single", n=10, seed=0)
    prediction = predict(arrays, labels(arrays), arrays.target)
    with pytest.raises(ShapeError, match="10 answers; expected one for each of 9 puzzles"):
        observe(arrays[:9], prediction)


def test_ambiguous_puzzles_are_counted():
    """What more than one family fits: Type never, Size in 3.4-4.4 % of the original puzzles, Color in .3-1.3 %."""
    arrays = datasets.generate("iraven", "center", n=2000, seed=8)
    shape = (2000, 3)
    keys = tuple(AttributeKey(0, name) for name in ("Type", "Size", "Color"))
    blind = Prediction(
        torch.zeros(2000, 8),
        keys,
        torch.zeros(shape, dtype=torch.long),
        torch.ones(*shape, 1),
        torch.zeros(*shape, 8),
        torch.ones(shape),
        torch.zeros(shape, dtype=torch.int8),
    )
    slots = observe(arrays, blind).by_slot()
    assert slots["Type"].ambiguous == 0
    assert 0.034 - 0.013 < slots["Size"].ambiguous / 2000 < 0.044 + 0.013  # three standard errors
    assert 0 < slots["Color"].ambiguous / 2000 < 0.013 + 0.007


# -- nothing is credited that nobody said, over every learner --------------------------------------------------------

GRIDS = ["center", "2x2", "3x3", "out_in_grid"]


def said(arrays, prediction):
    """Independently of ``observe``: how often a learner's own words are the labels of Type, Size and Color."""
    result = dict.fromkeys(RULE_SLOTS[1:], 0)
    for column, key in enumerate(prediction.keys):
        if key.name in result:
            label = arrays.components[key.component].rules[:, RULE_SLOTS.index(key.name)]
            result[key.name] += int((prediction.families[:, column].numpy() == label).sum())
    return result


def speaking(prediction, family, confidence):
    """Predictions of a learner that says the same of everything, whether or not it decides what is governed."""
    same = dataclasses.replace(
        prediction,
        families=torch.full_like(prediction.families, family),
        confidence=torch.full_like(prediction.confidence, confidence),
        agreement=torch.ones_like(prediction.agreement),
        governed=None,
    )
    components = 1 + max(key.component for key in prediction.keys)
    for governed in (None, *range(3)):
        codes = torch.full((len(prediction.scores), components), governed or 0, dtype=torch.int8)
        yield dataclasses.replace(same, governed=None if governed is None else codes)


@pytest.mark.parametrize("model", reasoning.learners.names())
@pytest.mark.parametrize("constellation", GRIDS)
def test_only_what_is_said_is_counted(model, constellation):
    """The learner's claims; those of one that names nothing, one that calls all Constant, one that is always wrong."""
    arrays = datasets.generate("iraven", constellation, n=60, seed=9)
    prediction = reasoning.make_solver(model).solve(datasets.PuzzleBatch.of(arrays))
    slots = observe(arrays, prediction).by_slot()
    assert {name: slots[name].named for name in RULE_SLOTS[1:]} == said(arrays, prediction)
    for confidence in (0.0, 0.5, 0.94, 1.0):
        for silent in speaking(prediction, UNKNOWN, confidence):
            assert all(tally.named == tally.consistent == 0 for tally in observe(arrays, silent).rules.values())
        for constant in speaking(prediction, rule_code("Constant"), confidence):
            for key, tally in observe(arrays, constant).rules.items():
                assert tally.named == (tally.total if key.rule == "Constant" else 0)
                assert (
                    tally.consistent == tally.total if key.rule == "Constant" else tally.consistent <= tally.ambiguous
                )
    wrong = (prediction.families + 1) % len(RULE_NAMES)
    mistaken = observe(arrays, dataclasses.replace(prediction, families=wrong))
    assert sum(tally.named for tally in mistaken.rules.values()) < sum(tally.named for tally in slots.values()) / 4


def by_hand(sizes, candidates, rule="Progression", target=0):
    """A center puzzle of which all but Size stays the same."""

    def panel(size):
        return datasets.puzzle.Panel(((datasets.puzzle.Entity(0, 3, size, 4, 0),),), (3,))

    rules = ("Constant", "Constant", rule, "Constant")
    governed = ("Number/Position", "Type", "Size", "Color")
    made = datasets.Puzzle(
        "iraven", "center_single", 3, tuple(map(panel, sizes)), tuple(map(panel, candidates)), target,
        tuple(datasets.puzzle.RuleInstance(0, name, given) for name, given in zip(governed, rules, strict=True)),
    )  # fmt: skip
    return arrays_of(made)


ONE = by_hand([0, 1, 2, 2, 3, 4, 3, 4], [5, 0, 1, 2, 3, 4, 0, 1])  # a step of one, and nothing else
TWO = by_hand([1, 3, 5, 1, 3, 5, 0, 2], [4, 3, 0, 1, 2, 5, 0, 1])  # steps of two give 4, a sum 1 + 3 = 4 gives size 3
FALSE = by_hand([0, 1, 2, 2, 3, 4, 3, 4], [5, 0, 1, 2, 3, 4, 0, 1], rule="Constant")  # a label that is no rule of it


@pytest.mark.parametrize(
    ("puzzle", "family", "named", "consistent", "ambiguous", "second"),
    [
        (ONE, "Progression", 1, 1, 0, 0),
        (ONE, "Constant", 0, 0, 0, 0),
        (ONE, None, 0, 0, 0, 0),
        (TWO, "Progression", 1, 1, 1, 1),
        (TWO, "Arithmetic", 0, 1, 1, 1),
        (TWO, "Distribute_Three", 0, 0, 1, 1),
        (FALSE, "Constant", 1, 0, 0, 0),
        (FALSE, "Progression", 0, 1, 0, 0),
    ],
)
def test_puzzles_by_hand(puzzle, family, named, consistent, ambiguous, second):
    code = UNKNOWN if family is None else rule_code(family)
    result = observe(puzzle, predict(puzzle, lambda c, name: [code if name == "Size" else 0], [0]))
    size = result.by_slot()["Size"]
    assert (size.named, size.consistent, size.ambiguous) == (named, consistent, ambiguous)
    assert result.ambiguous == second
    assert result.answers == Tally(1, 1) and result.unambiguous == Tally(1 - second, 1 - second)


def test_numbers_alone_are_no_constant_rule():
    """Entities that move keep their number: the grammar's Constant, of number and places, is excluded all the same."""
    arrays = datasets.generate("iraven", "2x2", n=400, seed=3)
    moving = arrays[np.flatnonzero(arrays.components[0].rules[:, 0] * (arrays.components[0].governed == POSITION) == 1)]
    assert len(moving) > 20
    result = observe(moving, predict(moving, lambda c, n: np.zeros(len(moving)), moving.target, np.ones(len(moving))))
    assert result.by_slot()["Number/Position"].consistent == 0


@pytest.mark.parametrize(
    ("scores", "tied"),
    [
        ([1.0, 0, 0, 0, 0, 0, 0, 0], 0),
        ([1.0, 1, 0, 0, 0, 0, 0, 0], 1),
        ([1.0, 0.9999, 0, 0, 0, 0, 0, 0], 0),
        ([300.0, 300.0001, 0, 0, 0, 0, 0, 0], 1),
        ([-300.0, -300.0001, -400, -400, -400, -400, -400, -400], 1),
        ([0.0] * 8, 1),
        ([float("-inf")] * 8, 1),
        ([float("inf")] + [0.0] * 7, 0),
        ([1e-9, 0, 0, 0, 0, 0, 0, 0], 1),
    ],
)
def test_ties(scores, tied):
    prediction = dataclasses.replace(predict(ONE, lambda c, n: [0], [0]), scores=torch.tensor([scores]))
    assert observe(ONE, prediction).tied == Tally(tied, 1)
    assert prediction.best[0, prediction.answers[0]]
