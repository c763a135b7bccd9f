"""NVSA's evidence for rules that are declared by the form of their matrices, on values and on sets of slots."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from datasets.rules.forms import PanelForm, Relation
from reasoning.learners.vector_rules.codes import Names, Powers
from reasoning.learners.vector_rules.rules import Evidence
from reasoning.learners.vector_rules.sets import difference_is, equal, union_is
from reasoning.learners.vector_rules.values import ENTRIES, FLOOR, log_similarity

__all__ = ["sets_by_form", "values_by_form"]


def values_by_form(
    powers: Powers, names: Names, context: Tensor, allowed: Tensor, forms: Sequence[PanelForm]
) -> Evidence:
    """Evidence for rules of values: copies are compared by name, sums and steps by powers.

    Args:
        powers: the codebook in which binding adds values.
        names: the codebook of unrelated atoms.
        context: (N, 3 n - 1, V) PMFs row by row; missing mass: the entities of the panel differ.
        allowed: (N, V), one for each value that the attribute has, else zero.
        forms: R of them.

    Returns:
        Evidence with (N, R) agreements and (N, R, V + 1) predicted PMFs, the last entry for entities that differ.
    """
    size = max(1, ENTRIES // (context.shape[1] * names.width))
    parts = [
        _values(powers, names, piece, rows, forms)
        for piece, rows in zip(context.split(size), allowed.split(size), strict=True)
    ]
    agreement, predicted = (torch.cat([getattr(part, name) for part in parts]) for name in ("agreement", "predicted"))
    return Evidence(agreement, parts[0].factors, predicted / predicted.sum(-1, keepdim=True).clamp_min(FLOOR))


def _values(powers: Powers, names: Names, context: Tensor, allowed: Tensor, forms: Sequence[PanelForm]) -> Evidence:
    values = context.shape[-1]
    missing = (1 - context.sum(-1, keepdim=True)).clamp_min(0)
    named, added = names.encode(torch.cat([context, missing], dim=-1)), powers.encode(context)
    inverse = added.conj().resolve_conj()
    agreements, predictions, factors = [], [], []
    for form in forms:
        found = []
        for relation in form.relations:
            if relation is form.last:
                continue
            if relation.copies:
                found.append(names.similarity(named[:, relation.plus[0]], named[:, relation.panel]))
            else:  # what is left between both sides is the step
                between = powers.bind(added[:, relation.panel], _bound(powers, inverse, added, relation))
                found.append(powers.read(between, (relation.step,))[:, 0])
        found += [1 - names.similarity(named[:, a], named[:, b]) for a, b in _seen(form)]
        if form.last.copies:
            read = names.read(named[:, form.last.plus[0]], range(values + 1)).clamp_min(0)
            predicted = torch.cat([read[:, :-1] * allowed, read[:, -1:]], dim=-1)
        else:
            end = _bound(powers, added, inverse, form.last)
            steps = range(-form.last.step, values - form.last.step)  # to bind with a step is to move what is read
            predicted = functional.pad(powers.read(end, steps).clamp_min(0) * allowed, (0, 1))
            found.append(predicted.sum(-1))  # a value that the attribute has
        agreements.append(log_similarity(torch.stack(found, dim=-1)).sum(-1))
        predictions.append(predicted)
        factors.append(len(found))
    return Evidence(
        torch.stack(agreements, dim=-1), torch.tensor(factors, device=context.device), torch.stack(predictions, dim=1)
    )


def sets_by_form(context: Tensor, forms: Sequence[PanelForm]) -> Evidence:
    """Evidence for rules of sets of slots in matrices of 3 x 3.

    Args:
        context: (B, 8, S) occupancies row by row.
        forms: R of them.

    Returns:
        Evidence with (B, R) agreements and (B, R, S) predicted occupancies.
    """
    agreements, predictions, factors = [], [], []
    for form in forms:
        found = [_set_is(context, relation) for relation in form.relations if relation is not form.last]
        found += [1 - equal(context[:, a], context[:, b]) for a, b in _seen(form)]
        predicted = _combined(context, form.last).roll(form.last.step, -1)
        if not form.last.moves:
            found.append(1 - (1 - predicted).prod(-1))  # something is left
        agreements.append(log_similarity(torch.stack(found, dim=-1)).sum(-1))
        predictions.append(predicted)
        factors.append(len(found))
    return Evidence(
        torch.stack(agreements, dim=-1), torch.tensor(factors, device=context.device), torch.stack(predictions, dim=1)
    )


def _seen(form: PanelForm) -> list[tuple[int, int]]:
    """Pairs of panels that differ, both of the context."""
    return [pair for pair in form.apart if form.last.panel not in pair]


def _bound(powers: Powers, plus: Tensor, minus: Tensor, relation: Relation) -> Tensor:
    """(N, W): the panels that are added bound, those that are subtracted unbound; the step is left out."""
    return powers.bind(*(plus[:, panel] for panel in relation.plus), *(minus[:, panel] for panel in relation.minus))


def _combined(context: Tensor, relation: Relation) -> Tensor:
    """(B, S): the sets united less those taken away; the step is left out."""
    outside = torch.ones_like(context[:, 0])
    for panel in relation.plus:
        outside = outside * (1 - context[:, panel])
    result = 1 - outside if len(relation.plus) > 1 else context[:, relation.plus[0]]
    for panel in relation.minus:
        result = result * (1 - context[:, panel])
    return result


def _set_is(context: Tensor, relation: Relation) -> Tensor:
    """(B,): the probability that the panel is what the relation says, given that no set is empty."""
    moved_back = context[:, relation.panel].roll(-relation.step, -1)
    operands = [context[:, panel] for panel in (*relation.plus, *relation.minus)]
    if len(operands) == 2:
        exact = union_is if len(relation.plus) == 2 else difference_is
        return exact(operands[0], operands[1], moved_back)
    return equal(_combined(context, relation), moved_back)
