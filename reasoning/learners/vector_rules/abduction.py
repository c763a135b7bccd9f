"""NVSA's abduction: the probabilities of all rules on all attributes, and what each predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from reasoning.learners.vector_rules.codes import Names, Powers
from reasoning.learners.vector_rules.forms import sets_by_form, values_by_form
from reasoning.learners.vector_rules.panels import Panels
from reasoning.learners.vector_rules.rules import (
    Evidence,
    Grammar,
    count_form_numbers,
    count_form_sets,
    count_form_values,
    count_numbers,
    count_sets,
    count_values,
)
from reasoning.learners.vector_rules.sets import sets_evidence
from reasoning.learners.vector_rules.values import FLOOR, values_evidence
from reasoning.sparse import dense

__all__ = ["Abduction", "abduce", "choose"]


@dataclass(frozen=True)
class Abduction:
    """What the context of B puzzles says of A attributes, those with values first, then the sets.

    Attributes:
        log_probability: (B, A, R); those of Number and Position of a component sum to one together.
        confidence: (B, A, R), geometric mean of the similarities that a rule asks for.
        values: (B, A', R, V + 1), PMFs that the rules predict, the last entry for entities that differ; None without
            attributes that have values.
        sets: (B, R, S), occupancies that the rules predict, for each set.
    """

    log_probability: Tensor
    confidence: Tensor
    values: Tensor | None
    sets: tuple[Tensor, ...]

    def within(self, weights: Tensor) -> Tensor:
        """Weights (B, A, R) that sum to one for each attribute; its own likeliest rule where it has none."""
        share = weights.sum(-1, keepdim=True)
        own = functional.one_hot(self.log_probability.argmax(-1), weights.shape[-1]).to(weights)
        return torch.where(share > 0, weights / share.clamp_min(FLOOR), own)

    def predicted(self, weights: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """What weighted rules predict.

        Args:
            weights: (B, A, R).

        Returns:
            PMFs (B, A', V + 1), and occupancies (B, S) for each set.
        """
        within = self.within(weights).unsqueeze(-2)  # (B, A, 1, R)
        count = within.shape[1] - len(self.sets)
        values = None if self.values is None else (within[:, :count] @ self.values).squeeze(-2)
        return values, [(within[:, count + index] @ one).squeeze(-2) for index, one in enumerate(self.sets)]


def abduce(
    powers: Powers, names: Names, panels: Panels, columns: int, exact_positions: bool, grammar: Grammar
) -> Abduction:
    """Probabilities and predictions of all rules.

    Args:
        powers: the codebook in which binding adds values.
        names: the codebook of unrelated atoms.
        panels: context and candidates; the latter are not looked at.
        columns: n.
        exact_positions: whether a rule on Number pays for the sets of the sizes seen, or for an average.
        grammar: the rules.

    Returns:
        The abduction.
    """
    forms = grammar.forms(columns)
    context = 3 * columns - 1
    numbers = {number for number, _ in panels.pairs}
    evidence: list[Evidence] = []
    counts, values = [], None
    for index, width in enumerate(panels.widths):
        if index in numbers and not exact_positions:
            more = [count_form_numbers(form, width - 1) for form in forms]
            counts.append(_with(count_numbers(width - 1), more, grammar))
        else:
            low, high = int(index in numbers), width - 1
            more = [count_form_values(form, low, high) for form in forms]
            counts.append(_with(count_values(low, high, columns), more, grammar))
    if panels.context is not None:
        shape = panels.context.shape[:2]
        levels = torch.arange(panels.context.shape[-1])
        allowed = levels < torch.tensor(panels.widths)[:, None]
        allowed[list(numbers), 0] = False  # a panel is not empty
        seen = panels.context.flatten(0, 1)
        rows = allowed.to(seen.device, seen.dtype).expand(shape[0], -1, -1).flatten(0, 1)
        found = values_evidence(powers, names, seen, rows, columns)
        if forms:
            found = _joined(found, values_by_form(powers, names, dense(seen), rows, forms))
        found = found if grammar.order is None else found.at(grammar.order)
        values = found.predicted.unflatten(0, shape)
        evidence.append(Evidence(found.agreement.unflatten(0, shape), found.factors.expand(shape[1], -1), values))
    for occupied in panels.sets:
        found = sets_evidence(occupied[:, :context])
        if forms:
            found = _joined(found, sets_by_form(occupied[:, :context], forms))
        found = found if grammar.order is None else found.at(grammar.order)
        evidence.append(Evidence(found.agreement.unsqueeze(1), found.factors.unsqueeze(0), found.predicted))
        slots = occupied.shape[-1]
        counts.append(_with(count_sets(slots), [count_form_sets(form, slots) for form in forms], grammar))
    agreement = torch.cat([part.agreement for part in evidence], dim=1)
    logits = agreement - torch.stack(counts).to(agreement)
    if panels.pairs:
        logits = _paired(logits, panels, exact_positions, grammar)
    confidence = (agreement / torch.cat([part.factors for part in evidence])).exp()
    sets = tuple(part.predicted for part in evidence[len(evidence) - len(panels.sets) :])
    return Abduction(_normalised(logits, panels), confidence, values, sets)


def choose(scores: Tensor, panels: Panels) -> Tensor:
    """One rule for each attribute, and one for Number and Position together.

    Args:
        scores: (B, A, R), the highest is chosen.
        panels: say which attributes are Number and Position of one component.

    Returns:
        One-hot (B, A, R), zero for whichever of Number and Position is not governed.
    """
    best, index = scores.max(-1)
    wins = torch.ones_like(best, dtype=torch.bool)
    for number, position in panels.pairs:
        wins[:, number] = best[:, number] >= best[:, position]
        wins[:, position] = ~wins[:, number]
    return functional.one_hot(index, scores.shape[-1]).to(scores) * wins.unsqueeze(-1)


def _with(patterned: Tensor, more: list[float], grammar: Grammar) -> Tensor:
    """(R,): the counts of all rules of a grammar, from those of the patterns and of the forms."""
    whole = torch.cat([patterned, patterned.new_tensor(more)])
    return whole if grammar.order is None else whole[grammar.order]


def _joined(one: Evidence, other: Evidence) -> Evidence:
    """Evidence for the rules of both."""
    return Evidence(
        torch.cat([one.agreement, other.agreement], dim=-1),
        torch.cat([one.factors, other.factors]),
        torch.cat([one.predicted, other.predicted], dim=-2),
    )


def _paired(logits: Tensor, panels: Panels, exact_positions: bool, grammar: Grammar) -> Tensor:
    """Make the rules of Number comparable to those of Position."""
    change = torch.zeros_like(logits)
    for number, position in panels.pairs:
        if exact_positions and panels.context is not None:
            slots = panels.sets[position - len(panels.widths)].shape[-1]
            ways = torch.tensor([0.0, *(1.0 / math.comb(slots, size) for size in range(1, slots + 1))]).to(logits)
            chance = dense(panels.context)[:, number, :, : slots + 1] @ ways  # of the one set that is there
            change[:, number] += chance.clamp_min(FLOOR).log().sum(-1, keepdim=True)
        # A rule on both, such as Constant, is Position's, which implies the number.
        change[:, number, torch.tensor(grammar.both, device=change.device)] = -math.inf
    return logits + change


def _normalised(logits: Tensor, panels: Panels) -> Tensor:
    norms = list(logits.logsumexp(-1, keepdim=True).unbind(1))
    for number, position in panels.pairs:
        norms[number] = norms[position] = torch.logaddexp(norms[number], norms[position])
    return logits - torch.stack(norms, dim=1)
