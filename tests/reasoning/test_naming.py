"""Formulas are named by what they compute, whatever slot they stand in."""

import pytest
import torch

from datasets.rules.base import PUBLISHED
from reasoning.learners.soft.formula import apply_formula, coefficients, gather_inputs, in_words, input_names
from reasoning.learners.soft.naming import computed_families, name_choice
from reasoning.learners.soft.programs import default_terms, program


def families(weights, columns):
    return computed_families(lambda panels: apply_formula(weights, gather_inputs(panels, columns)), columns)


@pytest.mark.parametrize("columns", [3, 5, 10])
def test_the_program_is_constant_progression_plus_minus_and_distribute(columns):
    weights = program(columns, default_terms(columns))
    computed = [
        {family for family, yes in zip(PUBLISHED, row, strict=True) if yes}
        for row in families(weights, columns).tolist()
    ]
    assert computed == [{"Constant"}, {"Constant", "Progression"}, {"Arithmetic"}, {"Arithmetic"}, {"Distribute_Three"}]


def test_program_at_three_columns():
    words = in_words(coefficients(program(3, 12)), input_names(3))
    assert sorted(words) == sorted(["x2", "- x1 + 2 x2", "x1 + x2", "x1 - x2", "- x1 - x2 + c1 + c2 + c3"])


def test_shuffling_the_rule_slots_changes_nothing():
    weights = program(3, 12)
    order = torch.tensor([2, 0, 4, 3, 1])
    assert torch.equal(families(weights[order], 3), families(weights, 3)[order])


def test_a_random_formula_computes_none():
    weights = torch.softmax(torch.randn(20, 12, 8, generator=torch.Generator().manual_seed(3)), -1)
    assert not families(weights, 3).any()


def test_constant_only_where_the_rows_are_constant():
    computed = torch.tensor([[True, True, False, False], [False, False, False, True], [False] * 4])
    chosen = torch.tensor([0, 0, 1, 2])
    constant = torch.tensor([True, False, True, True])
    assert name_choice(computed, chosen, constant, torch.ones(4, dtype=torch.bool)).tolist() == [0, 1, 3, -1]


def test_a_rule_of_several_families_is_named_by_the_rows():
    """A progression and a distribution by one formula: steps tell; a formula of one family keeps its name."""
    computed = torch.tensor([[True, True, False, True], [False, True, False, False]])
    chosen = torch.tensor([0, 0, 1])
    progresses = torch.tensor([True, False, False])
    assert name_choice(computed, chosen, torch.zeros(3, dtype=torch.bool), progresses).tolist() == [1, 3, 1]
