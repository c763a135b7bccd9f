"""Whether puzzles could have come from the generator: rules on all rows, ranges, constancy, answer sets.

For tests of our own puzzles, and of anybody's files against the published grammar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..arrays import CANDIDATES, GOVERNED, RULE_SLOTS, PuzzleArrays
from ..attributes import ATTRIBUTES, ENTITY_ATTRIBUTES, UNIFORM
from ..data_sets import data_set
from ..making.sampling import keeps_entities, options
from ..rules.base import Rule, declares
from ..rules.consistency import panel_sets, panel_values
from ..rules.domains import Bools, Domain, SlotSets, Values
from .answer_faults import doubled, far, no_tree, repeated, unmarked

__all__ = ["contradictions", "entity_codes", "faults", "follows", "possible"]


def possible(puzzles: PuzzleArrays) -> Bools:
    """Whether the generator can make each puzzle.

    Args:
        puzzles: N puzzles.

    Returns:
        bool (N,).
    """
    return ~np.any(list(faults(puzzles).values()), axis=0)


def faults(puzzles: PuzzleArrays) -> dict[str, Bools]:
    """What is wrong with each puzzle.

    Args:
        puzzles: N puzzles, valid (:meth:`PuzzleArrays.validate`).

    Returns:
        bool (N,) by kind of fault; True where the puzzle has it.
    """
    found = contradictions(puzzles)
    found["two candidates are alike"] = repeated(puzzles)
    for c in range(len(puzzles.components)):
        found[f"component {c}: a first panel out of its rule's range"] = _out_of_range(puzzles, c)
        found[f"component {c}: entities change along a row"] = _restless(puzzles, c)
    data = data_set(puzzles.dataset)
    if data.tree and puzzles.modified is not None:
        found["the candidates are no bisection tree"] = no_tree(puzzles.modified, puzzles.target)
        found["a change that is not marked"] = unmarked(puzzles)
    if data.near:
        found["a distractor differs in more than one attribute"] = far(puzzles)
    return found


def contradictions(puzzles: PuzzleArrays) -> dict[str, Bools]:
    """Where the labels of a puzzle deny each other; whoever reads files wants to know.

    Args:
        puzzles: N puzzles, valid.

    Returns:
        As :func:`faults`, of which these are a part.
    """
    right = follows(puzzles)
    answers = right[np.arange(len(puzzles)), puzzles.target]
    found = {
        "the answer breaks a rule": ~answers,
        "another candidate is like the answer": doubled(puzzles),
    }
    if puzzles.maxval is None and all(arrays.uniformity is not None for arrays in puzzles.components):
        # Otherwise entities that look alike may have been drawn one by one, which more candidates do.
        found["another candidate follows the rules"] = right.sum(axis=1) > answers
    for c in range(len(puzzles.components)):
        found[f"component {c}: a rule that the grammar has not"] = _unknown_rule(puzzles, c)
    return found


def follows(puzzles: PuzzleArrays) -> Bools:
    """Which candidates complete the matrix by its rules.

    Args:
        puzzles: N puzzles with rules; parameters may be unknown (0).

    Returns:
        bool (N, 8).
    """
    n = len(puzzles)
    right, grammar = np.ones((n, CANDIDATES), dtype=np.bool_), puzzles.grammar
    for c, arrays in enumerate(puzzles.components):
        sets = _matrices(puzzles, panel_sets(puzzles, c))
        counts = _matrices(puzzles, arrays.numbers)
        slots = arrays.slots
        for code, governed in enumerate(GOVERNED):
            if not (arrays.governed == code).any():
                continue
            domain: Domain = Values(1, slots) if governed == "Number" else SlotSets(slots)
            matrix = counts if governed == "Number" else sets
            right &= (
                _check_rules(grammar, matrix, arrays.rules[:, 0], arrays.parameters[:, 0], domain)
                | (arrays.governed != code)[:, None]
            )
        keeps = keeps_entities(arrays.rules, arrays.governed)
        moves = _moves(puzzles, c)
        uniform = _uniform(puzzles, c)[:, None]
        for k, attribute in enumerate(ENTITY_ATTRIBUTES, start=1):
            name = attribute.name
            values = panel_values(puzzles, c, name)
            shown = _matrices(puzzles, values >= 0).all(axis=(2, 3))
            low, high, offset = _range(puzzles, c, name)
            fits = _check_rules(
                grammar,
                _matrices(puzzles, values) + offset,
                arrays.rules[:, k],
                arrays.parameters[:, k],
                Values(low + offset, high + offset, puzzles.maxval is None),
            )
            constant = declares(arrays.rules[:, k], "keeps_values")[:, None]
            kept = moves & (shown | ~uniform)
            drawn = (fits & shown) | ~uniform  # new, unlike entities in every panel: nothing to follow
            right &= np.where(constant, np.where(keeps[:, None], kept, drawn), fits & shown)
    return right


def _range(puzzles: PuzzleArrays, c: int, name: str) -> tuple[int, int, int]:
    """Smallest and largest level, and the offset of magnitudes."""
    if puzzles.maxval is not None:
        return 0, puzzles.maxval, 0
    return *puzzles.layouts[c].range(name), ATTRIBUTES[name].offset


def _matrices(puzzles: PuzzleArrays, panels: np.ndarray) -> np.ndarray:
    """(N, P) panels to (N, 8, n, n) matrices, one per candidate."""
    n, columns = len(puzzles), puzzles.columns
    context = np.repeat(panels[:, None, : puzzles.context], CANDIDATES, axis=1)
    matrices = np.concatenate([context, panels[:, puzzles.context :, None]], axis=2)
    return matrices.reshape(n, CANDIDATES, columns, columns)


def _check_rules(
    grammar: tuple[Rule, ...], matrices: np.ndarray, codes: np.ndarray, parameters: np.ndarray, domain: Domain
) -> Bools:
    """bool (N, 8): whether the rule labelled fits, with its parameter where that is known."""
    right = np.zeros(matrices.shape[:2], dtype=np.bool_)
    for rule in grammar:
        for parameter in {0, *rule.parameters}:
            rows = np.flatnonzero((codes == rule.code) & (parameters == parameter))
            if len(rows):
                flat = matrices[rows].reshape(-1, *matrices.shape[2:])
                known = parameter if parameter in rule.parameters else None
                right[rows] = rule.fits(flat, domain, known).reshape(len(rows), -1)
    return right


def _uniform(puzzles: PuzzleArrays, c: int) -> Bools:
    """bool (N,); without uniformity in the file, whether every panel is."""
    arrays = puzzles.components[c]
    if arrays.uniformity is not None:
        return (arrays.uniformity == UNIFORM).all(axis=1)
    return np.all([(panel_values(puzzles, c, a.name) >= 0).all(axis=1) for a in ENTITY_ATTRIBUTES], axis=0)


def _moves(puzzles: PuzzleArrays, c: int) -> Bools:
    """bool (N, 8): whether the entities of a row only move, and as the rule on Position says.

    Entities are compared in their constant attributes and their Angle, which moves along.
    """
    arrays, n, columns = puzzles.components[c], puzzles.context, puzzles.columns
    code = _labelled_codes(puzzles, c)
    pairs = np.array([k for k in range(1, n) if k % columns])
    same = np.zeros((len(puzzles), CANDIDATES), dtype=np.bool_)
    for rule in puzzles.grammar:
        for parameter in rule.parameters:
            known = np.isin(arrays.parameters[:, 0], (0, parameter))
            rows = np.flatnonzero((arrays.rules[:, 0] == rule.code) & known)
            if not len(rows):
                continue
            panels = code[rows]
            context = np.all(rule.carries(panels[:, pairs - 1], panels[:, pairs], parameter), axis=1, keepdims=True)
            last = rule.carries(np.repeat(panels[:, n - 1 : n], CANDIDATES, axis=1), panels[:, n:], parameter)
            same[rows] |= context & last
    return same


def _labelled_codes(puzzles: PuzzleArrays, c: int) -> np.ndarray:
    """:func:`entity_codes` of the attributes that are constant by their labels."""
    rules = puzzles.components[c].rules
    kept = {attribute.name: declares(rules[:, k], "keeps_values") for k, attribute in enumerate(ENTITY_ATTRIBUTES, 1)}
    return entity_codes(puzzles, c, kept)


def entity_codes(puzzles: PuzzleArrays, c: int, kept: Mapping[str, Bools] | Sequence[str]) -> np.ndarray:
    """What tells an entity apart, in one number: its attributes that stay, and its Angle, which moves along.

    Args:
        puzzles: N puzzles.
        c: which component.
        kept: the attributes that stay; or for each of them bool (N,), in which puzzles it does.

    Returns:
        int64 (N, P, S); -1 where no entity is.
    """
    arrays = puzzles.components[c]
    code = np.zeros(arrays.exists.shape, dtype=np.int64)
    for name in ("Type", "Size", "Color", *(("Angle",) if puzzles.maxval is None else ())):
        if name not in arrays.attributes or (name != "Angle" and name not in kept):  # files may not have angles
            continue
        levels = arrays.attributes[name].astype(np.int64)
        if name != "Angle" and isinstance(kept, Mapping):
            levels = np.where(kept[name][:, None, None], levels, 0)
        code = code * ((puzzles.maxval or 10) + 1) + np.maximum(levels, 0)
    return np.where(arrays.exists, code, -1)


def _unknown_rule(puzzles: PuzzleArrays, c: int) -> Bools:
    arrays, layout = puzzles.components[c], puzzles.layouts[c]
    known = np.zeros((len(puzzles), len(RULE_SLOTS)), dtype=np.bool_)
    for k, slot in enumerate(RULE_SLOTS):
        if puzzles.maxval is None:
            for option in options(puzzles.grammar, layout, slot):
                here = arrays.rules[:, k] == option.rule.code
                here &= (arrays.parameters[:, k] == option.parameter) | (arrays.parameters[:, k] == 0)
                if k == 0:
                    here &= arrays.governed == GOVERNED.index(option.governed)
                known[:, k] |= here
        else:
            for rule in puzzles.grammar:
                known[:, k] |= (arrays.rules[:, k] == rule.code) & (slot in rule.governs)
    return np.asarray(~known.all(axis=1))


def _fitting(rule: Rule, matrix: np.ndarray, parameters: np.ndarray, domain: Domain, parameter: int) -> Bools:
    """Rows to which this parameter applies: it is the one recorded, or none is and it fits."""
    recorded = parameters == parameter
    if parameter == 0:
        return recorded
    return recorded | ((parameters == 0) & rule.fits(matrix, domain, parameter))


def _out_of_range(puzzles: PuzzleArrays, c: int) -> Bools:
    """Whether the first panel of a row leaves no room for the rule, as ranges are for first panels."""
    full = puzzles.complete()
    arrays, columns = full.components[c], puzzles.columns
    shape = (len(puzzles), columns, columns)
    bad = np.zeros(len(puzzles), dtype=np.bool_)
    counts = arrays.numbers
    sets = panel_sets(full, c).reshape(shape)
    for k, slot in enumerate(RULE_SLOTS):
        for rule in puzzles.grammar:
            chosen = arrays.rules[:, k] == rule.code
            if k and rule.keeps_values:
                continue  # entities have the whole range, which validate checks
            for governed in GOVERNED if k == 0 else (slot,):
                if governed not in rule.governs:
                    continue
                mine = chosen & ((arrays.governed == GOVERNED.index(governed)) if k == 0 else True)
                domain: Domain
                for parameter in rule.parameters:
                    if k and puzzles.maxval is not None:
                        values, domain = panel_values(full, c, slot), Values(0, puzzles.maxval, white=False)
                        low, high = rule.first_range(0, rule.top(puzzles.maxval), parameter, columns)
                    elif k:
                        low, high, offset = _range(puzzles, c, slot)
                        values, domain = panel_values(full, c, slot) + offset, Values(low + offset, high + offset)
                        low, high = rule.first_range(low + offset, high + offset, parameter)
                    elif governed == "Number":
                        values, domain = counts, Values(1, arrays.slots)
                        low, high = rule.first_range(1, arrays.slots, parameter)
                    else:
                        values, domain = counts, SlotSets(arrays.slots)
                        low, high = rule.first_count(arrays.slots, parameter)
                    matrix = sets if isinstance(domain, SlotSets) else values.reshape(shape)
                    applies = mine & _fitting(rule, matrix, arrays.parameters[:, k], domain, parameter)
                    first = values.reshape(shape)[:, :, 0]
                    bad |= applies & ((first < low) | (first > high)).any(axis=1)
    return bad


def _restless(puzzles: PuzzleArrays, c: int) -> Bools:
    """Whether entities differ where the layout is uniform, or change where they only move (Angle included)."""
    if puzzles.maxval is not None:
        return np.zeros(len(puzzles), dtype=np.bool_)  # its Angle is a noise value per panel
    full = puzzles.complete()
    arrays, columns = full.components[c], puzzles.columns
    keeps = keeps_entities(arrays.rules, arrays.governed)
    code = _labelled_codes(full, c).reshape(len(puzzles), columns, columns, -1)
    ordered = np.sort(code, axis=-1)
    moved = (ordered != ordered[:, :, :1]).any(axis=(1, 2, 3))
    top = code.max(axis=-1, keepdims=True)
    unlike = (np.where(code < 0, top, code) != top[:, :, :1]).any(axis=(1, 2, 3))
    uniform = _uniform(full, c) if arrays.uniformity is not None else np.zeros(len(puzzles), dtype=np.bool_)
    mixed_levels = (
        np.zeros(len(puzzles), dtype=np.bool_)
        if arrays.uniformity is None
        else (arrays.uniformity != arrays.uniformity[:, :1]).any(axis=1)
    )
    return (keeps & moved) | (uniform & unlike) | mixed_levels
