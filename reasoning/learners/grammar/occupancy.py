"""Grids of which it is not certain where entities are: slots that are summed over, together with all that they hold.

Where the slots are known, the attributes of a grid have nothing to do with each other. Where they are not, an entity
that fits no rule of Type may be none, and then its Size and Color say nothing either: all evidence meets in the slots.
Each source of evidence (what governs the slots; every attribute) is summed exactly, given a probability for each slot
of each context panel that stands for the other sources; these are passed around until they agree (expectation
propagation with a factor for each source, and the estimate of the whole sum that belongs to it). The last panel,
candidate by candidate, is then summed over all sets of slots at once.

Reference:
    Minka 2001, "Expectation propagation for approximate Bayesian inference"; Yedidia, Freeman, Weiss 2005,
    "Constructing free-energy approximations and generalized belief propagation algorithms" (the estimate of the sum).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from reasoning.learners.grammar.entities import alike, kept, matched, permuted
from reasoning.learners.grammar.governors import Governor, governor_evidence, governor_tables
from reasoning.learners.grammar.sets import every_set
from reasoning.learners.grammar.values import Hypothesis, ValueRange, value_kernels

__all__ = ["ALIKE", "Attribute", "LastPanel", "Occupied", "candidates_over_slots", "summed_over_slots"]

ALIKE = "alike"  # the way in which the entities of a panel have one value each attribute, whatever governs the slots
_SWEEPS = 2  # a third one changes no digit that counts
_TINY = 1e-300
_SURE = 25.0  # log odds beyond which nothing is passed on


@dataclass(frozen=True)
class Attribute:
    """One attribute of the entities of a grid.

    Args:
        ratios: float64 (B, P + 8, S, W): how much more probable what is seen in a slot becomes if its entity has a
            value.
        limits: of the W values.
        rules: H of them.
        keeping: indices of those that keep the values of entities.
    """

    ratios: Tensor
    limits: ValueRange
    rules: tuple[Hypothesis, ...]
    keeping: tuple[int, ...]


@dataclass(frozen=True)
class Occupied:
    """What is known of B grids, in Q ways in which their entities may behave.

    Attributes:
        ways: (B, Q) probabilities, from the context alone.
        governors: (B, Q, G) probabilities of what governs the slots.
        sets: (B, Q, N) probabilities of all sets of slots in the missing panel, in the order of :func:`every_set`.
        rules: for each attribute (B, Q, H + 1): its rules that make panels alike, and "no rule"; what is missing to
            one is that entities differ and are kept.
        kernels: for each attribute (B, Q, W): probability of each value of the missing panel, should it have one.
        slots: (B, Q, P, S) probabilities that slots of the context are occupied.
        evidence: (B,) log likelihood ratio of the context.
    """

    ways: Tensor
    governors: Tensor
    sets: Tensor
    rules: tuple[Tensor, ...]
    kernels: tuple[Tensor, ...]
    slots: Tensor
    evidence: Tensor


@dataclass(frozen=True)
class LastPanel:
    """How well C candidates are explained.

    Attributes:
        log: (B, C), log likelihood ratio against a wrong panel.
        slots: (B, C), of where entities are alone, against any set.
        attributes: for each (B, C), of that attribute alone.
    """

    log: Tensor
    slots: Tensor
    attributes: tuple[Tensor, ...]


def summed_over_slots(
    occupied: Tensor,
    attributes: Sequence[Attribute],
    which: Sequence[Governor],
    ways: Sequence[str],
    uniform: float,
    noise: float,
) -> Occupied:
    """What the context says.

    Args:
        occupied: float64 (B, P, S), the context panels.
        attributes: of the entities.
        which: G governors.
        ways: Q, the first of which is ALIKE.
        uniform: prior probability of ALIKE.
        noise: prior probability that no rule governs an attribute.

    Returns:
        The posterior.
    """
    odds = torch.logit(occupied.clamp(1e-12, 1 - 1e-12))
    batch, panels = odds.shape[:2]
    count = len(attributes)
    found = []
    prior = [math.log(uniform), *[math.log1p(-uniform)] * (len(ways) - 1)]
    context = [attribute.ratios[:, :panels] for attribute in attributes]
    for number, way in enumerate(ways):
        mine = [index for index, governor in enumerate(which) if way in (ALIKE, governor.entities)]
        chosen = [which[index] for index in mine]
        passed = odds.new_zeros((count + 1, *odds.shape))  # log odds; the slots' governor stands last

        def source(index: int, given: Tensor, chosen: list[Governor] = chosen, way: str = way) -> Tensor:
            """(B,): log of the sum over all that a source explains, given log odds of the slots."""
            chance = torch.sigmoid(given)
            if index == count:
                one = torch.ones_like(chance[:, :1])
                log = governor_evidence(chosen, (chance, torch.sigmoid(-given)), (one, one))
                return torch.logsumexp(log[..., 0], dim=1)
            return _explained(attributes[index], context[index], chance, way, noise)[0].sum(-1).log()

        for _ in range(_SWEEPS):
            for index in (count, *range(count)):
                given = odds + passed.sum(0) - passed[index]
                with torch.enable_grad():
                    leaf = given.detach().requires_grad_()
                    (slope,) = torch.autograd.grad(source(index, leaf).sum(), leaf)
                chance = (torch.sigmoid(given) + slope).clamp(1e-12, 1 - 1e-12)
                passed[index] = (torch.logit(chance) - given).clamp(-_SURE, _SURE)
        whole = odds + passed.sum(0)
        log = prior[number] - count * functional.softplus(whole).sum((-1, -2))
        for index in range(count + 1):
            given = whole - passed[index]
            log = log + source(index, given) + functional.softplus(given).sum((-1, -2))
        given = whole - passed[count]
        shown = torch.sigmoid(given), torch.sigmoid(-given)
        tables = governor_tables(chosen, shown)  # (B, G', N)
        governed = odds.new_zeros((batch, len(which)))
        governed[:, mine] = torch.softmax(torch.logsumexp(tables, dim=2), dim=1)
        sets = torch.softmax(torch.logsumexp(tables, dim=1), dim=1)
        parts = [
            _explained(attribute, ratios, torch.sigmoid(whole - passed[index]), way, noise)
            for index, (attribute, ratios) in enumerate(zip(attributes, context, strict=True))
        ]
        total = [part[0].sum(-1, keepdim=True) for part in parts]
        rules = [part[0] / one for part, one in zip(parts, total, strict=True)]
        kernels = [part[1] / one for part, one in zip(parts, total, strict=True)]
        found.append((log, governed, sets, torch.sigmoid(whole), rules, kernels))
    logs, governed_too, sets_too, seen, rules_too, kernels_too = zip(*found, strict=True)
    by_way = torch.stack(logs, dim=1)
    return Occupied(
        torch.softmax(by_way, dim=1),
        torch.stack(governed_too, dim=1),
        torch.stack(sets_too, dim=1),
        tuple(torch.stack([one[a][:, :-1] for one in rules_too], dim=1) for a in range(count)),
        tuple(torch.stack([one[a] for one in kernels_too], dim=1) for a in range(count)),
        torch.stack(seen, dim=1),
        torch.logsumexp(by_way, dim=1) - functional.softplus(odds).sum((-1, -2)),
    )


def _explained(attribute: Attribute, ratios: Tensor, chance: Tensor, way: str, noise: float) -> tuple[Tensor, Tensor]:
    """(B, H + 2): prior times likelihood of the rules that make panels alike, "no rule", and entities that differ.

    Also (B, W), by the value of the missing panel, where it has one.
    """
    seen = 1 + chance.unsqueeze(-1) * (ratios - 1)
    kernels = value_kernels(alike(seen), 3, attribute.limits, attribute.rules)
    weight = torch.tensor([rule.prior for rule in attribute.rules], dtype=seen.dtype, device=seen.device) * (1 - noise)
    keeps = weight[list(attribute.keeping)].sum()
    if way != ALIKE:
        weight[list(attribute.keeping)] = 0
    kernels = kernels.clamp_min(0) * weight.unsqueeze(-1)
    free = torch.zeros_like(seen[:, 0, 0, 0])
    if way != ALIKE and attribute.keeping:
        free = keeps * _free_entities(chance, seen, way)
    nothing = torch.full_like(free, noise)
    return torch.cat([kernels.sum(-1), nothing.unsqueeze(1), free.unsqueeze(1)], dim=1), kernels.sum(1)


def _free_entities(chance: Tensor, seen: Tensor, way: str) -> Tensor:
    """(B,): evidence of the context for entities that keep their values, in a grid whose entities differ."""
    if way == "new":
        return torch.ones_like(seen[:, 0, 0, 0])
    nothing = torch.ones_like(seen[:, :1])
    if way == "permuted":
        places = torch.cat([chance, chance[:, :1]], dim=1)
        return permuted(places, torch.cat([seen, nothing], dim=1), 0)[:, 0].clamp_min(_TINY)
    return kept(seen, nothing, int(way.removeprefix("kept")))[:, 0]


def candidates_over_slots(
    occupied: Tensor, attributes: Sequence[Attribute], ways: Sequence[str], known: Occupied
) -> LastPanel:
    """What the candidates say, each for itself.

    Args:
        occupied: float64 (B, P + C, S).
        attributes: of the entities.
        ways: Q, as in :func:`summed_over_slots`.
        known: of the context.

    Returns:
        The ratios.
    """
    panels, slots = known.slots.shape[2:]
    sets = every_set(slots).to(occupied)
    chance = occupied[:, panels:].clamp(_TINY, 1)
    empty = (1 - occupied[:, panels:]).clamp(_TINY, 1)
    shown = torch.exp(chance.log() @ sets.T + empty.log() @ (1 - sets).T)  # (B, C, N)
    weight = (known.ways.unsqueeze(-1) * known.sets).unsqueeze(2) * shown.unsqueeze(1)  # (B, Q, C, N)
    wrong = shown / 2**slots
    whole, alone = weight, []
    for number, attribute in enumerate(attributes):
        ratios = attribute.ratios[:, panels:]
        panel = _over(sets, ratios)  # (B, C, N, W)
        # A wrong panel may show one value or several; else panels with many entities would look better.
        by_chance = 0.5 + 0.5 * panel.mean(-1)
        rules, kernels = known.rules[number], known.kernels[number]
        told = torch.einsum("bczw,bqw->bqcz", panel, kernels)
        told = told + rules[..., -1, None, None] * by_chance.unsqueeze(1)
        differ = (1 - rules.sum(-1)).clamp_min(0)[..., None, None]
        free = [_free_candidate(attribute, known, occupied, index, way, sets) for index, way in enumerate(ways)]
        told = told + differ * torch.stack([one.expand_as(shown) for one in free], dim=1)
        whole, wrong = whole * told, wrong * by_chance
        mine = (weight * told).sum((1, 3)), (weight * by_chance.unsqueeze(1)).sum((1, 3))
        alone.append(mine[0].clamp_min(_TINY).log() - mine[1].clamp_min(_TINY).log())
    log = whole.sum((1, 3)).clamp_min(_TINY).log() - wrong.sum(-1).clamp_min(_TINY).log()
    return LastPanel(log, weight.sum((1, 3)).clamp_min(_TINY).log() + slots * math.log(2), tuple(alone))


def _over(sets: Tensor, ratios: Tensor) -> Tensor:
    """(B, C, S, W) or (B, C, S) -> (B, C, N, W) or (B, C, N): products over the slots of each set."""
    flat = ratios.clamp_min(_TINY).log()
    return torch.exp(torch.einsum("zs,bcs...->bcz...", sets, flat))


def _free_candidate(
    attribute: Attribute, known: Occupied, occupied: Tensor, index: int, way: str, sets: Tensor
) -> Tensor:
    """(B, C, 1) or (B, C, N): of entities that keep their values, by the set of slots."""
    panels = known.slots.shape[2]
    ratios = attribute.ratios[:, panels:]
    if way in (ALIKE, "new") or not attribute.keeping:
        return torch.ones_like(ratios[:, :, :1, 0])
    if way == "permuted":
        here = known.slots[:, index, -1]
        seen = 1 + here.unsqueeze(-1) * (attribute.ratios[:, panels - 1] - 1)
        likely = (known.sets[:, index] @ sets).unsqueeze(1).clamp(1e-12, 1 - 1e-12)
        there = torch.sigmoid(torch.logit(likely) + torch.logit(occupied[:, panels:].clamp(1e-12, 1 - 1e-12)))
        shown = 1 + there.unsqueeze(-1) * (ratios - 1)
        return matched(here.unsqueeze(1), seen.unsqueeze(1), there, shown).unsqueeze(-1)
    step = int(way.removeprefix("kept"))
    before = attribute.ratios[:, panels - 2].roll(2 * step, 1) * attribute.ratios[:, panels - 1].roll(step, 1)
    ratio = (before.unsqueeze(1) * ratios).mean(-1) / before.mean(-1).clamp_min(_TINY).unsqueeze(1)
    return _over(sets, ratio)
