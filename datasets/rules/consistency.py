"""Which rules fit the context panels of a puzzle: rows 1 and 2 whole, row 3 up to its missing last panel.

In a few per cent of the puzzles more than one rule does; accuracy of rules should be counted against this set.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vsa.errors import VSAError

from ..arrays import RULE_SLOTS, PuzzleArrays
from ..attributes import ATTRIBUTES
from .base import Rule
from .domains import Bools, Domain, SlotSets, Values

__all__ = [
    "CONSISTENT_KEYS",
    "consistent_families",
    "consistent_in",
    "consistent_rules",
    "mixed_constant",
    "panel_sets",
    "panel_values",
]

CONSISTENT_KEYS = ("Number", "Position", "Type", "Size", "Color")
_MIXED = -1


def panel_values(puzzles: PuzzleArrays, component: int, attribute: str) -> np.ndarray:
    """The value that all entities of a panel share.

    Args:
        puzzles: N puzzles.
        component: which one.
        attribute: Type, Size, Color (or any other of the component's).

    Returns:
        int64 (N, P) levels; -1 where the entities differ.
    """
    levels = puzzles.components[component].attributes[attribute].astype(np.int64)
    top = levels.max(axis=-1)
    low = np.where(levels < 0, np.iinfo(np.int64).max, levels).min(axis=-1)
    return np.where(top == low, top, _MIXED)


def panel_sets(puzzles: PuzzleArrays, component: int) -> np.ndarray:
    """The occupied slots of each panel as bit masks.

    Args:
        puzzles: N puzzles.
        component: which one.

    Returns:
        int64 (N, P).
    """
    exists = puzzles.components[component].exists
    return (exists * (np.int64(1) << np.arange(exists.shape[-1]))).sum(axis=-1)


def consistent_families(puzzles: PuzzleArrays, component: int) -> dict[str, Bools]:
    """Rule families that fit the context panels, Number and Position apart.

    A family of Type, Size or Color needs panels with one value each; one whose entities keep their values
    (Constant) may also have mixed panels (:func:`mixed_constant`). Constant of Number or Position says that the counts
    or the sets of slots are alike along a row; the grammar's own Constant of Number/Position is that of Position.

    Args:
        puzzles: N puzzles.
        component: which one.

    Returns:
        bool (N, F) for each of CONSISTENT_KEYS, a column for each of the F rules of ``puzzles.grammar``.
    """
    if not 0 <= component < len(puzzles.components):
        raise VSAError(
            "consistent rules", received=f"component {component}", expected=f"below {len(puzzles.components)}"
        )
    n, columns = puzzles.context, puzzles.columns
    arrays, layout = puzzles.components[component], puzzles.layouts[component]
    grammar = puzzles.grammar
    redrawing = [rule.governs_part("Position") and not rule.keeps_entities for rule in grammar]
    counting = ["Number" in rule.governs for rule in grammar]
    found: dict[str, Bools] = {
        "Number": _fit(grammar, "Number", arrays.numbers[:, :n], columns, Values(1, layout.slots)),
        "Position": _fit(grammar, "Position", panel_sets(puzzles, component)[:, :n], columns, SlotSets(layout.slots)),
    }
    redrawn = np.any(found["Number"][:, counting], axis=1) | np.any(found["Position"][:, redrawing], axis=1)
    for name in ("Type", "Size", "Color"):
        offset = ATTRIBUTES[name].offset if puzzles.maxval is None else 0
        low, high = layout.range(name) if puzzles.maxval is None else (0, puzzles.maxval)
        values = panel_values(puzzles, component, name)[:, :n]
        shown = (values != _MIXED).all(axis=1)
        domain = Values(low + offset, high + offset, white=puzzles.maxval is None)
        fits = _fit(grammar, name, values + offset, columns, domain) & shown[:, None]
        keeping = [rule.keeps_values and name in rule.governs for rule in grammar]
        fits[:, keeping] |= mixed_constant(arrays.attributes[name][:, :n], columns, redrawn)[:, None]
        found[name] = fits
    return found


def mixed_constant(levels: np.ndarray, columns: int, redrawn: Bools) -> Bools:
    """Whether mixed panels may be called constant.

    Args:
        levels: (N, P', S) of the context panels, -1 where no entity is.
        columns: n.
        redrawn: bool (N,), whether the rule on Number or Position may draw new entities for every panel.

    Returns:
        bool (N,): some panel is mixed, and the panels of every row hold the same values (as multisets) unless the
        entities are redrawn, which leaves nothing to compare.
    """
    top = levels.max(axis=-1)
    low = np.where(levels < 0, np.iinfo(np.int16).max, levels).min(axis=-1)
    mixed = (top != low).any(axis=1)
    ordered = np.sort(levels, axis=-1)
    pairs = np.arange(1, levels.shape[1])
    pairs = pairs[pairs % columns != 0]  # neighbours in a row
    same = (ordered[:, pairs] == ordered[:, pairs - 1]).all(axis=(1, 2))
    return mixed & (same | redrawn)


def consistent_rules(puzzles: PuzzleArrays, component: int) -> Bools:
    """Rule families that fit the context panels, by the four rules of a component.

    Args:
        puzzles: N puzzles.
        component: which one.

    Returns:
        bool (N, 4, F): RULE_SLOTS x the F rules of ``puzzles.grammar``. The first slot holds what fits on Number or on
        Position; its Constant is that of both, as the grammar has it.
    """
    found = consistent_families(puzzles, component)
    return np.stack([consistent_in(found, slot, puzzles.grammar) for slot in RULE_SLOTS], axis=1)


def consistent_in(found: Mapping[str, Bools], slot: str, grammar: tuple[Rule, ...]) -> Bools:
    """Rule families that fit the context panels, of one of the four rules of a component.

    Args:
        found: of :func:`consistent_families`.
        slot: one of RULE_SLOTS.
        grammar: of the puzzles.

    Returns:
        bool (N, F), a column for each rule of the grammar.
    """
    if slot != RULE_SLOTS[0]:
        return found[slot]
    either = found["Number"] | found["Position"]
    both = [RULE_SLOTS[0] in rule.governs for rule in grammar]  # alike in both: it shows on Position
    either[:, both] = found["Position"][:, both]
    return either


def _fit(grammar: tuple[Rule, ...], governed: str, context: np.ndarray, columns: int, domain: Domain) -> Bools:
    """bool (N, F): which families some parameter of which fits."""
    found = np.zeros((len(context), len(grammar)), dtype=np.bool_)
    for column, rule in enumerate(grammar):
        if rule.governs_part(governed):
            found[:, column] = rule.extends(context, columns, domain)
    return found
