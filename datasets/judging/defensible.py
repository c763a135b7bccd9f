"""Which candidates can be defended: some rules of the grammar fit the whole matrix with the candidate in it.

The answer that the generator meant is one of them. Where there is another, nobody who sees the puzzle alone can tell.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..arrays import CANDIDATES, PuzzleArrays
from ..attributes import ATTRIBUTES, ENTITY_ATTRIBUTES
from ..rules.base import Rule
from ..rules.consistency import panel_sets, panel_values
from ..rules.domains import Bools, Domain, SlotSets, Values
from .possible import entity_codes

__all__ = ["ambiguous", "defensible"]

_NAMES = tuple(attribute.name for attribute in ENTITY_ATTRIBUTES)
_PARTS = tuple(part for count in range(len(_NAMES) + 1) for part in combinations(_NAMES, count))


def ambiguous(puzzles: PuzzleArrays) -> Bools:
    """Whether a puzzle has a second answer beside its own that can be defended.

    Args:
        puzzles: N puzzles.

    Returns:
        bool (N,).
    """
    others = defensible(puzzles)
    others[np.arange(len(puzzles)), puzzles.target] = False
    return np.asarray(others.any(axis=1))


def defensible(puzzles: PuzzleArrays) -> Bools:
    """Which candidates complete the matrix by some rules of the grammar, whichever were meant.

    Each component needs one rule on Number or Position and one on each of Type, Size and Color. Where panels show
    entities that differ, that rule is one under which entities keep their values, as the rule on Number or Position
    allows; a candidate whose entities differ is no completion of panels whose entities are all alike.

    Args:
        puzzles: N puzzles; what governs them is not looked at.

    Returns:
        bool (N, 8).
    """
    found = np.ones((len(puzzles), CANDIDATES), dtype=np.bool_)
    for c in range(len(puzzles.components)):
        found &= _component(puzzles, c)
    return found


def _component(puzzles: PuzzleArrays, c: int) -> Bools:
    """bool (N, 8): of one component."""
    grammar, n = puzzles.grammar, puzzles.context
    valued, constant, mixed, free = {}, {}, {}, {}
    for name in _NAMES:
        values = panel_values(puzzles, c, name)
        shown = np.asarray((values[:, :n] >= 0).all(axis=1))[:, None] & (values[:, n:] >= 0)
        low, high = puzzles.layouts[c].range(name) if puzzles.maxval is None else (0, puzzles.maxval)
        offset = ATTRIBUTES[name].offset if puzzles.maxval is None else 0
        domain = Values(low + offset, high + offset, puzzles.maxval is None)
        rules = [rule for rule in grammar if name in rule.governs]
        keeping = [rule for rule in rules if rule.keeps_values]
        valued[name] = shown & _any(puzzles, values + offset, domain, [rule for rule in rules if not rule.keeps_values])
        constant[name] = shown & _any(puzzles, values + offset, domain, keeping)
        mixed[name] = np.asarray((values[:, :n] < 0).any(axis=1))[:, None]
        free[name] = np.full_like(shown, bool(keeping))
    arrays = puzzles.components[c]
    if arrays.slots == 1:
        return np.asarray(np.all([valued[name] | constant[name] for name in _NAMES], axis=0))
    sets, domain_of_sets = panel_sets(puzzles, c), SlotSets(arrays.slots)
    redrawing = [rule for rule in grammar if rule.governs_part("Position") and not rule.keeps_entities]
    found = _any(puzzles, sets, domain_of_sets, redrawing)
    counting = [rule for rule in grammar if "Number" in rule.governs]
    found |= _any(puzzles, arrays.numbers, Values(1, arrays.slots), counting)
    # New entities in every panel: what varies is free, and what varies nowhere is as rules have it.
    found &= np.all([valued[name] | constant[name] | (free[name] & mixed[name]) for name in _NAMES], axis=0)
    unlike = np.any([mixed[name] for name in _NAMES], axis=0)  # entities are drawn one by one
    for rule in grammar:
        if not (rule.governs_part("Position") and rule.keeps_entities):
            continue
        for parameter in rule.parameters:
            placed = _any(puzzles, sets, domain_of_sets, [rule], parameter)
            for kept in _PARTS:
                each = [free[name] & (constant[name] | unlike) if name in kept else valued[name] for name in _NAMES]
                possible = placed & np.all(each, axis=0) & ~found
                rows = np.flatnonzero(possible.any(axis=1))
                if len(rows):
                    found[rows] |= possible[rows] & _carried(puzzles[rows], c, kept, rule, parameter)
    return found


def _any(
    puzzles: PuzzleArrays, panels: np.ndarray, domain: Domain, rules: list[Rule], parameter: int | None = None
) -> Bools:
    """bool (N, 8): whether one of the rules (all parameters, or the one) makes a candidate of the context (N, P)."""
    n = puzzles.context
    found = np.zeros((len(panels), CANDIDATES), dtype=np.bool_)
    for rule in rules:
        for each in rule.parameters if parameter is None else (parameter,):
            last = rule.complete(panels[:, :n], puzzles.columns, each, domain)
            whole = np.concatenate([panels[:, :n], last[:, None]], axis=1)
            fits = rule.fits(whole.reshape(len(panels), -1, puzzles.columns), domain, each)
            found |= fits[:, None] & (panels[:, n:] == last[:, None])
    return found


def _carried(puzzles: PuzzleArrays, c: int, kept: tuple[str, ...], rule: Rule, parameter: int) -> Bools:
    """bool (N, 8): whether the entities of a row move by a rule, keeping some attributes and their Angle."""
    code, n = entity_codes(puzzles, c, kept), puzzles.context
    pairs = np.array([k for k in range(1, n) if k % puzzles.columns])
    context = np.all(rule.carries(code[:, pairs - 1], code[:, pairs], parameter), axis=1, keepdims=True)
    last = rule.carries(np.repeat(code[:, n - 1 : n], CANDIDATES, axis=1), code[:, n:], parameter)
    return np.asarray(context & last)
