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
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from datasets.arrays import BOTH, NUMBER, POSITION, UNKNOWN
from datasets.rules.base import PUBLISHED
from reasoning.distributions.pmfs import count_pmf
from reasoning.learners.base import Learner, Prediction, claim_constant, join
from reasoning.learners.possible import keep_possible
from reasoning.learners.registry import LEARNERS
from reasoning.learners.vector_rules.abduction import Abduction, abduce, choose
from reasoning.learners.vector_rules.codes import Names, Powers
from reasoning.learners.vector_rules.panels import Panels, divergence, look, unlikelihood
from reasoning.learners.vector_rules.rules import Grammar
from reasoning.scene import AttributeKey, Scene
from vsa import Algebra, Backend
from vsa.errors import SettingsError, ShapeError, UnknownNameError, VSAError

__all__ = ["NVSA"]

_CHOICES = {
    "selection": ("argmax", "mixture"),
    "panels": ("bundle", "state"),
    "open_positions": ("exact", "average"),
    "weighting": ("explained", "none"),
    "scoring": ("divergence", "likelihood"),
}
_ELEMENTS = 2**22  # probabilities of panels, over all attributes, that are worked on at a time
_FULL = 0.5  # confidence from which on an attribute of a grid counts fully in the answer
_IMPOSSIBLE = -100.0  # log probability that stands for zero in a likelihood


