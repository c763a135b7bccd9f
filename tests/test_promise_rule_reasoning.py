"""A rule that no published data set has: reasoners need nothing but what it declares."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vsa
from datasets import CONSTELLATIONS, load, read, write_json, write_raven
from datasets.arrays import NUMBER, POSITION, RULE_SLOTS, UNKNOWN
from datasets.rules import SlotSets, Values
from datasets.rules.base import PUBLISHED, RULES
from datasets.rules.forms import PanelForm, Relation
from reasoning import benchmark, evaluate, make_solver
from reasoning.learners.arlc import ARLC
from reasoning.learners.base import component_rules
from reasoning.learners.grammar.forms import form_counts, form_kernel, row_kernel
from reasoning.learners.learn_vrf import LearnVRF
from reasoning.learners.nvsa import NVSA
from reasoning.learners.soft.formula import apply_formula, coefficients, gather_inputs, in_words, input_names
from reasoning.learners.soft.naming import computed_families, name_choice
from reasoning.learners.soft.programs import program
from reasoning.learners.symbolic import Symbolic
from reasoning.learners.vector_rules.codes import Names, Powers
from reasoning.learners.vector_rules.forms import sets_by_form, values_by_form
from reasoning.learners.vector_rules.rules import (
    PATTERNED,
    Grammar,
    count_form_numbers,
    count_form_sets,
    count_form_values,
    count_numbers,
    count_sets,
    count_values,
)
from reasoning.perception.oracle import Oracle
from reasoning.setup.weights import read_header
from reasoning.solver import Solver
from tests import dummy_rules  # noqa: F401  # registers the rules and the data sets
from vsa.commands import screen
from vsa.errors import VSAError

ROOT = Path(__file__).resolve().parents[1]
ALTERNATING = (*PUBLISHED, "Alternate")
ALGEBRA = vsa.get("gsbc", dim=1024, blocks=4)
EVERY = [(name, parameter) for name in (*ALTERNATING, "Leap") for parameter in RULES.get(name).parameters]
FORMS = [(name, parameter) for name, parameter in EVERY if RULES.get(name).form(3, parameter) is not None]
ALONE = [(name, parameter) for name, parameter in EVERY if name != "Distribute_Three"]  # rows by themselves


def listed(rule, parameter, panels, domain, values):
    """(B, W) by the last panel: the mean over all matrices that the rule holds for, one by one."""
    grid = np.array(list(itertools.product(range(len(values)), repeat=9)))
    matrices = np.asarray(values)[grid].reshape(-1, 3, 3)
    grid = torch.from_numpy(grid[RULES.get(rule).holds(matrices, parameter, domain)])
    product = torch.ones(len(panels), len(grid), dtype=panels.dtype)
    for panel in range(8):
        product = product * panels[:, panel, grid[:, panel]]
    found = torch.zeros_like(panels[:, 0])
    return found.index_add_(1, grid[:, 8], product) / max(len(grid), 1)


# -- exact sums ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "parameter"), FORMS)
def test_a_forms_kernel_is_the_sum_over_all_matrices_that_the_rule_holds_for(rule, parameter, generator):
    domain, values = Values(0, 2, white=False), (0, 1, 2)
    panels = torch.rand(4, 8, 3, generator=generator, dtype=torch.float64)
    found = form_kernel(panels, RULES.get(rule).form(3, parameter), domain, values)
    torch.testing.assert_close(found, listed(rule, parameter, panels, domain, values))


@pytest.mark.parametrize(("rule", "parameter"), ALONE)
def test_so_is_that_of_a_rule_without_a_form(rule, parameter, generator):
    domain, values = Values(0, 2, white=False), (0, 1, 2)
    panels = torch.rand(4, 8, 3, generator=generator, dtype=torch.float64)
    found = row_kernel(panels, 3, rule, parameter, domain, values)
    torch.testing.assert_close(found, listed(rule, parameter, panels, domain, values))


def test_sums_over_sets(generator):
    domain, values = SlotSets(2), (1, 2, 3)
    panels = torch.rand(4, 8, 3, generator=generator, dtype=torch.float64)
    expected = listed("Alternate", 0, panels, domain, values)
    form = RULES.get("Alternate").form(3, 0)
    torch.testing.assert_close(form_kernel(panels, form, domain, values), expected)
    torch.testing.assert_close(row_kernel(panels, 3, "Alternate", 0, domain, values), expected)
    prior = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)  # of the two panels that are free
    weighted = panels * torch.where((torch.arange(8) % 3 < 2).unsqueeze(-1), prior, torch.ones(3, dtype=torch.float64))
    expected = listed("Alternate", 0, weighted, domain, values)
    expected = expected / listed("Alternate", 0, weighted / panels, domain, values).sum(-1, keepdim=True)
    torch.testing.assert_close(form_kernel(panels, form, domain, values, prior), expected)


@pytest.mark.parametrize("slots", [4, 9])
def test_rows_of_sets_are_listed_where_no_form_is_declared(slots, generator):
    """Of nine slots 511 x 511 pairs, each completed by the rule itself."""
    values = tuple(range(1, 1 << slots))
    panels = torch.rand(1, 8, len(values), generator=generator, dtype=torch.float64)
    form = RULES.get("Alternate").form(3, 0)
    torch.testing.assert_close(
        row_kernel(panels, 3, "Alternate", 0, SlotSets(slots), values),
        form_kernel(panels, form, SlotSets(slots), values),
    )


def test_wide_rows_need_a_form():
    values = tuple(range(100))
    panels = torch.ones(1, 29, 100, dtype=torch.float64)
    assert form_kernel(panels, RULES.get("Alternate").form(10, 0), Values(0, 99), values).shape == (1, 100)
    with pytest.raises(VSAError, match=r"rows of Leap, which declares neither a pattern nor a form.*Rule.form"):
        row_kernel(panels, 10, "Leap", 1, Values(0, 99), values)


@pytest.mark.parametrize(
    ("relations", "words"),
    [
        ((Relation(2, (0,)), Relation(5, (3,)), Relation(8, (9,))), "panel 9"),
        ((Relation(2, (0,)), Relation(5, (3,))), "one for panel 8"),
        ((Relation(8, (2,)), Relation(2, (0,))), "follow from earlier ones"),
        ((Relation(8, (0,)), Relation(8, (1,))), "follows at most once"),
        ((Relation(8, ()),), "from at least one other"),
    ],
)
def test_a_form_that_makes_no_sense_is_a_sentence(relations, words):
    with pytest.raises(VSAError, match=words):
        PanelForm(3, relations)


# -- how many matrices ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high", "columns"), [(0, 9, 3), (1, 6, 3), (0, 4, 4)])
def test_the_forms_of_the_published_rules_have_as_many_matrices_as_their_patterns(low, high, columns):
    expected = dict(zip(PATTERNED, count_values(low, high, columns).tolist(), strict=True))
    for name in PUBLISHED:
        rule = RULES.get(name)
        for parameter in rule.parameters:
            count = expected.get((rule.pattern, parameter), expected.get((rule.pattern, None)))
            found = count_form_values(rule.form(columns, parameter), low, high)
            assert found == pytest.approx(count), (name, parameter)


def test_matrices_of_two_that_take_turns_are_counted():
    form = RULES.get("Alternate").form(3, 0)
    assert count_form_values(form, 0, 4) == pytest.approx(3 * math.log(5 * 4))
    assert count_form_values(RULES.get("Alternate").form(10, 0), 0, 999) == pytest.approx(3 * math.log(1000 * 999))
    assert count_form_sets(form, 4) == pytest.approx(3 * math.log(15 * 14))
    sizes = [set_.bit_count() for set_ in range(1, 16)]
    rows = sum(a == c != b for a in sizes for b in sizes for c in sizes)
    assert count_form_numbers(form, 4) == pytest.approx(3 * math.log(rows))
    assert count_form_values(form, 0, 0) == math.inf
    constant = RULES.get("Constant").form(3, 0)
    assert count_form_sets(constant, 4) == pytest.approx(float(count_sets(4)[0]))
    assert count_form_numbers(constant, 4) == pytest.approx(float(count_numbers(4)[0]))
    assert form_counts(constant, SlotSets(9), tuple(range(1, 512))) == pytest.approx(float(count_sets(9)[0]))


# -- vectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "parameter", "values", "answer"),
    [
        ("Constant", 0, [1, 1, 1, 4, 4, 4, 2, 2], 2),
        ("Progression", 1, [1, 2, 3, 4, 5, 6, 0, 1], 2),
        ("Progression", -2, [6, 4, 2, 5, 3, 1, 7, 5], 3),
        ("Arithmetic", 1, [1, 4, 5, 3, 2, 5, 2, 2], 4),
        ("Arithmetic", -1, [7, 2, 5, 6, 3, 3, 5, 4], 1),
        ("Distribute_Three", 1, [1, 5, 2, 2, 1, 5, 5, 2], 1),
        ("Alternate", 0, [1, 5, 1, 2, 7, 2, 0, 3], 0),
    ],
)
def test_values_by_form(rule, parameter, values, answer):
    forms = [RULES.get(name).form(3, of) for name, of in FORMS]
    context = torch.nn.functional.one_hot(torch.tensor(values), 8).float()[None]
    found = values_by_form(Powers(ALGEBRA), Names(ALGEBRA), context, torch.ones(1, 8), forms)
    counts = torch.tensor([count_form_values(form, 0, 7) for form in forms])
    index = FORMS.index((rule, parameter))
    assert int((found.agreement[0] - counts).argmax()) == index
    assert int(found.predicted[0, index].argmax()) == answer


@pytest.mark.parametrize(
    ("rule", "parameter", "sets", "answer"),
    [
        ("Constant", 0, [3, 3, 3, 9, 9, 9, 6, 6], 6),
        ("Progression", 1, [1, 2, 4, 3, 6, 12, 257, 3], 6),
        ("Arithmetic", 1, [1, 6, 7, 9, 24, 25, 256, 3], 259),
        ("Arithmetic", -1, [7, 2, 5, 25, 8, 17, 259, 1], 258),
        ("Distribute_Three", 1, [1, 2, 4, 4, 1, 2, 2, 4], 1),
        ("Alternate", 0, [1, 5, 1, 2, 7, 2, 256, 3], 256),
    ],
)
def test_sets_by_form(rule, parameter, sets, answer):
    forms = [RULES.get(name).form(3, of) for name, of in FORMS]
    members = torch.arange(9)
    found = sets_by_form((torch.tensor(sets)[:, None] >> members & 1).float()[None], forms)
    index = FORMS.index((rule, parameter))
    assert float(found.agreement[0, index]) > -1e-4
    torch.testing.assert_close(found.predicted[0, index], (torch.tensor(answer) >> members & 1).float())
    few = torch.tensor([count_form_sets(form, 9) for form in forms])  # a union of equal sets is one, but of many
    assert FORMS[int((found.agreement[0] - few).argmax())] == (rule, parameter)


def test_a_rule_without_a_form_is_refused_with_what_is_missing():
    with pytest.raises(VSAError, match=r"NVSA with the rule Leap: received no form.*declare Leap.form.*symbolic"):
        NVSA(ALGEBRA, grammar=(*PUBLISHED, "Leap"))


def test_rules_in_any_choice():
    few = Grammar(("Alternate", "Constant"))
    assert few.labels == ("constant", "alternate") and few.codes == (0, 17) and few.both == (True, False)
    assert Grammar(ALTERNATING).labels == (*Grammar().labels, "alternate")
    assert Grammar(("Alternate",)).constant == UNKNOWN
    assert (
        "alternate: along a row the attribute takes turns   [Alternate]"
        in NVSA(ALGEBRA, grammar=ALTERNATING).describe()
    )


# -- formulas ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [3, 10])
def test_the_program_is_made_of_the_grammars_linear_forms(columns):
    terms = 2 * columns + 6
    plain, more = program(columns, terms), program(columns, terms, ALTERNATING)
    assert torch.equal(more[:-1], plain)
    assert in_words(coefficients(more[-1:]), input_names(columns)) == [f"x{columns - 2}"]
    assert torch.equal(program(columns, terms, (*PUBLISHED, "Leap")), plain)  # which has no linear form
    with pytest.raises(VSAError, match="rules Leap, none of which has a linear form"):
        program(columns, terms, ("Leap",))


@pytest.mark.parametrize("columns", [3, 10])
def test_formulas_are_named_by_the_grammar(columns):
    weights = program(columns, 2 * columns + 6, ALTERNATING)

    def predict(panels):
        return apply_formula(weights, gather_inputs(panels, columns))

    able = computed_families(predict, columns, grammar=ALTERNATING)
    assert able[-1].tolist() == [True, False, False, False, True]
    # Where n is even, the last panel is also the one before it and the first step: so a progression's formula says.
    assert able[:-1, -1].tolist() == [False, columns % 2 == 0, False, False, False]
    assert torch.equal(able[:, :4], computed_families(predict, columns))
    every, yes = torch.arange(len(able)), torch.ones(len(able), dtype=torch.bool)
    assert name_choice(able, every, yes, yes, ALTERNATING).tolist() == [0, 0, 2, 2, 3, 0]
    assert name_choice(able, every, ~yes, yes, ALTERNATING).tolist() == [UNKNOWN, 1, 2, 2, 3, 17]
    steady = name_choice(able, every, ~yes, ~yes, ALTERNATING).tolist()
    assert steady == [UNKNOWN, 17 if columns % 2 == 0 else 1, 2, 2, 3, 17]
    leaps = computed_families(predict, columns, grammar=(*PUBLISHED, "Leap"))
    assert leaps.shape[1] == 5 and not leaps[:, -1].any()  # no formula adds a step


def test_every_learner_with_rules_takes_them():
    for made in (
        Symbolic(grammar=ALTERNATING),
        NVSA(ALGEBRA, grammar=ALTERNATING),
        ARLC(ALGEBRA, mode="programmed", grammar=ALTERNATING),
        LearnVRF(ALGEBRA, grammar=ALTERNATING),
    ):
        assert made.rule_labels() and made.describe()
    assert any("Alternate" in label for label in ARLC(ALGEBRA, mode="programmed", grammar=ALTERNATING).rule_labels())


# -- puzzles -------------------------------------------------------------------------------------------------------


def solved(learner, dataset, constellation, n=200, **options):
    """Puzzles and what the learner makes of them, as the oracle shows them."""
    puzzles = load(dataset, split="test", constellation=constellation, n=n, seed=0, **options)
    with torch.no_grad():
        return puzzles.arrays, Solver(Oracle(), learner).eval().solve(next(iter(puzzles.batches(n))))


def share_right(learner, dataset, constellation, n=200, **options):
    arrays, prediction = solved(learner, dataset, constellation, n, **options)
    return float((prediction.answers.numpy() == arrays.target).mean())


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_the_symbolic_solver_and_nvsa_solve_what_takes_turns(constellation):
    assert share_right(Symbolic(grammar=ALTERNATING), "alternating", constellation) >= 0.99
    assert share_right(Symbolic(), "alternating", constellation) < 0.9, "the rule is needed"
    assert share_right(NVSA(ALGEBRA, grammar=ALTERNATING), "alternating", constellation) >= 0.97


@pytest.mark.parametrize("constellation", ["center_single", "distribute_four", "distribute_nine"])
def test_a_rule_that_declares_its_functions_alone_is_solved_by_the_symbolic_solver(constellation):
    grammar = (*ALTERNATING, "Leap")
    assert share_right(Symbolic(grammar=grammar), "leaping", constellation) >= 0.99
    assert share_right(Symbolic(grammar=ALTERNATING), "leaping", constellation) < 0.97, "the rule is needed"


@pytest.mark.parametrize(
    "learner",
    [
        Symbolic(grammar=ALTERNATING),
        NVSA(ALGEBRA, grammar=ALTERNATING),
        ARLC(ALGEBRA, mode="programmed", grammar=ALTERNATING),
    ],
    ids=["symbolic", "nvsa", "arlc"],
)
def test_it_is_named(learner):
    arrays, prediction = solved(learner, "alternating", "center_single")
    assert [key.name for key in prediction.keys] == list(RULE_SLOTS[1:])
    truth, named = arrays.components[0].rules[:, 1:], prediction.families.numpy()
    alternate = RULES.get("Alternate").code
    assert (prediction.answers.numpy() == arrays.target).mean() >= 0.99
    assert (truth == alternate).sum() > 50 and (named[truth == alternate] == alternate).mean() >= 0.98
    assert (named[truth != alternate] == alternate).mean() <= 0.01


@pytest.mark.parametrize("maxval", [100, 1000])
def test_rows_of_ten(maxval):
    options = {"columns": 10, "maxval": maxval, "n": 50}
    wide = vsa.get("gsbc", dim=4096, blocks=2)
    for learner in (
        Symbolic(grammar=ALTERNATING),
        NVSA(wide, grammar=ALTERNATING),
        ARLC(ALGEBRA, mode="programmed", columns=10, grammar=ALTERNATING),
    ):
        assert share_right(learner, "alternating_x", "center_single", **options) >= 0.96


def test_positions_that_take_turns_are_told_by_the_symbolic_solver_and_nvsa():
    alternate = RULES.get("Alternate").code
    for learner in (Symbolic(grammar=ALTERNATING), NVSA(ALGEBRA, grammar=ALTERNATING)):
        arrays, prediction = solved(learner, "alternating", "distribute_nine", 400)
        rules = component_rules(prediction, 0, ALTERNATING)
        part = arrays.components[0]
        for kind in (NUMBER, POSITION):
            at_work = (part.rules[:, 0] == alternate) & (part.governed == kind)
            told = rules["Number/Position"].numpy() == alternate
            assert at_work.sum() >= 10 and told[at_work].mean() >= 0.95
            at_work &= (part.numbers[:, : arrays.context] < part.slots).all(axis=1)  # a full panel has one place only
            assert at_work.sum() >= 5 and (rules["governed"].numpy() == kind)[at_work].mean() >= 0.9


def test_to_register_a_rule_changes_no_score_of_the_published_data():
    """In a process of its own: before and after the module of the rule is imported."""
    script = """
