"""Exact sums over all matrices that follow a rule, for rules without a closed form of their own.

What is seen enters as a weight for each value of each panel; a value is a magnitude or a set of slots. Parts of a
matrix that have nothing to do with each other, such as rows, are summed by themselves.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from datasets.rules.base import RULES
from datasets.rules.domains import SlotSets, Values
from datasets.rules.forms import PanelForm, PanelPart
from datasets.streams import Ints
from vsa.errors import VSAError

__all__ = ["Kind", "form_counts", "form_kernel", "row_kernel"]

_MOST = 2**20  # rows or parts that are listed one by one
_PAIRS = 12  # that differ, in a part: the sum doubles with each
_CHUNK = 2**22  # entries of listed parts that are worked on at a time

Kind = Values | SlotSets
Equal = tuple[int, int, int]  # panels a and b: b is a moved by so many steps


def form_kernel(
    panels: Tensor, form: PanelForm, domain: Kind, values: tuple[int, ...], prior: Tensor | None = None
) -> Tensor:
    """How well a form explains panels.

    Args:
        panels: float64 (B, 3 n - 1, W), the weight of each value for each context panel.
        form: of the rule.
        domain: of the values.
        values: the W legal ones.
        prior: (W,), how likely each value is for a panel that does not follow from others; None: all alike.

    Returns:
        (B, W), by the value of the missing panel.
    """
    whole = torch.cat([panels, torch.ones_like(panels[:, :1])], dim=1)
    one = torch.ones_like(whole[:1])
    if prior is not None:
        follow = {relation.panel for relation in form.relations}
        free = torch.tensor([panel not in follow for panel in range(whole.shape[1])], device=panels.device)
        weights = torch.where(free.unsqueeze(-1), prior.to(panels), torch.ones_like(one[0]))
        whole, one = whole * weights, one * weights
    kernel = torch.ones_like(panels[:, 0])
    for part in form.parts():
        last = whole.shape[1] - 1 if whole.shape[1] - 1 in part.panels else None
        count = _part_sum(one, part, domain, values, None)
        found = _part_sum(whole, part, domain, values, last)
        kernel = kernel * found / count if float(count) > 0 else torch.zeros_like(kernel)
    return kernel


def form_counts(form: PanelForm, domain: Kind, values: tuple[int, ...], weights: Tensor | None = None) -> float:
    """The log of how many matrices a form has.

    Args:
        form: of the rule.
        domain: of the values.
        values: the W legal ones.
        weights: (W,), how often each value counts; None: once.

    Returns:
        The log, infinite (a rule that is impossible) where there is none.
    """
    one = torch.ones(len(values), dtype=torch.float64) if weights is None else weights.double()
    whole = one.expand(1, 3 * form.columns, -1)
    counts = [float(_part_sum(whole, part, domain, values, None)) for part in form.parts()]
    return sum(math.log(count) for count in counts) if min(counts) > 0.5 else math.inf


def row_kernel(
    panels: Tensor, columns: int, rule: str, parameter: int, domain: Kind, values: tuple[int, ...]
) -> Tensor:
    """As :func:`form_kernel`, for a rule without a form that says something of each row by itself.

    Args:
        panels: float64 (B, 3 n - 1, W).
        columns: n.
        rule: its name.
        parameter: of the rule.
        domain: of the values.
        values: the W legal ones.

    Returns:
        (B, W).

    Raises:
        VSAError: there are too many rows to try them all.
    """
    rows = _rows(rule, parameter, columns, domain, values).to(panels.device)
    whole = torch.cat([panels, torch.ones_like(panels[:, :1])], dim=1).unflatten(1, (3, columns))
    kernel = torch.ones_like(panels[:, 0])
    for number, row in enumerate(whole.unbind(1)):
        kernel = kernel * _listed(row, rows, columns - 1 if number == 2 else None) / max(len(rows), 1)
    return kernel


# -- parts of copies and moves: products, with inclusion and exclusion for panels that differ ----------------------


def _part_sum(panels: Tensor, part: PanelPart, domain: Kind, values: tuple[int, ...], last: int | None) -> Tensor:
    """(B, 1), or (B, W) by the value of the panel ``last``: the sum over all values of the part's panels."""
    if all(relation.moves for relation in part.relations):
        if len(part.apart) > _PAIRS:
            raise VSAError(
                "sum over the matrices of a form",
                received=f"{len(part.apart)} pairs of panels that differ",
                expected=f"at most {_PAIRS} in a part",
                hint="the sum doubles with each pair; name those alone that do not follow from others",
            )
        equal = tuple((relation.plus[0], relation.panel, relation.step) for relation in part.relations)
        return _moved_sum(panels, part.panels, equal, part.apart, domain, values, last)
    listed = _combinations(part, domain, values).to(panels.device)
    chosen = panels[:, list(part.panels)]
    return _listed(chosen, listed, None if last is None else part.panels.index(last))


