"""FORA: formulas over roles, abduced.

A page of formulas says what a panel is in terms of the panels beside and above it. One formula is read in four ways:
over values and numbers, over sets of slots, over bundles of entities, over layouts of entities in slots. How well each
reading explains the panels that are seen, against chance, is its evidence; the posterior over all of them predicts the
missing panel, and each candidate is scored by how much likelier it is under that prediction than by chance. The
formulas, and how often each is at work, are learned from puzzles and their answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from datasets.arrays import UNKNOWN
from datasets.rules.base import PUBLISHED, rules_named
from reasoning.learners.base import Learner, Prediction, claim_constant, constant_code, join
from reasoning.learners.possible import keep_possible
from reasoning.learners.registry import LEARNERS
from reasoning.learners.role_formulas.abduction import Abduced, expect, predict, weigh
from reasoning.learners.role_formulas.formula import (
    OFFSETS,
    Formula,
    enumerate_formulas,
    mutations,
    parse,
    plainest,
    unlike,
)
from reasoning.learners.role_formulas.gradient import SoftFormulas
from reasoning.learners.role_formulas.grids import settled, uncertain
from reasoning.learners.role_formulas.naming import code_of, names_of
from reasoning.learners.role_formulas.roles import ROLE_SETS, role_set
from reasoning.learners.role_formulas.selection import Table, fit, select
from reasoning.learners.role_formulas.views import KINDS, READINGS, Reader, View, grid_views, single_views, views
from reasoning.learners.role_formulas.ways import Page
from reasoning.learners.role_formulas.writing.alphabet import Alphabet
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import SparsePMF
from vsa import Algebra, Backend
from vsa.errors import SettingsError, UnknownNameError
from vsa.seeding import child_seed

MODES = ("learned", "programmed", "programmed_then_learned")
LEARNINGS = ("enumeration", "gradient")
PAGE = ROLE_SETS["relative"].page
_ELEMENTS = 2**23  # of vectors that are worked on at a time
_ROOM = 32  # formulas that weights have room for
_SLOTS = 1 + len(READINGS) * _ROOM  # columns of the prior: no rule, then the formulas, reading by reading
_MUTATED = 2  # rounds in which the formulas chosen are changed a little
_NEVER = -30.0  # log prior of what there is not
_RARE = 1e-4  # least prior of a formula in a kind of attribute that was not seen in training


@LEARNERS.register("fora", "best")
class FORA(Learner):
    """Formulas over roles, chosen by abduction.

    Args:
        algebra: any that superposes linearly and has powers.
        backend: where the codebooks are stored. Default: digital, exact.
        columns: n, panels in a row; only names depend on it.
        mode: "learned", "programmed" (the formulas given, all equally likely) or "programmed_then_learned" (learning
            goes on from them).
        formulas: the formulas given, as text (``x3 = x1 + x2``); None: a page of the published rules.
        roles: how formulas name panels: "relative" to the panel that they predict, or, for comparison and in rows of
            three alone, "absolute", as ARLC does.
        learning: where the formulas come from that are chosen among: "enumeration" of all that are short, or
            "gradient": soft ones, trained and hardened.
        eps: share of panels that follow nothing; it bounds what one panel can say against a formula.
        examples: so many puzzles at most choose the formulas, equally many of each layout.
        price: nats that a formula costs, for itself and for each unit of its complexity.
        inputs: formulas of up to so many panels are enumerated, and from those that are chosen others of one more.
        populations: G, of soft formulas, trained side by side.
        rules: R, soft formulas in each.
        seed: of the atoms, and of the soft formulas.
        grammar: names of the rules that formulas are named by.
    """

    mixed = "missing"
    entities = True
    sparse = True
    calibrated = True

    def __init__(
        self,
        algebra: Algebra,
        *,
        backend: Backend | None = None,
        columns: int = 3,
        mode: str = "learned",
        formulas: Sequence[str] | None = None,
        roles: str = "relative",
        learning: str = "enumeration",
        eps: float = 1e-3,
        examples: int = 600,
        price: float = 4.0,
        inputs: int = 2,
        populations: int = 3,
        rules: int = 12,
        seed: int = 0,
        grammar: Sequence[str] = PUBLISHED,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise UnknownNameError("FORA", name=mode, known=MODES, kind="mode")
        if learning not in LEARNINGS:
            raise UnknownNameError("FORA", name=learning, known=LEARNINGS, kind="way of learning")
        if not 0 < eps < 1:
            raise SettingsError("FORA", received=f"eps={eps}", expected="between 0 and 1")
        for name, value in (("examples", examples), ("inputs", inputs), ("populations", populations), ("rules", rules)):
            if value < 1:
                raise SettingsError("FORA", received=f"{name}={value}", expected="at least 1")
        if not price >= 0:
            raise SettingsError("FORA", received=f"price={price}", expected="0 or more nats")
        named = role_set(roles)
        if named.columns not in (None, columns):
            raise SettingsError(
                f"FORA, roles={roles}", received=f"rows of {columns}", expected=f"rows of {named.columns}"
            )
        self.roles = roles
        self.columns, self.mode, self.examples, self.price, self.inputs = columns, mode, examples, price, inputs
        self.grammar = tuple(rule.name for rule in rules_named(grammar))
        self.alphabet = Alphabet(algebra, backend, seed)
        self.reader = Reader(self.alphabet, eps)
        self.register_buffer("coefficients", torch.zeros(_ROOM, len(named.names) + 3, dtype=torch.int8))
        self.prior = nn.Parameter(torch.full((len(KINDS), _SLOTS), _NEVER))
        self.coefficients: Tensor
        self._page: tuple[Tensor, tuple[Formula, ...]] | None = None
        texts = named.page if formulas is None else formulas
        page = [] if mode == "learned" else [parse(text, columns, roles) for text in texts]
        self._put(page, None)
        self.soft = None
        if learning == "gradient" and mode != "programmed":
            generator = torch.Generator().manual_seed(child_seed(seed, "fora", "soft formulas"))
            self.soft = SoftFormulas(populations, rules, generator, roles)
        self.learns, self.steps = mode != "programmed", self.soft is not None
        self.prior.requires_grad_(self.learns)

    @classmethod
    def block_length(cls, values: int, columns: int) -> int:
        return (columns - 1) * (values - 1) + 1 + max(OFFSETS)  # no sum wraps around

    # -- the formulas ------------------------------------------------------------------------------------------

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """Those in force."""
        if self._page is None or not torch.equal(self._page[0], self.coefficients):
            rows = [row for row in self.coefficients.tolist() if any(row[:-3])]
            made = tuple(Formula(tuple(row[:-3]), row[-3], bool(row[-2]), bool(row[-1]), self.roles) for row in rows)
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
        self.prior.copy_(_prior(len(page), priors or {}))

    def describe(self) -> list[str]:
        lines = []
        for formula in self.formulas:
            named = " and ".join(names_of(formula, self.columns, self.grammar)) or "none of the known rules"
            lines.append(f"{formula.words()}   [{named}; {formula}]")
        return [*lines, "no rule"]

    def rule_labels(self) -> list[str]:
        return [*map(str, self.formulas), "no rule"]

    # -- learning ----------------------------------------------------------------------------------------------

    def training_loss(self, scene: Scene, target: Tensor, generator: torch.Generator) -> Tensor:
        """Of soft formulas: how badly they explain the puzzles; otherwise minus the log probability of the answers.

        The latter is differentiable in the scene and in the prior: a front-end can be trained through it.
        """
        if self.soft is not None:
            seen = [(view.values, target.repeat(len(view.kinds))) for view in views(scene) if view.values is not None]
            return self.soft.loss(seen, scene.columns)
        scores = torch.cat([self._scores(piece) for piece in self._pieces(scene)])
        return nn.functional.cross_entropy(scores, target)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        if self.soft is not None:
            self.soft.progress = epoch / max(epochs - 1, 1)

    @torch.no_grad()
    def finish(self, scenes: Iterable[tuple[Scene, Tensor]]) -> None:
        """Choose formulas that explain ``scenes`` with their right answers, and fit how often each is at work."""
        examples = _evenly(scenes, self.examples)
        columns = examples[0][0].columns
        start = list(self.formulas)
        if self.soft is None:
            tried = enumerate_formulas(columns, self.inputs, roles=self.roles)
        else:
            found = plainest(self.soft.hardened(), columns, self.inputs)
            tried = unlike((*found, *enumerate_formulas(columns, 1, roles=self.roles)), columns)
        table = self._table([*start, *(formula for formula in tried if formula not in start)], examples)
        chosen = select(table, self.price, range(len(start)), _ROOM)
        for _ in range(_MUTATED):
            page = [table.formulas[row] for row in chosen]
            others = [one for one in mutations(page, columns) if one not in table.formulas]
            if not others:
                break
            table = table.joined(self._table(others, examples))
            again = select(table, self.price, chosen, _ROOM)
            if again == chosen:
                break
            chosen = again
        self._put([table.formulas[row] for row in chosen], {kind: fit(one) for kind, one in table.of(chosen).items()})

    def _table(self, formulas: Sequence[Formula], examples: Sequence[tuple[Scene, Tensor]]) -> Table:
        """Log evidence of formulas for context and right answer."""
        found: dict[int, list[Tensor]] = {}
        for scene, target in examples:
            for view in views(scene):
                blocks = torch.full((len(view.kinds), len(target), len(READINGS), len(formulas)), -torch.inf)
                right = target.repeat(len(view.kinds)).unsqueeze(1)
                for place, formula in enumerate(formulas):
                    for reading, one in self.reader.read(formula, view, scene.columns).items():
                        log = one.context + one.candidates.gather(1, right).squeeze(1).log()
                        blocks[:, :, view.index(reading), place] = log.unflatten(0, (len(view.kinds), -1))
                for kind, block in zip(view.kinds, blocks, strict=True):
                    found.setdefault(kind, []).append(block)
        return Table(tuple(formulas), {kind: torch.cat(parts) for kind, parts in found.items()})

    # -- inference ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def forward(self, scene: Scene) -> Prediction:
        prediction = join([self._solve(piece) for piece in self._pieces(scene)])
        prediction = keep_possible(prediction, scene, self.grammar)
        if not any(uncertain(scene, place) for place in scene.sets):
            return claim_constant(prediction, scene, self.mixed, self.grammar)
        # Missing mass is no sign that entities differ; that no rule gives them one value is.
        families, grids = prediction.families.clone(), {key.component for key in scene.sets}
        for column, key in enumerate(prediction.keys):
            if key.component in grids and key.name not in ("Number", "Position"):
                free = families[:, column] == UNKNOWN
                families[:, column] = families[:, column].masked_fill(free, constant_code(self.grammar))
        return replace(prediction, families=families)

    def _scores(self, scene: Scene) -> Tensor:
        return torch.stack([found.adds for found in self._abduce(scene)]).sum(0)

    def _pieces(self, scene: Scene) -> Iterator[Scene]:
        """The scene in parts that fit into a few tens of megabytes."""
        attributes = len(scene.pmfs) + sum(occupied.shape[-1] for occupied in scene.sets.values())
        piece = max(1, _ELEMENTS // (self._width(scene) * attributes * scene.panels))
        return (scene[start : start + piece] for start in range(0, max(len(scene), 1), piece))

    def _width(self, scene: Scene) -> int:
        """Numbers that a panel's vector takes: few, where everything is certain and atoms have a compact form."""
        parts = (*scene.pmfs.values(), *scene.entities.values())
        if all(bool(((one.amax(-1) == 1) | (one.sum(-1) == 0)).all()) for one in parts):
            return self.alphabet.compact
        width = self.alphabet.algebra.embedding.width
        if not all(isinstance(one, SparsePMF) and self.alphabet.by_atoms(one.weights.shape[-1]) for one in parts):
            return width
        return min(width, self.alphabet.compact * max(one.shape[-1] for one in parts))  # sums of few are read of all

    def _abduce(self, scene: Scene) -> Iterator[Abduced]:
        def weighed(view: View) -> Abduced:
            made = [
                (view.index(reading), number, found)
                for number, formula in enumerate(self.formulas)
                for reading, found in self.reader.read(formula, view, scene.columns).items()
            ]
            columns = [0, *(1 + reading * _ROOM + number for reading, number, _ in made)]
            return weigh(view, made, self.prior[list(view.kinds)][:, columns], len(scene))

        yield from map(weighed, single_views(scene))
        for place in scene.sets:
            if uncertain(scene, place):
                yield from settled(scene, place, self._beliefs(scene.columns))
            else:
                yield from map(weighed, grid_views(scene, place))

    def _beliefs(self, columns: int) -> Page:
        log, count = self.prior.log_softmax(1), len(self.formulas)
        table = log[:, 1:].unflatten(1, (len(READINGS), _ROOM))[..., :count]
        return Page(self.formulas, table, log[:, 0], self.reader, columns)

    def _solve(self, scene: Scene) -> Prediction:
        codes = [code_of(formula, self.columns, self.grammar) for formula in self.formulas]
        return predict(scene, list(self._abduce(scene)), codes, constant_code(self.grammar))

    @torch.no_grad()
    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        parts = [expect(piece, list(self._abduce(piece)), self.formulas) for piece in self._pieces(scene)]
        return {key: torch.cat([part[key] for part in parts]) for key in scene.keys}


