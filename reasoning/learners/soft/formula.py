"""The one soft formula of ARLC, for any number of columns, and its inputs.

A formula predicts the last panel of a row from the row's other panels ``x``, from the other rows ``c`` and from
the identity ``e``: each of T terms is a mixture ``softmax(w_t) . [x; c; e]``; the first half of the terms is bound
together and the second half unbound from it. Everything here runs in the spectral domain of the block code,
where binding is an element-wise product and unbinding a product with the conjugate.

Reference: Hersche et al., "Towards learning to reason: comparing LLMs with neuro-symbolic on arithmetic relations
in abstract reasoning" and Camposampiero et al., "Towards learning abductive reasoning using VSA distributed
representations" (ARLC), 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from datasets.panels import ROWS
from vsa.errors import SettingsError, ShapeError

_MOST_TERMS = 10**6  # of all rules together: five rules of twelve are published
_ENTRIES = 2**17  # complex entries of the terms that are worked on at a time: 1 MB


def input_names(columns: int) -> tuple[str, ...]:
    """Names of a formula's inputs for rows of n panels: x1..x(n-1), c1..c(2n-1), e."""
    xs = tuple(f"x{i}" for i in range(1, columns))
    cs = tuple(f"c{i}" for i in range(1, 2 * columns))
    return (*xs, *cs, "e")


def check_sizes(learner: str, columns: int, rules: int, populations: int, terms: int) -> None:
    """Refuse sizes that no set of formulas can have.

    Args:
        learner: for the message.
        columns: n, panels in a row.
        rules: R.
        populations: G, sets of R rules.
        terms: T, half of them bound, half unbound.

    Raises:
        SettingsError: one of them makes no sense.
    """
    if columns < 3 or rules < 1 or populations < 1 or terms < 2 or terms % 2:
        raise SettingsError(
            learner,
            received=f"columns={columns} rules={rules} populations={populations} terms={terms}",
            expected="columns >= 3, rules and populations >= 1, an even number of terms",
        )
    if rules * populations * terms > _MOST_TERMS:
        raise SettingsError(
            learner,
            received=f"{rules * populations * terms:,} terms: rules={rules} populations={populations} terms={terms}",
            expected=f"at most {_MOST_TERMS:,}",
        )


@lru_cache(maxsize=32)
def row_inputs(columns: int) -> tuple[tuple[int, ...], ...]:
    """Context panel indices that feed each row's formula: x, then one other row whole, the next without its last.

    Every row takes the two others as context, the first of them whole.

    Args:
        columns: n, panels in a row.

    Returns:
        Three tuples of 3n - 2 indices into the context panels (identity not included). The last row's
        last panel is never among them.
    """

    def panels(row: int, whole: bool) -> list[int]:
        return list(range(row * columns, row * columns + columns - (0 if whole else 1)))

    result = []
    for row in range(ROWS):
        first, second = (other for other in range(ROWS) if other != row)
        result.append(tuple(panels(row, False) + panels(first, True) + panels(second, False)))
    return tuple(result)


def gather_inputs(spectra: Tensor, columns: int) -> Tensor:
    """Collect the formula inputs of all rows.

    Args:
        spectra: complex (..., P, W), spectra of at least the 3n - 1 context panels.
        columns: panels in a row.

    Returns:
        complex (..., 3, I, W) with I = 3n - 1; the last input is the identity (all ones).
    """
    context = ROWS * columns - 1
    if spectra.shape[-2] < context:
        raise ShapeError(
            "gather_inputs", received=f"{spectra.shape[-2]} panels", expected=f"at least {context} context panels"
        )
    indices = torch.tensor(row_inputs(columns), device=spectra.device)
    inputs = spectra[..., indices, :]
    identity = torch.ones_like(inputs[..., :1, :])
    return torch.cat([inputs, identity], dim=-2)


