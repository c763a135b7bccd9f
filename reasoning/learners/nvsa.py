"""NVSA's back-end: probabilistic abduction of rules on vectors, and their execution.

For every attribute each rule gets a probability from the eight context panels, the likeliest rule (or all of them, by
their probabilities) predicts the PMF of the missing panel, and the candidate whose PMFs diverge least from the
predicted ones is the answer. There is nothing to learn here; all of it is differentiable, so that a perception front-end
can be trained through it.

Reference: Hersche et al., "A neuro-vector-symbolic architecture for solving Raven's progressive matrices", Nature
Machine Intelligence 2023; Zhang et al., "Abstract spatial-temporal reasoning via probabilistic abduction and
execution", CVPR 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reasoning.learners.base import Learner, Prediction, join
from reasoning.learners.nvsa_codes import BlockSpectra
from reasoning.learners.nvsa_rules import FAMILIES, NAMES, count_sets, count_values
from reasoning.learners.nvsa_sets import sets_evidence
from reasoning.learners.nvsa_values import values_evidence
from reasoning.learners.registry import LEARNERS
from reasoning.scene import AttributeKey, Scene
from reasoning.scoring import attribute_weights
from vsa import Algebra, Backend
from vsa.errors import SettingsError, ShapeError, UnknownNameError

__all__ = ["NVSA"]

_ELEMENTS = 200_000  # spectral entries of the panels that are worked on at a time
_TINY = 1e-12


@LEARNERS.register("nvsa")
class NVSA(Learner):
    """The NVSA back-end.

    Args:
        algebra: a block code with a spectral form.
        backend: where the codebooks are stored. Default: digital, exact.
        selection: "argmax" (published): the likeliest rule predicts; "mixture": all rules do, by their probabilities.
        seed: of the atoms.
    """

    mixed = "missing"

    def __init__(
        self,
        algebra: Algebra,
        *,
        backend: Backend | None = None,
        mode: str = "programmed",
        columns: int = 3,
        selection: str = "argmax",
        positions: str = "published",
        weighting: str = "none",
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.codes = BlockSpectra(algebra, backend, seed)
        self.columns, self.selection, self.temperature = columns, selection, temperature
        self.positions, self.weighting = positions, weighting

    def forward(self, scene: Scene) -> Prediction:
        piece = max(1, _ELEMENTS // (max(len(scene.pmfs), 1) * scene.context_panels * self.codes.algebra.dim // 2))
        parts = [self._solve(scene[start : start + piece]) for start in range(0, max(len(scene), 1), piece)]
        return parts[0] if len(parts) == 1 else join(parts)

    def _solve(self, scene: Scene) -> Prediction:
        weighed = self._weigh(scene)
        chosen = self._choose(weighed.log_probability, weighed.pairs)
        weights = chosen if self.selection == "argmax" else weighed.log_probability.exp()
        divergence, share = self._divergence(scene, weighed, weights)
        index = weighed.log_probability.argmax(-1)
        confidence = (weighed.agreement / weighed.factors).gather(-1, index.unsqueeze(-1)).squeeze(-1).exp()
        cost = share * attribute_weights(self.weighting, weighed.log_probability.exp(), confidence)
        scores = -(cost.unsqueeze(-1) * divergence).sum(1)
        families = torch.tensor(FAMILIES, dtype=torch.int8, device=scene.device)[index]
        governed = self._governed(scene, weighed, chosen, families)
        agreement = 1 - divergence / math.log(2)
        return Prediction(
            scores, scene.keys, index, weighed.log_probability.exp(), agreement, confidence, families, governed
        )

    def _weigh(self, scene: Scene) -> _Weighed:
        n, rules = scene.columns, len(NAMES)
        count = scene.context_panels
        agreements, factors, logs = [], [], []
        pmf_prediction = None
        pairs = _pairs(scene)
        numbers = {number for number, _ in pairs}
        if scene.pmfs:
            values = max(pmf.shape[-1] for pmf in scene.pmfs.values())
            stacked = _stacked(list(scene.pmfs.values()), values)  # (B, A, P, V)
            allowed = torch.zeros(len(scene.pmfs), values, device=scene.device, dtype=stacked.dtype)
            for index, pmf in enumerate(scene.pmfs.values()):
                low = 1 if index in numbers else 0
                allowed[index, low : pmf.shape[-1]] = 1
                logs.append(count_values(low, pmf.shape[-1] - 1, n))
            context = stacked[:, :, :count].flatten(0, 1)
            evidence = values_evidence(self.codes, context, allowed.repeat(len(scene), 1), n)
            shape = (len(scene), len(scene.pmfs))
            agreements.append(evidence.agreement.unflatten(0, shape))
            factors += [evidence.factors] * shape[1]
            pmf_prediction = evidence.predicted.unflatten(0, shape)
        set_predictions = []
        for occupied in scene.sets.values():
            evidence = sets_evidence(occupied[:, :count])
            agreements.append(evidence.agreement.unsqueeze(1))
            factors.append(evidence.factors)
            set_predictions.append(evidence.predicted)
            logs.append(count_sets(occupied.shape[-1]))
        agreement = torch.cat(agreements, dim=1)
        counts = torch.stack(logs).to(agreement)
        logits = agreement - counts
        for number, position in pairs:
            logits = logits.clone()
            logits[:, number, 0] = -math.inf
            if self.positions == "explained":
                pmf = stacked[:, number, :count]
                slots = occupied.shape[-1]
                share = torch.tensor([1.0 / math.comb(slots, m) if m else 0.0 for m in range(slots+1)])
                share = torch.nn.functional.pad(share, (0, pmf.shape[-1] - slots - 1))
                free = (pmf @ share).clamp_min(1e-6).log()  # (B, 8)
                fr = free.sum(1)
                logits[:, number] = logits[:, number] + fr.unsqueeze(-1)
        norm = logits.logsumexp(-1)
        for number, position in pairs:
            norm = norm.clone()
            both = torch.logaddexp(norm[:, number], norm[:, position])
            norm[:, number] = both
            norm[:, position] = both
        return _Weighed(logits - norm.unsqueeze(-1), agreement, torch.stack(factors), pmf_prediction, set_predictions, pairs)

    @staticmethod
    def _choose(scores: Tensor, pairs) -> Tensor:
        best, index = scores.max(-1)
        chosen = torch.nn.functional.one_hot(index, scores.shape[-1]).to(scores.dtype)
        for number, position in pairs:
            wins = (best[:, number] >= best[:, position]).to(scores.dtype)
            chosen[:, number] *= wins.unsqueeze(-1)
            chosen[:, position] *= 1 - wins.unsqueeze(-1)
        return chosen

    def _divergence(self, scene, weighed, weights):
        share = weights.sum(-1)
        within = (weights / share.clamp_min(_TINY).unsqueeze(-1)).unsqueeze(-1)
        # where nothing is chosen: own argmax
        own = torch.nn.functional.one_hot(weighed.log_probability.argmax(-1), weights.shape[-1]).to(weights.dtype).unsqueeze(-1)
        within = torch.where((share > 0)[..., None, None], within, own)
        count = scene.context_panels
        parts = []
        number = len(scene.pmfs)
        if number:
            predicted = (within[:, :number] * weighed.values).sum(2)
            seen = _stacked([p[:, count:] for p in scene.pmfs.values()], weighed.values.shape[-1] - 1)
            missing = (1 - seen.sum(-1, keepdim=True)).clamp_min(0)
            seen = torch.cat([seen, missing], -1)
            parts.append(_jsd(predicted.unsqueeze(2), seen))
        for i, occupied in enumerate(scene.sets.values()):
            predicted = (within[:, number + i] * weighed.sets[i]).sum(1)
            p, q = predicted.unsqueeze(1), occupied[:, count:]
            parts.append(_jsd(torch.stack([p, 1 - p], -1), torch.stack([q, 1 - q], -1)).sum(-1).unsqueeze(1))
        return torch.cat(parts, 1), share

    @staticmethod
    def _governed(scene, weighed, chosen, families):
        components = 1 + max(key.component for key in scene.keys)
        governed = torch.zeros(len(scene), components, dtype=torch.int8, device=scene.device)
        for number, position in weighed.pairs:
            wins = chosen[:, number].sum(-1) > 0.5
            code = torch.where(wins, 1, torch.where(families[:, position] == 0, 0, 2))
            governed[:, scene.keys[number].component] = code.to(torch.int8)
        return governed

    def describe(self):
        return list(NAMES)

    def rule_labels(self):
        return list(NAMES)


@dataclass(frozen=True)
class _Weighed:
    log_probability: Tensor
    agreement: Tensor
    factors: Tensor
    values: Tensor | None
    sets: list[Tensor]
    pairs: list[tuple[int, int]]


def _pairs(scene):
    keys = scene.keys
    return [
        (keys.index(AttributeKey(key.component, "Number")), keys.index(key))
        for key in scene.sets
        if AttributeKey(key.component, "Number") in scene.pmfs
    ]


def _stacked(parts, width):
    return torch.stack([torch.nn.functional.pad(p, (0, width - p.shape[-1])) for p in parts], 1)


def _jsd(p: Tensor, q: Tensor) -> Tensor:
    p, q = p.clamp_min(_TINY), q.clamp_min(_TINY)
    m = (p + q) / 2
    return ((p * p.log() + q * q.log()) / 2 - m * m.log()).sum(-1).clamp_min(0)
