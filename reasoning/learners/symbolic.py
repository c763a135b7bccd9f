"""The symbolic reference: exhaustive Bayesian abduction over the rules of the grammar, with the generator's priors.

It knows what the other learners must find out: which rules exist, which attributes they may govern and how the
generator draws. What it computes is exact where a panel shows single entities, PMFs included. In grids it is exact as
far as it is certain which slots are occupied; the entities' own PMFs are summed exactly.

Reference: Zhang et al. 2019, "RAVEN" (the grammar); Zhang et al. 2021, "Abstract spatial-temporal reasoning via
probabilistic abduction and execution" (the idea of abduction over PMFs).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.arrays import BOTH, NUMBER, POSITION, UNKNOWN
from datasets.attributes import ATTRIBUTES, UNIFORMITY_LEVELS
from datasets.rules.base import PUBLISHED, RULES, rules_named
from reasoning.learners.base import Learner, Prediction, join
from reasoning.learners.grammar.entities import alike, kept, permuted, slot_ratios
from reasoning.learners.grammar.few import few_evidence, takes_few
from reasoning.learners.grammar.governors import (
    Governor,
    expected_number,
    expected_slots,
    governor_evidence,
    governors,
    shown_and_candidates,
)
from reasoning.learners.grammar.sharp import sharpened
from reasoning.learners.grammar.values import Hypothesis, ValueRange, hypotheses, value_kernels
from reasoning.learners.registry import LEARNERS
from reasoning.scene import CANDIDATES, AttributeKey, Scene
from reasoning.sparse import PMF, SparsePMF, dense
from vsa.errors import SettingsError

_ELEMENTS = 1_000_000  # of float64 that a piece of a batch may take at a time
_FEW_KERNELS = 10  # kernels of rules, where panels show few values
_ROUNDING = 1e-6  # of a sum of probabilities in single precision
_TINY = 1e-300
_UNSEEN = CANDIDATES  # a ninth candidate, which is not seen: evidence of the context alone


@dataclass(frozen=True)
class _Evidence:
    """About one attribute: for each of Q ways in which entities may behave, H rules and "no rule"."""

    rules: tuple[Hypothesis, ...]
    log: Tensor  # (B, Q, H + 1, 9): log likelihood ratio, priors included
    kernel: Tensor  # (B, V): evidence for each value of the missing panel, if it has one value by a rule
    unseen: Tensor  # (B, Q): evidence of the context alone; the kernel's scale is that of this
    differ: Tensor  # (B, Q): the part of it under which the entities differ and stay the same along a row

    @property
    def total(self) -> Tensor:
        """(B, Q, 9): rules added up."""
        return torch.logsumexp(self.log, dim=2)


@dataclass(frozen=True)
class _Grid:
    """What is known about the positions of a grid, and about its attributes under each governor."""

    which: tuple[Governor, ...]
    log: Tensor  # (B, G, 9): of the positions alone
    way: Tensor  # long (G,): how entities behave, as an index into the Q of the attributes' evidence
    attributes: dict[AttributeKey, _Evidence]
    joint: Tensor  # (B, G, 9): of positions and attributes
    posterior: Tensor  # (B, G), from the context alone


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

    @torch.no_grad()
    def forward(self, scene: Scene) -> Prediction:
        parts = [self._solve(piece) for piece in self._pieces(scene)]
        return parts[0] if len(parts) == 1 else join(parts)

    @torch.no_grad()
    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        parts = [self._expect(piece) for piece in self._pieces(scene)]
        return {key: torch.cat([part[key] for part in parts]) for key in scene.keys}

    def _pieces(self, scene: Scene) -> Iterator[Scene]:
        """The scene in parts that fit into a few tens of megabytes."""
        scene = sharpened(scene.with_entities()) if self.sharpen else scene.with_entities()
        sizes = [pmf[0].numel() for pmf in scene.entities.values()]
        for key, pmf in scene.pmfs.items():
            few = isinstance(pmf, SparsePMF) and self._is_few(key, scene)
            sizes.append(_FEW_KERNELS * pmf.shape[-1] if few else math.prod(pmf.shape[1:]))
        widest = max(sizes)
        if scene.sets:  # permanents of all pairs of panels
            slots = max(value.shape[-1] for value in scene.sets.values())
            widest = max(widest, 13 * slots * 2**slots)
        piece = max(1, _ELEMENTS // widest)
        return (scene[start : start + piece] for start in range(0, max(len(scene), 1), piece))

    @torch.no_grad()
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
                place = _place(piece, component)
                keys = tuple(key for key in piece.keys if key.component == component)
                if place is not None:
                    parts.append((keys, torch.logsumexp(self._grid(piece, place).joint[..., _UNSEEN], dim=1)))
                    continue
                parts += [((key,), self._evidence(piece, key).total[:, 0, _UNSEEN]) for key in keys]
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
            place = _place(scene, component)
            if place is not None:
                grid = self._grid(scene, place)
                total = torch.logsumexp(grid.joint, dim=1)
                scores += total[:, :_UNSEEN] - total[:, _UNSEEN:]
                governed.append(self._explain_grid(scene, place, grid, weights, agreement))
                continue
            for key in (key for key in scene.pmfs if key.component == component):
                found = self._evidence(scene, key)
                ratio = found.total[:, 0, :_UNSEEN] - found.total[:, 0, _UNSEEN:]
                scores += ratio
                agreement[key] = torch.sigmoid(ratio)
                weights[key] = self._spread(found.rules, torch.softmax(found.log[:, 0, :, _UNSEEN], dim=1))
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
        grid: _Grid,
        weights: dict[AttributeKey, Tensor],
        agreement: dict[AttributeKey, Tensor],
    ) -> Tensor:
        """Fill in weights and agreement of a grid's attributes; int8 (B,): what its first rule governs."""
        rows = torch.arange(len(scene), device=scene.device)
        best = grid.posterior.argmax(1)
        for key, found in grid.attributes.items():
            chosen = grid.way[best]
            weights[key] = self._spread(found.rules, torch.softmax(found.log[rows, chosen, :, _UNSEEN], dim=1))
            total = found.total[rows, chosen]
            agreement[key] = torch.sigmoid(total[:, :_UNSEEN] - total[:, _UNSEEN:])
        governed = _governed(grid)
        what = torch.tensor([governor.governed for governor in grid.which], device=scene.device)
        log = grid.log[rows, best]
        slots = scene.sets[place].shape[-1]
        likely = torch.sigmoid(log[:, :_UNSEEN] - log[:, _UNSEEN:] + slots * math.log(2))  # against any set
        for key, code in ((AttributeKey(place.component, "Number"), NUMBER), (place, POSITION)):
            mine = (what == BOTH) | (what == code)
            part = torch.where(mine, grid.posterior, torch.zeros_like(grid.posterior))
            part = part / part.sum(1, keepdim=True).clamp_min(_TINY)
            weights[key] = self._spread([governor.hypothesis for governor in grid.which], part)
            says = ((governed == code) | (governed == BOTH)).unsqueeze(1)
            agreement[key] = torch.where(says, likely, torch.full_like(likely, 0.5))
        return governed

    def _expect(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        result: dict[AttributeKey, Tensor] = {}
        for place, occupied in scene.sets.items():
            grid = self._grid(scene, place)
            shown, _ = shown_and_candidates(occupied, scene.context_panels)
            result[place] = expected_slots(grid.which, grid.posterior, shown).to(occupied)
            number = AttributeKey(place.component, "Number")
            result[number] = expected_number(grid.which, grid.posterior, shown).to(occupied)
            last = scene.context_panels - 1
            for key, found in grid.attributes.items():
                by_rule = (grid.posterior / found.unseen[:, grid.way]).sum(1, keepdim=True)
                as_before = (grid.posterior * (found.differ / found.unseen)[:, grid.way]).sum(1, keepdim=True)
                here = occupied[:, last, :, None].double()
                same = (1 - here + here * scene.entities[key][:, last].double()).prod(1)  # of the panel before
                result[key] = (found.kernel * by_rule + as_before * same).to(occupied)
        for key, pmf in scene.pmfs.items():
            if key not in result:
                found = self._evidence(scene, key)
                result[key] = (found.kernel / found.unseen).to(pmf.dtype)
        return result

    # -- evidence ----------------------------------------------------------------------------------------------

    def _grid(self, scene: Scene, place: AttributeKey) -> _Grid:
        which = governors(scene.sets[place].shape[-1], self.noise, self.grammar)
        log = governor_evidence(which, *shown_and_candidates(scene.sets[place], scene.context_panels))
        ways = sorted({governor.entities for governor in which})
        way = torch.tensor([ways.index(governor.entities) for governor in which], device=scene.device)
        keys = [key for key in scene.entities if key.component == place.component]
        attributes = {key: self._evidence(scene, key, place, ways) for key in keys}
        joint = log
        for found in attributes.values():
            joint = joint + found.total[:, way]
        return _Grid(which, log, way, attributes, joint, torch.softmax(joint[..., _UNSEEN], dim=1))

    def _evidence(
        self, scene: Scene, key: AttributeKey, place: AttributeKey | None = None, ways: Sequence[str] = ("new",)
    ) -> _Evidence:
        """Evidence about one attribute; in a grid, for each of the ways in which its entities may behave."""
        limits, rules = self._rules(key, scene)
        prior = torch.tensor([rule.prior for rule in rules], dtype=torch.float64, device=scene.device)
        context = scene.context_panels
        shown = scene.pmfs[key]
        if place is None and isinstance(shown, SparsePMF) and self._is_few(key, scene):
            return self._few_evidence(shown.double(), scene, limits, rules, prior)
        pmf, ratios = dense(shown), None
        if place is None:
            panels = limits.size * pmf[..., limits.low : limits.high + 1].double()
            panels = panels + _missing(pmf)  # mass that says nothing
        else:
            ratios = slot_ratios(scene.sets[place], scene.entities[key], limits.low, limits.high)
            panels = alike(ratios)
        kernels = value_kernels(panels[:, :context], scene.columns, limits, rules)  # (B, H, W)
        seen = torch.cat([panels[:, context:], torch.ones_like(panels[:, :1])], dim=1)
        evidence = (kernels @ seen.transpose(1, 2)).clamp_min(0)  # (B, H, 9)
        stack = evidence.unsqueeze(1).repeat(1, len(ways), 1, 1)
        share = prior
        differ = torch.zeros_like(stack[:, :, 0, 0])
        wrong = seen.mean(-1).clamp_min(_TINY)  # what is seen of a candidate if its value is a random one
        keeping = [index for index, rule in enumerate(rules) if RULES.get(rule.rule).keeps_values]
        if place is not None and ratios is not None:
            # A wrong panel may show one value or several; else panels with many entities would look better.
            wrong = 0.5 + 0.5 * wrong
        if keeping and place is not None and ratios is not None:
            uniform = 1 / UNIFORMITY_LEVELS
            for number, entities in enumerate(ways):
                free = _free_entities(scene.sets[place], ratios, entities, context)
                for keeps in keeping:
                    stack[:, number, keeps] = uniform * evidence[:, keeps] + (1 - uniform) * free
                if entities != "new":
                    differ[:, number] = (1 - uniform) * prior[keeping].sum() * free[:, _UNSEEN]
            share = prior.clone()
            share[keeping] *= uniform
        log = (stack / wrong[:, None, None]).clamp_min(_TINY).log() + prior.log()[:, None] + math.log1p(-self.noise)
        nothing = torch.full_like(log[:, :, :1], math.log(self.noise))
        unseen = stack[..., _UNSEEN] @ prior + self.noise
        kernel = torch.zeros(pmf[:, 0].shape, dtype=torch.float64, device=scene.device)
        kernel[:, limits.low : limits.high + 1] = (kernels * share.unsqueeze(-1)).sum(1)
        return _Evidence(rules, torch.cat([log, nothing], dim=2), kernel, unseen, differ)

    def _rules(self, key: AttributeKey, scene: Scene) -> tuple[ValueRange, tuple[Hypothesis, ...]]:
        limits = _limits(key, scene.pmfs[key].shape[-1])
        governed = key.name if key.name in ATTRIBUTES else None
        return limits, hypotheses(governed, limits, scene.columns, self.grammar)

    def _is_few(self, key: AttributeKey, scene: Scene) -> bool:
        """Whether the evidence about an attribute is summed over the few values that panels show."""
        pmf = scene.pmfs[key]
        fits = isinstance(pmf, SparsePMF) and takes_few(pmf, scene.columns, *self._rules(key, scene))
        return fits and not bool(_missing(pmf).any())

    def _few_evidence(
        self, pmf: SparsePMF, scene: Scene, limits: ValueRange, rules: tuple[Hypothesis, ...], prior: Tensor
    ) -> _Evidence:
        """As :meth:`_evidence`, of a component without slots."""
        log, kernels, scale = few_evidence(pmf, scene.columns, limits, rules)
        log = log.clamp_min(math.log(_TINY)) + prior.log()[:, None] + math.log1p(-self.noise)
        nothing = torch.full_like(log[:, :1], math.log(self.noise))
        unseen = (kernels.sum(-1) @ prior + self.noise * (-scale).exp()).unsqueeze(1)
        kernel = (kernels * prior.unsqueeze(-1)).sum(1)
        log = torch.cat([log, nothing], dim=1).unsqueeze(1)
        return _Evidence(rules, log, kernel, unseen, torch.zeros_like(unseen))

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


def _missing(pmf: PMF) -> Tensor:
    """(..., 1): the mass that a PMF lacks, rounding aside: that rounds off is no evidence for what it excludes."""
    missing = 1 - pmf.double().sum(-1, keepdim=True)
    return torch.where(missing > _ROUNDING, missing, 0.0)


def _place(scene: Scene, component: int) -> AttributeKey | None:
    """The set of slots of a grid; None where a component shows single entities."""
    return next((key for key in scene.sets if key.component == component), None)


def _limits(key: AttributeKey, values: int) -> ValueRange:
    """RAVEN's attributes by name and size of their axis; anything else counts from zero."""
    known = ATTRIBUTES.get(key.name)
    if known is None or values != known.high + known.offset + 1:
        return ValueRange(0, values - 1, split=True)
    low = known.low + known.offset
    return ValueRange(low, known.high + known.offset, white=low == 0)


def _free_entities(occupied: Tensor, ratios: Tensor, entities: str, context: int) -> Tensor:
    """(B, 9): evidence for a rule that keeps the values of entities, in a grid whose entities differ."""
    shown = torch.cat([ratios[:, context:], torch.ones_like(ratios[:, :1])], dim=1)
    if entities == "new":
        return torch.ones_like(shown[:, :, 0, 0])
    if entities == "permuted":
        places = torch.cat([occupied, occupied[:, :1]], dim=1)
        return permuted(places, torch.cat([ratios[:, :context], shown], dim=1), CANDIDATES)
    return kept(ratios[:, :context], shown, int(entities.removeprefix("kept")))


def _governed(grid: _Grid) -> Tensor:
    """int8 (B,): what the likeliest family on Number and Position governs, parameters added up."""
    families = sorted({(governor.governed, governor.hypothesis.code) for governor in grid.which})
    place = [families.index((governor.governed, governor.hypothesis.code)) for governor in grid.which]
    sums = grid.posterior.new_zeros((len(grid.posterior), len(families)))
    sums.index_add_(1, torch.tensor(place, device=sums.device), grid.posterior)
    codes = torch.tensor([code for code, _ in families], dtype=torch.int8, device=sums.device)
    return codes[sums.argmax(1)]
