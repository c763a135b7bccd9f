"""ARLC: abductive rule learner with context awareness.

A handful of soft formulas, shared by all attributes and all rows, are scored on the rows whose last panel is known;
the softmax of the scores chooses among them and the chosen mixture predicts the missing panel.

Training may run several populations of rules side by side and keep, of all formulas found, those that together
explain the training set best: single runs can stick in local optima, and rules are independent of each other.

Reference: Camposampiero et al., "Towards learning abductive reasoning using VSA distributed representations", 2024;
Hersche et al., "Towards learning to reason", 2025 (rows of n panels, entropy weighting).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from reasoning.encoder import EncodedScene, SceneEncoder
from reasoning.learners.base import Learner, Prediction, join
from reasoning.learners.formula import (
    apply_coefficients,
    apply_formula,
    coefficients,
    gather_inputs,
    in_words,
    input_names,
)
from reasoning.learners.naming import FAMILIES, computed_families, name_choice
from reasoning.learners.programs import default_terms, program
from reasoning.learners.registry import LEARNERS
from reasoning.readout import Readout
from reasoning.scene import AttributeKey, Scene
from reasoning.scoring import ATTRIBUTE_WEIGHTINGS, attribute_weights, cosine
from vsa import Algebra, Backend
from vsa.errors import SettingsError, ShapeError, UnknownNameError
from vsa.seeding import child_seed

log = logging.getLogger(__name__)

MODES = ("learned", "programmed", "programmed_then_learned")
_PROGRAM_LOGIT = 3.0  # initial logit of a programmed term: likely enough to work, soft enough to learn
_ELEMENTS = 400_000  # spectral entries of the panels that are worked on at a time
_PURE = 0.999  # probability above which a term is its likeliest input
_CONSTANT = 0.9  # similarity of neighbouring panels above which a row counts as constant


@LEARNERS.register("arlc")
class ARLC(Learner):
    """Soft formulas chosen by abduction.

    Args:
        algebra: a block code with a spectral form.
        backend: where the codebooks are stored. Default: digital, exact.
        columns: n, panels in a row; the rules belong to one n.
        mode: "learned" (random start), "programmed" (fixed) or "programmed_then_learned".
        rules: R, formulas kept.
        terms: T, terms per formula (default: 12 at n = 3, else 2n + 2).
        populations: G, independent sets of R formulas trained side by side.
        temperature: of the softmax over rules.
        term_temperature: of the softmax over inputs once training is over (annealing).
        weighting: how attributes count in the answer: "none", "entropy" or "confidence"; "entropy" also divides
            the loss, as published.
        prior: whether rules that explain the context equally well are told apart: learned rules by how often each is
            right about the third row of the training set (R more parameters), programmed ones by simplicity (own
            panels before other rows).
        frequencies: how many of the block spectrum's frequencies a training step uses, drawn anew each step (an
            unbiased estimate of the inner products); None: all of them.
        seed: of the atoms and of the initial weights.
    """

    def __init__(
        self,
        algebra: Algebra,
        *,
        backend: Backend | None = None,
        columns: int = 3,
        mode: str = "learned",
        rules: int = 5,
        terms: int | None = None,
        populations: int = 1,
        temperature: float = 0.01,
        term_temperature: float = 0.01,
        weighting: str = "confidence",
        prior: bool = True,
        frequencies: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        terms = default_terms(columns) if terms is None else terms
        if mode not in MODES:
            raise UnknownNameError("ARLC", name=mode, known=MODES, kind="mode")
        if weighting not in ATTRIBUTE_WEIGHTINGS:
            raise UnknownNameError("ARLC", name=weighting, known=ATTRIBUTE_WEIGHTINGS, kind="weighting")
        if columns < 3 or rules < 1 or populations < 1 or terms < 2 or terms % 2:
            raise SettingsError(
                "ARLC",
                received=f"columns={columns} rules={rules} populations={populations} terms={terms}",
                expected="columns >= 3, rules and populations >= 1, an even number of terms",
            )
        if not (temperature > 0 and term_temperature > 0):
            raise SettingsError("ARLC", received=f"temperatures {temperature}, {term_temperature}", expected="> 0")
        self.encoder = SceneEncoder(algebra, backend, seed=seed)
        self.readout = Readout(self.encoder)
        self.columns, self.mode, self.terms = columns, mode, terms
        self.temperature, self.term_temperature, self.weighting = temperature, term_temperature, weighting
        code = self.encoder.algebra
        weights = code.spectral_weights().repeat(code.blocks)
        self.register_buffer("spectral_weights", weights, persistent=False)
        if frequencies is not None and not frequencies >= 1:
            raise SettingsError("ARLC", received=f"frequencies={frequencies}", expected="at least 1, or null for all")
        self.frequencies = None if frequencies is None or frequencies >= len(weights) else frequencies
        programmed = program(columns, terms) if mode != "learned" else torch.empty(0)
        if mode == "programmed":
            logits = programmed.unsqueeze(0)
        else:
            generator = torch.Generator().manual_seed(child_seed(seed, "arlc", "initial weights"))
            shape = (populations, rules, terms, len(input_names(columns)))
            logits = torch.randn(shape, generator=generator)
            if mode == "programmed_then_learned":
                if rules < len(programmed):
                    raise SettingsError("ARLC", received=f"rules={rules}", expected=f">= {len(programmed)} programmed")
                logits[:, : len(programmed)] = _PROGRAM_LOGIT * programmed
        self.logits = nn.Parameter(logits, requires_grad=mode != "programmed")
        # The rules in force: rows of the flattened populations. Before finish() the first population speaks.
        self.register_buffer("kept", torch.arange(logits.shape[1]))
        self.register_buffer("annealed", torch.tensor(mode == "programmed"))
        self.use_prior = prior
        self.register_buffer("prior", torch.zeros(logits.shape[1]))
        if prior and mode == "programmed":
            self.prior.copy_(_simplicity(coefficients(logits[0]), columns))
        self.prior: Tensor
        self.kept: Tensor
        self._named: tuple[Tensor, Tensor] | None = None  # weights and what they compute
        self.annealed: Tensor
        self.spectral_weights: Tensor

    # -- the rules ---------------------------------------------------------------------------------------------

    def rule_weights(self) -> Tensor:
        """(R, T, I): distributions of the terms of the rules in force over the inputs."""
        logits = self.logits.flatten(0, 1)[self.kept]
        return torch.softmax(logits / (self.term_temperature if bool(self.annealed) else 1.0), dim=-1)

    def describe(self) -> list[str]:
        weights = self.rule_weights().detach()
        certainty = weights.max(-1).values.mean(-1)
        formulas = in_words(coefficients(weights), self.columns)
        lines = []
        for number, (formula, names, sure) in enumerate(
            zip(formulas, self._family_names(weights), certainty, strict=True), start=1
        ):
            known = f"{' and '.join(names) or 'none of the known rules'}; terms {100 * float(sure):.0f} % sure"
            lines.append(f"rule {number}: x{self.columns} = {formula}   [{known}]")
        return lines

    def rule_labels(self) -> list[str]:
        names = self._family_names(self.rule_weights().detach())
        return [f"rule {number} ({' or '.join(able) or 'unknown'})" for number, able in enumerate(names, start=1)]

    def _family_names(self, weights: Tensor) -> list[list[str]]:
        """The rule families that each formula computes."""
        able = self._families(weights).tolist()
        return [[name for name, yes in zip(FAMILIES, row, strict=True) if yes] for row in able]

    # -- training ----------------------------------------------------------------------------------------------

    def training_loss(self, scene: Scene, target: Tensor, generator: torch.Generator) -> Tensor:
        encoded, frequency_weights = self._sample_frequencies(self._encode(scene), generator)
        truth = self._row_targets(encoded, target).unsqueeze(-2)  # (B, A, 3, 1, W)
        inputs = gather_inputs(encoded.spectra, encoded.rows, encoded.columns)
        populations, rules = self.logits.shape[:2]
        weights = torch.softmax(self.logits.flatten(0, 1), dim=-1)
        predicted = apply_formula(weights, inputs)  # (B, A, 3, G * R, W)
        score = cosine(predicted, truth, frequency_weights).squeeze(-1).mean(2).unflatten(-1, (populations, rules))
        choice = torch.softmax(score / self.temperature, dim=-1)  # (B, A, G, R)
        output = _mixture(choice.unsqueeze(2), predicted.unflatten(3, (populations, rules)))  # (B, A, 3, G, W)
        loss = (1 - cosine(output, truth, frequency_weights).squeeze(-1)).mean(2)  # (B, A, G)
        if self.weighting == "entropy":
            loss = loss * attribute_weights("entropy", choice, score.amax(-1)).detach()
        return loss.sum(1).mean(0).sum()

    @torch.no_grad()
    def finish(self, scenes: Iterable[tuple[Scene, Tensor]]) -> None:
        """Keep the R formulas of all populations that together explain ``scenes`` best; anneal; learn the prior."""
        weights = torch.softmax(self.logits.flatten(0, 1) / self.term_temperature, dim=-1)
        generator = torch.Generator().manual_seed(0)  # of the frequencies only, as in a training step
        tables = []
        for scene, target in scenes:
            encoded, frequency_weights = self._sample_frequencies(self._encode(scene), generator)
            truth = self._row_targets(encoded, target).unsqueeze(-2)
            predicted = self._predict(weights, encoded)
            similar = cosine(predicted, truth, frequency_weights).squeeze(-1)  # (B, A, 3, G * R)
            tables.append(similar.flatten(0, 1))
        table = torch.cat(tables)
        if self.logits.shape[0] > 1:
            self.kept.copy_(_choose(table.mean(1), self.logits.shape[1]))
        if self.use_prior:
            kept = table[:, :, self.kept] / self.temperature
            self.prior.copy_(_fit_prior(kept[:, :2].mean(1), kept[:, 2]))
        self.annealed.fill_(True)

    # -- inference ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def forward(self, scene: Scene) -> Prediction:
        parts = [self._solve(piece) for piece in self._pieces(scene)]
        return parts[0] if len(parts) == 1 else join(parts)

    @torch.no_grad()
    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        parts = []
        for piece in self._pieces(scene):
            output = self._abduce(self._encode(piece))[2]
            found = {key: output[:, index] for index, key in enumerate(piece.keys)}
            pmfs = {key: self.readout.pmf(found[key], pmf.shape[-1]) for key, pmf in piece.pmfs.items()}
            sets = {key: self.readout.occupied(found[key], slots.shape[-1]) for key, slots in piece.sets.items()}
            parts.append({**pmfs, **sets})
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def _pieces(self, scene: Scene) -> Iterator[Scene]:
        """Pieces of a few megabytes: large batches would spend their time in fresh memory."""
        panel = len(scene.keys) * scene.panels * len(self.spectral_weights)
        size = max(1, _ELEMENTS // panel)
        return (scene[start : start + size] for start in range(0, max(len(scene), 1), size))

    def _abduce(self, encoded: EncodedScene) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities of the rules (B, A, R), their scores (B, A, R), and what they predict together (B, A, W)."""
        predicted = self._predict(self.rule_weights(), encoded)  # (B, A, 3, R, W)
        known = self._known_targets(encoded)  # (B, A, 2, W)
        similar = cosine(predicted[:, :, :2], known.unsqueeze(-2), self.spectral_weights)
        score = similar.squeeze(-1).mean(2)
        choice = torch.softmax(score / self.temperature + self.prior, dim=-1)
        return choice, score, _mixture(choice, predicted[:, :, 2])

    def _solve(self, scene: Scene) -> Prediction:
        encoded = self._encode(scene)
        choice, score, output = self._abduce(encoded)
        agreement = cosine(output.unsqueeze(-2), encoded.candidates, self.spectral_weights).squeeze(-2)
        confidence = (choice * score).sum(-1)
        scores = (agreement * attribute_weights(self.weighting, choice, confidence).unsqueeze(-1)).sum(1)
        rule_index = choice.argmax(-1)
        families = name_choice(self._families(self.rule_weights()), rule_index, self._constant_rows(encoded))
        return Prediction(scores, encoded.keys, rule_index, choice, agreement, confidence, families)

    # -- helpers -----------------------------------------------------------------------------------------------

    def _encode(self, scene: Scene) -> EncodedScene:
        if scene.columns != self.columns:
            raise ShapeError(
                "ARLC",
                received=f"matrices with {scene.columns} columns",
                expected=f"{self.columns}, for which the rules were made",
                hint=f"set model.columns={scene.columns}",
            )
        return self.encoder(scene)

    def _families(self, weights: Tensor) -> Tensor:
        """bool (R, 4), worked out anew only when the weights have changed."""
        if self._named is None or not torch.equal(self._named[0], weights):
            self._named = (weights.detach().clone(), computed_families(weights, self.columns))
        return self._named[1]

    def _sample_frequencies(
        self, encoded: EncodedScene, generator: torch.Generator
    ) -> tuple[EncodedScene, Tensor]:
        if self.frequencies is None:
            return encoded, self.spectral_weights
        count = len(self.spectral_weights)
        chosen = torch.randperm(count, generator=generator)[: self.frequencies].to(encoded.spectra.device)
        sampled = EncodedScene(encoded.keys, encoded.spectra[..., chosen], encoded.rows, encoded.columns)
        return sampled, self.spectral_weights[chosen]

    @staticmethod
    def _known_targets(encoded: EncodedScene) -> Tensor:
        """complex (B, A, 2, W): last panels of the complete rows."""
        n = encoded.columns
        return encoded.spectra[:, :, n - 1 : encoded.context_panels : n]

    def _row_targets(self, encoded: EncodedScene, target: Tensor) -> Tensor:
        """complex (B, A, 3, W): last panels of all rows, the right candidate in the third."""
        puzzles = torch.arange(len(target), device=target.device)
        answer = encoded.candidates.transpose(1, 2)[puzzles, target].unsqueeze(2)
        return torch.cat([self._known_targets(encoded), answer], dim=2)

    @staticmethod
    def _predict(weights: Tensor, encoded: EncodedScene) -> Tensor:
        """complex (B, A, 3, R, W)."""
        if bool((weights.amax(-1) > _PURE).all()):
            return apply_coefficients(coefficients(weights), encoded.spectra, encoded.rows, encoded.columns)
        return apply_formula(weights, gather_inputs(encoded.spectra, encoded.rows, encoded.columns))

    def _constant_rows(self, encoded: EncodedScene) -> Tensor:
        """bool (B, A): all panels of each complete row equal its first."""
        n = encoded.columns
        rows = encoded.spectra[:, :, : 2 * n].unflatten(2, (2, n))
        similar = cosine(rows[:, :, :, :1], rows[:, :, :, 1:], self.spectral_weights)
        return (similar > _CONSTANT).flatten(2).all(-1)