import torch
from datasets import load
from reasoning import make_solver
def scores():
    found = []
    for model, *more in (["symbolic"], ["nvsa"], ["arlc", "model.mode=programmed"], ["learn_vrf"]):
        for constellation in ("center_single", "distribute_four"):
            puzzles = load("iraven", split="test", constellation=constellation, n=40, seed=3)
            made = make_solver(model, f"constellation={constellation}", *more)
            found.append((puzzles.arrays.target, made.solve(next(iter(puzzles.batches(40))))))
    return found
before = scores()
import tests.dummy_rules
from datasets.rules.base import RULES
assert "Alternate" in RULES.names()
for (target, one), (same, two) in zip(before, scores(), strict=True):
    assert (target == same).all()
    assert torch.equal(one.scores, two.scores) and torch.equal(one.families, two.families)
print("the same")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=250)
    assert done.stdout == "the same\n", done.stderr


# -- commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(capsys):
    """Runs the benchmark in this process: (exit code, stderr)."""

    def call(*arguments):
        threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        screen._console.cache_clear()  # its streams are those of another test
        capsys.readouterr()
        try:
            code = benchmark.main(list(arguments))
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
        return code, " ".join(capsys.readouterr().err.split())

    return call


@pytest.mark.parametrize("model", ["symbolic", "nvsa", "arlc"])
def test_a_solver_knows_the_rules_of_the_data_set_it_is_made_for(model):
    options = ("model.mode=programmed",) if model == "arlc" else ()
    made = make_solver(model, "dataset=alternating", *options)
    assert made.recipe.layout.rules == ALTERNATING
    assert any("alternate" in label.lower() for label in made.learner.rule_labels())
    plain = make_solver(model, *options)
    assert plain.recipe.layout.rules == PUBLISHED
    assert not any("alternate" in label.lower() for label in plain.learner.rule_labels())


