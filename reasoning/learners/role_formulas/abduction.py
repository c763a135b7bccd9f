"""From the evidence of all hypotheses to the posterior, the scores of the candidates, and what is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.arrays import BOTH, NUMBER, POSITION, UNKNOWN
from reasoning.distributions.pmfs import count_pmf
from reasoning.learners.base import Prediction
from reasoning.learners.role_formulas.follow import Evidence
from reasoning.learners.role_formulas.formula import Formula, places
from reasoning.learners.role_formulas.views import View
from reasoning.scene import CANDIDATES, AttributeKey, Scene

__all__ = ["Abduced", "expect", "predict", "weigh"]

_TINY = 1e-30


@dataclass(frozen=True)
class Abduced:
    """What H hypotheses make of a view's A blocks of B puzzles.

    Attributes:
        view: what is seen.
        hypotheses: (reading, formula) of each, as numbers.
        evidence: of each, (A * B, ...).
        weights: (A, B, H + 1) posterior, "no rule" last.
        ratios: (A, B, 8) log, how much likelier each candidate is than by chance.
        total: (A, B) log, how much likelier the context is than by chance.
        adds: (B, 8), what it adds to the scores; by default its ratios.
    """

    view: View
    hypotheses: tuple[tuple[int, int], ...]
    evidence: tuple[Evidence, ...]
    weights: Tensor
    ratios: Tensor
    total: Tensor
    adds: Tensor

    @property
    def is_set(self) -> Tensor:
        """bool (H,): which hypotheses are about sets of slots."""
        found = [self.view.is_place and reading == self.view.index("set") for reading, _ in self.hypotheses]
        return torch.tensor(found, dtype=torch.bool, device=self.weights.device)

    def by_formula(self, weights: Tensor, formulas: int) -> Tensor:
        """(..., H + 1) -> (..., R + 1): the readings of a formula added up."""
        columns = torch.tensor([*(number for _, number in self.hypotheses), formulas], device=weights.device)
        return weights.new_zeros(*weights.shape[:-1], formulas + 1).index_add_(-1, columns, weights)


def weigh(view: View, made: Sequence[tuple[int, int, Evidence]], prior: Tensor, puzzles: int) -> Abduced:
    """The posterior over hypotheses, and what it says of the candidates.

    The missing panel is likelier to be a candidate than one drawn by chance by the sum over hypotheses of their
    posterior times how much likelier each makes it, a prediction outside the range of values excluded.

    Args:
        view: what is seen.
        made: (reading, formula, evidence) of the H hypotheses.
        prior: (A, H + 1) logits, "no rule" first.
        puzzles: B.

    Returns:
        All of it.
    """
    log_prior = prior.log_softmax(1).unsqueeze(1)
    nothing = log_prior[..., :1].expand(-1, puzzles, -1)
    hypotheses = tuple((reading, number) for reading, number, _ in made)
    evidence = tuple(one for _, _, one in made)
    if not made:
        ratios = 0 * nothing.expand(-1, -1, CANDIDATES)
        return Abduced(view, (), (), torch.ones_like(nothing), ratios, torch.zeros_like(nothing[..., 0]), ratios.sum(0))
    blocks = (len(view.kinds), puzzles)
    context = torch.stack([(one.context + one.mass.log()).float() for one in evidence], -1).unflatten(0, blocks)
    joint = torch.cat([log_prior[..., 1:] + context, nothing], -1)
    log, total = joint.log_softmax(-1), joint.logsumexp(-1)
    each = torch.stack([(one.candidates.log() - one.mass.log().unsqueeze(1)).float() for one in evidence], -1)
    each = torch.nn.functional.pad(each.unflatten(0, blocks), (0, 1))  # by no rule as by chance
    ratios = torch.logsumexp(log.unsqueeze(2) + each, -1)
    return Abduced(view, hypotheses, evidence, log.exp(), ratios, total, ratios.sum(0))


def predict(scene: Scene, abduced: Sequence[Abduced], codes: Sequence[int], constant: int) -> Prediction:
    """Answers and rules.

    Args:
        scene: B puzzles.
        abduced: of all its views.
        codes: the family of each of the R formulas; UNKNOWN for none.
        constant: the family of what stays the same.

    Returns:
        The prediction; rule R is "no rule".
    """
    rules = len(codes)
    scores = scene_zeros(scene, CANDIDATES)
    weights: dict[AttributeKey, Tensor] = {}
    ratios: dict[AttributeKey, Tensor] = {}
    governed: dict[int, Tensor] = {}
    for found in abduced:
        scores = scores + found.adds
        if found.view.is_place:
            both = torch.tensor([codes[number] == constant for _, number in found.hypotheses], dtype=torch.bool)
            governed[found.view.keys[-1].component] = _place(found, both & found.is_set.cpu(), rules, weights, ratios)
            continue
        weights.update(zip(found.view.keys, found.by_formula(found.weights, rules), strict=True))
        ratios.update(zip(found.view.keys, found.ratios, strict=True))
    fixed = scene_zeros(scene, rules + 1)  # an attribute of a single value stays the same
    fixed[:, codes.index(constant) if constant in codes else rules] = 1
    rule_weights = torch.stack([weights.get(key, fixed) for key in scene.keys], 1)
    nothing = scene_zeros(scene, CANDIDATES)
    components = range(1 + max(key.component for key in scene.keys))
    number = torch.zeros(len(scene), dtype=torch.int8, device=scene.device)
    families = _families(rule_weights, codes)
    for column, key in enumerate(scene.keys):
        if key not in weights:
            families[:, column] = constant
    return Prediction(
        scores=scores,
        keys=scene.keys,
        rule_index=rule_weights.argmax(-1),
        rule_weights=rule_weights,
        agreement=torch.sigmoid(torch.stack([ratios.get(key, nothing) for key in scene.keys], 1)),
        confidence=1 - rule_weights[..., -1],
        families=families,
        governed=torch.stack([governed.get(component, number) for component in components], 1),
    )


def scene_zeros(scene: Scene, width: int) -> Tensor:
    """(B, width) zeros where the scene is."""
    return torch.zeros(len(scene), width, device=scene.device)


def _place(
    found: Abduced,
    both: Tensor,
    rules: int,
    weights: dict[AttributeKey, Tensor],
    ratios: dict[AttributeKey, Tensor],
) -> Tensor:
    """Fill in Number and Position; int8 (B,): which of the two the likeliest rules govern.

    ``both``: bool (H,), hypotheses that govern numbers as well as positions.
    """
    posterior, is_set, both = found.weights[0], found.is_set, both.to(found.weights.device)
    shares = [posterior[:, :-1][:, mask].sum(1) for mask in (~is_set, is_set & ~both, both)]
    names = torch.tensor([NUMBER, POSITION, BOTH], dtype=torch.int8, device=posterior.device)
    governed = names[torch.stack(shares, 1).argmax(1)]
    *_, place = found.view.keys
    for key in found.view.keys:
        mine = torch.cat([is_set if key == place else ~is_set | both, is_set.new_ones(1)])
        part = torch.where(mine, posterior, 0.0)
        weights[key] = found.by_formula(part / part.sum(1, keepdim=True).clamp_min(_TINY), rules)
        says = (governed == (POSITION if key == place else NUMBER)) | (governed == BOTH)
        ratios[key] = found.ratios[0] * says.unsqueeze(1)
    return governed


def _families(rule_weights: Tensor, codes: Sequence[int]) -> Tensor:
    """int8 (B, A): the likeliest family, its formulas added up; UNKNOWN for no rule."""
    of_rule = torch.tensor([*codes, UNKNOWN], device=rule_weights.device)
    known = sorted(set(codes) | {UNKNOWN})
    shares = torch.stack([rule_weights[..., of_rule == code].sum(-1) for code in known], -1)
    nothing = shares[..., known.index(UNKNOWN)]
    best, at = shares.max(-1)
    found = torch.tensor(known, dtype=torch.int8, device=rule_weights.device)[at]
    return torch.where(best > nothing, found, torch.full_like(found, UNKNOWN))


def expect(scene: Scene, abduced: Sequence[Abduced], formulas: Sequence[Formula]) -> dict[AttributeKey, Tensor]:
    """What is expected in the missing panel.

    Args:
        scene: B puzzles.
        abduced: of all its views.
        formulas: R of them.

    Returns:
        For attributes with a PMF (B, V), short of one by the chance that entities differ; for sets (B, S).
    """
    result: dict[AttributeKey, Tensor] = {}
    for found in abduced:
        if found.view.occupied is not None:
            result.update(_expected_place(found, found.view.occupied))
            continue
        if (seen := found.view.values) is None:
            continue
        blocks = (len(found.view.keys), len(scene))
        total = found.weights[..., -1:] * seen.background
        for (reading, number), one, weight in zip(
            found.hypotheses, found.evidence, found.weights.unbind(-1), strict=False
        ):
            pmf = one.predicted
            if reading != found.view.index("value"):  # as the panel that is copied
                pmf = seen.weights[:, places(formulas[number], scene.columns)[-1].plus[0]]
            pmf = pmf / pmf.sum(-1, keepdim=True).clamp_min(_TINY)
            total = total + weight.unsqueeze(-1) * pmf.unflatten(0, blocks)
        result.update(zip(found.view.keys, total[..., :-1].unbind(0), strict=True))
    for key, shown in scene.pmfs.items():
        if key not in result:  # a single value
            result[key] = scene_zeros(scene, shown.shape[-1])
            result[key][:, scene.ranges[key][0] if key in scene.ranges else -1] = 1
    return result


def _expected_place(found: Abduced, shown: Tensor) -> dict[AttributeKey, Tensor]:
    view, posterior = found.view, found.weights[0]
    nothing = posterior[:, -1:]
    occupied = nothing.expand(-1, shown.shape[-1]) / 2
    number = None if view.values is None else nothing * view.values.background[:-1]
    for is_set, one, weight in zip(found.is_set.tolist(), found.evidence, posterior.T, strict=False):
        said = one.predicted / (1 if is_set else one.predicted.sum(-1, keepdim=True).clamp_min(_TINY))
        occupied = occupied + weight.unsqueeze(1) * (said if is_set else torch.full_like(occupied, 0.5))
        if number is not None:
            count = count_pmf(said, number.shape[-1]) if is_set else said[:, :-1]
            number = number + weight.unsqueeze(1) * count
    *counted, place = view.keys
    return {place: occupied, **({} if number is None else {counted[0]: number})}
