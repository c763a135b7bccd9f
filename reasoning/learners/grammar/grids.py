"""What a scene says about a grid: its slots and all attributes of its entities together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from datasets.attributes import UNIFORMITY_LEVELS
from reasoning.learners.grammar.evidence import UNSEEN, Evidence, attribute_evidence, grid_attribute
from reasoning.learners.grammar.governors import (
    Governor,
    expected_number,
    expected_slots,
    governor_evidence,
    governors,
    shown_and_candidates,
)
from reasoning.learners.grammar.occupancy import ALIKE, candidates_over_slots, summed_over_slots
from reasoning.learners.grammar.sets import every_set
from reasoning.learners.grammar.values import Hypothesis
from reasoning.scene import AttributeKey, Scene

__all__ = ["Grid", "Expected", "expected_of", "grid_of"]

_UNIFORM = 1 / UNIFORMITY_LEVELS  # probability that the entities of all panels of a component are alike
_SURE = 0.01  # slots less doubtful than this are taken for certain
_ELEMENTS = 2_000_000  # of float64 that tables over all sets may take at a time

Parts = dict[AttributeKey, Tensor]
Found = TypeVar("Found", "Grid", "Expected")


@dataclass(frozen=True)
class Grid:
    """What is known about B grids.

    Attributes:
        which: G governors.
        rules: of each attribute.
        scores: (B, 8), log likelihood ratio of each candidate.
        evidence: (B,), log likelihood ratio of the context.
        posterior: (B, G), of the governors.
        likely: (B, 8), log likelihood ratio of where a candidate's entities are, against any set.
        weights: (B, H + 1) of each attribute's rules and of none.
        ratios: (B, 8), log likelihood ratio of each attribute of a candidate.
    """

    which: tuple[Governor, ...]
    rules: dict[AttributeKey, tuple[Hypothesis, ...]]
    scores: Tensor
    evidence: Tensor
    posterior: Tensor
    likely: Tensor
    weights: Parts
    ratios: Parts


@dataclass(frozen=True)
class Expected:
    """What the missing panel of B grids is expected to be.

    Attributes:
        slots: (B, S), probability that each is occupied.
        number: (B, S + 1).
        values: (B, V) of each attribute; what is missing to one is the probability that entities differ.
    """

    slots: Tensor
    number: Tensor
    values: Parts


def grid_of(scene: Scene, place: AttributeKey, noise: float, grammar: tuple[str, ...]) -> Grid:
    """Puts together all that is known of a grid.

    Args:
        scene: B puzzles.
        place: its slots.
        noise: prior probability that no rule governs an attribute.
        grammar: names of the rules that may be at work.

    Returns:
        That.
    """
    return _by_certainty(
        scene,
        place,
        lambda part: _certain(part, place, noise, grammar)[0],
        lambda part: _doubtful(part, place, noise, grammar)[0],
    )


def expected_of(scene: Scene, place: AttributeKey, noise: float, grammar: tuple[str, ...]) -> Expected:
    """The missing panel of a grid; arguments as of :func:`grid_of`."""
    return _by_certainty(
        scene,
        place,
        lambda part: _certain_panel(part, place, noise, grammar),
        lambda part: _doubtful(part, place, noise, grammar)[1],
    )


def _by_certainty(
    scene: Scene, place: AttributeKey, certain: Callable[[Scene], Found], doubtful: Callable[[Scene], Found]
) -> Found:
    """Puzzles whose slots are certain are worked on together, the others in small pieces."""
    occupied = scene.sets[place]
    unsure = (torch.minimum(occupied, 1 - occupied) > _SURE).flatten(1).any(1)
    rows = torch.cat([(~unsure).nonzero()[:, 0], unsure.nonzero()[:, 0]])
    sure = int((~unsure).sum())
    parts = [certain(scene if sure == len(scene) else scene[rows[:sure]])] if sure or not len(scene) else []
    slots = occupied.shape[-1]
    shown = [pmf.shape[-1] for key, pmf in scene.entities.items() if key.component == place.component]
    widest = max(shown, default=1)
    piece = max(1, _ELEMENTS // (8 * 2**slots * widest))
    parts += [doubtful(scene[few]) for few in rows[sure:].split(piece) if len(few)]
    if len(parts) == 1:
        return parts[0]
    back = torch.argsort(rows)

    def joined(values: list[Any]) -> Any:
        if isinstance(values[0], Tensor):
            return torch.cat(values)[back]
        if isinstance(values[0], dict) and isinstance(next(iter(values[0].values()), None), Tensor):
            return {key: torch.cat([value[key] for value in values])[back] for key in values[0]}
        return values[0]

    return type(parts[0])(*[joined([getattr(part, field.name) for part in parts]) for field in fields(parts[0])])


def _keys(scene: Scene, place: AttributeKey) -> list[AttributeKey]:
    return [key for key in scene.entities if key.component == place.component]


def _ways(which: Sequence[Governor]) -> list[str]:
    return [ALIKE, *sorted({governor.entities for governor in which})]


# -- slots that are certain --------------------------------------------------------------------------------------------


def _certain(
    scene: Scene, place: AttributeKey, noise: float, grammar: tuple[str, ...]
) -> tuple[Grid, dict[AttributeKey, Evidence], Tensor, Tensor]:
    """Also the evidence of each attribute; long (G,), the way of each governor; (B, G), probability of ALIKE."""
    slots = scene.sets[place].shape[-1]
    which = governors(slots, noise, grammar)
    log = governor_evidence(which, *shown_and_candidates(scene.sets[place], scene.context_panels))  # (B, G, 9)
    ways = _ways(which)
    way = torch.tensor([ways.index(governor.entities) for governor in which], device=scene.device)
    found = {key: attribute_evidence(scene, key, noise, grammar, place, ways) for key in _keys(scene, place)}
    totals = {key: one.total for key, one in found.items()}
    every = torch.zeros_like(log[:, :1]).expand(-1, len(ways), -1)
    for total in totals.values():
        every = every + total
    same, other = every[:, :1] + math.log(_UNIFORM), every[:, way] + math.log1p(-_UNIFORM)
    joint = log + torch.logaddexp(same, other)
    whole = torch.logsumexp(joint, dim=1)
    posterior = torch.softmax(joint[..., UNSEEN], dim=1)
    together = torch.sigmoid(same - other)[..., UNSEEN]  # (B, G): entities of all panels are alike
    rows, best = torch.arange(len(scene), device=scene.device), posterior.argmax(1)
    chosen, share = way[best], together[rows, best, None]
    weights, ratios = {}, {}
    for key, one in found.items():
        of = one.log[:, 0, :, UNSEEN], one.log[rows, chosen, :, UNSEEN]
        weights[key] = share * torch.softmax(of[0], dim=1) + (1 - share) * torch.softmax(of[1], dim=1)
        total = totals[key]
        parts = total[:, 0] - total[:, 0, UNSEEN:], total[rows, chosen] - total[rows, chosen][:, UNSEEN:]
        both = torch.logaddexp(parts[0] + share.log(), parts[1] + torch.log1p(-share))
        ratios[key] = both[:, :UNSEEN]
    alone = log[rows, best]
    likely = alone[:, :UNSEEN] - alone[:, UNSEEN:] + slots * math.log(2)
    rules = {key: one.rules for key, one in found.items()}
    scores = whole[:, :UNSEEN] - whole[:, UNSEEN:]
    grid = Grid(which, rules, scores, whole[:, UNSEEN], posterior, likely, weights, ratios)
    return grid, found, way, together


def _certain_panel(scene: Scene, place: AttributeKey, noise: float, grammar: tuple[str, ...]) -> Expected:
    grid, found, way, together = _certain(scene, place, noise, grammar)
    occupied = scene.sets[place]
    shown, _ = shown_and_candidates(occupied, scene.context_panels)
    last = scene.context_panels - 1
    here = occupied[:, last, :, None].double()
    values = {}
    for key, one in found.items():
        alike = (grid.posterior * together / one.unseen[:, :1]).sum(1, keepdim=True)
        apart = grid.posterior * (1 - together) / one.unseen[:, way]
        as_before = (apart * one.differ[:, way]).sum(1, keepdim=True)
        same = (1 - here + here * scene.entities[key][:, last].double()).prod(1)  # of the panel before
        kernels = one.kernels[:, 0] * alike + one.kernels[:, 1] * apart.sum(1, keepdim=True)
        values[key] = kernels + as_before * same
    slots = expected_slots(grid.which, grid.posterior, shown)
    return Expected(slots, expected_number(grid.which, grid.posterior, shown), values)


# -- slots that are not ------------------------------------------------------------------------------------------------


def _doubtful(scene: Scene, place: AttributeKey, noise: float, grammar: tuple[str, ...]) -> tuple[Grid, Expected]:
    occupied = scene.sets[place].double()
    panels, slots = scene.context_panels, occupied.shape[-1]
    which = governors(slots, noise, grammar)
    ways, keys = _ways(which), _keys(scene, place)
    attributes = [grid_attribute(scene, key, grammar) for key in keys]
    known = summed_over_slots(occupied[:, :panels], attributes, which, ways, _UNIFORM, noise)
    last = candidates_over_slots(occupied, attributes, ways, known)
    mixed = known.ways.unsqueeze(-1)
    posterior = (mixed * known.governors).sum(1)
    weights = {}
    values: Parts = {}
    table = (mixed * known.sets).sum(1)  # (B, N)
    sets = every_set(slots).to(occupied)
    here = known.slots[..., -1, :, None]
    for number, (key, attribute) in enumerate(zip(keys, attributes, strict=True)):
        rules = known.rules[number]
        differ = (1 - rules.sum(-1)).clamp_min(0)
        full = rules.clone()
        for index in attribute.keeping:
            full[..., index] = full[..., index] + differ / len(attribute.keeping)
        weights[key] = (mixed * full).sum(1)
        stay = torch.tensor([way not in (ALIKE, "new") for way in ways], device=scene.device)
        low, high = attribute.limits.low, attribute.limits.high
        before = attribute.ratios[:, None, panels - 1] / attribute.limits.size
        same = (1 - here + here * before).prod(-2)  # (B, Q, W)
        found = (mixed * (known.kernels[number] + (differ * stay).unsqueeze(-1) * same)).sum(1)
        values[key] = torch.zeros((len(scene), scene.pmfs[key].shape[-1]), dtype=found.dtype, device=scene.device)
        values[key][:, low : high + 1] = found
    grid = Grid(
        which,
        {key: attribute.rules for key, attribute in zip(keys, attributes, strict=True)},
        last.log,
        known.evidence,
        posterior,
        last.slots,
        weights,
        dict(zip(keys, last.attributes, strict=True)),
    )
    numbers = torch.zeros((len(scene), slots + 1), dtype=table.dtype, device=scene.device)
    numbers.index_add_(1, sets.sum(-1).long(), table)
    return grid, Expected(table @ sets, numbers, values)
