"""The symbolic reference: exhaustive Bayesian abduction over the rules of the grammar, with the generator's priors.

It knows what the other learners must find out: which rules exist, which attributes they may govern, the values that a
component may have (``Scene.ranges``), and how the generator draws. What it computes is exact where a panel shows single
entities, PMFs included, and in grids whose slots are certain: the PMFs of their entities are summed, too. Two things
are approximated. Entities that a Distribute Three on Position makes change places are matched panel by panel and
attribute by attribute. And where slots are uncertain (one by more than a hundredth), what the attributes and the slots'
own rule say of the slots of the context is passed on slot by slot (``grammar/occupancy.py``); the last panel is then
summed over all sets. Candidates are judged each for itself: that they share values is not used, so that its confidence
in one of a set that was grown from the answer is too high where much is uncertain.

Reference: Zhang et al. 2019, "RAVEN" (the grammar); Zhang et al. 2021, "Abstract spatial-temporal reasoning via
probabilistic abduction and execution" (the idea of abduction over PMFs).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from datasets.arrays import BOTH, NUMBER, POSITION, UNKNOWN
from datasets.rules.base import PUBLISHED, rules_named
from reasoning.learners.base import Learner, Prediction, join
from reasoning.learners.grammar.evidence import TINY, UNSEEN, Evidence, attribute_evidence, is_few, place_of
from reasoning.learners.grammar.grids import Grid, expected_of, grid_of
from reasoning.learners.grammar.sharp import sharpened
from reasoning.learners.grammar.values import Hypothesis
from reasoning.learners.registry import LEARNERS
from reasoning.scene import CANDIDATES, AttributeKey, Scene
from vsa.errors import SettingsError

_ELEMENTS = 3_000_000  # of float64 that a piece of a batch may take at a time
_FEW_KERNELS = 10  # kernels of rules, where panels show few values

Found = TypeVar("Found")


def _plainly(method: Callable[[Symbolic, Scene], Found]) -> Callable[[Symbolic, Scene], Found]:
    """No gradient is kept, yet derivatives are taken on the way: of plain tensors, in inference mode too."""

    @functools.wraps(method)
    def call(self: Symbolic, scene: Scene) -> Found:
        with torch.inference_mode(False), torch.no_grad():
            parts = (scene.pmfs, scene.sets, scene.entities)
            made = any(value.is_inference() for part in parts for value in part.values())
            return method(self, scene[torch.arange(len(scene), device=scene.device)] if made else scene)

    return call


@LEARNERS.register("symbolic")
class Symbolic(Learner):
    """Exact inference over rule hypotheses.

    Args:
        noise: prior probability that no rule governs an attribute. It also bounds how much one attribute can say
            against a candidate.
        grammar: names of the rules that may be at work.
        sharpen: take the likeliest value of every attribute for certain before anything else: the plain solver beside
            which uncertain puzzles are to be judged.
    """

    learns = False
    teaches = False
    mixed = "missing"
    entities = True
    sparse = True

    def __init__(self, *, noise: float = 1e-3, sharpen: bool = False, grammar: Sequence[str] = PUBLISHED) -> None:
        super().__init__()
        if not 0 < noise < 1:
            raise SettingsError("Symbolic", received=f"noise={noise}", expected="between 0 and 1")
        self.noise, self.sharpen = noise, sharpen
        self.calibrated = not sharpen  # what is taken for certain is not as probable as that
        rules = rules_named(grammar)
        self.grammar = tuple(rule.name for rule in rules)
        every = [(place, rule, parameter) for place, rule in enumerate(rules) for parameter in rule.parameters]
        self._labels = [str(Hypothesis(rule.name, rule.code, parameter, 0)) for _, rule, parameter in every]
        self._places = torch.tensor([place for place, _, _ in every])  # of the rules in the grammar
        self._codes = torch.tensor([rule.code for rule in rules], dtype=torch.int8)

    def describe(self) -> list[str]:
        return [*self._labels, "no rule"]

    def rule_labels(self) -> list[str]:
        return self.describe()

    @_plainly
    def forward(self, scene: Scene) -> Prediction:
        parts = [self._solve(piece) for piece in self._pieces(scene)]
        return parts[0] if len(parts) == 1 else join(parts)

    @_plainly
    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        parts = [self._expect(piece) for piece in self._pieces(scene)]
        return {key: torch.cat([part[key] for part in parts]) for key in scene.keys}

    def _pieces(self, scene: Scene) -> Iterator[Scene]:
        """The scene in parts that fit into a few tens of megabytes."""
        scene = sharpened(scene.with_entities()) if self.sharpen else scene.with_entities()
        sizes = [pmf[0].numel() for pmf in scene.entities.values()]
        for key, pmf in scene.pmfs.items():
            few = is_few(scene, key, self.grammar)
            sizes.append(_FEW_KERNELS * pmf.shape[-1] if few else math.prod(pmf.shape[1:]))
        widest = max(sizes)
        if scene.sets:  # permanents of all pairs of panels
            slots = max(value.shape[-1] for value in scene.sets.values())
            widest = max(widest, 13 * slots * 2**slots)
        piece = max(1, _ELEMENTS // widest)
        return (scene[start : start + piece] for start in range(0, max(len(scene), 1), piece))

    @_plainly
    def context_evidence(self, scene: Scene) -> list[tuple[tuple[AttributeKey, ...], Tensor]]:
        """How much likelier the rules make the context panels than chance does; the candidates are not looked at.

        Args:
            scene: B puzzles.

        Returns:
            Attributes that are judged together (all of a grid, single ones elsewhere) with (B,) log likelihood ratios.
        """
        found: list[tuple[tuple[AttributeKey, ...], list[Tensor]]] = []
        for piece in self._pieces(scene):
            parts: list[tuple[tuple[AttributeKey, ...], Tensor]] = []
            for component in sorted({key.component for key in scene.keys}):
                place = place_of(piece, component)
                keys = tuple(key for key in piece.keys if key.component == component)
                if place is not None:
                    parts.append((keys, self._grid(piece, place).evidence))
                    continue
                parts += [((key,), self._evidence(piece, key).total[:, 0, UNSEEN]) for key in keys]
            found = found or [(keys, []) for keys, _ in parts]
            for (_, values), (_, value) in zip(found, parts, strict=True):
                values.append(value)
        return [(keys, torch.cat(values)) for keys, values in found]

    # -- one piece of a batch ----------------------------------------------------------------------------------

    def _solve(self, scene: Scene) -> Prediction:
        scores = torch.zeros(len(scene), CANDIDATES, dtype=torch.float64, device=scene.device)
        weights: dict[AttributeKey, Tensor] = {}
        agreement: dict[AttributeKey, Tensor] = {}
        governed = []
        for component in sorted({key.component for key in scene.keys}):
            place = place_of(scene, component)
            if place is not None:
                grid = self._grid(scene, place)
                scores += grid.scores
                governed.append(self._explain_grid(scene, place, grid, weights, agreement))
                continue
            for key in (key for key in scene.pmfs if key.component == component):
                found = self._evidence(scene, key)
                ratio = found.total[:, 0, :UNSEEN] - found.total[:, 0, UNSEEN:]
                scores += ratio
                agreement[key] = torch.sigmoid(ratio)
                weights[key] = self._spread(found.rules, torch.softmax(found.log[:, 0, :, UNSEEN], dim=1))
            governed.append(torch.zeros(len(scene), dtype=torch.int8, device=scene.device))
        rule_weights = torch.stack([weights[key] for key in scene.keys], dim=1)
        return Prediction(
            scores=scores.float(),
            keys=scene.keys,
            rule_index=rule_weights.argmax(-1),
            rule_weights=rule_weights.float(),
            agreement=torch.stack([agreement[key].float() for key in scene.keys], dim=1),
            confidence=1 - rule_weights[..., -1].float(),
            families=self._families(rule_weights),
            governed=torch.stack(governed, dim=1),
        )

    def _explain_grid(
        self,
        scene: Scene,
        place: AttributeKey,
        grid: Grid,
        weights: dict[AttributeKey, Tensor],
        agreement: dict[AttributeKey, Tensor],
    ) -> Tensor:
        """Fill in weights and agreement of a grid's attributes; int8 (B,): what its first rule governs."""
        for key, rules in grid.rules.items():
            weights[key] = self._spread(rules, grid.weights[key])
            agreement[key] = torch.sigmoid(grid.ratios[key])
        governed = _governed(grid)
        what = torch.tensor([governor.governed for governor in grid.which], device=scene.device)
        likely = torch.sigmoid(grid.likely)
        for key, code in ((AttributeKey(place.component, "Number"), NUMBER), (place, POSITION)):
            mine = (what == BOTH) | (what == code)
            part = torch.where(mine, grid.posterior, torch.zeros_like(grid.posterior))
            part = part / part.sum(1, keepdim=True).clamp_min(TINY)
            weights[key] = self._spread([governor.hypothesis for governor in grid.which], part)
            says = ((governed == code) | (governed == BOTH)).unsqueeze(1)
            agreement[key] = torch.where(says, likely, torch.full_like(likely, 0.5))
        return governed

    def _expect(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        result: dict[AttributeKey, Tensor] = {}
        for place, occupied in scene.sets.items():
            expected = expected_of(scene, place, self.noise, self.grammar)
            result[place] = expected.slots.to(occupied)
            result[AttributeKey(place.component, "Number")] = expected.number.to(occupied)
            result.update({key: value.to(occupied) for key, value in expected.values.items()})
        for key, pmf in scene.pmfs.items():
            if key not in result:
                found = self._evidence(scene, key)
                result[key] = (found.kernels[:, 0] / found.unseen).to(pmf.dtype)
        return result

    # -- evidence ----------------------------------------------------------------------------------------------

    def _grid(self, scene: Scene, place: AttributeKey) -> Grid:
        return grid_of(scene, place, self.noise, self.grammar)

    def _evidence(self, scene: Scene, key: AttributeKey) -> Evidence:
        return attribute_evidence(scene, key, self.noise, self.grammar)

    # -- names -------------------------------------------------------------------------------------------------

    def _spread(self, rules: Sequence[Hypothesis], probabilities: Tensor) -> Tensor:
        """(B, H) or (B, H + 1) -> (B, R), columns as in ``rule_labels``; what no rule explains stands last."""
        columns = [self._labels.index(str(rule)) if rule.code != UNKNOWN else len(self._labels) for rule in rules]
        columns += [len(self._labels)] * (probabilities.shape[1] - len(columns))
        result = probabilities.new_zeros((len(probabilities), len(self._labels) + 1))
        return result.index_add_(1, torch.tensor(columns, device=probabilities.device), probabilities)

    def _families(self, rule_weights: Tensor) -> Tensor:
        """int8 (B, A): the likeliest family, parameters added up; UNKNOWN for no rule."""
        sums = rule_weights.new_zeros((*rule_weights.shape[:-1], len(self._codes)))
        sums.index_add_(-1, self._places.to(sums.device), rule_weights[..., :-1])
        best, place = sums.max(-1)
        family = self._codes.to(sums.device)[place]
        return torch.where(best > rule_weights[..., -1], family, torch.full_like(family, UNKNOWN))


def _governed(grid: Grid) -> Tensor:
    """int8 (B,): what the likeliest family on Number and Position governs, parameters added up."""
    families = sorted({(governor.governed, governor.hypothesis.code) for governor in grid.which})
    place = [families.index((governor.governed, governor.hypothesis.code)) for governor in grid.which]
    sums = grid.posterior.new_zeros((len(grid.posterior), len(families)))
    sums.index_add_(1, torch.tensor(place, device=sums.device), grid.posterior)
    codes = torch.tensor([code for code, _ in families], dtype=torch.int8, device=sums.device)
    return codes[sums.argmax(1)]
