"""Grids whose slots are uncertain: where entities are and what they show, told together.

An empty slot shows anything, so what fits no rule of Type may be no entity. In each way in which entities may behave,
what formulas say of an attribute tells which slots hold an entity, as what formulas say of the slots does; each is read
with what all others say of the slots, and says anew. What it says is the derivative of its evidence by the slots'
odds. The ways are weighed by the estimate of the whole sum that belongs to it; at last the missing panel is summed over
all sets of slots.

Reference: Minka, "Expectation propagation for approximate Bayesian inference", UAI 2001; Yedidia, Freeman, Weiss,
"Constructing free-energy approximations and generalized belief propagation algorithms", 2005 (the estimate).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from reasoning.learners.role_formulas.abduction import Abduced
from reasoning.learners.role_formulas.follow import Evidence
from reasoning.learners.role_formulas.seen import DIFFERS, Slots
from reasoning.learners.role_formulas.views import READINGS, View, entity_keys, grid_view, place_view
from reasoning.learners.role_formulas.ways import Page, Told, attribute_told, place_told
from reasoning.scene import CANDIDATES, AttributeKey, Scene

__all__ = ["settled", "uncertain"]

_ROUNDS = 2
_LEAST = 1e-6  # of a probability, and of a ratio
_MOST = 12.0  # nats that one may say about a slot
_TINY = 1e-30


def uncertain(scene: Scene, place: AttributeKey) -> bool:
    """Whether it is uncertain where entities are, and what they are is seen."""
    occupied = scene.sets[place]
    clear = not occupied.requires_grad and bool(((occupied == 0) | (occupied == 1)).all())
    return not clear and any(key in scene.entities for key in entity_keys(scene, place))


def settled(scene: Scene, place: AttributeKey, page: Page) -> list[Abduced]:
    """What hypotheses make of a grid, and of its candidates by all of them together.

    Args:
        scene: B puzzles.
        place: the slots.
        page: formulas.

    Returns:
        For each attribute of entities, and for where they are.
    """
    keys = [key for key in entity_keys(scene, place) if key in scene.entities]
    shown = {key: grid_view(scene, key) for key in keys}
    context, final = scene.sets[place].clamp(_LEAST, 1 - _LEAST).split([scene.context_panels, CANDIDATES], 1)
    odds = context.logit().expand(len(page.ways), *context.shape)

    def told(key: AttributeKey, given: Tensor, last: Tensor | None = None) -> Told:
        believed = torch.sigmoid(given).clamp(_LEAST, 1 - _LEAST)
        if key == place:
            return place_told(page, scene, place, believed)
        return attribute_told(page, scene, key, believed, last)

    said = {key: torch.zeros_like(odds) for key in (place, *keys)}
    for _ in range(_ROUNDS):
        for key in said:
            given = (odds + sum(said.values()) - said[key]).detach()
            with torch.enable_grad():
                leaf = given.requires_grad_()
                (slope,) = torch.autograd.grad(told(key, leaf).total.sum(), leaf)
            given = given.detach()
            believed = (torch.sigmoid(given) + slope).clamp(_LEAST, 1 - _LEAST)
            said[key] = (believed.logit() - given).clamp(-_MOST, _MOST)
    whole = odds + sum(said.values())
    members = _sets(final.shape[-1]).to(final)
    where = told(place, whole - said[place])
    sets = _expected_sets(where, members, page.reader.eps).to(members)  # (Q, B, sets)
    likely = (sets @ members).clamp(_LEAST, 1 - _LEAST).unsqueeze(2)
    last = torch.sigmoid(likely.logit() + final.logit())  # (Q, B, 8, S)
    found = {key: told(key, whole - said[key], last) for key in keys}
    kinds = [shown[key].kinds[0] for key in keys]
    log = page.alike(kinds).unsqueeze(1) - len(keys) * functional.softplus(whole).sum((-1, -2))
    for key, one in {**found, place: where}.items():
        log = log + one.total + functional.softplus(whole - said[key]).sum((-1, -2))
    ways = log.softmax(0)  # (Q, B)
    ratios = _candidates(page, {key: (found[key], _slots(shown[key])) for key in keys}, ways, sets, final, members)
    nothing = torch.zeros_like(ratios[0])
    believed = (ways[..., None, None] * torch.sigmoid(whole)).sum(0)
    seen = torch.cat([believed, final], 1)
    parts = [
        _abduced(page, grid_view(scene, key, seen), found[key], ways, ratio, nothing)
        for key, ratio in zip(keys, ratios[2:], strict=True)
    ]
    return [*parts, _abduced(page, place_view(scene, place, seen), where, ways, ratios[1], ratios[0])]


def _slots(view: View) -> Slots:
    if view.slots is None:
        raise ValueError("a view without entities")
    return view.slots


@lru_cache(maxsize=8)
def _sets(slots: int) -> Tensor:
    """(2 ** S - 1, S): all sets of slots but the empty one."""
    numbers = torch.arange(1, 2**slots)
    return ((numbers[:, None] >> torch.arange(slots)) & 1).float()


def _by_sets(occupied: Tensor, members: Tensor) -> Tensor:
    """(..., S) -> (..., sets) log: the probability of each set."""
    return occupied.log() @ members.T + (1 - occupied).log() @ (1 - members).T


def _candidates(
    page: Page,
    found: dict[AttributeKey, tuple[Told, Slots]],
    ways: Tensor,
    sets: Tensor,
    occupied: Tensor,
    members: Tensor,
) -> list[Tensor]:
    """(B, 8) each, log: how much likelier candidates are than by chance; their slots alone; each attribute alone."""
    every, eps = math.log(len(members)), page.reader.eps
    there = _by_sets(occupied, members)  # (B, 8, sets)
    alone = ways.log()[..., None, None] + sets.log().unsqueeze(2) + there
    whole, by_chance, parts = alone, there, []
    for one, slots in found.values():
        shown = (slots.size * slots.pmfs[:, -occupied.shape[1] :, :, slots.low : slots.high + 1]).clamp_min(_LEAST)
        alike = (shown.log().transpose(-1, -2) @ members.T).exp()  # (B, 8, W, sets)
        chance = (1 - DIFFERS) * alike.mean(-2) + DIFFERS
        differ = one.weights[..., -2]
        values = sets.new_zeros(*ways.shape, slots.size)
        for predicted, weight in zip(one.predicted, one.weights.unbind(-1), strict=False):
            inside = predicted[..., slots.low : slots.high + 1]
            values = values + weight.unsqueeze(-1) * inside / inside.sum(-1, keepdim=True).clamp_min(_TINY)
        free = 1 - (values.sum(-1) + differ)  # no rule
        kept = torch.stack([torch.ones_like(occupied[..., 0]) if given is None else given for given in one.kept])
        by_rule = (1 - eps) * torch.einsum("qbw,bcws->qbcs", values, alike)
        other = (free + eps * values.sum(-1))[..., None, None] * chance
        told = (by_rule + other + (differ.unsqueeze(-1) * kept).unsqueeze(-1)).clamp_min(_TINY).log()
        whole, by_chance = whole + told, by_chance + chance.log()
        parts.append((alone + told).logsumexp((0, 3)) - (alone + chance.log()).logsumexp((0, 3)))
    ratio = whole.logsumexp((0, 3)) - by_chance.logsumexp(-1) + every
    return [ratio, alone.logsumexp((0, 3)) - there.logsumexp(-1) + every, *parts]


def _expected_sets(where: Told, members: Tensor, eps: float) -> Tensor:
    """(Q, B, sets): the probability of each set of slots in the missing panel."""
    weights, slots = where.weights, members.shape[-1]
    count = members.sum(-1).long()
    ways = torch.bincount(count).to(members)[count]
    every = 1 / len(members)
    total = weights[..., -1:] * every
    for (reading, _), predicted, weight in zip(where.hypotheses, where.predicted, weights.unbind(-1), strict=False):
        if reading:
            part = _by_sets(predicted.clamp(_LEAST, 1 - _LEAST), members).exp()
        else:
            part = functional.pad(predicted, (0, max(0, slots + 1 - predicted.shape[-1])))[..., count] / ways
        part = part / part.sum(-1, keepdim=True).clamp_min(_TINY)
        total = total + weight.unsqueeze(-1) * ((1 - eps) * part + eps * every)
    return total


def _abduced(page: Page, view: View, told: Told, ways: Tensor, ratios: Tensor, adds: Tensor) -> Abduced:
    """The hypotheses of all ways together."""
    weights = ways.unsqueeze(-1) * told.weights
    each = list(weights.unbind(-1))
    hypotheses, shares = list(told.hypotheses), [one.sum(0) for one in each[: len(told.hypotheses)]]
    predicted = [
        (weight.unsqueeze(-1) * one).sum(0) / weight.sum(0).unsqueeze(-1).clamp_min(_TINY)
        for weight, one in zip(each, told.predicted, strict=False)
    ]
    rest = torch.zeros_like(ways[0])
    for block, way in enumerate(page.ways if told.kept else ()):
        if way.keeps:
            hypotheses.append((READINGS.index(way.name), way.formula))
            shares.append(each[-2][block])
            predicted.append(torch.zeros_like(predicted[0]))
    nothing = (1 - sum(shares, rest)).clamp_min(0)
    context, candidates = torch.zeros_like(nothing), torch.zeros_like(ratios)
    evidence = tuple(Evidence(context, candidates, nothing, one) for one in predicted)
    posterior = torch.stack([*shares, nothing], -1).unsqueeze(0)
    return Abduced(view, tuple(hypotheses), evidence, posterior, ratios.unsqueeze(0), context.unsqueeze(0), adds)
