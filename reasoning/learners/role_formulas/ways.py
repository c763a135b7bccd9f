"""What the entities of a grid do from panel to panel, and what formulas say of slots and entities if they do it.

The attributes of entities share it: the entities of every panel are *alike*; or they differ and go where a formula
that copies takes them, slot by slot (*layout*) or in any places (*bundle*); or they are drawn *anew* for every panel.
What copies a set of slots copies the entities in them, so that it also tells which formulas are about the slots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from reasoning.learners.role_formulas.follow import Evidence
from reasoning.learners.role_formulas.formula import Formula
from reasoning.learners.role_formulas.seen import Seen, Slots, even
from reasoning.learners.role_formulas.views import PLACE_READINGS, READINGS, Reader, View, grid_view, place_view
from reasoning.scene import AttributeKey, Scene

__all__ = ["Page", "Told", "Way", "attribute_told", "place_told"]

_NOTHING = 1e-2  # share of attributes that would be copied and follow nothing
_LOOSE = 1e-3  # share of grids whose entities do not go with their slots
_TINY = 1e-30


@dataclass(frozen=True)
class Way:
    """What entities do.

    Attributes:
        name: "alike", "layout", "bundle" or "anew".
        formula: number of the one that takes them along; -1: none does.
    """

    name: str
    formula: int = -1

    @property
    def keeps(self) -> bool:
        """Whether the entities of one panel are those of another."""
        return self.formula >= 0


@dataclass(frozen=True)
class Page:
    """Formulas in force, and how likely each is under each reading.

    Attributes:
        formulas: R of them.
        prior: (K, readings, R) log, by kind of attribute.
        nothing: (K,) log, that no rule is at work.
        reader: reads them.
        columns: n.
    """

    formulas: tuple[Formula, ...]
    prior: Tensor
    nothing: Tensor
    reader: Reader
    columns: int

    @cached_property
    def plain(self) -> tuple[int, ...]:
        """The formulas that copy a panel as it is."""
        return tuple(n for n, one in enumerate(self.formulas) if one.copies and not one.offset and not one.distinct)

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """Q of them."""
        moves = [n for n, one in enumerate(self.formulas) if one.copies and not one.distinct]
        kept = [("layout", n) for n in moves] + [("bundle", n) for n in self.plain]
        return (Way("alike"), *(Way(name, n) for name, n in kept if name in self.reader.made), Way("anew"))

    def copied(self, kind: int) -> Tensor:
        """(), log: that an attribute is copied from panel to panel, its entities alike or not, or follows nothing."""
        values = self.prior[kind, READINGS.index("value")][list(self.plain)]
        others = self.prior[kind, [READINGS.index("bundle"), READINGS.index("layout")]].flatten()
        return torch.cat([values, others, self.nothing[kind].unsqueeze(0)]).logsumexp(0)

    def alike(self, kinds: Sequence[int]) -> Tensor:
        """(Q,) log prior of the ways: how often what is copied is copied as one value, by all attributes together."""
        values = self.prior[kinds, READINGS.index("value")][:, list(self.plain)].exp().sum()
        share = (values / torch.stack([self.copied(kind).exp() for kind in kinds]).sum()).clamp(_LOOSE, 1 - _LOOSE)
        alike = torch.tensor([way.name == "alike" for way in self.ways], device=share.device)
        return torch.where(alike, share.log(), torch.log1p(-share))


@dataclass(frozen=True)
class Told:
    """What the hypotheses about an attribute, or about the slots, say of B puzzles in each of Q ways.

    Attributes:
        hypotheses: H of them, (reading, formula) as numbers.
        log: (Q, B, H + 2): priors and evidence of the context, against entities and slots drawn one by one; then that
            entities differ and do what the way says, and "no rule".
        predicted: for each hypothesis (Q, B, ...), the missing panel.
        kept: for each way the candidates (B, 8), if entities do what it says; None where that says nothing.
    """

    hypotheses: tuple[tuple[int, int], ...]
    log: Tensor
    predicted: tuple[Tensor, ...]
    kept: tuple[Tensor | None, ...] = ()

    def to(self, like: Tensor) -> Told:
        """In the precision of the scene: sums of few values are counted in a higher one."""
        predicted = tuple(one.to(like) for one in self.predicted)
        kept = tuple(None if one is None else one.to(like) for one in self.kept)
        return Told(self.hypotheses, self.log.to(like), predicted, kept)

    @property
    def total(self) -> Tensor:
        """(Q, B) log."""
        return self.log.logsumexp(-1)

    @property
    def weights(self) -> Tensor:
        """(Q, B, H + 2)."""
        return self.log.softmax(-1)


def attribute_told(page: Page, scene: Scene, key: AttributeKey, occupied: Tensor, final: Tensor | None = None) -> Told:
    """An attribute of the entities.

    Args:
        page: formulas.
        scene: B puzzles.
        key: which.
        occupied: (Q, B, P, S), what is believed of the slots of the context.
        final: (Q, B, 8, S), of the candidates, where these are asked for.

    Returns:
        What is said of it.
    """
    view = grid_view(scene, key)
    (kind,), seen = view.kinds, view.slots
    if seen is None:
        raise ValueError("a view without entities")
    blocks, panels = occupied.shape[:2], occupied.shape[2]
    entities = seen.pmfs[:, :panels].expand(blocks[0], *(-1,) * seen.pmfs.dim()).flatten(0, 1)
    slots = Slots(occupied.flatten(0, 1), entities, seen.low, seen.high, differs=0.0)
    values = Seen(slots.panel(), even(seen.low, seen.high, seen.values, False, entities))
    view = View(view.keys, view.kinds, values)
    made = _made(page, view, ["value"])
    chance = slots.chance.clamp_min(_TINY).log().sum(1)
    prior, copied = page.prior[kind, READINGS.index("value")], page.copied(kind)
    plain = prior[list(page.plain)].logsumexp(0) if page.plain else prior.new_zeros(())
    alike = torch.tensor([way.name == "alike" for way in page.ways], device=chance.device).unsqueeze(1)
    columns = []
    for (_, number), one in made:
        said = (one.context + one.mass.log() + chance).unflatten(0, blocks)
        if number in page.plain:
            share = copied + math.log1p(-_NOTHING) + prior[number] - plain
            columns.append(torch.where(alike, share + said, -torch.inf))
        else:
            columns.append(prior[number] + said)
    differ, kept = [], []
    for block, way in enumerate(page.ways):
        said, candidates = torch.zeros_like(chance[: blocks[1]]), None
        if way.name == "alike":
            said = said - torch.inf
        elif way.keeps:
            believed = occupied[block] if final is None else torch.cat([occupied[block], final[block]], 1)
            shown = replace(seen, occupied=believed, pmfs=seen.pmfs[:, : believed.shape[1]], differs=1.0)
            ((_, one),) = _made(page, View(view.keys, view.kinds, None, shown), [way.name], [way.formula])
            said, candidates = one.context + one.mass.log(), one.candidates
        differ.append(said)
        kept.append(candidates)
    columns.append(copied + math.log1p(-_NOTHING) + torch.stack(differ))
    columns.append((copied + math.log(_NOTHING)).expand(blocks))
    predicted = tuple(one.predicted.unflatten(0, blocks) for _, one in made)
    return Told(tuple(name for name, _ in made), torch.stack(columns, -1), predicted, tuple(kept)).to(occupied)


def place_told(page: Page, scene: Scene, place: AttributeKey, occupied: Tensor) -> Told:
    """Where the entities are.

    Args:
        page: formulas.
        scene: B puzzles.
        place: the slots.
        occupied: (Q, B, P, S), what is believed of the slots of the context.

    Returns:
        What is said of it.
    """
    blocks = occupied.shape[:2]
    view = place_view(scene, place, occupied.flatten(0, 1))
    (kind,) = view.kinds
    made = _made(page, view, list(PLACE_READINGS))
    columns = []
    for (reading, number), one in made:
        copies = page.formulas[number].copies and reading == view.index("set")
        said = page.prior[kind, reading, number] + (one.context + one.mass.log()).unflatten(0, blocks)
        columns.append(said + _together(page, number if copies else -1, said).unsqueeze(1))
    columns.append(torch.full_like(occupied[..., 0, 0], -torch.inf))
    columns.append(page.nothing[kind] + _together(page, -1, occupied).unsqueeze(1).expand(blocks))
    predicted = tuple(one.predicted.unflatten(0, blocks) for _, one in made)
    return Told(tuple(name for name, _ in made), torch.stack(columns, -1), predicted).to(occupied)


def _together(page: Page, number: int, like: Tensor) -> Tensor:
    """(Q,) log: whether entities may do what each way says where the slots copy by a formula; -1: by none."""
    layouts = [way for way in page.ways if way.name == "layout" and way.formula == number]
    bundles = [way for way in page.ways if way.name == "bundle"] if number >= 0 else []
    fitting = layouts or bundles or [way for way in page.ways if way.name == "anew"]
    share = [1.0 if way.name == "alike" else 1 / len(fitting) if way in fitting else _LOOSE for way in page.ways]
    return like.new_tensor(share).log()


def _made(
    page: Page, view: View, readings: Sequence[str], numbers: Sequence[int] | None = None
) -> list[tuple[tuple[int, int], Evidence]]:
    """What formulas make of a view, by (reading, formula)."""
    chosen = range(len(page.formulas)) if numbers is None else numbers
    return [
        ((view.index(reading), number), found)
        for number in chosen
        for reading, found in page.reader.read(page.formulas[number], view, page.columns, readings).items()
    ]
