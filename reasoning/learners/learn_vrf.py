"""Learn-VRF: rule formulations learned as binding and unbinding of the other panels.

Each rule is a formula for the last panel of each row: three terms bound together, unbound by three others, each a
mixture of all other panels shown and of the identity. Every row has a formula of its own, and how well those of the
complete rows predict their last panels tells which rule is at work.

Reference: Hersche et al., "Probabilistic abduction for visual abstract reasoning via learning rules in vector-symbolic
architectures", MATH-AI at NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from datasets.panels import ROWS
from datasets.rules.base import PUBLISHED
from reasoning.learners.base import Prediction
from reasoning.learners.registry import LEARNERS
from reasoning.learners.soft.encoder import EncodedScene
from reasoning.learners.soft.formula import apply_formula, bind_panels, check_sizes, coefficients, in_words
from reasoning.learners.soft.programs import default_terms
from reasoning.learners.soft.rules import Abduced, SoftRules, Weights
from reasoning.learners.soft.sets import Rows
from reasoning.learners.soft.superposed import governed, read_parts, superpose, superposed, with_numbers
from reasoning.scene import AttributeKey, Scene
from vsa import Algebra, Backend
from vsa.errors import SettingsError, UnknownNameError
from vsa.seeding import child_seed

GRIDS = ("superposed", "separate")
_PURE = 0.999  # probability above which a term is its likeliest input


def default_vrf_terms(columns: int) -> int:
    """Terms per formula: 6 at n = 3, as published; beyond as many as ARLC has."""
    return 6 if columns == 3 else default_terms(columns)


def panel_inputs(columns: int) -> tuple[tuple[int, ...], ...]:
    """For each row the context panels that its last panel is a formula of: all but itself.

    Args:
        columns: n, panels in a row.

    Returns:
        Three tuples of indices: 3n - 2 for the first two rows, 3n - 1 for the last.
    """
    context = range(ROWS * columns - 1)
    return tuple(tuple(p for p in context if p != columns * (row + 1) - 1) for row in range(ROWS))


@LEARNERS.register("learn_vrf")
class LearnVRF(SoftRules):
    """A formula per row and rule over all other panels.

    Args:
        algebra: a block code with a spectral form.
        backend: where the codebooks are stored. Default: digital, exact.
        columns: n, panels in a row; the rules belong to one n.
        rules: R, rules kept, shared by all attributes.
        terms: T, terms per formula, half of them bound, half unbound (default: 6 at n = 3, as published).
        populations: G, independent sets of R rules trained side by side, of which the best R are kept; 1 as published.
        grids: Number and Position of a grid as one attribute, each bound with a key and averaged ("superposed", as
            published; Number n is then the atom of n - 1) or as two ("separate"). A superposition has to find the PMF
            that is Number by its name: the published method knows it. The released code compares its formulas for the
            superposition with plain Position vectors, which no formula can reach; here both sides are superposed.
        selection: "sampled" (published) or "weighted" (the published alternative): see :class:`SoftRules`.
        temperature: of the softmax over rules.
        term_temperature: of the softmax over inputs once training is over; None: no annealing, as published.
        weighting: how attributes count in the answer: "none" (published), "entropy" or "confidence".
        scoring: whether rules and candidates go by the "similarity" of vectors (as published) or by their "likelihood":
            better where PMFs are unsure (docs/own_perception.md); see :class:`SoftRules`.
        sets: how formulas are read on sets of slots: "bound" (as published), also as a bundle that is "saturated", or
            as one that may be "rolled", too; see :class:`SoftRules`.
        prior: whether rules that explain the context equally well are told apart by how often each is right about the
            missing panels of the training set (R more parameters); False as published.
        frequencies: how many of the block spectrum's frequencies a training step uses, drawn anew each step; None: all.
        octaves: from coarse to fine: how far below the whole spectrum training begins; see :class:`SoftRules`.
        seed: of the atoms and of the initial weights.
        grammar: names of the rules that may be at work: what formulas are named by.
    """

    named_rows: ClassVar[slice] = slice(ROWS - 1, ROWS)

    def __init__(
        self,
        algebra: Algebra,
        *,
        backend: Backend | None = None,
        columns: int = 3,
        rules: int = 5,
        terms: int | None = None,
        populations: int = 4,
        grids: str = "separate",
        selection: str = "weighted",
        temperature: float = 0.01,
        term_temperature: float | None = 0.01,
        weighting: str = "confidence",
        scoring: str = "similarity",
        sets: str = "bound",
        prior: bool = True,
        frequencies: int | None = 96,
        octaves: float = 0.0,
        seed: int = 0,
        grammar: Sequence[str] = PUBLISHED,
    ) -> None:
        terms = default_vrf_terms(columns) if terms is None else terms
        if grids not in GRIDS:
            raise UnknownNameError("LearnVRF", name=grids, known=GRIDS, kind="form of grids")
        if grids == "superposed" and sets != "bound":
            raise SettingsError("LearnVRF", received=f"sets={sets} grids=superposed", expected="grids=separate")
        check_sizes("LearnVRF", columns, rules, populations, terms)
        generator = torch.Generator().manual_seed(child_seed(seed, "learn_vrf", "initial weights"))
        weights = terms * sum(len(panels) + 1 for panels in panel_inputs(columns))
        super().__init__(
            algebra,
            torch.randn((populations, rules, weights), generator=generator),
            fixed=False,
            backend=backend,
            columns=columns,
            selection=selection,
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
        self.terms, self.grids = terms, grids
        self.calibrated = self.calibrated and grids == "separate"  # of a superposition no likelihoods are known

    # -- the rules ---------------------------------------------------------------------------------------------

    def distributions(self, logits: Tensor, temperature: float) -> Weights:
        sizes = [len(panels) + 1 for panels in panel_inputs(self.columns)]
        parts = logits.split([self.terms * size for size in sizes], dim=-1)
        return tuple(
            torch.softmax(part.unflatten(-1, (self.terms, size)) / temperature, dim=-1)
            for part, size in zip(parts, sizes, strict=True)
        )

    def predict(self, weights: Weights, spectra: Tensor) -> Tensor:
        inputs = panel_inputs(self.columns)
        if not any(part.requires_grad or bool((part.amax(-1) <= _PURE).any()) for part in weights):
            outputs = spectra.new_empty((*spectra.shape[:-2], ROWS, len(weights[0]), spectra.shape[-1]))
            for row, (part, panels) in enumerate(zip(weights, inputs, strict=True)):
                bind_panels(coefficients(part)[:, :-1], spectra, panels, outputs[..., row, :, :])
            return outputs
        whole = torch.cat([spectra, torch.ones_like(spectra[..., :1, :])], dim=-2)
        rows = [apply_formula(part, whole[..., [*p, -1], :]) for part, p in zip(weights, inputs, strict=True)]
        return torch.stack(rows, dim=-3)

    def rows(self, weights: Weights) -> Rows:
        return list(zip(weights, panel_inputs(self.columns), strict=True))

    def describe(self) -> list[str]:
        weights = tuple(part.detach() for part in self.rules_in_force())
        rows = []
        for row, (part, panels) in enumerate(zip(weights, panel_inputs(self.columns), strict=True), start=1):
            names = [*(f"a{panel + 1}" for panel in panels), "e"]
            rows.append([f"a{row * self.columns} = {words}" for words in in_words(coefficients(part), names)])
        certainty = torch.stack([part.amax(-1).mean(-1) for part in weights]).mean(0)
        return self.sentences([", ".join(formulas) for formulas in zip(*rows, strict=True)], certainty)

    # -- grids -------------------------------------------------------------------------------------------------

    def encode(self, scene: Scene) -> EncodedScene:
        self.check_columns(scene)
        return (
            superpose(self.encoder, scene.to(self.logits.dtype)) if self._superposes(scene) else super().encode(scene)
        )

    def _solve(self, scene: Scene) -> Prediction:
        found = self.abduce(scene)
        prediction = self.answer(found)
        if not self._superposes(scene):
            return prediction
        kinds = {}
        puzzles = torch.arange(len(scene), device=scene.device)
        for position in superposed(scene):
            column = prediction.keys.index(position)
            predicted = found.predicted[puzzles, column, :2, found.index[:, column]]
            kinds[position] = governed(self.encoder, predicted, position, scene, self.spectral_weights)
        return with_numbers(prediction, scene, kinds)

    def decode(self, found: Abduced, scene: Scene) -> dict[AttributeKey, Tensor]:
        result = super().decode(found, scene)
        if self._superposes(scene):
            for position, number in superposed(scene).items():
                output = found.output[:, found.encoded.keys.index(position)]
                result[position], result[number] = read_parts(self.readout, output, position, scene)
        return result

    def _superposes(self, scene: Scene) -> bool:
        return self.grids == "superposed" and bool(superposed(scene))
