"""A naive probabilistic planner, to be timed beside the vector-symbolic reasoners.

Every rule is the list of all rows of three that it admits: for values of a panel and for the 511 sets of slots of a
3 x 3 grid alike, where the union and the difference list every pair of sets. The probability of a rule is the sum
over its rows of the product of the panels' probabilities, divided by their number; all tables are dense. It sees what
the NVSA back-end sees and weighs rules by the same probabilities, so it answers as well; what differs is the work.

Idea: Zhang et al., "Abstract spatial-temporal reasoning via probabilistic abduction and execution", CVPR 2021.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from reasoning.scene import AttributeKey, Scene

STEPS = (-2, -1, 1, 2)
_TINY = 1e-12


@dataclass(frozen=True)
class Abduced:
    """Log probability (B,) of the likeliest rule, and the PMF (B, V) that it predicts."""

    log_probability: Tensor
    predicted: Tensor


def solve(scene: Scene) -> Tensor:
    """Scores (B, 8) of the candidates."""
    scores = torch.zeros(len(scene), 8)
    tables: dict[int, Tensor] = {}
    for key, occupied in scene.sets.items():
        slots = occupied.shape[-1]
        table = tables[key.component] = set_pmf(occupied)
        ways = torch.tensor([float(math.comb(slots, size)) for size in range(1, slots + 1)])
        numbers = table @ _sizes(slots)  # (B, 16, S), one entry for each count
        by_number = abduce(numbers[:, :8] / ways, value_rows(1, slots), constant=False)
        by_position = abduce(table[:, :8], set_rows(slots))
        number_wins = by_number.log_probability > by_position.log_probability
        number_scores = -divergence(by_number.predicted, numbers[:, 8:])
        scores += torch.where(number_wins[:, None], number_scores, -divergence(by_position.predicted, table[:, 8:]))
    for key, pmf in scene.pmfs.items():
        if key.name == "Number" and key.component in tables:
            continue
        seen = pmf
        if key in scene.entities:
            occupied = scene.sets[AttributeKey(key.component, "Position")]
            seen = panel_pmf(tables[key.component], scene.entities[key], occupied.shape[-1])
        seen = torch.cat([seen, (1 - seen.sum(-1, keepdim=True)).clamp_min(0)], dim=-1)
        found = abduce(seen[:, :8], value_rows(0, pmf.shape[-1] - 1), differs=pmf.shape[-1])
        scores -= divergence(found.predicted, seen[:, 8:])
    return scores


def set_pmf(occupied: Tensor) -> Tensor:
    """(B, P, S) occupancies -> (B, P, 2**S - 1), entry i is the set with the bits of i + 1."""
    member = _members(occupied.shape[-1])  # (M, S)
    chance = torch.where(member, occupied.unsqueeze(-2), 1 - occupied.unsqueeze(-2)).prod(-1)
    return chance / chance.sum(-1, keepdim=True)


def panel_pmf(table: Tensor, entities: Tensor, slots: int) -> Tensor:
    """Probability that all entities of a panel have one value: (B, P, V), a sum over all sets of slots."""
    member = _members(slots)[:, :, None]  # (M, S, 1)
    parts = []
    for panel in range(table.shape[1]):  # (B, M, S, V) for all panels at once would not fit into memory
        alike = torch.where(member, entities[:, panel, None], torch.ones(())).prod(-2)  # (B, M, V)
        parts.append((table[:, panel, :, None] * alike).sum(1))
    return torch.stack(parts, dim=1)


def abduce(context: Tensor, rules: tuple[Tensor, ...], constant: bool = True, differs: int | None = None) -> Abduced:
    """The likeliest rule.

    Args:
        context: (B, 8, V).
        rules: the admitted rows (T, 3) of each rule but Distribute_Three; the first is constant.
        constant: whether the first counts.
        differs: index of the state "the entities differ", which may be constant, too.
    """
    values = context.shape[-1]
    logs, predictions = [], []
    if differs is not None:
        rules = (torch.cat([rules[0], torch.full((1, 3), differs)]), *rules[1:])
    for number, rows in enumerate(rules):
        if not len(rows) or (number == 0 and not constant):
            continue
        first, second, third = rows.unbind(-1)
        probability = torch.ones(len(context))
        for row in (0, 3):
            a, b, c = (context[:, row + offset] for offset in range(3))
            probability = probability * (a[:, first] * b[:, second] * c[:, third]).sum(-1) / len(rows)
        joint = context[:, 6][:, first] * context[:, 7][:, second]
        logs.append((probability * joint.sum(-1) / len(rows)).clamp_min(1e-37).log())
        predictions.append(torch.zeros(len(context), values).index_add_(1, third, joint))
    count = math.perm(values, 3)
    if count:
        for order in ((2, 0, 1), (1, 2, 0)):  # rows shifted to the right, to the left
            second_row = [order.index(panel) for panel in range(3)]  # where each panel of row 1 is in row 2
            third_row = [second_row[second_row[panel]] for panel in range(3)]
            probability, predicted = torch.full((len(context),), 1 / count), context[:, 0]
            for panel in range(3):
                same = context[:, panel] * context[:, 3 + second_row[panel]]
                if third_row[panel] == 2:
                    predicted = same
                else:
                    same = same * context[:, 6 + third_row[panel]]
                probability = probability * same.sum(-1)
            for a, b in itertools.combinations(range(3), 2):
                probability = probability * (1 - (context[:, a] * context[:, b]).sum(-1))
            logs.append(probability.clamp_min(1e-37).log())
            predictions.append(predicted)
    best, which = torch.stack(logs, dim=-1).max(-1)
    predicted = torch.stack(predictions, dim=1)[torch.arange(len(context)), which]
    return Abduced(best, predicted / predicted.sum(-1, keepdim=True).clamp_min(_TINY))


@lru_cache(maxsize=32)
def value_rows(low: int, high: int) -> tuple[Tensor, ...]:
    """Admitted rows of magnitudes, as indices from zero."""
    values = range(low, high + 1)
    rules = [[(v, v, v) for v in values]]
    rules += [[(v, v + d, v + 2 * d) for v in values if {v + d, v + 2 * d} <= set(values)] for d in STEPS]
    rules.append([(a, b, a + b) for a in values for b in values if a + b in values])
    rules.append([(a, b, a - b) for a in values for b in values if a - b in values])
    return tuple(torch.tensor(rows, dtype=torch.long).reshape(-1, 3) - low for rows in rules)


@lru_cache(maxsize=8)
def set_rows(slots: int) -> tuple[Tensor, ...]:
    """Admitted rows of non-empty sets of slots, as indices from zero."""
    full = 2**slots - 1
    sets = torch.arange(1, full + 1)
    rules = [torch.stack([sets] * 3, dim=-1)]
    for step in STEPS:

        def moved(by: int, step: int = step) -> Tensor:
            shift = by * step % slots
            return (sets << shift | sets >> (slots - shift)) & full

        free = slots - 2 * abs(step)  # a moving set leaves two slots free per step
        fits = (torch.tensor([int(s).bit_count() for s in sets]) <= free) & (moved(1) != sets)
        rules.append(torch.stack([sets, moved(1), moved(2)], dim=-1)[fits])
    a, b = (x.flatten() for x in torch.meshgrid(sets, sets, indexing="ij"))
    rules.append(torch.stack([a, b, a | b], dim=-1)[(b & ~a) != 0])
    rules.append(torch.stack([a, b, a & ~b], dim=-1)[(a & ~b) != 0])
    return tuple(rows - 1 for rows in rules)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon: (B, V), (B, 8, V) -> (B, 8)."""
    p, q = p.unsqueeze(1).clamp_min(_TINY), q.clamp_min(_TINY)
    m = (p + q) / 2
    return ((p * p.log() + q * q.log()) / 2 - m * m.log()).sum(-1)


@lru_cache(maxsize=8)
def _members(slots: int) -> Tensor:
    return (torch.arange(1, 2**slots)[:, None] >> torch.arange(slots) & 1).bool()


@lru_cache(maxsize=8)
def _sizes(slots: int) -> Tensor:
    """(M, S), one where a set has so many members."""
    return torch.nn.functional.one_hot(_members(slots).sum(-1) - 1, slots).float()
