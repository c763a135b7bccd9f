"""Laws of the soft formula: with pure terms it is integer arithmetic on values; its inputs never see the answer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning.learners.soft.formula import (
    apply_coefficients,
    apply_formula,
    coefficients,
    gather_inputs,
    in_words,
    input_names,
    row_inputs,
)
from reasoning.learners.soft.programs import default_terms, term_weights
from vsa.errors import ShapeError, VSAError

FREQUENCIES = torch.linspace(0.3, 2.9, 17)


def spectra(values: torch.Tensor) -> torch.Tensor:
    """Unit phasors of integer values: binding adds the integers."""
    angles = values.float().unsqueeze(-1) * FREQUENCIES
    return torch.polar(torch.ones_like(angles), angles)


@pytest.mark.parametrize("columns", [3, 4, 10])
def test_inputs_of_each_row_are_its_own_panels_then_the_other_rows_without_the_last_panel(columns):
    panels = 3 * columns - 1
    for row, indices in enumerate(row_inputs(columns)):
        assert len(indices) == 3 * columns - 2 == len(set(indices))
        assert all(index < panels for index in indices)
        own = indices[: columns - 1]
        assert own == tuple(range(row * columns, row * columns + columns - 1))
        assert row * columns + columns - 1 not in indices
    assert row_inputs(3) == ((0, 1, 3, 4, 5, 6, 7), (3, 4, 0, 1, 2, 6, 7), (6, 7, 0, 1, 2, 3, 4))


def test_names_match_the_inputs():
    assert input_names(3) == ("x1", "x2", "c1", "c2", "c3", "c4", "c5", "e")
    assert len(input_names(10)) == 29


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 6).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.integers(0, 3 * n - 2), min_size=12, max_size=12),
            st.lists(st.integers(0, 40), min_size=3 * n - 1, max_size=3 * n - 1),
        )
    )
)
def test_pure_terms_are_integer_sums(case):
    columns, chosen, values = case
    weights = torch.nn.functional.one_hot(torch.tensor(chosen), 3 * columns - 1).float().unsqueeze(0)
    panels = spectra(torch.tensor(values))
    soft = apply_formula(weights, gather_inputs(panels, columns))
    hard = apply_coefficients(coefficients(weights), panels, columns)
    for row, indices in enumerate(row_inputs(columns)):
        terms = [0 if c == 3 * columns - 2 else values[indices[c]] for c in chosen]
        expected = spectra(torch.tensor(sum(terms[:6]) - sum(terms[6:])))
        torch.testing.assert_close(soft[row, 0], expected, atol=2e-3, rtol=0)
        torch.testing.assert_close(hard[row, 0], expected, atol=2e-3, rtol=0)


def test_soft_terms_are_the_weighted_sum_of_the_inputs():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 8, 5, dtype=torch.complex64, generator=generator)
    weights = torch.rand(3, 4, 8, generator=generator)
    terms = torch.einsum("rti,biw->brtw", weights.to(inputs.dtype), inputs)
    expected = terms[:, :, 0] * terms[:, :, 1] * (terms[:, :, 2] * terms[:, :, 3]).conj()
    torch.testing.assert_close(apply_formula(weights, inputs), expected)


def test_formula_has_a_gradient_to_weights_and_inputs():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(2, 8, 2, dtype=torch.complex128, generator=generator, requires_grad=True)
    weights = torch.rand(2, 6, 8, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(apply_formula, (weights, inputs))


def test_the_answer_panel_does_not_reach_the_inputs():
    values = torch.arange(9)
    changed = values.clone()
    changed[8] = 40
    torch.testing.assert_close(gather_inputs(spectra(values), 3), gather_inputs(spectra(changed), 3))


def test_words():
    weights = term_weights([1, 2, 0, 0, -1, 0, 0], 3, 12).unsqueeze(0)
    assert in_words(coefficients(weights), input_names(3)) == ["x1 + 2 x2 - c3"]
    assert in_words(torch.zeros(1, 8, dtype=torch.long), input_names(3)) == ["e"]


def test_programmed_terms_have_the_asked_coefficients_and_the_identity_elsewhere():
    linear = [-1, -1, 1, 1, 1, 0, 0]
    weights = term_weights(linear, 3, 12)
    assert weights.shape == (12, 8) and torch.equal(weights.sum(-1), torch.ones(12))
    assert coefficients(weights.unsqueeze(0))[0].tolist() == [*linear, 0]


def test_published_numbers_of_terms():
    assert default_terms(3) == 12
    assert default_terms(10) == 22


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: gather_inputs(torch.ones(5, 4, dtype=torch.complex64), 3), ShapeError, "5 panels"),
        (
            lambda: apply_formula(torch.ones(1, 3, 8), torch.ones(8, 4, dtype=torch.complex64)),
            ShapeError,
            "even number",
        ),
        (
            lambda: apply_formula(torch.ones(1, 2, 7), torch.ones(8, 4, dtype=torch.complex64)),
            ShapeError,
            "one column per input",
        ),
        (lambda: term_weights([1, 1], 3, 12), ShapeError, "2 coefficients"),
        (lambda: term_weights([7, 0, 0, 0, 0, 0, 0], 3, 12), VSAError, "at least 14 terms"),
    ],
)
def test_wrong_use_is_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
