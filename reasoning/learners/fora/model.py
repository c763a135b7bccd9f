"""FORA: formulas over roles, abduced.

A page of formulas says what a panel is in terms of the panels beside and above it. One formula is read in four ways: over
values and numbers, over sets of slots, over bundles of entities, over layouts of entities in slots. How well each reading
explains the panels that are seen, against chance, is its evidence; the posterior over all of them predicts the missing
panel, and each candidate is scored by how much likelier it is under that prediction than by chance. The formulas, and how
often each is at work, are learned from puzzles and their answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from datasets.arrays import BOTH, NUMBER, POSITION, UNKNOWN
from datasets.rules.base import PUBLISHED, rules_named
from reasoning.learners.base import Learner, Prediction, claim_constant, constant_code, join
from reasoning.learners.fora.alphabet import Alphabet
from reasoning.learners.fora.follow import Evidence
from reasoning.learners.fora.formula import ROLES, Formula, enumerate_formulas, mutations, parse
from reasoning.learners.fora.naming import code_of, names_of
from reasoning.learners.fora.selection import Table, fit, select
from reasoning.learners.fora.views import KINDS, READINGS, Reader, View, views
from reasoning.learners.possible import keep_possible
from reasoning.learners.registry import LEARNERS
from reasoning.scene import CANDIDATES, AttributeKey, Scene
from vsa import Algebra, Backend
from vsa.errors import SettingsError, UnknownNameError

MODES = ("learned", "programmed", "programmed_then_learned")
PAGE = (
    "panel = left",
    "panel = left + 1",
    "panel = left + 2",
    "panel = left - 1",
    "panel = left - 2",
    "panel = above_left, row distinct",
    "panel = above_right, row distinct",
    "last = first + between",
    "last = first - between",
)
_ELEMENTS = 2**23  # of vectors that are worked on at a time
_ROOM = 32  # formulas that weights have room for
_SLOTS = 1 + len(READINGS) * _ROOM  # columns of the prior: no rule, then the formulas, reading by reading
_MUTATED = 2  # rounds in which the formulas chosen are changed a little


@dataclass(frozen=True)
class _Abduced:
    """What all hypotheses make of a view's A blocks of B puzzles."""

    view: View
    hypotheses: tuple[tuple[int, int], ...]  # (reading, formula) of each of the H
    weights: Tensor  # (A, B, H + 1), "no rule" last
    log_ratio: Tensor  # (A, B, 8): of each candidate against chance
    evidence: tuple[Evidence, ...]


