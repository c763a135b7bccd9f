"""Grids whose slots are uncertain: where entities are and what they show, told together.

An empty slot shows anything. What a formula says of an attribute tells which slots hold an entity, as what a formula
says of the slots does; each is read with what all others say of the slots, and says anew. What it says is the
derivative of its evidence by the slots' probabilities. At last the missing panel is summed over all sets of slots.

Reference: Minka, "Expectation propagation for approximate Bayesian inference", UAI 2001.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from reasoning.learners.role_formulas.abduction import Abduced
from reasoning.learners.role_formulas.seen import DIFFERS, Slots
from reasoning.learners.role_formulas.views import View, entity_keys, grid_view, place_view
from reasoning.scene import AttributeKey, Scene

__all__ = ["settled", "uncertain"]

_ROUNDS = 5
_DAMPING = 0.5  # share of what was said before that stays
_LEAST = 1e-6  # of a probability, and of a ratio
_MOST = 12.0  # nats that one may say about a slot


def uncertain(scene: Scene, place: AttributeKey) -> bool:
    """Whether it is uncertain where entities are, and what they are is seen."""
    occupied = scene.sets[place]
    clear = not occupied.requires_grad and bool(((occupied == 0) | (occupied == 1)).all())
    return not clear and any(key in scene.entities for key in entity_keys(scene, place))


def settled(scene: Scene, place: AttributeKey, weigh: Callable[[View], Abduced], eps: float) -> list[Abduced]:
    """What hypotheses make of a grid, and of its candidates by all of them together.

    Args:
        scene: B puzzles.
        place: the slots.
        weigh: what hypotheses make of a view.
        eps: share of panels that follow nothing.

    Returns:
        For each attribute of entities, and for where they are.
    """
    keys = [key for key in entity_keys(scene, place) if key in scene.entities]
    shown = {key: _slots(grid_view(scene, key)) for key in keys}
    sure = scene.sets[place].clamp(_LEAST, 1 - _LEAST)
    seen = sure.log() - (1 - sure).log()
    said = _by_panels(seen, shown)
    said[place] = torch.zeros_like(seen)
    context = slice(scene.context_panels)

    def view_of(key: AttributeKey, occupied: Tensor) -> View:
        return place_view(scene, place, occupied) if key == place else grid_view(scene, key, occupied)

    for _ in range(_ROUNDS):
        for key in (place, *keys):
            others = (seen + sum(one for other, one in said.items() if other != key)).detach()
            with torch.enable_grad():
                occupied = torch.sigmoid(others).requires_grad_()
                (slope,) = torch.autograd.grad(_evidence(weigh(view_of(key, occupied)), context).sum(), occupied)
            believed = occupied.detach()
            believed = (believed + believed * (1 - believed) * slope).clamp(_LEAST, 1 - _LEAST)
            new = (believed.log() - (1 - believed).log() - others).clamp(-_MOST, _MOST)[:, context]
            damped = _DAMPING * said[key][:, context] + (1 - _DAMPING) * new
            said[key] = torch.cat([damped, said[key][:, context.stop :]], 1)
    found = {}
    for key in (*keys, place):
        others = seen + sum(one for other, one in said.items() if other != key)
        found[key] = weigh(view_of(key, torch.sigmoid(others)))
    joint = _joint(scene, place, found, shown, eps)
    apart = [replace(found[key], adds=torch.zeros_like(joint)) for key in keys]
    return [*apart, replace(found[place], adds=joint)]


def _slots(view: View) -> Slots:
    if view.slots is None:
        raise ValueError("a view without entities")
    return view.slots


def _evidence(found: Abduced, context: slice) -> Tensor:
    """(B,): log of how much likelier the context is than entities and slots drawn one by one."""
    total = found.total[0]
    if found.view.slots is not None:
        total = total + found.view.slots.chance[:, context].clamp_min(_LEAST).log().sum(1)
    return total


def _by_panels(seen: Tensor, shown: dict[AttributeKey, Slots]) -> dict[AttributeKey, Tensor]:
    """What entities say of the slots of their own panel, no formula being known: (B, P, S) log odds each."""
    said = {key: torch.zeros_like(seen) for key in shown}
    for _ in range(_ROUNDS):
        total = seen + sum(said.values())
        said = {key: _message(torch.sigmoid(total - said[key]), slots) for key, slots in shown.items()}
    return said


def _message(occupied: Tensor, slots: Slots) -> Tensor:
    """(B, P, S): log of how much likelier what a slot shows of an attribute becomes by an entity in it."""
    entity = _entities(slots)
    there = (1 + occupied.unsqueeze(-1) * (entity - 1)).clamp_min(_LEAST).log()
    others = (there.sum(2, keepdim=True) - there).exp()  # by the other slots of the panel
    filled, empty = ((1 - DIFFERS) * ratio.mean(-1) + DIFFERS for ratio in (others * entity, others))
    return filled.log() - empty.log()


def _entities(slots: Slots) -> Tensor:
    """(B, P, S, W): how much likelier what is seen of a slot becomes by each value of its entity, if there is one."""
    return slots.size * slots.pmfs[..., slots.low : slots.high + 1]


@lru_cache(maxsize=8)
def _sets(slots: int) -> Tensor:
    """(2 ** S - 1, S): all sets of slots but the empty one."""
    numbers = torch.arange(1, 2**slots)
    return ((numbers[:, None] >> torch.arange(slots)) & 1).float()


def _joint(
    scene: Scene, place: AttributeKey, found: dict[AttributeKey, Abduced], shown: dict[AttributeKey, Slots], eps: float
) -> Tensor:
    """(B, 8): log of how much likelier each candidate is than by chance, summed over all sets of slots."""
    final = slice(scene.context_panels, None)
    occupied = scene.sets[place][:, final].clamp(_LEAST, 1 - _LEAST)
    members = _sets(occupied.shape[-1]).to(occupied)
    there = occupied.log() @ members.T + (1 - occupied).log() @ (1 - members).T  # (B, 8, sets)
    told = _expected_sets(found[place], members, eps).log().unsqueeze(1)
    chance = there.clone()
    for key, slots in shown.items():
        alike = (
            _entities(slots)[:, final].clamp_min(_LEAST).log().transpose(-1, -2) @ members.T
        ).exp()  # (B, 8, W, sets)
        values, mixed, kept = _expected_values(found[key], slots, final, eps)
        by_rule = torch.einsum("bw,bcws->bcs", values, alike) + mixed[:, None, None] + kept.unsqueeze(-1)
        told = told + by_rule.clamp_min(1e-30).log()
        chance = chance + ((1 - DIFFERS) * alike.mean(-2) + DIFFERS).log()
    return torch.logsumexp(told + there, -1) - torch.logsumexp(chance - torch.tensor(float(len(members))).log(), -1)


def _expected_sets(found: Abduced, members: Tensor, eps: float) -> Tensor:
    """(B, sets): the probability of each set of slots in the missing panel."""
    posterior, slots = found.weights[0], members.shape[-1]
    count = members.sum(-1).long()
    every = torch.ones_like(posterior[:, -1:]) / len(members)
    ways = torch.bincount(count).to(members)[count]
    total = posterior[:, -1:] * every
    for is_set, one, weight in zip(found.is_set.tolist(), found.evidence, posterior.T, strict=False):
        if is_set:
            said = one.predicted.clamp(_LEAST, 1 - _LEAST)
            part = (said.log() @ members.T + (1 - said).log() @ (1 - members).T).exp()
        else:
            part = (
                torch.nn.functional.pad(one.predicted, (0, max(0, slots + 1 - one.predicted.shape[-1])))[:, count]
                / ways
            )
        part = part / part.sum(-1, keepdim=True).clamp_min(1e-30)
        total = total + weight.unsqueeze(1) * ((1 - eps) * part + eps * every)
    return total


def _expected_values(found: Abduced, slots: Slots, final: slice, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(B, W) that entities are alike and show a value; (B,) that they differ; (B, 8) that they are kept, as seen."""
    posterior, seen = found.weights[0], found.view.values
    if seen is None:
        raise ValueError("a view without values")
    total = posterior[:, -1:] * seen.background
    kept = torch.zeros_like(found.ratios[0])
    entities = found.view.slots
    for (reading, _), one, weight in zip(found.hypotheses, found.evidence, posterior.T, strict=False):
        if reading == found.view.index("value"):
            part = one.predicted / one.predicted.sum(-1, keepdim=True).clamp_min(1e-30)
            total = total + weight.unsqueeze(1) * ((1 - eps) * part + eps * seen.background)
        elif entities is not None:
            kept = kept + weight.unsqueeze(1) * one.candidates * entities.chance[:, final]
    return total[:, slots.low : slots.high + 1], total[:, -1], kept
