"""The same formulas, read over sets of slots: adding unites, subtracting takes away, the offset moves slots around.

A set is the superposition of the powers of the base that are its slots; bound with a power, its slots move, and what
moves past the last slot is read as having come round.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.panels import ROWS
from reasoning.learners.role_formulas.follow import Evidence, groups, softened
from reasoning.learners.role_formulas.formula import Formula, places
from reasoning.learners.role_formulas.writing.alphabet import Alphabet
from reasoning.learners.role_formulas.writing.vectors import Vectors

__all__ = ["follow_sets"]


def follow_sets(
    formula: Formula, occupied: Tensor, alphabet: Alphabet, columns: int, eps: float, *, filtered: bool = True
) -> Evidence | None:
    """How well a formula explains which slots are occupied.

    Args:
        formula: which.
        occupied: (B, P + 8, S), probabilities.
        alphabet: writes and reads.
        columns: n.
        eps: share of panels that follow nothing.
        filtered: whether predicted panels are made surer by what predicts them.

    Returns:
        The evidence, against sets drawn at random; None where the formula says nothing of sets.
    """
    if max(formula.coefficients) < 1:
        return None
    missing = ROWS * columns - 1
    certain = not occupied.requires_grad and bool(((occupied == 0) | (occupied == 1)).all())
    updates = filtered and not certain and formula.inputs == 1
    moved = _moved(occupied[:, :missing], formula.offset, alphabet)
    updated: dict[int, Tensor] = {}
    shares: list[Tensor] = []
    last: list[Tensor] = []
    for group in groups(places(formula, columns), lambda place: place.level if updates else 0):
        panels = [place.panel for place in group]

        def taken(at: list[int]) -> Tensor:
            return torch.stack([updated.get(panel, moved[:, panel]) for panel in at], 1)

        absent = torch.ones_like(moved[:, :1])
        for k in range(len(group[0].plus)):
            absent = absent * (1 - taken([place.plus[k] for place in group]))
        predicted = 1 - absent
        for k in range(len(group[0].minus)):
            predicted = predicted * (1 - taken([place.minus[k] for place in group]))
        if panels[-1] == missing:
            last.append(predicted[:, -1])
            predicted, panels = predicted[:, :-1], panels[:-1]
        if panels:
            shares.append(_agree(predicted, occupied[:, panels]))
            if updates:
                believed = (1 - eps) * predicted + eps / 2
                both = believed * occupied[:, panels]
                surer = both / (both + (1 - believed) * (1 - occupied[:, panels])).clamp_min(1e-30)
                updated.update(zip(panels, _moved(surer, formula.offset, alphabet).unbind(1), strict=True))
    context = sum((softened(share, eps).log().sum(1) for share in shares), occupied.new_zeros(len(occupied)))
    candidates = softened(_agree(last[0].unsqueeze(1), occupied[:, missing:]), eps)
    return Evidence(context, candidates, torch.ones_like(context), last[0])


def _agree(predicted: Tensor, occupied: Tensor) -> Tensor:
    """(..., S), (..., S) -> (...): how much likelier what is seen becomes by the prediction than by chance."""
    return (2 * (predicted * occupied + (1 - predicted) * (1 - occupied))).prod(-1)


def _moved(occupied: Tensor, offset: int, alphabet: Alphabet) -> Tensor:
    """(..., S) -> (..., S): written as a vector, bound with the offset, read."""
    slots = occupied.shape[-1]
    x = Vectors.written_in(alphabet, 2 * slots, torch.nn.functional.pad(occupied, (0, slots + 1)), None)
    if shift := offset % slots:
        x = x.moved(shift)
    found = x.read()
    return (found[..., :slots] + found[..., slots : 2 * slots]).clamp(0, 1)