class _SoftFormulas(torch.autograd.Function):
    """All R formulas on all columns of an (I, M) matrix of inputs.

    The T terms of every rule are T times larger than the inputs, so they are never stored: both passes walk over
    the columns in pieces that stay in the processor's cache, and the backward pass makes the terms again.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, inputs: Tensor) -> Tensor:  # (R, T, I), complex (I, M) -> complex (R, M)
        rules, terms, _ = weights.shape
        half = terms // 2
        mixing = weights.transpose(0, 1).reshape(terms * rules, -1).contiguous()
        ctx.save_for_backward(mixing, inputs)
        ctx.dims = (rules, terms)
        outputs = inputs.new_empty((rules, inputs.shape[1]))
        width = _piece(mixing)
        for piece, output in zip(inputs.split(width, 1), outputs.split(width, 1), strict=True):
            t = _mix(mixing, piece, terms)
            bound, unbound = t[0].clone(), t[half].clone()
            for i in range(1, half):
                bound *= t[i]
                unbound *= t[half + i]
            torch.mul(bound, unbound.conj().resolve_conj(), out=output)
        return outputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        mixing, inputs = ctx.saved_tensors
        rules, terms = ctx.dims
        half = terms // 2
        grad_mixing = torch.zeros_like(mixing)
        grad_inputs = torch.empty_like(inputs) if ctx.needs_input_grad[1] else None
        width = _piece(mixing)
        for start in range(0, inputs.shape[1], width):
            piece, upper = inputs[:, start : start + width], grad[:, start : start + width].resolve_conj()
            t = _mix(mixing, piece.conj().resolve_conj(), terms)  # conjugates: all that gradients need
            grad_terms = torch.empty_like(t)
            products = []
            for side in (0, half):
                prefix = [t[side]]
                for i in range(1, half):
                    prefix.append(prefix[-1] * t[side + i])
                products.append(prefix)
            # output = bound * conj(unbound), and `products` end in conj(bound) and conj(unbound).
            bound, unbound = (prefix[-1].conj().resolve_conj() for prefix in products)
            for side, prefix, run in (
                (0, products[0], upper * unbound),
                (half, products[1], upper.conj().resolve_conj() * bound),
            ):
                for i in range(half - 1, 0, -1):
                    torch.mul(run, prefix[i - 1], out=grad_terms[side + i])
                    run = run * t[side + i]
                grad_terms[side] = run
            flat = torch.view_as_real(grad_terms).reshape(terms * rules, -1)
            grad_mixing.addmm_(flat, torch.view_as_real(piece).reshape(piece.shape[0], -1).T)
            if grad_inputs is not None:
                mixed = (mixing.T @ flat).unflatten(-1, (-1, 2))
                grad_inputs[:, start : start + width] = torch.view_as_complex(mixed)
        weights = grad_mixing.view(terms, rules, -1).transpose(0, 1) if ctx.needs_input_grad[0] else None
        return weights, grad_inputs


def _piece(mixing: Tensor) -> int:
    """How many columns are worked on at a time."""
    return max(64, _ENTRIES // mixing.shape[0])


def _mix(mixing: Tensor, inputs: Tensor, terms: int) -> Tensor:
    """(T * R, I) real times (I, m) complex -> (T, R, m) complex."""
    planar = torch.view_as_real(inputs).reshape(inputs.shape[0], -1)
    return torch.view_as_complex((mixing @ planar).view(terms, mixing.shape[0] // terms, -1, 2))


def apply_formula(weights: Tensor, inputs: Tensor) -> Tensor:
    """Predictions of R soft formulas: bind the first half of the mixed terms, unbind the second half.

    Args:
        weights: real (R, T, I), each (r, t) row a distribution over the inputs; T is even.
        inputs: complex (..., I, W) from :func:`gather_inputs`.

    Returns:
        complex (..., R, W).
    """
    if weights.ndim != 3 or weights.shape[-1] != inputs.shape[-2]:
        raise ShapeError(
            "apply_formula",
            received=f"weights {tuple(weights.shape)} for {inputs.shape[-2]} inputs",
            expected="weights (R, T, I) with one column per input",
        )
    if weights.shape[1] < 2 or weights.shape[1] % 2:
        raise ShapeError("apply_formula", received=f"{weights.shape[1]} terms", expected="an even number of terms")
    columns = inputs.movedim(-2, 0)
    outputs: Tensor = _SoftFormulas.apply(weights, columns.reshape(columns.shape[0], -1))
    return outputs.view(-1, *columns.shape[1:]).movedim(0, -2)


def coefficients(weights: Tensor) -> Tensor:
    """Integer coefficients of the formulas once every term takes its likeliest input.

    Args:
        weights: real (R, T, I).

    Returns:
        long (R, I): how often each input is bound minus how often it is unbound; the identity's column is 0.
    """
    chosen = torch.nn.functional.one_hot(weights.argmax(-1), weights.shape[-1])
    half = weights.shape[1] // 2
    result = chosen[:, :half].sum(1) - chosen[:, half:].sum(1)
    result[:, -1] = 0
    return result


def apply_coefficients(chosen: Tensor, spectra: Tensor, columns: int) -> Tensor:
    """Predictions of formulas whose terms are pure inputs: binds and unbinds only what is not the identity.

    Equal to :func:`apply_formula` on one-hot weights, except that an input which stands among the bound and the
    unbound terms of one rule is dropped from both (exact for one-hot atoms; for superpositions it removes
    their self-interference).

    Args:
        chosen: long (R, I) from :func:`coefficients`.
        spectra: complex (..., P, W), spectra of at least the 3n - 1 context panels.
        columns: panels in a row.

    Returns:
        complex (..., 3, R, W).
    """
    outputs = spectra.new_empty((*spectra.shape[:-2], ROWS, len(chosen), spectra.shape[-1]))
    for row, panels in enumerate(row_inputs(columns)):
        bind_panels(chosen[:, :-1], spectra, panels, outputs[..., row, :, :])
    return outputs


def bind_panels(powers: Tensor, spectra: Tensor, panels: Sequence[int], outputs: Tensor) -> None:
    """Write each rule's panels bound together, or unbound where their power is negative.

    Args:
        powers: long (R, M), how often each of M panels is bound (negative: unbound).
        spectra: complex (..., P, W).
        panels: M indices into the panels.
        outputs: complex (..., R, W), overwritten.
    """
    for rule, row in enumerate(powers.tolist()):
        bound, unbound = (
            [panel for panel, power in zip(panels, row, strict=True) for _ in range(sign * power)] for sign in (1, -1)
        )
        _multiply(outputs[..., rule, :], spectra, bound, unbound)


def _multiply(output: Tensor, spectra: Tensor, bound: list[int], unbound: list[int]) -> None:
    """Write the product of some panels, unbound by that of others, into ``output``."""
    output.fill_(1.0)
    if unbound:
        output.copy_(spectra[..., unbound[0], :])
        for panel in unbound[1:]:
            output.mul_(spectra[..., panel, :])
        output.copy_(output.conj())
    for panel in bound:
        output.mul_(spectra[..., panel, :])


def in_words(chosen: Tensor, names: Sequence[str]) -> list[str]:
    """Each formula as a sum, e.g. ``x1 + x2 - c1``.

    Args:
        chosen: long (R, I).
        names: of the I inputs.
    """
    sentences = []
    for row in chosen.tolist():
        parts = []
        for name, power in zip(names, row, strict=True):
            if power:
                times = "" if abs(power) == 1 else f"{abs(power)} "
                parts.append(("- " if power < 0 else "+ ") + times + name)
        sentence = " ".join(parts) or "e"
        sentences.append(sentence.removeprefix("+ "))
    return sentences