@LEARNERS.register("nvsa")
class NVSA(Learner):
    """The NVSA back-end.

    Number (found by its name) and Position of a component exclude each other: their rules share one normalisation, so
    the weights of both sum to one. Rows of any length; sets of slots in rows of three.

    Args:
        algebra: a block code with a spectral form.
        backend: where the codebooks are stored. Default: digital, exact.
        selection: "argmax" (as published, at test time): the likeliest rule predicts; "mixture": all rules do, by their
            probabilities.
        panels: what of a panel counts whose entities differ: that they do ("state", as published), or also the bundle
            of their values ("bundle"); then an attribute that stays as it is can tell candidates apart.
        open_positions: what a rule on Number pays for the positions that it leaves open: the number of sets of the
            sizes seen ("exact"), or an average over sizes within its number of value combinations ("average").
        weighting: whether all attributes count alike in the answer ("none", as published), or those of grids, whose
            entities may differ freely, only as far as a rule explains them ("explained").
        scoring: what a candidate loses by: the Jensen-Shannon "divergence" of its PMFs from the predicted ones (as
            published), or minus the log "likelihood" that both show one value (docs/own_perception.md).
        temperature: of the softmax over candidates in the training loss.
        seed: of the atoms.
        grammar: names of the rules that may be at work; each declares a pattern or a form.
    """

    learns = False
    mixed = "missing"
    entities = True
    sparse = True

    def __init__(
        self,
        algebra: Algebra,
        *,
        backend: Backend | None = None,
        selection: str = "argmax",
        panels: str = "bundle",
        open_positions: str = "exact",
        weighting: str = "explained",
        scoring: str = "divergence",
        temperature: float = 1.0,
        seed: int = 0,
        grammar: Sequence[str] = PUBLISHED,
    ) -> None:
        super().__init__()
        chosen = (selection, panels, open_positions, weighting, scoring)
        for (kind, known), name in zip(_CHOICES.items(), chosen, strict=True):
            if name not in known:
                raise UnknownNameError("NVSA", name=name, known=known, kind=kind)
        if not 0 < temperature < math.inf:
            raise SettingsError("NVSA", received=f"temperature={temperature}", expected="> 0")
        self.names, self.powers = Names(algebra, backend, seed), Powers(algebra, backend, seed)
        self.selection, self.panels, self.open_positions = selection, panels, open_positions
        self.weighting, self.scoring, self.temperature = weighting, scoring, temperature
        self.calibrated = scoring == "likelihood"
        self.grammar = Grammar(grammar)

    # -- inference ---------------------------------------------------------------------------------------------

    def forward(self, scene: Scene) -> Prediction:
        widths = [value.shape[-1] for value in (*scene.pmfs.values(), *scene.sets.values())]
        piece = max(1, _ELEMENTS // (scene.panels * len(widths) * max(widths)))
        parts = [self._solve(scene[start : start + piece]) for start in range(0, max(len(scene), 1), piece)]
        prediction = parts[0] if len(parts) == 1 else join(parts)
        grammar = tuple(dict.fromkeys(self.grammar.families))
        return claim_constant(keep_possible(prediction, scene, grammar), scene, self.mixed, grammar)

    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        # Where Number governs, all slots are equally likely occupied; where Position governs, the number follows.
        panels, found = self._abduce(scene)
        weights = self._weights(panels, found)
        share = weights.sum(-1)
        values, sets = found.predicted(weights)
        result: dict[AttributeKey, Tensor] = {}
        for index, (key, width) in enumerate(zip(scene.pmfs, panels.widths, strict=True)):
            if values is not None:
                result[key] = values[:, index, :width]
        result |= dict(zip(scene.sets, sets, strict=True))
        for number, position in panels.pairs:
            counts, occupied = (result[scene.keys[index]] for index in (number, position))
            by_number, by_position = share[:, number, None], share[:, position, None]
            mean = counts @ torch.arange(counts.shape[-1]).to(counts) / occupied.shape[-1]
            result[scene.keys[number]] = by_number * counts + by_position * count_pmf(occupied, counts.shape[-1])
            result[scene.keys[position]] = by_number * mean.unsqueeze(-1) + by_position * occupied
        return result

    @classmethod
    def block_length(cls, values: int, columns: int) -> int:
        return values + 4  # progressions by two lead two beyond on either side

    def describe(self) -> list[str]:
        named = zip(self.grammar.labels, self.grammar.words, self.grammar.families, strict=True)
        return [f"{name}: {words}   [{family}]" for name, words, family in named]

    def rule_labels(self) -> list[str]:
        return list(self.grammar.labels)

    # -- training of what feeds it -----------------------------------------------------------------------------

    def training_loss(self, scene: Scene, target: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of the answers under sampled rules.

        The value is the cross-entropy; the gradient estimates that of its expectation over rules: the choice of rules
        contributes by its log probability, weighted with the loss (REINFORCE). It reaches the PMFs of the scene. Where
        rules are known, the published loss also has the mean of minus :meth:`rule_log_likelihood`.

        Args:
            scene: B puzzles.
            target: long (B,), the right candidate.
            generator: draws the rules.

        Returns:
            Scalar.
        """
        panels, found = self._abduce(scene)
        logs = found.log_probability.detach()
        noise = torch.empty(logs.shape, dtype=logs.dtype, device=generator.device).exponential_(generator=generator)
        sampled = choose(logs - noise.log().to(logs.device), panels)  # Gumbel noise: drawn by probability
        scores, _ = self._scores(panels, found, sampled)
        loss = functional.cross_entropy(scores / self.temperature, target, reduction="none")
        chosen = torch.where(sampled > 0, found.log_probability, torch.zeros_like(sampled)).flatten(1).sum(-1)
        return (loss + loss.detach() * (chosen - chosen.detach())).mean()

    def rule_log_likelihood(self, scene: Scene, labels: Tensor) -> Tensor:
        """Log probability of known rules: the auxiliary term of the training of a front-end.

        Args:
            scene: B puzzles.
            labels: (B, A) integers, codes of rules in the order of ``scene.keys``; UNKNOWN where there
                is no label, as for that of Number and Position which the rule does not govern. A component that is
                constant in both has its label at Position.

        Returns:
            (B, A), zero where there is no label.

        Raises:
            ShapeError: not one integer for each attribute.
            VSAError: a code that is none.
        """
        shape = (len(scene), len(scene.keys))
        if tuple(labels.shape) != shape or labels.is_floating_point():
            raise ShapeError(
                "NVSA.rule_log_likelihood",
                received=f"labels {tuple(labels.shape)} of {labels.dtype}",
                expected=f"integers {shape}, one for each attribute",
            )
        known = {UNKNOWN, *self.grammar.codes}
        strange = sorted(set(labels.unique().tolist()) - known)
        if strange:
            raise VSAError(
                "NVSA.rule_log_likelihood",
                received=f"label {strange[0]}",
                expected=f"one of {', '.join(str(code) for code in sorted(known))}",
            )
        _, found = self._abduce(scene)
        probability = found.log_probability
        of_family = torch.tensor(self.grammar.codes, device=probability.device) == labels.unsqueeze(-1)
        masked = torch.where(of_family & probability.isfinite(), probability, torch.full_like(probability, _IMPOSSIBLE))
        return torch.where(labels != UNKNOWN, masked.logsumexp(-1), torch.zeros_like(masked[..., 0]))

    # -- abduction and execution -------------------------------------------------------------------------------

    def _abduce(self, scene: Scene) -> tuple[Panels, Abduction]:
        if scene.sets and scene.columns != 3:
            raise ShapeError(
                "NVSA",
                received=f"sets of slots in rows of {scene.columns}",
                expected="rows of 3",
                hint="in longer rows only attributes with values are supported",
            )
        panels = look(scene, shares=self.panels == "bundle")
        exact = self.open_positions == "exact"
        return panels, abduce(self.powers, self.names, panels, scene.columns, exact, self.grammar)

    def _weights(self, panels: Panels, found: Abduction) -> Tensor:
        """(B, A, R), of the rules that predict."""
        return found.log_probability.exp() if self.selection == "mixture" else choose(found.log_probability, panels)

    def _solve(self, scene: Scene) -> Prediction:
        panels, found = self._abduce(scene)
        scores, agreement = self._scores(panels, found, self._weights(panels, found))
        index = found.log_probability.argmax(-1)
        confidence = found.confidence.gather(-1, index.unsqueeze(-1)).squeeze(-1)
        families = torch.tensor(self.grammar.codes, dtype=torch.int8, device=scene.device)[index]
        constant = self.grammar.constant
        components = 1 + max(key.component for key in scene.keys)
        governed = torch.zeros(len(scene), components, dtype=torch.int8, device=scene.device)
        chosen = choose(found.log_probability, panels)
        for number, position in panels.pairs:
            by_position = torch.where(families[:, position] == constant, BOTH, POSITION)
            by_number = chosen[:, number].sum(-1) > 0
            governed[:, scene.keys[number].component] = torch.where(by_number, NUMBER, by_position).to(torch.int8)
        return Prediction(
            scores, scene.keys, index, found.log_probability.exp(), agreement, confidence, families, governed
        )

    def _scores(self, panels: Panels, found: Abduction, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, 8), and how each candidate agrees with what is predicted (B, A, 8)."""
        values, sets = found.predicted(weights)
        costs, agreements = [], []
        if values is not None and panels.candidates is not None:
            seen, differ = panels.candidates, values[..., -1:]
            missing = (1 - seen.sum(-1, keepdim=True)).clamp_min(0)
            if panels.shares is not None:  # which entities: those of the panel before
                differ = differ * panels.shares[:, :, -9]
                missing = missing * panels.shares[:, :, -8:]
            predicted = torch.cat([values[..., :-1], differ], dim=-1).unsqueeze(2)
            seen = torch.cat([seen, missing], dim=-1)
            apart = divergence(predicted, seen)
            costs.append(apart if self.scoring == "divergence" else unlikelihood(predicted, seen))
            agreements.append(1 - apart / math.log(2))
        for one, occupied in zip(sets, panels.sets, strict=True):
            expected, candidates = one.unsqueeze(1), occupied[:, -8:]
            expected, candidates = (torch.stack([chance, 1 - chance], dim=-1) for chance in (expected, candidates))
            slots = divergence(expected, candidates)
            cost = slots if self.scoring == "divergence" else unlikelihood(expected, candidates)
            costs.append(cost.sum(-1).unsqueeze(1))
            agreements.append(1 - slots.mean(-1).unsqueeze(1) / math.log(2))
        importance = share = weights.sum(-1)
        if self.weighting == "explained" and any(panels.gridded):
            explained = ((found.within(weights) * found.confidence).sum(-1) / _FULL).clamp_max(1.0).square()
            importance = torch.where(_gridded(panels, importance.device), importance * explained, importance)
        # Of Number and Position, the one that does not govern says nothing about a candidate.
        agreement = 0.5 + share.detach().unsqueeze(-1) * (torch.cat(agreements, dim=1) - 0.5)
        return -(importance.unsqueeze(-1) * torch.cat(costs, dim=1)).sum(1), agreement


def _gridded(panels: Panels, device: torch.device) -> Tensor:
    """bool (A,): attributes of entities of which a panel may have several."""
    return torch.tensor([*panels.gridded, *(False,) * len(panels.sets)], device=device)
