"""What a scene says about one attribute: evidence for each rule, context and candidates together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.attributes import ATTRIBUTES
from datasets.rules.base import RULES
from reasoning.learners.grammar.entities import alike, kept, permuted, slot_ratios
from reasoning.learners.grammar.few import few_evidence, takes_few
from reasoning.learners.grammar.occupancy import ALIKE, Attribute
from reasoning.learners.grammar.values import Hypothesis, ValueRange, hypotheses, value_kernels
from reasoning.scene import CANDIDATES, AttributeKey, Scene
from reasoning.sparse import PMF, SparsePMF, dense

__all__ = ["TINY", "UNSEEN", "Evidence", "attribute_evidence", "grid_attribute", "is_few", "limits_of", "place_of"]

TINY = 1e-300
_ROUNDING = 1e-6  # of a sum of probabilities in single precision
UNSEEN = CANDIDATES  # a ninth candidate, which is not seen: evidence of the context alone


@dataclass(frozen=True)
class Evidence:
    """About one attribute: for each of Q ways in which entities may behave, H rules and "no rule".

    Attributes:
        rules: H of them.
        log: (B, Q, H + 1, 9): log likelihood ratio, priors included.
        kernels: (B, 2, V): evidence for each value of the missing panel, if it has one by a rule; where the entities
            of panels are alike, and where they may differ.
        unseen: (B, Q): evidence of the context alone; the kernels' scale is that of this.
        differ: (B, Q): the part of it under which the entities differ and stay the same along a row.
    """

    rules: tuple[Hypothesis, ...]
    log: Tensor
    kernels: Tensor
    unseen: Tensor
    differ: Tensor

    @property
    def total(self) -> Tensor:
        """(B, Q, 9): rules added up."""
        return torch.logsumexp(self.log, dim=2)


def place_of(scene: Scene, component: int) -> AttributeKey | None:
    """The set of slots of a grid; None where a component shows single entities."""
    return next((key for key in scene.sets if key.component == component), None)


def limits_of(scene: Scene, key: AttributeKey) -> ValueRange:
    """The values that an attribute may have, as the scene says.

    Args:
        scene: without a range for the attribute, RAVEN's attributes are known by name and size of their axis; anything
            else counts from zero.
        key: of the attribute.

    Returns:
        Them.
    """
    values, known = scene.pmfs[key].shape[-1], ATTRIBUTES.get(key.name)
    if known is None or values != known.high + known.offset + 1:
        low, high = scene.ranges.get(key, (0, values - 1))
        return ValueRange(low, high, split=True)
    low, high = scene.ranges.get(key, (known.low + known.offset, known.high + known.offset))
    return ValueRange(low, high, white=low == 0)


def _rules(scene: Scene, key: AttributeKey, limits: ValueRange, grammar: tuple[str, ...]) -> tuple[Hypothesis, ...]:
    return hypotheses(key.name if key.name in ATTRIBUTES else None, limits, scene.columns, grammar)


def _keeping(rules: Sequence[Hypothesis]) -> tuple[int, ...]:
    return tuple(index for index, rule in enumerate(rules) if RULES.get(rule.rule).keeps_values)


def grid_attribute(scene: Scene, key: AttributeKey, grammar: tuple[str, ...]) -> Attribute:
    """An attribute of entities that may or may not be there.

    Args:
        scene: B puzzles.
        key: of the attribute.
        grammar: names of the rules that may be at work.

    Returns:
        The attribute.
    """
    limits = limits_of(scene, key)
    rules = _rules(scene, key, limits, grammar)
    there = torch.ones_like(scene.entities[key][..., 0])
    ratios = slot_ratios(there, scene.entities[key], limits.low, limits.high)
    return Attribute(ratios, limits, rules, _keeping(rules))


def attribute_evidence(
    scene: Scene,
    key: AttributeKey,
    noise: float,
    grammar: tuple[str, ...],
    place: AttributeKey | None = None,
    ways: Sequence[str] = (ALIKE,),
) -> Evidence:
    """Evidence about one attribute; in a grid, for each of the ways in which its entities may behave.

    Args:
        scene: B puzzles.
        key: of the attribute.
        noise: prior probability that no rule governs it.
        grammar: names of the rules that may be at work.
        place: the slots of its component, if it has some.
        ways: Q.

    Returns:
        The evidence.
    """
    shown = scene.pmfs[key]
    limits = limits_of(scene, key)
    rules = _rules(scene, key, limits, grammar)
    prior = torch.tensor([rule.prior for rule in rules], dtype=torch.float64, device=scene.device)
    if place is None and isinstance(shown, SparsePMF) and is_few(scene, key, grammar):
        return _few_evidence(shown.double(), scene.columns, limits, rules, prior, noise)
    pmf, context = dense(shown), scene.context_panels
    ratios = None
    if place is None:
        panels = limits.size * pmf[..., limits.low : limits.high + 1].double()
        panels = panels + _missing(pmf)  # mass that says nothing
    else:
        ratios = slot_ratios(scene.sets[place], scene.entities[key], limits.low, limits.high)
        panels = alike(ratios)
    kernels = value_kernels(panels[:, :context], scene.columns, limits, rules)  # (B, H, W)
    seen = torch.cat([panels[:, context:], torch.ones_like(panels[:, :1])], dim=1)
    evidence = (kernels @ seen.transpose(1, 2)).clamp_min(0)  # (B, H, 9)
    stack = evidence.unsqueeze(1).repeat(1, len(ways), 1, 1)
    differ = torch.zeros_like(stack[:, :, 0, 0])
    wrong = seen.mean(-1).clamp_min(TINY)  # what is seen of a candidate if its value is a random one
    keeping = _keeping(rules)
    together = prior.clone()
    if place is not None and ratios is not None:
        # A wrong panel may show one value or several; else panels with many entities would look better.
        wrong = 0.5 + 0.5 * wrong
        for number, entities in enumerate(ways):
            if entities == ALIKE or not keeping:
                continue
            free = _free_entities(scene.sets[place], ratios, entities, context)
            stack[:, number, list(keeping)] = free.unsqueeze(1)
            if entities != "new":
                differ[:, number] = prior[list(keeping)].sum() * free[:, UNSEEN]
        together[list(keeping)] = 0
    log = (stack / wrong[:, None, None]).clamp_min(TINY).log() + prior.log()[:, None] + math.log1p(-noise)
    nothing = torch.full_like(log[:, :, :1], math.log(noise))
    unseen = stack[..., UNSEEN] @ prior + noise
    shares = torch.stack([prior, together])
    by_value = torch.zeros((len(pmf), 2, pmf.shape[-1]), dtype=torch.float64, device=scene.device)
    by_value[..., limits.low : limits.high + 1] = torch.einsum("bhw,kh->bkw", kernels, shares)
    return Evidence(rules, torch.cat([log, nothing], dim=2), by_value, unseen, differ)


def is_few(scene: Scene, key: AttributeKey, grammar: tuple[str, ...]) -> bool:
    """Whether the evidence about an attribute is summed over the few values that panels show.

    Args:
        scene: B puzzles.
        key: of the attribute.
        grammar: names of the rules that may be at work.

    Returns:
        Whether it is.
    """
    pmf = scene.pmfs[key]
    if not isinstance(pmf, SparsePMF) or bool(_missing(pmf).any()):
        return False
    limits = limits_of(scene, key)
    return takes_few(pmf, scene.columns, limits, _rules(scene, key, limits, grammar))


def _few_evidence(
    pmf: SparsePMF, columns: int, limits: ValueRange, rules: tuple[Hypothesis, ...], prior: Tensor, noise: float
) -> Evidence:
    """As :func:`attribute_evidence`, of a component without slots."""
    log, kernels, scale = few_evidence(pmf, columns, limits, rules)
    alone = log[..., UNSEEN]
    most = alone.amax(1, keepdim=True).clamp_min(0)  # of "no rule" it is 0
    unseen = (alone - most).exp() @ prior + noise * (-most.squeeze(1)).exp()
    share = prior * torch.where(alone > -torch.inf, scale - most, -torch.inf).exp()
    kernel = torch.einsum("bhw,bh->bw", kernels, share)
    log = log.clamp_min(math.log(TINY)) + prior.log()[:, None] + math.log1p(-noise)
    nothing = torch.full_like(log[:, :1], math.log(noise))
    log, unseen = torch.cat([log, nothing], dim=1).unsqueeze(1), unseen.unsqueeze(1)
    return Evidence(rules, log, torch.stack([kernel, kernel], 1), unseen, torch.zeros_like(unseen))


def _missing(pmf: PMF) -> Tensor:
    """(..., 1): the mass that a PMF lacks, rounding aside: that rounds off is no evidence for what it excludes."""
    missing = 1 - pmf.double().sum(-1, keepdim=True)
    return torch.where(missing > _ROUNDING, missing, 0.0)


def _free_entities(occupied: Tensor, ratios: Tensor, entities: str, context: int) -> Tensor:
    """(B, 9): evidence for a rule that keeps the values of entities, in a grid whose entities differ."""
    shown = torch.cat([ratios[:, context:], torch.ones_like(ratios[:, :1])], dim=1)
    if entities == "new":
        return torch.ones_like(shown[:, :, 0, 0])
    if entities == "permuted":
        places = torch.cat([occupied, occupied[:, :1]], dim=1)
        return permuted(places, torch.cat([ratios[:, :context], shown], dim=1), CANDIDATES)
    return kept(ratios[:, :context], shown, int(entities.removeprefix("kept")))
