"""What learners have in common that abduce soft formulas: training, selection, and answers by the rules chosen.

A handful of formulas, shared by all attributes, predict the last panel of every row. How well they predict the rows
whose last panel is known chooses among them, and the chosen ones predict the missing panel. Subclasses say what a
formula is made of.

Training may run several populations of rules side by side and keep, of all rules found, those that together explain
the training set best: single runs can stick in local optima, and rules are independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from datasets.rules.base import PUBLISHED, rules_named
from reasoning.learners.base import Learner, Prediction, claim_constant, join
from reasoning.learners.possible import keep_possible
from reasoning.learners.soft.encoder import EncodedScene, SceneEncoder
from reasoning.learners.soft.naming import computed_families, name_choice, order_of, steps_tell
from reasoning.learners.soft.readout import Readout
from reasoning.learners.soft.scoring import (
    ATTRIBUTE_WEIGHTINGS,
    SCORINGS,
    attribute_weights,
    candidate_likelihoods,
    cosine,
    log_ratios,
)
from reasoning.learners.soft.selection import choose_rules, fit_prior, mixture, sample_rules
from reasoning.learners.soft.sets import SETS, Rows, read_on_sets
from reasoning.scene import AttributeKey, Scene
from vsa import Algebra, Backend
from vsa.errors import SettingsError, ShapeError, UnknownNameError

SELECTIONS = ("weighted", "sampled")
_ELEMENTS = 400_000  # spectral entries of the panels that are worked on at a time
_TIE = 1e-3  # nats by which a family is preferred to the next, so that rules which are alike rank the same everywhere
_PROGRESSES = 0.5  # similarity of a panel with its neighbours' continuation above which a row has equal steps
_STILL = 1e-4  # angle up to which a frequency tells no values apart
_GLANCE = 4  # every fourth frequency tells how rows look
_CONSTANT = 0.9  # similarity of neighbouring panels above which a row counts as constant

Weights = tuple[Tensor, ...]  # distributions of the terms over the inputs, (R, T, I) each


@dataclass(frozen=True)
class Abduced:
    """What the rules make of B puzzles with A attributes.

    Attributes:
        encoded: the panels.
        score: (B, A, R), mean similarity of each rule's predictions with the known last panels.
        choice: (B, A, R), probabilities of the rules.
        index: long (B, A), the most probable rule; of rules that are alike, the one whose family comes first.
        families: int8 (B, A), that family's code; UNKNOWN where the rule computes none of them.
        predicted: complex (B, A, rows, R, W).
        output: complex (B, A, W), the missing panel.
        evidence: (B, A, R), log of each rule's prior and likelihood; None where answers go by similarity.
        values: (A,), of how many values an attribute has one by chance; None likewise.
    """

    encoded: EncodedScene
    score: Tensor
    choice: Tensor
    index: Tensor
    families: Tensor
    predicted: Tensor
    output: Tensor
    evidence: Tensor | None
    values: Tensor | None


class SoftRules(Learner):
    """Soft formulas chosen by abduction.

    Args:
        algebra: a block code with a spectral form.
        logits: (G, R, ...), initial weights of G populations of R rules.
        fixed: whether the rules are not to be trained.
        backend: where the codebooks are stored. Default: digital, exact.
        columns: n, panels in a row; the rules belong to one n.
        selection: how rules enter an output: "weighted" by their probabilities, or "sampled" by them in training and
            the most probable one afterwards.
        temperature: of the softmax over rules.
        term_temperature: of the softmax over inputs once training is over (annealing); None: as in training.
        weighting: how attributes count in the answer: "none", "entropy" or "confidence"; "entropy" also divides
            the loss.
        scoring: what rules and candidates go by: "similarity" (cosines; attributes count by ``weighting``), or
            "likelihood": inner products of PMFs as probabilities, multiplied over rows and attributes, added over
            rules; in inference alone.
        sets: how formulas are read on sets of slots: "bound" (keys of slots, bound and unbound), also as a bundle that
            is "saturated", or as one that may be "rolled", too; see :func:`read_on_sets`.
        prior: whether rules that explain the context equally well are told apart by how often each is right about
            the third row of the training set (R more parameters).
        frequencies: how many of the block spectrum's frequencies a training step uses; None: all of them.
        octaves: from coarse to fine: training begins with the slowest 1 / 2**octaves of the frequencies, to which close
            values look alike, and ends with all; each step draws how far it is between its epoch and the next. 0: all.
        seed: of the atoms.
        grammar: names of the rules that may be at work: what formulas are named by.
    """

    named_rows: ClassVar[slice] = slice(None)  # whose predictions give a formula its name

    sparse = True

    @classmethod
    def block_length(cls, values: int, columns: int) -> int:
        return values

    def __init__(
        self,
        algebra: Algebra,
        logits: Tensor,
        *,
        fixed: bool,
        backend: Backend | None,
        columns: int,
        selection: str,
        temperature: float,
        term_temperature: float | None,
        weighting: str,
        scoring: str,
        sets: str,
        prior: bool,
        frequencies: int | None,
        octaves: float,
        seed: int,
        grammar: Sequence[str] = PUBLISHED,
    ) -> None:
        super().__init__()
        self.grammar = tuple(rule.name for rule in rules_named(grammar))
        what = type(self).__name__
        if selection not in SELECTIONS:
            raise UnknownNameError(what, name=selection, known=SELECTIONS, kind="selection")
        if weighting not in ATTRIBUTE_WEIGHTINGS:
            raise UnknownNameError(what, name=weighting, known=ATTRIBUTE_WEIGHTINGS, kind="weighting")
        if scoring not in SCORINGS:
            raise UnknownNameError(what, name=scoring, known=SCORINGS, kind="scoring")
        if sets not in SETS:
            raise UnknownNameError(what, name=sets, known=tuple(SETS), kind="reading of sets")
        if not all(0 < one < math.inf for one in (temperature, term_temperature) if one is not None):
            raise SettingsError(what, received=f"temperatures {temperature}, {term_temperature}", expected="> 0")
        if frequencies is not None and not frequencies >= 1:
            raise SettingsError(what, received=f"frequencies={frequencies}", expected="at least 1, or null for all")
        if not 0 <= octaves < math.inf:
            raise SettingsError(what, received=f"octaves={octaves}", expected="at least 0")
        self.encoder = SceneEncoder(algebra, backend, seed=seed)
        self.readout = Readout(self.encoder)
        self.columns, self.selection, self.scoring, self.sets = columns, selection, scoring, sets
        self.calibrated = scoring == "likelihood"
        self.temperature, self.term_temperature, self.weighting = temperature, term_temperature, weighting
        code = self.encoder.algebra
        weights = code.spectral_weights().repeat(code.blocks)
        self.register_buffer("spectral_weights", weights, persistent=False)
        self.frequencies = None if frequencies is None or frequencies >= len(weights) else frequencies
        self.octaves, self._octaves = octaves, (octaves, octaves)  # and of the epoch: from, to
        self.logits = nn.Parameter(logits, requires_grad=not fixed)
        # The rules in force: rows of the flattened populations. Before finish() the first population speaks.
        self.register_buffer("kept", torch.arange(logits.shape[1]))
        self.register_buffer("annealed", torch.tensor(fixed))
        self.use_prior = prior
        self.register_buffer("prior", torch.zeros(logits.shape[1]))
        self._named: tuple[Weights, Tensor] | None = None  # weights and what they compute
        self.kept: Tensor
        self.annealed: Tensor
        self.prior: Tensor
        self.spectral_weights: Tensor

    # -- what subclasses say -----------------------------------------------------------------------------------

    def distributions(self, logits: Tensor, temperature: float) -> Weights:
        """Logits (R, ...) as distributions of the terms over the inputs, (R, T, I) each."""
        raise NotImplementedError

    def predict(self, weights: Weights, spectra: Tensor) -> Tensor:
        """Last panels of all rows: complex (..., P, W), at least the context panels, to complex (..., rows, R, W)."""
        raise NotImplementedError

    def rows(self, weights: Weights) -> Rows:
        """Of each row the distributions of the terms, (R, T, I), and the panels that are its inputs."""
        raise NotImplementedError

    # -- the rules ---------------------------------------------------------------------------------------------

    def rules_in_force(self) -> Weights:
        """Distributions of the terms of the rules kept."""
        return self.distributions(self.logits.flatten(0, 1)[self.kept], self._term_temperature(bool(self.annealed)))

    def families(self, weights: Weights) -> Tensor:
        """bool (R, F): which families each rule computes; worked out anew only when the weights have changed."""
        named = self._named
        if named is None or not all(torch.equal(old, new) for old, new in zip(named[0], weights, strict=True)):
            plain = tuple(part.detach().float().cpu().clone() for part in weights)
            computed = computed_families(
                lambda spectra: self.predict(plain, spectra), self.columns, self.named_rows, self.grammar
            )
            self._named = named = (tuple(part.detach().clone() for part in weights), computed)
        return named[1]

    def rule_labels(self) -> list[str]:
        named = enumerate(self._names(), start=1)
        return [f"rule {number} ({' or '.join(names) or 'unknown'})" for number, names in named]

    def sentences(self, formulas: Sequence[str], certainty: Tensor) -> list[str]:
        """Each rule with what it computes and how sure its terms (R,) are."""
        lines = []
        for number, (formula, names, sure) in enumerate(
            zip(formulas, self._names(), certainty.tolist(), strict=True), start=1
        ):
            known = f"{' and '.join(names) or 'none of the known rules'}; terms {100 * sure:.0f} % sure"
            lines.append(f"rule {number}: {formula}   [{known}]")
        return lines

    def _names(self) -> list[list[str]]:
        """The rule families that each rule computes."""
        able = self.families(self.rules_in_force()).tolist()
        return [[name for name, yes in zip(self.grammar, row, strict=True) if yes] for row in able]

    # -- training ----------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        first, last = (self.octaves * max(0.0, 1 - now / max(1, epochs - 1)) for now in (epoch, epoch + 1))
        self._octaves = (first, last)

    def training_loss(self, scene: Scene, target: Tensor, generator: torch.Generator) -> Tensor:
        encoded, frequency_weights = self._training_frequencies(self.encode(scene), generator)
        truth = encoded.targets(target).unsqueeze(-2)  # (B, A, 3, 1, W)
        populations, rules = self.logits.shape[:2]
        predicted = self._predict(self.distributions(self.logits.flatten(0, 1), 1.0), encoded, frequency_weights)
        score = cosine(predicted, truth, frequency_weights).squeeze(-1).mean(2).unflatten(-1, (populations, rules))
        choice = torch.softmax(score / self.temperature, dim=-1)  # (B, A, G, R)
        used = choice if self.selection == "weighted" else sample_rules(choice.detach(), generator)
        output = mixture(used.unsqueeze(2), predicted.unflatten(3, (populations, rules)))  # (B, A, 3, G, W)
        loss = (1 - cosine(output, truth, frequency_weights).squeeze(-1)).mean(2)  # (B, A, G)
        if self.weighting == "entropy":
            loss = loss * attribute_weights("entropy", choice, score.amax(-1)).detach()
        return loss.sum(1).mean(0).sum()

    @torch.no_grad()
    def finish(self, scenes: Iterable[tuple[Scene, Tensor]]) -> None:
        """Keep the R rules of all populations that together explain ``scenes`` best; anneal; learn the prior."""
        weights = self.distributions(self.logits.flatten(0, 1), self._term_temperature(True))
        generator = torch.Generator().manual_seed(0)  # of the frequencies only, as in a training step
        tables = []
        for scene, target in scenes:
            encoded, frequency_weights = self._sample_frequencies(self.encode(scene), generator)
            truth = encoded.targets(target).unsqueeze(-2)
            similar = cosine(self._predict(weights, encoded, frequency_weights), truth, frequency_weights).squeeze(-1)
            tables.append(similar.flatten(0, 1))  # (B * A, 3, G * R)
        table = torch.cat(tables)
        if self.logits.shape[0] > 1:
            self.kept.copy_(choose_rules(table.mean(1), self.logits.shape[1]))
        if self.use_prior:
            kept = table[:, :, self.kept] / self.temperature
            self.prior.copy_(fit_prior(kept[:, :2].mean(1), kept[:, 2]))
        self.annealed.fill_(True)

    # -- inference ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def forward(self, scene: Scene) -> Prediction:
        prediction = join([self._solve(piece) for piece in self._pieces(scene)])
        return claim_constant(keep_possible(prediction, scene, self.grammar), scene, self.mixed, self.grammar)

    @torch.no_grad()
    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        parts = [self.decode(self.abduce(piece), piece) for piece in self._pieces(scene)]
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def _solve(self, scene: Scene) -> Prediction:
        return self.answer(self.abduce(scene))

    def answer(self, found: Abduced) -> Prediction:
        """Candidates scored by their similarity with the predicted panel."""
        agreement = cosine(found.output.unsqueeze(-2), found.encoded.candidates, self.spectral_weights).squeeze(-2)
        confidence = (found.choice * found.score).sum(-1)
        if found.evidence is None or found.values is None:
            weights = attribute_weights(self.weighting, found.choice, confidence)
            scores = (agreement * weights.unsqueeze(-1)).sum(1)
        else:
            candidates = found.encoded.candidates
            ratios = log_ratios(found.predicted[:, :, 2], candidates, self.spectral_weights, found.values)
            scores = candidate_likelihoods(found.evidence, ratios).sum(1)
        return Prediction(scores, found.encoded.keys, found.index, found.choice, agreement, confidence, found.families)

    def decode(self, found: Abduced, scene: Scene) -> dict[AttributeKey, Tensor]:
        """The predicted panel as PMFs and occupancies."""
        outputs = dict(zip(found.encoded.keys, found.output.unbind(1), strict=True))
        return {
            key: self.readout.pmf(output, scene.pmfs[key].shape[-1])
            if key in scene.pmfs
            else self.readout.occupied(output, scene.sets[key].shape[-1])
            for key, output in outputs.items()
        }

    def abduce(self, scene: Scene) -> Abduced:
        """The rules at work on some puzzles."""
        encoded, rules = self.encode(scene), self.rules_in_force()
        predicted = self._predict(rules, encoded, self.spectral_weights)  # (B, A, 3, R, W)
        known = encoded.known_targets.unsqueeze(-2)
        score = cosine(predicted[:, :, :2], known, self.spectral_weights).squeeze(-1).mean(2)  # (B, A, R)
        codes = self._codes(rules, encoded)
        order = order_of(codes, self.grammar).to(score)
        evidence = values = None
        if self.scoring == "likelihood":
            values = _values(scene, encoded.keys).to(score)
            rows = log_ratios(predicted[:, :, :2], known, self.spectral_weights, values[:, None])
            evidence = rows.squeeze(-1).sum(2) + self.prior.log_softmax(-1)
        logits = score / self.temperature + self.prior if evidence is None else evidence
        choice = torch.softmax(logits - _TIE * order, dim=-1)
        index = choice.argmax(-1)
        families = codes.gather(-1, index.unsqueeze(-1)).squeeze(-1)
        used = choice
        if self.selection == "sampled":
            used = torch.nn.functional.one_hot(index, choice.shape[-1]).to(choice)
        output = mixture(used, predicted[:, :, 2])
        return Abduced(encoded, score, choice, index, families, predicted, output, evidence, values)

    def encode(self, scene: Scene) -> EncodedScene:
        """The panels as spectra, in the precision of the rules."""
        self.check_columns(scene)
        encoded: EncodedScene = self.encoder(scene.to(self.logits.dtype))
        return encoded

    def check_columns(self, scene: Scene) -> None:
        """Refuse rows of another length than the rules'."""
        if scene.columns != self.columns:
            raise ShapeError(
                type(self).__name__,
                received=f"matrices with {scene.columns} columns",
                expected=f"{self.columns}, for which the rules were made",
                hint=f"set model.columns={scene.columns}",
            )

    # -- helpers -----------------------------------------------------------------------------------------------

    def _predict(self, weights: Weights, encoded: EncodedScene, frequency_weights: Tensor) -> Tensor:
        """Last panels of all rows, complex (B, A, rows, R, W); of sets in the reading that the complete rows tell."""
        predicted = self.predict(weights, encoded.spectra)
        if not SETS[self.sets]:
            return predicted
        parts = list(predicted.unbind(1))
        for place, occupied in enumerate(encoded.occupied, start=len(parts) - len(encoded.occupied)):
            sets = self.encoder.encode_sets(read_on_sets(self.rows(weights), occupied, SETS[self.sets]))
            sets = sets if encoded.frequencies is None else sets[..., encoded.frequencies]
            readings = torch.cat([parts[place].unsqueeze(2), sets], dim=2)  # (B, rows, N, R, W)
            score = cosine(readings[:, :2], encoded.known_targets[:, place, :, None, None], frequency_weights)
            share = torch.softmax(score.squeeze(-1).mean(1) / self.temperature, dim=1).transpose(1, 2).unsqueeze(1)
            parts[place] = mixture(share, readings.transpose(2, 3))
        return torch.stack(parts, dim=1)

    def _pieces(self, scene: Scene) -> list[Scene]:
        """Pieces of a few megabytes: large batches would spend their time in fresh memory."""
        panel = len(scene.keys) * scene.panels * len(self.spectral_weights)
        piece = max(1, _ELEMENTS // panel)
        return [scene[start : start + piece] for start in range(0, max(len(scene), 1), piece)]

    def _term_temperature(self, annealed: bool) -> float:
        return self.term_temperature if annealed and self.term_temperature is not None else 1.0

    def _training_frequencies(self, encoded: EncodedScene, generator: torch.Generator) -> tuple[EncodedScene, Tensor]:
        """Those of a step, from coarse to fine."""
        first, last = self._octaves
        between = torch.rand((), generator=generator).item() if first else 0.0
        return self._sample_frequencies(encoded, generator, first + (last - first) * between)

    def _sample_frequencies(
        self, encoded: EncodedScene, generator: torch.Generator, octaves: float = 0
    ) -> tuple[EncodedScene, Tensor]:
        """Some frequencies, drawn anew (an unbiased estimate of the inner products), and what each counts."""
        if self.frequencies is None and not octaves:
            return encoded, self.spectral_weights
        among = torch.arange(len(self.spectral_weights))
        if octaves:
            turns = self.encoder.turns()
            widest = max(math.pi * 2**-octaves, float(turns[turns > _STILL].min()))
            among = among[(turns > _STILL) & (turns <= widest)]
        chosen = among[torch.randperm(len(among), generator=generator)[: self.frequencies]].to(encoded.spectra.device)
        return encoded.at(chosen), self.spectral_weights[chosen]

    def _codes(self, rules: Weights, encoded: EncodedScene) -> Tensor:
        """int8 (B, A, R): each rule's family by what it computes and by how the complete rows look; or UNKNOWN."""
        n = encoded.columns
        rows = encoded.spectra[:, :, : 2 * n, ::_GLANCE].unflatten(2, (2, n))
        weights = self.spectral_weights[::_GLANCE]
        similar = cosine(rows[:, :, :, :1], rows[:, :, :, 1:], weights)
        constant = (similar > _CONSTANT).flatten(2).all(-1, keepdim=True)
        able = self.families(rules)
        progresses = torch.ones_like(constant)
        if steps_tell(able, self.grammar):  # otherwise steps tell nothing
            goes_on = rows[:, :, :, 1:-1].square() * rows[:, :, :, :-2].conj()
            similar = cosine(goes_on.unsqueeze(-2), rows[:, :, :, 2:].unsqueeze(-2), weights)
            progresses = (similar > _PROGRESSES).flatten(2).all(-1, keepdim=True)
        every = torch.arange(len(able), device=constant.device).expand(*constant.shape[:2], -1)
        return name_choice(able, every, constant, progresses, self.grammar)


def _values(scene: Scene, keys: Sequence[AttributeKey]) -> Tensor:
    """(A,): how many values each attribute has, and sets of slots."""
    widths = [scene.pmfs[key].shape[-1] if key in scene.pmfs else 2 ** scene.sets[key].shape[-1] - 1 for key in keys]
    return torch.tensor(widths)
