"""The attributed stochastic grammar of RAVEN: rules, placements and entities of complete matrices.

The original draws rules for a whole structure until no attribute's range is empty. The ranges of the four rules of a
component, and of two components, do not touch one another: so here each rule is drawn at once from those that are
possible, which is the same distribution.

Reference:
    Zhang et al. 2019, "RAVEN: A Dataset for Relational and Analogical Visual rEasoNing".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import lcm

import numpy as np

from vsa.errors import VSAError

from ..arrays import GOVERNED, NUMBER, RULE_SLOTS
from ..attributes import ANGLE, ATTRIBUTES, ENTITY_ATTRIBUTES, UNIFORM, UNIFORMITY_LEVELS
from ..constellations import Component
from ..rules.base import Placement, Rule, declares
from ..rules.domains import Bools
from ..streams import Ints, Stream

__all__ = ["Matrix", "Option", "keeps_entities", "options", "sample_component"]


@dataclass(frozen=True)
class Option:
    """One thing that may be drawn for a rule slot.

    Args:
        rule: the family.
        governed: what it governs: a name of GOVERNED, or Type, Size, Color.
        parameter: of the rule.
        weight: relative probability.
    """

    rule: Rule
    governed: str
    parameter: int
    weight: int


@dataclass(frozen=True)
class Matrix:
    """Complete matrices of one component, without candidates.

    Args:
        exists: bool (N, 9, S).
        attributes: name -> int16 (N, 9, S) levels, -1 where no entity is.
        uniformity: int8 (N,).
        rules: int8 (N, 4).
        governed: int8 (N,).
        parameters: int16 (N, 4).
        ranges: name -> (low, high), each int64 (N,): the levels that the first panel of a row may have under the rule.
    """

    exists: Bools
    attributes: Mapping[str, np.ndarray]
    uniformity: np.ndarray
    rules: np.ndarray
    governed: np.ndarray
    parameters: np.ndarray
    ranges: Mapping[str, tuple[Ints, Ints]]

    def __getitem__(self, rows: np.ndarray) -> Matrix:
        return Matrix(
            exists=self.exists[rows],
            attributes={name: levels[rows] for name, levels in self.attributes.items()},
            uniformity=self.uniformity[rows],
            rules=self.rules[rows],
            governed=self.governed[rows],
            parameters=self.parameters[rows],
            ranges={name: (low[rows], high[rows]) for name, (low, high) in self.ranges.items()},
        )


_SHARE = 12  # weight of a family, where the numbers of parameters divide it


@cache
def options(grammar: tuple[Rule, ...], layout: Component, slot: str) -> tuple[Option, ...]:
    """What may be drawn for one of the four rules of a component.

    Args:
        grammar: the data set's rules.
        layout: the component.
        slot: one of RULE_SLOTS.

    Returns:
        All options whose ranges are not empty; a family's parameters share its weight.

    Raises:
        VSAError: none is possible.
    """
    found = []
    share = lcm(_SHARE, *(len(rule.parameters) for rule in grammar))
    for governed in GOVERNED if slot == "Number/Position" else (slot,):
        for rule in grammar:
            if governed not in rule.governs:
                continue
            for parameter in rule.parameters:
                if governed in ("Position", "Number/Position"):
                    low, high = rule.first_count(layout.slots, parameter)
                elif governed == "Number":
                    low, high = rule.first_range(1, layout.slots, parameter)
                else:
                    low, high = rule.first_range(*_magnitudes(layout, governed), parameter)
                if low <= high:
                    found.append(Option(rule, governed, parameter, share // len(rule.parameters)))
    if not found:
        raise VSAError(
            f"draw a rule of {slot} for the component {layout.name}",
            received=f"rules {', '.join(rule.name for rule in grammar)}, none of which is possible there",
            expected="a rule that governs it and leaves room",
        )
    return tuple(found)


def _magnitudes(layout: Component, attribute: str) -> tuple[int, int]:
    offset = ATTRIBUTES[attribute].offset
    low, high = layout.range(attribute)
    return low + offset, high + offset


def keeps_entities(rules: np.ndarray, governed: np.ndarray) -> Bools:
    """Whether the entities of a row stay the same from panel to panel (rules on Number, and unions, draw new ones).

    Args:
        rules: (N, 4) rule codes.
        governed: (N,) codes into GOVERNED.

    Returns:
        bool (N,).
    """
    return declares(rules[:, 0], "keeps_entities") & (governed != NUMBER)


def sample_component(stream: Stream, layout: Component, grammar: tuple[Rule, ...]) -> Matrix:
    """Draws one component of complete 3 x 3 matrices.

    Args:
        stream: the puzzles' randomness, N of them.
        layout: the component.
        grammar: the data set's rules.

    Returns:
        The matrices.
    """
    n = len(stream)
    chosen = [_choose(stream, options(grammar, layout, slot)) for slot in RULE_SLOTS]
    rules = np.stack([c[0] for c in chosen], axis=1)
    parameters = np.stack([c[2] for c in chosen], axis=1)
    governed = chosen[0][1]
    uniformity = stream.below(UNIFORMITY_LEVELS)
    placement = _place(stream, layout, grammar, rules[:, 0], governed, parameters[:, 0])
    occupied = np.arange(layout.slots) < placement.count[..., None]

    uniform = uniformity == UNIFORM
    keeps = keeps_entities(rules, governed)
    attributes: dict[str, np.ndarray] = {}
    ranges: dict[str, tuple[Ints, Ints]] = {}
    for k, attribute in enumerate(ENTITY_ATTRIBUTES, start=1):
        low, high = _magnitudes(layout, attribute.name)
        values = np.empty((n, 3, 3, layout.slots), dtype=np.int64)
        starts = np.empty((n, 2), dtype=np.int64)
        for rule in grammar:
            rows = np.flatnonzero(rules[:, k] == rule.code)
            if not len(rows):
                continue
            if rule.keeps_values:
                values[rows] = _entities(stream, low, high, layout.slots, uniform[rows], keeps[rows], rows)
            else:
                values[rows] = rule.draw(stream, low, high, parameters[rows, k], rows)[..., None]
            for parameter in rule.parameters:
                starts[rows[parameters[rows, k] == parameter]] = rule.first_range(low, high, parameter)
        attributes[attribute.name] = values - attribute.offset
        ranges[attribute.name] = (starts[:, 0] - attribute.offset, starts[:, 1] - attribute.offset)
    everyone = np.arange(n)
    attributes["Angle"] = _entities(stream, ANGLE.low, ANGLE.high, layout.slots, uniform, keeps, everyone)

    exists = np.empty((n, 3, 3, layout.slots), dtype=np.bool_)
    np.put_along_axis(exists, placement.order, occupied, axis=-1)
    for name, values in attributes.items():
        levels = np.empty((n, 3, 3, layout.slots), dtype=np.int16)
        np.put_along_axis(levels, placement.order, np.where(occupied, values, -1).astype(np.int16), axis=-1)
        attributes[name] = levels.reshape(n, 9, layout.slots)
    return Matrix(
        exists=exists.reshape(n, 9, layout.slots),
        attributes=attributes,
        uniformity=uniformity.astype(np.int8),
        rules=rules.astype(np.int8),
        governed=governed.astype(np.int8),
        parameters=parameters.astype(np.int16),
        ranges=ranges,
    )


def _choose(stream: Stream, table: tuple[Option, ...]) -> tuple[Ints, Ints, Ints]:
    """Rule codes, governed codes and parameters, each (N,)."""
    limits = np.cumsum([option.weight for option in table])
    pick = np.searchsorted(limits, stream.below(int(limits[-1])), side="right")
    codes = np.array([option.rule.code for option in table])
    governed = np.array([GOVERNED.index(option.governed) if option.governed in GOVERNED else 0 for option in table])
    parameters = np.array([option.parameter for option in table])
    return codes[pick], governed[pick], parameters[pick]


def _place(
    stream: Stream, layout: Component, grammar: tuple[Rule, ...], rules: Ints, governed: Ints, parameters: Ints
) -> Placement:
    """Where the entities are, (N, 3, 3, S) and (N, 3, 3)."""
    n, slots = len(stream), layout.slots
    order = np.zeros((n, 3, 3, slots), dtype=np.int64)
    count = np.ones((n, 3, 3), dtype=np.int64)
    if slots == 1:
        return Placement(order, count)
    for rule in grammar:
        rows = np.flatnonzero((rules == rule.code) & (governed != NUMBER))
        if len(rows):
            placed = rule.place(stream, slots, parameters[rows], rows)
            order[rows], count[rows] = placed.order, placed.count
        rows = np.flatnonzero((rules == rule.code) & (governed == NUMBER))
        if len(rows):
            count[rows] = rule.draw(stream, 1, slots, parameters[rows], rows)
            order[rows] = stream.permutations(slots, 3, 3, rows=rows)
    return Placement(order, count)


def _entities(stream: Stream, low: int, high: int, slots: int, uniform: Bools, keeps: Bools, rows: np.ndarray) -> Ints:
    """Values of single entities, (K, 3, 3, S): alike in uniform layouts, kept along a row where the rule keeps them."""
    if slots == 1:
        return np.repeat(stream.between(low, high, 3, 1, 1, rows=rows), 3, axis=2)
    values = stream.between(low, high, 3, 3, slots, rows=rows)
    values = np.where(keeps[:, None, None, None], values[:, :, :1], values)
    return np.where(uniform[:, None, None, None], values[:, :, :1, :1], values)