def _evenly(scenes: Iterable[tuple[Scene, Tensor]], most: int) -> list[tuple[Scene, Tensor]]:
    """At most so many puzzles, equally many of each layout: sets that are trained on together come one by one."""
    kept: dict[tuple[AttributeKey, ...], list[tuple[Scene, Tensor]]] = {}
    counts: dict[tuple[AttributeKey, ...], int] = {}
    for scene, target in scenes:
        if counts.get(scene.keys, 0) < most:
            kept.setdefault(scene.keys, []).append((scene, target))
            counts[scene.keys] = counts.get(scene.keys, 0) + len(target)
    chosen = []
    for parts in kept.values():
        left = max(most // len(kept), 1)
        for scene, target in parts:
            if left > 0:
                chosen.append((scene[:left], target[:left]))
                left -= len(target)
    return chosen


def _prior(count: int, fitted: Mapping[int, Tensor]) -> Tensor:
    """(kinds, 1 + readings * room) log probabilities of "no rule" and of R formulas under each reading.

    Args:
        count: R.
        fitted: kind -> (Q * R + 1,) as they were fitted; without any, all are equally likely. A kind that was not seen
            takes the mean of those that were, every reading alike.
    """
    whole = torch.full((len(KINDS), _SLOTS), _NEVER)
    whole[:, 0] = 0.0
    table = whole[:, 1:].unflatten(1, (len(READINGS), _ROOM))
    if not fitted:
        table[..., :count] = 0.0
    elif count:
        seen = {kind: log[1:].unflatten(0, (-1, count)) for kind, log in fitted.items()}
        mean = torch.stack([log.logsumexp(0).exp() for log in seen.values()]).mean(0) / len(READINGS)
        nothing = torch.stack([log[0] for log in fitted.values()]).exp().mean().log()
        for kind in range(len(KINDS)):
            if kind in seen:
                table[kind, : len(seen[kind]), :count] = seen[kind].clamp_min(_NEVER)
                whole[kind, 0] = fitted[kind][0]
            else:
                table[kind, :, :count] = mean.clamp_min(_RARE).log()
                whole[kind, 0] = nothing
    return whole.log_softmax(1)