def _mixture(weights: Tensor, spectra: Tensor) -> Tensor:
    """Weighted sum over R: real (..., R) and complex (..., R, W) -> complex (..., W)."""
    planar = torch.view_as_real(spectra).flatten(-2)
    return torch.view_as_complex((weights.unsqueeze(-2) @ planar).squeeze(-2).unflatten(-1, (-1, 2)))


def _choose(explained: Tensor, count: int) -> Tensor:
    """Greedy choice of ``count`` formulas: (cases, formulas) similarities -> long (count,)."""
    explained = explained.clamp_min(0)
    best = torch.zeros_like(explained[:, :1])
    chosen: list[int] = []
    for _ in range(count):
        gain = torch.maximum(best, explained).mean(0)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        best = torch.maximum(best, explained[:, chosen[-1:]])
    log.info("kept %d of %d formulas, which explain %.4f of the training rows", count, explained.shape[1], best.mean())
    return torch.tensor(chosen, device=explained.device)


def _fit_prior(evidence: Tensor, outcome: Tensor, steps: int = 200, shrinkage: float = 1e-4) -> Tensor:
    """Log weights of the rules under which the rules chosen on two rows predict the third best.

    Args:
        evidence: (cases, R) similarity on the first two rows over the temperature.
        outcome: (cases, R) similarity on the third row over the temperature.
        steps: of gradient ascent (the objective is smooth and has R parameters).
        shrinkage: of the weights towards zero.

    Returns:
        (R,), mean zero.
    """
    prior = torch.zeros(evidence.shape[-1], device=evidence.device, requires_grad=True)
    optimizer = torch.optim.Adam([prior], lr=0.1)
    for _ in range(steps):
        with torch.enable_grad():
            joint = torch.logsumexp(evidence + outcome + prior, -1) - torch.logsumexp(evidence + prior, -1)
            loss = shrinkage * prior.square().sum() - joint.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    prior = prior.detach()
    return prior - prior.mean()


def _simplicity(chosen: Tensor, columns: int) -> Tensor:
    """(R, I) coefficients -> (R,) log weights: 4 nats for needing other rows, 1 for leaving out an own panel."""
    own, others = chosen[:, : columns - 1], chosen[:, columns - 1 :]
    return -4.0 * (others != 0).any(-1) - 1.0 * (own == 0).any(-1)
