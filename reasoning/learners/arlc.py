"""ARLC: abductive rule learner with context awareness.

A handful of soft formulas, shared by all attributes and all rows, are scored on the rows whose last panel is known;
the softmax of the scores chooses among them and the chosen mixture predicts the missing panel.

Reference: Camposampiero et al., "Towards learning abductive reasoning using VSA distributed representations", 2024;
Hersche et al., "Towards learning to reason", 2025 (rows of n panels, entropy weighting).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from datasets.rules.base import PUBLISHED
from reasoning.learners.registry import LEARNERS
from reasoning.learners.soft.formula import (
    apply_coefficients,
    apply_formula,
    check_sizes,
    coefficients,
    gather_inputs,
    in_words,
    input_names,
    row_inputs,
)
from reasoning.learners.soft.programs import default_terms, program
from reasoning.learners.soft.rules import SoftRules, Weights
from reasoning.learners.soft.sets import Rows
from vsa import Algebra, Backend
from vsa.errors import SettingsError, UnknownNameError
from vsa.seeding import child_seed

MODES = ("learned", "programmed", "programmed_then_learned")
_PROGRAM_LOGIT = 3.0  # initial logit of a programmed term: likely enough to work, soft enough to learn
_PURE = 0.999  # probability above which a term is its likeliest input


@LEARNERS.register("arlc")
class ARLC(SoftRules):
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
        scoring: whether rules and candidates go by the "similarity" of vectors (as published) or by their "likelihood":
            better where PMFs are unsure (docs/own_perception.md); see :class:`SoftRules`.
        sets: how formulas are read on sets of slots: "bound" (as published), also as a bundle that is "saturated", or
            as one that may be "rolled", too; see :class:`SoftRules`.
        prior: whether rules that explain the context equally well are told apart: learned rules by how often each is
            right about the third row of the training set (R more parameters), programmed ones by simplicity (own
            panels before other rows).
        frequencies: how many of the block spectrum's frequencies a training step uses, drawn anew each step (an
            unbiased estimate of the inner products); None: all of them.
        octaves: from coarse to fine: how far below the whole spectrum training begins; see :class:`SoftRules`.
        seed: of the atoms and of the initial weights.
        grammar: names of the rules that may be at work: what is programmed, and what formulas are named by.
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
        populations: int = 4,
        temperature: float = 0.01,
        term_temperature: float = 0.01,
        weighting: str = "confidence",
        scoring: str = "similarity",
        sets: str = "bound",
        prior: bool = True,
        frequencies: int | None = 96,
        octaves: float = 0.0,
        seed: int = 0,
        grammar: Sequence[str] = PUBLISHED,
    ) -> None:
        terms = default_terms(columns) if terms is None else terms
        if mode not in MODES:
            raise UnknownNameError("ARLC", name=mode, known=MODES, kind="mode")
        check_sizes("ARLC", columns, rules, populations, terms)
        programmed = program(columns, terms, grammar) if mode != "learned" else torch.empty(0)
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
        super().__init__(
            algebra,
            logits,
            fixed=mode == "programmed",
            backend=backend,
            columns=columns,
            selection="weighted",
            temperature=temperature,
            term_temperature=term_temperature,
            weighting=weighting,
            scoring=scoring,
            sets=sets,
            prior=prior,
            frequencies=frequencies,
            octaves=octaves,
            seed=seed,
            grammar=grammar,
        )
        self.mode, self.terms = mode, terms
        if prior and mode == "programmed":
            self.prior.copy_(_simplicity(coefficients(logits[0]), columns))

    def rule_weights(self) -> Tensor:
        """(R, T, I): distributions of the terms of the rules in force over the inputs."""
        return self.rules_in_force()[0]

    def distributions(self, logits: Tensor, temperature: float) -> Weights:
        return (torch.softmax(logits / temperature, dim=-1),)

    def predict(self, weights: Weights, spectra: Tensor) -> Tensor:
        (shared,) = weights
        if not shared.requires_grad and bool((shared.amax(-1) > _PURE).all()):
            return apply_coefficients(coefficients(shared), spectra, self.columns)
        return apply_formula(shared, gather_inputs(spectra, self.columns))

    def rows(self, weights: Weights) -> Rows:
        return [(weights[0], panels) for panels in row_inputs(self.columns)]

    def describe(self) -> list[str]:
        weights = self.rule_weights().detach()
        words = in_words(coefficients(weights), input_names(self.columns))
        return self.sentences([f"x{self.columns} = {sentence}" for sentence in words], weights.amax(-1).mean(-1))


def _simplicity(chosen: Tensor, columns: int) -> Tensor:
    """(R, I) coefficients -> (R,) log weights: 4 nats for needing other rows, 1 for leaving out an own panel."""
    own, others = chosen[:, : columns - 1], chosen[:, columns - 1 :]
    return -4.0 * (others != 0).any(-1) - 1.0 * (own == 0).any(-1)
