"""NVSA's back-end: probabilistic abduction of rules on vectors, and their execution.

For every attribute each rule gets a probability from the eight context panels; the likeliest rule (or all, by their
probabilities) predicts the PMF of the missing panel; the candidate whose PMFs diverge least from the predicted ones is
the answer. Nothing is learned here, but all of it is differentiable, so that a perception front-end can be trained
through it.

Reference: Hersche et al., "A neuro-vector-symbolic architecture for solving Raven's progressive matrices", Nature
Machine Intelligence 2023; Zhang et al., "Abstract spatial-temporal reasoning via probabilistic abduction and
execution", CVPR 2021 (scores, training).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from datasets.arrays import RULE_NAMES
from reasoning.learners.base import Learner, Prediction, join
from reasoning.learners.nvsa_codes import Names, Powers
from reasoning.learners.nvsa_panels import Panels, count_pmf, divergence, look
from reasoning.learners.nvsa_rules import CONSTANT, FAMILIES, NAMES, WORDS, count_numbers, count_sets, count_values
from reasoning.learners.nvsa_sets import sets_evidence
from reasoning.learners.nvsa_values import FLOOR, values_evidence
from reasoning.learners.registry import LEARNERS
from reasoning.scene import AttributeKey, Scene
from reasoning.scoring import attribute_weights
from vsa import Algebra, Backend
from vsa.errors import SettingsError, ShapeError, UnknownNameError, VSAError

__all__ = ["NVSA"]

_CHOICES = {
    "mode": ("programmed", "learned", "programmed_then_learned"),
    "selection": ("argmax", "mixture"),
    "panels": ("bundle", "state"),
    "open_positions": ("exact", "average"),
    "weighting": ("confidence", "none"),
}
_ELEMENTS = 2**22  # probabilities of panels, over all attributes, that are worked on at a time
_EXPLAINED = 0.5  # confidence below which no rule explains an attribute


@dataclass(frozen=True)
class _Abduction:
    """What the context of B puzzles says: log probabilities (B, A, R) and what each rule predicts."""

    panels: Panels
    log_probability: Tensor
    confidence: Tensor  # (B, A, R), geometric mean of the similarities that a rule asks for
    values: Tensor | None  # (B, A', R, V + 1), the last entry for entities that differ
    sets: tuple[Tensor, ...]  # (B, R, S) each


@LEARNERS.register("nvsa")
class NVSA(Learner):
    """The NVSA back-end.

    Number (found by its name) and Position of a component exclude each other: their rules share one normalisation, so
    the weights of both sum to one.

    Args:
        algebra: a block code with a spectral form.
        backend: where the codebooks are stored. Default: digital, exact.
        mode: taken because every model has one; the rules are programmed, and training the model is refused.
        selection: "argmax" (as published, at test time): the likeliest rule predicts; "mixture": all rules, by their
            probabilities.
        panels: what of a panel counts whose entities differ: that they do ("state", as published), or also the bundle
            of their values ("bundle"); an attribute that stays as it is then tells candidates apart by it.
        open_positions: what a rule on Number pays for the positions that it leaves open: the number of sets of the
            size seen ("exact"), or an average over sizes within its number of value combinations ("average").
        weighting: how attributes count in the answer: all alike ("none", as published), or by how well a rule explains
            them ("confidence").
        temperature: of the softmax over candidates in the training loss.
        seed: of the atoms.
    """

    mixed = "missing"
    entities = True

    def __init__(
        self,
        algebra: Algebra,
        *,
        backend: Backend | None = None,
        mode: str = "programmed",
        selection: str = "argmax",
        panels: str = "bundle",
        open_positions: str = "exact",
        weighting: str = "confidence",
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        chosen = {
            "mode": mode, "selection": selection, "panels": panels, "open_positions": open_positions,
            "weighting": weighting,
        }  # fmt: skip
        for kind, name in chosen.items():
            if name not in _CHOICES[kind]:
                raise UnknownNameError("NVSA", name=name, known=_CHOICES[kind], kind=kind)
        if not 0 < temperature < math.inf:
            raise SettingsError("NVSA", received=f"temperature {temperature}", expected="> 0")
        self.names, self.powers = Names(algebra, backend, seed), Powers(algebra, backend, seed)
        self.selection, self.panels, self.open_positions = selection, panels, open_positions
        self.weighting, self.temperature = weighting, temperature

    # -- inference ---------------------------------------------------------------------------------------------

    def forward(self, scene: Scene) -> Prediction:
        widths = [value.shape[-1] for value in (*scene.pmfs.values(), *scene.sets.values())]
        piece = max(1, _ELEMENTS // (scene.panels * len(widths) * max(widths)))
        parts = [self._solve(scene[start : start + piece]) for start in range(0, max(len(scene), 1), piece)]
        return parts[0] if len(parts) == 1 else join(parts)

    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        """What is expected in the missing panel.

        Where Number governs, every slot is as likely occupied as any other; where Position governs, the number
        follows from it.
        """
        found = self._abduce(scene)
        weights = self._weights(found)
        share = weights.sum(-1)
        values, sets = self._predicted(found, weights)
        result = {}
        for index, key in enumerate(scene.keys):
            if index < len(scene.pmfs):
                assert values is not None
                result[key] = values[:, index, : found.panels.widths[index]]
            else:
                result[key] = sets[index - len(scene.pmfs)]
        for number, position in found.panels.pairs:
            counts, occupied = (result[scene.keys[index]] for index in (number, position))
            by_number, by_position = share[:, number, None], share[:, position, None]
            mean = (counts * torch.arange(counts.shape[-1], device=counts.device)).sum(-1, keepdim=True)
            result[scene.keys[number]] = by_number * counts + by_position * count_pmf(occupied, counts.shape[-1])
            result[scene.keys[position]] = by_number * mean / occupied.shape[-1] + by_position * occupied
        return result

    def describe(self) -> list[str]:
        named = zip(NAMES, WORDS, FAMILIES, strict=True)
        return [f"{name}: {words}   [{RULE_NAMES[code]}]" for name, words, code in named]

    def rule_labels(self) -> list[str]:
        return list(NAMES)

    # -- training of what feeds it -----------------------------------------------------------------------------

    def training_loss(self, scene: Scene, target: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of the answers under sampled rules.

        The value is the cross-entropy; its gradient is that of the expectation over rules, in which the choice of
        rules is a reward-weighted log probability (REINFORCE). It reaches the PMFs of the scene. The published loss adds
        minus :meth:`rule_log_likelihood` where rules are known.
        """
        found = self._abduce(scene)
        uniform = torch.empty_like(found.log_probability).exponential_(generator=generator)
        sampled = _choose(found.log_probability.detach() - uniform.log(), found.panels)  # Gumbel: draws by probability
        scores = self._scores(scene, found, sampled)[0] / self.temperature
        loss = functional.cross_entropy(scores, target, reduction="none")
        chosen = torch.where(sampled > 0, found.log_probability, torch.zeros_like(sampled)).flatten(1).sum(-1)
        return (loss + loss.detach() * (chosen - chosen.detach())).mean()

    def rule_log_likelihood(self, scene: Scene, labels: Tensor) -> Tensor:
        """Log probability of known rules: the auxiliary term of the training of a front-end.

        Args:
            scene: B puzzles.
            labels: (B, A) integers, codes into ``datasets.RULE_NAMES`` in the order of ``scene.keys``; -1 where there
                is no label, as for that of Number and Position which the rule does not govern. A component that is
                constant in both has its label at Position.

        Returns:
            (B, A), zero where there is no label.
        """
        shape = (len(scene), len(scene.keys))
        if tuple(labels.shape) != shape or labels.is_floating_point():
            raise ShapeError(
                "NVSA.rule_log_likelihood", received=f"labels {tuple(labels.shape)} of {labels.dtype}",
                expected=f"integers {shape}, one for each attribute",
            )  # fmt: skip
        if len(labels) and not -1 <= int(labels.min()) <= int(labels.max()) < len(RULE_NAMES):
            raise VSAError(
                "NVSA.rule_log_likelihood", received=f"labels from {int(labels.min())} to {int(labels.max())}",
                expected=f"-1 to {len(RULE_NAMES) - 1}",
            )  # fmt: skip
        found = self._abduce(scene).log_probability
        of_family = torch.tensor(FAMILIES, device=found.device) == labels.unsqueeze(-1)
        floor = torch.full_like(found, math.log(FLOOR) * len(NAMES))  # a rule that is impossible has no gradient
        likelihood = torch.where(of_family & found.isfinite(), found, floor).logsumexp(-1)
        return torch.where(labels >= 0, likelihood, torch.zeros_like(likelihood))

    # -- abduction ---------------------------------------------------------------------------------------------

    def _abduce(self, scene: Scene) -> _Abduction:
        self._check(scene)
        panels, context = look(scene, shares=self.panels == "bundle"), scene.context_panels
        agreements, factors, counts = [], [], []
        values, sets = None, []
        if panels.pmfs is not None:
            numbers = {number for number, _ in panels.pairs}
            lows = [int(index in numbers) for index in range(len(panels.widths))]
            allowed = torch.zeros(len(lows), panels.pmfs.shape[-1])
            for index, (low, width) in enumerate(zip(lows, panels.widths, strict=True)):
                allowed[index, low:width] = 1
                averaged = low and self.open_positions == "average"
                counts.append(count_numbers(width - 1) if averaged else count_values(low, width - 1, scene.columns))
            shape = panels.pmfs.shape[:2]
            flat = panels.pmfs[:, :, :context].flatten(0, 1)
            evidence = values_evidence(
                self.powers, self.names, flat, allowed.to(flat).repeat(len(scene), 1), scene.columns
            )
            agreements.append(evidence.agreement.unflatten(0, shape))
            factors += [evidence.factors] * len(lows)
            values = evidence.predicted.unflatten(0, shape)
        for occupied in panels.sets:
            evidence = sets_evidence(occupied[:, :context])
            agreements.append(evidence.agreement.unsqueeze(1))
            factors.append(evidence.factors)
            sets.append(evidence.predicted)
            counts.append(count_sets(occupied.shape[-1]))
        agreement = torch.cat(agreements, dim=1)
        logits = agreement - torch.stack(counts).to(agreement)
        confidence = (agreement / torch.stack(factors)).exp()
        return _Abduction(panels, self._normalised(logits, panels, context), confidence, values, tuple(sets))

    def _normalised(self, logits: Tensor, panels: Panels, context: int) -> Tensor:
        """Log probabilities; Number and Position of a component share one normalisation."""
        columns = list(logits.unbind(1))
        for number, position in panels.pairs:
            # Constant is a rule on both; it is Position's, which implies the number.
            columns[number] = columns[number].index_fill(-1, torch.tensor(CONSTANT, device=logits.device), -math.inf)
            if self.open_positions == "exact":
                assert panels.pmfs is not None
                slots = panels.sets[position - len(panels.widths)].shape[-1]
                ways = [1.0 / math.comb(slots, size) if size else 0.0 for size in range(slots + 1)]
                chance = panels.pmfs[:, number, :context, : slots + 1] @ torch.tensor(ways).to(logits)
                columns[number] = columns[number] + chance.clamp_min(FLOOR).log().sum(-1, keepdim=True)
        norms = [column.logsumexp(-1, keepdim=True) for column in columns]
        for number, position in panels.pairs:
            norms[number] = norms[position] = torch.logaddexp(norms[number], norms[position])
        return torch.stack(columns, dim=1) - torch.stack(norms, dim=1)

    @staticmethod
    def _check(scene: Scene) -> None:
        if scene.rows != 3:
            raise ShapeError("NVSA", received=f"{scene.rows} rows", expected="3")
        if scene.sets and scene.columns != 3:
            raise ShapeError(
                "NVSA", received=f"sets of slots in rows of {scene.columns}", expected="rows of 3",
                hint="with longer rows only attributes with values are supported",
            )  # fmt: skip

    # -- execution ---------------------------------------------------------------------------------------------

    def _solve(self, scene: Scene) -> Prediction:
        found = self._abduce(scene)
        chosen = _choose(found.log_probability, found.panels)
        weights = chosen if self.selection == "argmax" else found.log_probability.exp()
        scores, agreement = self._scores(scene, found, weights)
        index = found.log_probability.argmax(-1)
        confidence = found.confidence.gather(-1, index.unsqueeze(-1)).squeeze(-1)
        families = torch.tensor(FAMILIES, dtype=torch.int8, device=scene.device)[index]
        # Entities may differ freely, which the grammar calls Constant: what no rule explains is named so.
        free = torch.tensor([*found.panels.gridded, *(False,) * len(scene.sets)], device=scene.device)
        families = torch.where(free & (confidence < _EXPLAINED), torch.zeros_like(families), families)
        components = 1 + max(key.component for key in scene.keys)
        governed = torch.zeros(len(scene), components, dtype=torch.int8, device=scene.device)
        for number, position in found.panels.pairs:
            by_position = torch.where(families[:, position] == 0, 0, 2)
            of_number = chosen[:, number].sum(-1) > 0
            governed[:, scene.keys[number].component] = torch.where(of_number, 1, by_position).to(torch.int8)
        return Prediction(
            scores, scene.keys, index, found.log_probability.exp(), agreement, confidence, families, governed
        )

    def _weights(self, found: _Abduction) -> Tensor:
        """(B, A, R), of the rules that predict."""
        if self.selection == "mixture":
            return found.log_probability.exp()
        return _choose(found.log_probability, found.panels)

    def _scores(self, scene: Scene, found: _Abduction, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, 8), and how each candidate agrees with what is predicted (B, A, 8)."""
        panels, context = found.panels, scene.context_panels
        values, sets = self._predicted(found, weights)
        costs, agreements = [], []
        if values is not None and panels.pmfs is not None:
            differ = values[..., -1:]
            seen = panels.pmfs[:, :, context:]
            missing = (1 - seen.sum(-1, keepdim=True)).clamp_min(0)
            if panels.shares is not None:  # who differs: as in the panel before, which a constant attribute repeats
                differ = differ * panels.shares[:, :, context - 1]
                missing = missing * panels.shares[:, :, context:]
            predicted = torch.cat([values[..., :-1], differ], dim=-1).unsqueeze(2)
            costs.append(divergence(predicted, torch.cat([seen, missing], dim=-1)))
            agreements.append(1 - costs[-1] / math.log(2))
        for predicted, occupied in zip(sets, panels.sets, strict=True):
            expected, candidates = predicted.unsqueeze(1), occupied[:, context:]
            slots = divergence(
                torch.stack([expected, 1 - expected], dim=-1), torch.stack([candidates, 1 - candidates], dim=-1)
            )
            costs.append(slots.sum(-1).unsqueeze(1))
            agreements.append(1 - slots.mean(-1).unsqueeze(1) / math.log(2))
        importance = weights.sum(-1)
        if self.weighting == "confidence":
            explained = (_within(weights, found) * found.confidence).sum(-1)
            importance = importance * attribute_weights("confidence", weights, explained)
        return -(importance.unsqueeze(-1) * torch.cat(costs, dim=1)).sum(1), torch.cat(agreements, dim=1)

    @staticmethod
    def _predicted(found: _Abduction, weights: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """What the weighted rules predict: PMFs (B, A', V + 1) and occupancies (B, S)."""
        within = _within(weights, found).unsqueeze(-2)  # (B, A, 1, R)
        count = len(found.panels.widths)
        values = None if found.values is None else (within[:, :count] @ found.values).squeeze(-2)
        return values, [(within[:, count + index] @ one).squeeze(-2) for index, one in enumerate(found.sets)]


def _within(weights: Tensor, found: _Abduction) -> Tensor:
    """Weights of the rules of each attribute that sum to one; by its own likeliest rule where it has none."""
    share = weights.sum(-1, keepdim=True)
    own = functional.one_hot(found.log_probability.argmax(-1), weights.shape[-1]).to(weights)
    return torch.where(share > 0, weights / share.clamp_min(FLOOR), own)


def _choose(scores: Tensor, panels: Panels) -> Tensor:
    """One rule for each attribute, and one for Number and Position together: (B, A, R) -> one-hot (B, A, R)."""
    best, index = scores.max(-1)
    wins = torch.ones_like(best, dtype=torch.bool)
    for number, position in panels.pairs:
        wins[:, number] = best[:, number] >= best[:, position]
        wins[:, position] = ~wins[:, number]
    return functional.one_hot(index, scores.shape[-1]).to(scores) * wins.unsqueeze(-1)