@LEARNERS.register("fora")
class FORA(Learner):
    """Formulas over roles, chosen by abduction.

    Args:
        algebra: any that superposes linearly and has powers.
        backend: where the codebooks are stored. Default: digital, exact.
        columns: n, panels in a row; only names depend on it.
        mode: "learned", "programmed" (the formulas given, all equally likely) or "programmed_then_learned" (learning
            goes on from them).
        formulas: the formulas given, as text (``x3 = x1 + x2``); None: a page of the published rules.
        eps: share of panels that follow nothing; it bounds what one panel can say against a formula.
        examples: so many puzzles at most choose the formulas.
        price: nats that a formula costs, for itself and for each unit of its complexity.
        inputs: formulas of up to so many panels are tried, and from those that are chosen others of one more.
        seed: of the atoms.
        grammar: names of the rules that formulas are named by.
    """

    mixed = "missing"
    entities = True
    sparse = True

    def __init__(
        self,
        algebra: Algebra,
        *,
        backend: Backend | None = None,
        columns: int = 3,
        mode: str = "learned",
        formulas: Sequence[str] | None = None,
        eps: float = 1e-3,
        examples: int = 600,
        price: float = 4.0,
        inputs: int = 2,
        seed: int = 0,
        grammar: Sequence[str] = PUBLISHED,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise UnknownNameError("FORA", name=mode, known=MODES, kind="mode")
        if not 0 < eps < 1:
            raise SettingsError("FORA", received=f"eps={eps}", expected="between 0 and 1")
        self.columns, self.mode, self.examples, self.price, self.inputs = columns, mode, examples, price, inputs
        self.grammar = tuple(rule.name for rule in rules_named(grammar))
        self.alphabet = Alphabet(algebra, backend, seed)
        self.reader = Reader(self.alphabet, eps)
        self.register_buffer("coefficients", torch.zeros(_ROOM, len(ROLES) + 3, dtype=torch.int8))
        self.prior = nn.Parameter(torch.full((len(KINDS), _SLOTS), -torch.inf))
        self.coefficients: Tensor
        self._page: tuple[Tensor, tuple[Formula, ...]] | None = None
        page = [] if mode == "learned" else [parse(text, columns) for text in (PAGE if formulas is None else formulas)]
        self._put(page, None)

    # -- the formulas ------------------------------------------------------------------------------------------

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """Those in force."""
        if self._page is None or not torch.equal(self._page[0], self.coefficients):
            rows = [row for row in self.coefficients.tolist() if any(row[: len(ROLES)])]
            made = tuple(
                Formula(tuple(row[: len(ROLES)]), row[-3], bool(row[-2]), bool(row[-1])) for row in rows
            )
            self._page = (self.coefficients.clone(), made)
        return self._page[1]

    @torch.no_grad()
    def _put(self, page: Sequence[Formula], priors: Mapping[int, Tensor] | None) -> None:
        """Put formulas in force; ``priors``: kind -> (Q * R + 1,) as they were fitted; None: all equally likely."""
        if len(page) > _ROOM:
            raise SettingsError("FORA", received=f"{len(page)} formulas", expected=f"at most {_ROOM}")
        self.coefficients.zero_()
        for row, formula in enumerate(page):
            said = (*formula.coefficients, formula.offset, formula.last, formula.distinct)
            self.coefficients[row] = torch.tensor(said, dtype=torch.int8)
        count = len(page)
        self.prior.fill_(-torch.inf)
        self.prior[:, 0] = 0.0
        if not count:
            return
        table = self.prior[:, 1:].unflatten(1, (len(READINGS), _ROOM))
        table[..., :count] = 0.0
        for kind, log in (priors or {}).items():
            fitted = log[1:].unflatten(0, (-1, count))
            table[kind] = -torch.inf
            table[kind, : len(fitted), :count] = fitted
            self.prior[kind, 0] = log[0]
        if priors:
            unseen = [kind for kind in range(len(KINDS)) if kind not in priors]
            pooled = torch.stack([log[1:].unflatten(0, (-1, count)).logsumexp(0).exp() for log in priors.values()])
            share = (pooled.mean(0) / len(READINGS)).clamp_min(1e-4).log()
            table[unseen] = -torch.inf
            table[unseen, :, :count] = share
            self.prior[unseen, 0] = torch.stack([log[0] for log in priors.values()]).exp().mean().log()
        self.prior.copy_(self.prior.log_softmax(1))

    def describe(self) -> list[str]:
        lines = []
        for formula in self.formulas:
            named = " and ".join(names_of(formula, self.columns, self.grammar)) or "none of the known rules"
            lines.append(f"{formula}   [{named}]   {formula.words()}")
        return [*lines, "no rule"]

    def rule_labels(self) -> list[str]:
        return [*map(str, self.formulas), "no rule"]

    # -- learning ----------------------------------------------------------------------------------------------

    def training_loss(self, scene: Scene, target: Tensor, generator: torch.Generator) -> Tensor:
        """Minus the log probability of the right candidates, differentiable in the scene and in the prior."""
        scores = torch.cat([self._scores(piece) for piece in self._pieces(scene)])
        return nn.functional.cross_entropy(scores, target)

    @torch.no_grad()
    def finish(self, scenes: Iterable[tuple[Scene, Tensor]]) -> None:
        """Choose formulas that explain ``scenes`` with their right answers, and fit how often each is at work."""
        examples, columns = [], self.columns
        for scene, target in scenes:
            examples.append((scene, target))
            columns = scene.columns
            if sum(len(target) for _, target in examples) >= self.examples:
                break
        start = self.formulas
        table = self._table(enumerate_formulas(columns, self.inputs), examples)
        if start:
            extra = [formula for formula in start if formula not in table.formulas]
            table = table.joined(self._table(extra, examples)) if extra else table
        chosen = select(table, self.price, [table.formulas.index(formula) for formula in start], _ROOM)
        for _ in range(_MUTATED):
            page = [table.formulas[row] for row in chosen]
            others = [one for one in mutations(page, columns) if one not in table.formulas]
            table = table.joined(self._table(others, examples)) if others else table
            again = select(table, self.price, chosen, _ROOM)
            if set(again) == set(chosen):
                break
            chosen = again
        chosen.sort(key=lambda row: -float(sum(part.exp().sum() for part in ())))
        self._put([table.formulas[row] for row in chosen], {k: fit(t) for k, t in table.of(chosen).items()})

    def _table(self, formulas: Sequence[Formula], examples: Sequence[tuple[Scene, Tensor]]) -> Table:
        """Log evidence of formulas for context and right answer."""
        found: dict[int, list[Tensor]] = {}
        for scene, target in examples:
            for view in views(scene):
                readings = view.readings
                for block, kind in enumerate(view.kinds):
                    found.setdefault(kind, []).append(
                        torch.full((len(target), len(readings), len(formulas)), -torch.inf)
                    )
                for place, formula in enumerate(formulas):
                    for reading, evidence in self.reader.read(formula, view, scene.columns).items():
                        at = target.repeat(len(view.kinds)).unsqueeze(1)
                        log = evidence.context + evidence.candidates.gather(1, at).squeeze(1).log()
                        # the blocks of one kind in a view were put down in order
                        parts = log.unflatten(0, (len(view.kinds), -1))
                        counts: dict[int, int] = {}
                        for kind in view.kinds:
                            counts[kind] = counts.get(kind, 0) + 1
                        done: dict[int, int] = {}
                        for block, kind in enumerate(view.kinds):
                            nth = done.get(kind, 0)
                            done[kind] = nth + 1
                            found[kind][nth - counts[kind]][:, readings.index(reading), place] = parts[block]
        return Table(tuple(formulas), {kind: _stacked(parts) for kind, parts in found.items()})

    # -- inference ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def forward(self, scene: Scene) -> Prediction:
        prediction = join([self._solve(piece) for piece in self._pieces(scene)])
        prediction = keep_possible(prediction, scene, self.grammar)
        return claim_constant(prediction, scene, self.mixed, self.grammar)

    def _scores(self, scene: Scene) -> Tensor:
        return sum(found.log_ratio.sum(0) for found in self._abduce(scene))  # type: ignore[return-value]

    def _pieces(self, scene: Scene) -> Iterator[Scene]:
        """The scene in parts that fit into a few tens of megabytes."""
        attributes = len(scene.pmfs) + sum(occupied.shape[-1] for occupied in scene.sets.values())
        piece = max(1, _ELEMENTS // (self._width(scene) * attributes * scene.panels))
        return (scene[start : start + piece] for start in range(0, max(len(scene), 1), piece))

    def _width(self, scene: Scene) -> int:
        """Numbers that a panel's vector takes: few, where everything is certain and atoms have a compact form."""
        algebra = self.alphabet.algebra
        parts = (*scene.pmfs.values(), *scene.entities.values())
        clear = all(bool(((one.amax(-1) == 1) | (one.sum(-1) == 0)).all()) for one in parts)
        return min(self.alphabet.powers(torch.zeros(1, dtype=torch.long)).shape[-1] if clear else algebra.embedding.width, algebra.embedding.width)

    def _abduce(self, scene: Scene) -> Iterator[_Abduced]:
        formulas = self.formulas
        for view in views(scene):
            hypotheses, evidence = [], []
            for number, formula in enumerate(formulas):
                for reading, found in self.reader.read(formula, view, scene.columns).items():
                    hypotheses.append((view.readings.index(reading), number))
                    evidence.append(found)
            yield self._weighed(view, tuple(hypotheses), tuple(evidence), len(scene))

    def _weighed(
        self, view: View, hypotheses: tuple[tuple[int, int], ...], evidence: tuple[Evidence, ...], puzzles: int
    ) -> _Abduced:
        blocks = len(view.kinds)
        columns = [0, *(1 + reading * _ROOM + number for reading, number in hypotheses)]
        prior = self.prior[list(view.kinds)][:, columns].log_softmax(1).unsqueeze(1)  # (A, 1, H + 1)
        none = prior[..., :1].expand(-1, puzzles, -1)
        if not evidence:
            return _Abduced(view, (), none.exp(), none.new_zeros(blocks, puzzles, CANDIDATES), ())
        context = torch.stack([one.context + one.mass.log() for one in evidence], -1).unflatten(0, (blocks, puzzles))
        log = torch.cat([prior[..., 1:] + context, none], -1).log_softmax(-1)
        ratio = torch.stack([(one.candidates / one.mass.unsqueeze(1)).log() for one in evidence], -1)
        ratio = ratio.unflatten(0, (blocks, puzzles))  # (A, B, 8, H)
        ratio = torch.cat([ratio, torch.zeros_like(ratio[..., :1])], -1)
        return _Abduced(view, hypotheses, log.exp(), torch.logsumexp(log.unsqueeze(2) + ratio, -1), evidence)

    def _solve(self, scene: Scene) -> Prediction:
        abduced = list(self._abduce(scene))
        scores = sum(found.log_ratio.sum(0) for found in abduced)
        weights: dict[AttributeKey, Tensor] = {}
        ratios: dict[AttributeKey, Tensor] = {}
        governed: dict[int, Tensor] = {}
        for found in abduced:
            if found.view.is_place:
                self._place(found, weights, ratios, governed)
                continue
            for block, key in enumerate(found.view.keys):
                weights[key] = self._by_formula(found, found.weights[block])
                ratios[key] = found.log_ratio[block]
        rule_weights = torch.stack([weights[key] for key in scene.keys], 1)
        codes = torch.tensor([code_of(formula, self.columns, self.grammar) for formula in self.formulas])
        components = range(1 + max(key.component for key in scene.keys))
        zero = torch.zeros(len(scene), dtype=torch.int8, device=scene.device)
        return Prediction(
            scores=scores,  # type: ignore[arg-type]
            keys=scene.keys,
            rule_index=rule_weights.argmax(-1),
            rule_weights=rule_weights,
            agreement=torch.sigmoid(torch.stack([ratios[key] for key in scene.keys], 1)),
            confidence=1 - rule_weights[..., -1],
            families=self._families(rule_weights, codes.to(scene.device)),
            governed=torch.stack([governed.get(component, zero) for component in components], 1),
        )

    def _by_formula(self, found: _Abduced, weights: Tensor) -> Tensor:
        """(B, H + 1) -> (B, R + 1): readings added up, "no rule" last."""
        result = weights.new_zeros(len(weights), len(self.formulas) + 1)
        columns = [*(number for _, number in found.hypotheses), len(self.formulas)]
        return result.index_add_(1, torch.tensor(columns, device=weights.device), weights)

    def _place(
        self,
        found: _Abduced,
        weights: dict[AttributeKey, Tensor],
        ratios: dict[AttributeKey, Tensor],
        governed: dict[int, Tensor],
    ) -> None:
        """Fill in Number and Position: which of the two is governed, and what each says."""
        posterior, readings = found.weights[0], found.view.readings
        is_set = torch.tensor([readings[reading] == "set" for reading, _ in found.hypotheses], dtype=torch.bool)
        place = found.view.keys[-1]
        constant = constant_code(self.grammar)
        both = torch.tensor(
            [
                bool(one) and code_of(self.formulas[number], self.columns, self.grammar) == constant
                for one, (_, number) in zip(is_set.tolist(), found.hypotheses, strict=True)
            ],
            dtype=torch.bool,
        )
        shares = torch.stack(
            [posterior[:, :-1][:, mask].sum(1) for mask in (~is_set, is_set & ~both, both)], 1
        )
        what = torch.tensor([NUMBER, POSITION, BOTH], dtype=torch.int8, device=posterior.device)[shares.argmax(1)]
        governed[place.component] = what
        for key in found.view.keys:
            mine = is_set if key == place else (~is_set | both)
            part = torch.where(torch.cat([mine, torch.ones(1, dtype=torch.bool)]).to(posterior.device), posterior, 0.0)
            weights[key] = self._by_formula(found, part / part.sum(1, keepdim=True).clamp_min(1e-30))
            says = ((what == NUMBER) | (what == BOTH)) if key != place else ((what == POSITION) | (what == BOTH))
            ratios[key] = found.log_ratio[0] * says.unsqueeze(1)

    def _families(self, rule_weights: Tensor, codes: Tensor) -> Tensor:
        """int8 (B, A): the likeliest family, its formulas added up; UNKNOWN for no rule."""
        result = torch.full(rule_weights.shape[:2], UNKNOWN, dtype=torch.int8, device=rule_weights.device)
        best = rule_weights[..., -1]
        for code in sorted(set(codes.tolist())):
            share = rule_weights[..., :-1][..., codes == code].sum(-1)
            result = torch.where(share > best, torch.full_like(result, code), result)
            best = torch.maximum(best, share)
        return result


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """(N, Q, F) of parts that may have fewer readings."""
    most = max(part.shape[1] for part in parts)
    return torch.cat([
        torch.cat([part, part.new_full((len(part), most - part.shape[1], part.shape[2]), -torch.inf)], 1)
        for part in parts
    ])