@pytest.mark.parametrize("model", ["symbolic", "nvsa", "arlc"])
def test_a_solver_for_files_knows_the_rules_that_occur_in_them(model, tmp_path):
    arrays = load("alternating", split="test", constellation="center", n=100, seed=0).arrays
    write_raven(arrays, tmp_path / "center_single", images=False)
    options = ("model.mode=programmed",) if model == "arlc" else ()
    made = make_solver(model, "dataset=files", f"dataset.path={tmp_path}", *options)
    assert made.recipe.layout.rules == ALTERNATING
    found = evaluate(made, read(tmp_path)["center_single"])
    assert found.answers.correct >= 98
    mine = [tally for key, tally in found.rules.items() if key.rule == "Alternate"]
    assert sum(tally.named for tally in mine) >= 0.97 * sum(tally.total for tally in mine) > 0


def test_a_solver_for_wide_files_knows_their_columns(tmp_path):
    arrays = load("alternating_x", n=20, seed=0, columns=5, maxval=50).arrays
    write_json(arrays, tmp_path)
    made = make_solver("symbolic", "dataset=files", f"dataset.path={tmp_path}")
    assert (made.recipe.columns, made.recipe.layout.rules) == (5, ALTERNATING)


@pytest.mark.parametrize("model", ["symbolic", "nvsa"])
def test_the_benchmark_counts_the_rule(command, model, tmp_path):
    out = tmp_path / "out"
    code, said = command(f"+model={model}", "dataset=alternating", "constellation=center", "dataset.n=60", f"out={out}")
    assert code == 0, said
    rows = json.loads((out / "rules.json").read_text())["puzzles"]["center_single"]
    mine = [row for row in rows if row["rule"] == "Alternate"]
    assert {row["attribute"] for row in mine} == {"Type", "Size", "Color"}
    assert sum(row["total"] for row in mine) >= 20
    assert sum(row["named"] for row in mine) >= 0.97 * sum(row["total"] for row in mine)
    counts = json.loads((out / "results.json").read_text())["center_single"]["answers"]
    assert counts["correct"] >= 0.98 * counts["total"] and counts["total"] == 60


def test_weights_keep_the_rules_that_their_learner_was_told(tmp_path):
    made = make_solver("arlc", "dataset=alternating", "model.mode=programmed")
    made.save(tmp_path / "weights.safetensors")
    assert read_header(tmp_path / "weights.safetensors").layout.rules == ALTERNATING


@pytest.mark.parametrize("model", ["symbolic", "nvsa", "arlc"])
def test_an_explanation_names_the_rule(model):
    options = ("model.mode=programmed",) if model == "arlc" else ()
    made = make_solver(model, "dataset=alternating", *options)
    arrays = load("alternating", split="test", constellation="center", n=30, seed=0).arrays
    item = int(np.flatnonzero((arrays.components[0].rules[:, 1:] == RULES.get("Alternate").code).any(axis=1))[0])
    assert "Alternate" in str(made.explain(arrays, item))


def test_a_model_that_misses_something_of_a_rule_is_refused_by_the_command(command):
    code, said = command("+model=nvsa", "dataset=leaping", "constellation=center", "dataset.n=5")
    assert code == 2
    assert "NVSA with the rule Leap" in said and "Traceback" not in said
