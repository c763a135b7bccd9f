"""What governs the numbers and positions of a grid: evidence for each rule, and what it means for the entities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.arrays import BOTH, GOVERNED, NUMBER, UNKNOWN
from datasets.rules.base import PUBLISHED, Rule, rules_named
from reasoning.learners.grammar.sets import Panel, every_set, set_evidence, set_sizes, set_table
from reasoning.learners.grammar.values import Hypothesis, ValueRange, value_kernels

__all__ = [
    "Governor",
    "expected_number",
    "expected_slots",
    "governor_evidence",
    "governor_tables",
    "governors",
    "shown_and_candidates",
]

_TINY = 1e-300


@dataclass(frozen=True)
class Governor:
    """A rule on the first slot of a grid.

    Args:
        hypothesis: the rule and its parameter; code UNKNOWN: no rule at all.
        governed: code into ``datasets.GOVERNED``.
        entities: what becomes of the entities of a row: "new" ones in every panel, "kept+1" (each moves on by one slot
            per panel), "permuted" (the same ones in unknown places).
    """

    hypothesis: Hypothesis
    governed: int
    entities: str


def governors(slots: int, noise: float, grammar: Sequence[str] = PUBLISHED) -> tuple[Governor, ...]:
    """All that may govern a grid, with the generator's priors.

    Args:
        slots: S.
        noise: prior probability that nothing does.
        grammar: names of the rules that may be at work.

    Returns:
        The rules, and at the end "no rule".
    """
    found = []
    for rule in rules_named(grammar):
        for code, name in enumerate(GOVERNED):
            if name not in rule.governs:
                continue
            for parameter in rule.parameters:
                if _possible(rule, name, slots, parameter):
                    # The parameters of a family share its weight; that of impossible ones is lost.
                    hypothesis = Hypothesis(rule.name, rule.code, parameter, 1 / len(rule.parameters))
                    found.append(Governor(hypothesis, code, _entities(rule, name, parameter)))
    total = sum(governor.hypothesis.prior for governor in found) / (1 - noise)
    scaled = [
        Governor(Hypothesis(h.rule, h.code, h.parameter, h.prior / total), governor.governed, governor.entities)
        for governor in found
        for h in (governor.hypothesis,)
    ]
    return (*scaled, Governor(Hypothesis("no rule", UNKNOWN, 0, noise), BOTH, "new"))


def shown_and_candidates(occupied: Tensor, context: int) -> tuple[Panel, Panel]:
    """Context panels, and the candidates with one more panel that is not seen.

    Args:
        occupied: (B, P + 8, S) probabilities.
        context: P.

    Returns:
        Two panels of float64: (B, P, S) and (B, 9, S).
    """
    seen = occupied.double()
    final, unseen = seen[:, context:], torch.ones_like(seen[:, :1])
    candidates = torch.cat([final, unseen], dim=1), torch.cat([1 - final, unseen], dim=1)
    return (seen[:, :context], 1 - seen[:, :context]), candidates


def governor_evidence(which: Sequence[Governor], shown: Panel, candidates: Panel) -> Tensor:
    """How well each governor explains where entities are.

    Args:
        which: G of them.
        shown: (B, 8, S) each.
        candidates: (B, C, S) each.

    Returns:
        float64 (B, G, C): log probability of context and candidate, prior included.
    """
    slots = shown[0].shape[-1]
    evidence = []
    for governor in which:
        rule = governor.hypothesis
        if rule.code == UNKNOWN:  # any sets, all alike
            total = [(part[0] + part[1]).prod(-1) / 2**slots for part in (shown, candidates)]
            found = total[0].prod(-1, keepdim=True) * total[1]
        else:
            found = _evidence(governor, shown, candidates)
        evidence.append(found.clamp_min(_TINY).log() + math.log(rule.prior))
    return torch.stack(evidence, dim=1)


def governor_tables(which: Sequence[Governor], shown: Panel) -> Tensor:
    """As :func:`governor_evidence`, for the last panel being each of all sets.

    Args:
        which: G of them.
        shown: (B, 8, S) each.

    Returns:
        float64 (B, G, N), in the order of :func:`every_set`.
    """
    slots = shown[0].shape[-1]
    sets = every_set(slots).to(shown[0]).expand(len(shown[0]), -1, -1)
    found = []
    for governor in which:
        rule = governor.hypothesis
        if rule.code == UNKNOWN or governor.governed == NUMBER:
            found.append(governor_evidence([governor], shown, (sets, 1 - sets))[:, 0])
        else:
            evidence = set_table(shown, rule.rule, rule.parameter).clamp_min(_TINY)
            found.append(evidence.log() + math.log(rule.prior))
    return torch.stack(found, dim=1)


def expected_slots(which: Sequence[Governor], posterior: Tensor, shown: Panel) -> Tensor:
    """(B, S): how probable it is that each slot of the missing panel is occupied.

    Args:
        which: G governors.
        posterior: (B, G).
        shown: (B, 8, S) each.
    """
    batch, slots = posterior.shape[0], shown[0].shape[-1]
    # One slot after the other is said to be occupied: how much more is then known?
    eye = torch.eye(slots, dtype=torch.float64, device=posterior.device)
    nothing = torch.ones(1, slots, dtype=torch.float64, device=posterior.device)
    occupied, empty = nothing.expand(slots + 1, -1), torch.cat([1 - eye, nothing])
    probes = occupied.expand(batch, -1, -1), empty.expand(batch, -1, -1)
    log_probe = governor_evidence(which, shown, probes)
    chance = torch.exp(log_probe[..., :slots] - log_probe[..., slots:])  # (B, G, S)
    return (posterior.unsqueeze(-1) * chance).sum(1).clamp(0, 1)


def expected_number(which: Sequence[Governor], posterior: Tensor, shown: Panel) -> Tensor:
    """(B, S + 1): PMF of the number of entities in the missing panel.

    Args:
        which: G governors.
        posterior: (B, G).
        shown: (B, 8, S) each.
    """
    batch, slots = posterior.shape[0], shown[0].shape[-1]
    # Let every occupied slot count x: the evidence is a polynomial in x whose coefficients belong to the counts.
    order = torch.arange(slots + 1, dtype=torch.float64, device=posterior.device)
    points = (1 - torch.cos(math.pi * (order + 0.5) / (slots + 1))) / 2
    coefficients = torch.linalg.inv(points[:, None] ** order)
    occupied = points[:, None].expand(batch, -1, slots)
    probes = occupied, torch.ones_like(occupied)
    result = torch.zeros((batch, slots + 1), dtype=torch.float64, device=posterior.device)
    for number, governor in enumerate(which):
        if governor.hypothesis.code != UNKNOWN:
            sizes = (_evidence(governor, shown, probes) @ coefficients.T).clamp_min(0)
            result += posterior[:, number, None] * sizes / sizes.sum(-1, keepdim=True).clamp_min(_TINY)
    return result


def _evidence(governor: Governor, shown: Panel, candidates: Panel) -> Tensor:
    """(B, C): probability of context and candidate, without the prior."""
    rule = governor.hypothesis
    if governor.governed != NUMBER:
        return set_evidence(shown, candidates, rule.rule, rule.parameter).clamp_min(0)
    slots = shown[0].shape[-1]
    ways = torch.tensor([math.comb(slots, k) for k in range(1, slots + 1)]).to(shown[0])
    counts = set_sizes(shown)[..., 1:] / ways  # positions are drawn anew, all alike
    kernels = value_kernels(counts, 3, ValueRange(1, slots), (rule,))[:, 0]
    return ((set_sizes(candidates)[..., 1:] / ways) @ kernels.unsqueeze(-1)).squeeze(-1).clamp_min(0)


def _possible(rule: Rule, governed: str, slots: int, parameter: int) -> bool:
    number = governed == GOVERNED[NUMBER]
    low, high = rule.first_range(1, slots, parameter) if number else rule.first_count(slots, parameter)
    return low <= high


def _entities(rule: Rule, governed: str, parameter: int) -> str:
    if governed == GOVERNED[NUMBER] or not rule.keeps_entities:
        return "new"
    step = rule.moves(parameter)
    return "permuted" if step is None else f"kept{step:+d}"