def _moved_sum(
    panels: Tensor,
    which: tuple[int, ...],
    equal: tuple[Equal, ...],
    apart: tuple[tuple[int, int], ...],
    domain: Kind,
    values: tuple[int, ...],
    last: int | None,
) -> Tensor:
    if apart:
        (a, b), others = apart[0], apart[1:]
        without = _moved_sum(panels, which, equal, others, domain, values, last)
        merged = _moved_sum(panels, which, (*equal, (a, b, 0)), others, domain, values, last)
        return without - merged
    root = {panel: (panel, 0) for panel in which}  # panel -> whose value moved by how much it is
    loops: list[Equal] = []  # what holds between panels that are tied already
    for a, b, step in equal:
        (of_a, by_a), (of_b, by_b) = root[a], root[b]
        if of_a == of_b:
            loops.append((a, b, step))
            continue
        for panel, (of, by) in root.items():
            if of == of_b:
                root[panel] = of_a, by - by_b + by_a + step
    product = {of: torch.ones_like(panels[:, 0]) for of, _ in root.values()}
    for panel, (of, by) in root.items():
        place, legal = _moves(by, domain, values)
        product[of] = product[of] * panels[:, panel, place.to(panels.device)] * legal.to(panels)
    for a, b, step in loops:
        of, by = root[a]
        (first, legal), (second, legal_too) = (_moves(k, domain, values) for k in (by + step, root[b][1]))
        product[of] = product[of] * ((first == second) & legal & legal_too).to(panels)
    result = torch.ones_like(panels[:, 0, :1])
    for of, weights in product.items():
        if last is None or of != root[last][0]:
            result = result * weights.sum(-1, keepdim=True)
    if last is None:
        return result
    place, legal = _moves(root[last][1], domain, values)
    by_last = torch.zeros_like(panels[:, 0])
    return result * by_last.index_add_(1, place.to(panels.device), product[root[last][0]] * legal.to(panels))


@lru_cache(maxsize=256)
def _moves(by: int, domain: Kind, values: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Long (W,), the index of each value moved on, and bool (W,), whether it is legal (the index is 0 where not)."""
    known = np.asarray(values, dtype=np.int64)
    moved = domain.step(known, by)
    order = np.argsort(known)
    place = order[np.minimum(np.searchsorted(known, moved, sorter=order), len(known) - 1)]
    legal = known[place] == moved
    return torch.from_numpy(np.where(legal, place, 0)), torch.from_numpy(legal)


# -- anything else: one by one -------------------------------------------------------------------------------------


def _listed(panels: Tensor, listed: Tensor, last: int | None) -> Tensor:
    """Sum over listed panels.

    Args:
        panels: (B, P, W).
        listed: long (K, P), indices of values.
        last: which panel's value is told apart.

    Returns:
        (B, 1), or (B, W).
    """
    result = torch.zeros_like(panels[:, 0, :1] if last is None else panels[:, 0])
    for piece in listed.split(max(1, _CHUNK // len(panels))):
        product = torch.ones((len(panels), len(piece)), dtype=panels.dtype, device=panels.device)
        for number in range(panels.shape[1]):
            product = product * panels[:, number, piece[:, number]]
        if last is None:
            result = result + product.sum(-1, keepdim=True)
        else:
            result.index_add_(1, piece[:, last], product)
    return result


@lru_cache(maxsize=64)
def _combinations(part: PanelPart, domain: Kind, values: tuple[int, ...]) -> Tensor:
    """Long (K, P), the indices of the values of all panels, for all ways in which the part can look."""
    follow = {relation.panel for relation in part.relations}
    free = [panel for panel in part.panels if panel not in follow]
    _check_few(len(values), len(free), "parts with sums")
    grid = _grid(len(free), values)
    found = dict(zip(free, grid.T, strict=True))
    for relation in part.relations:
        total = found[relation.plus[0]]
        for panel in relation.plus[1:]:
            total = domain.add(total, found[panel])
        for panel in relation.minus:
            total = domain.subtract(total, found[panel])
        found[relation.panel] = domain.step(total, relation.step) if relation.step else total
    keep = np.ones(len(grid), dtype=np.bool_)
    for a, b in part.apart:
        keep &= found[a] != found[b]
    return _indices(np.stack([found[panel] for panel in part.panels], axis=1)[keep], values)


@lru_cache(maxsize=64)
def _rows(rule: str, parameter: int, columns: int, domain: Kind, values: tuple[int, ...]) -> Tensor:
    """Long (K, n), the indices of the values of all rows that follow a rule."""
    made = RULES.get(rule)
    if len(values) ** columns <= _MOST:
        rows = _grid(columns, values)
    else:  # the last panel follows from the others of its row
        _check_few(len(values), columns - 1, f"rows of {rule}, which declares neither a pattern nor a form")
        first = _grid(columns - 1, values)
        before = np.repeat(first[:, :1], columns, axis=1)
        last = made.complete(np.concatenate([before, before, first], axis=1), columns, parameter, domain)
        rows = np.concatenate([first, last[:, None]], axis=1)
    return _indices(rows[made.fits(rows[:, None], domain, parameter)], values)


def _grid(count: int, values: tuple[int, ...]) -> Ints:
    """int64 (W ** count, count), all combinations."""
    axes = np.meshgrid(*[np.asarray(values, dtype=np.int64)] * count, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def _indices(chosen: Ints, values: tuple[int, ...]) -> Tensor:
    """The indices (K, P) of values, rows with others left out."""
    known = np.asarray(values, dtype=np.int64)
    order = np.argsort(known)
    place = order[np.minimum(np.searchsorted(known, chosen, sorter=order), len(known) - 1)]
    return torch.from_numpy(place[(known[place] == chosen).all(axis=1)])


def _check_few(size: int, count: int, what: str) -> None:
    if size**count > _MOST:
        raise VSAError(
            f"sum over all {what}",
            received=f"{size} values for each of {count} panels",
            expected=f"at most {_MOST} combinations",
            hint="a rule that declares a form (Rule.form) of copies and moves needs no list",
        )
