"""The laws of a rule: what its author promises by deriving from :class:`datasets.rules.Rule`, tried on drawn panels."""

from __future__ import annotations

from typing import Any

import numpy as np

from vsa.errors import VSAError

from ..streams import Ints, Stream
from .base import Placement, Rule, sets_of
from .domains import Domain, SlotSets, Values
from .form_laws import follows_form, follows_pattern, is_pattern, matrices_of
from .forms import PATTERNS

__all__ = ["check_rule"]

_VALUES = ((1, 5), (0, 9), (1, 10))  # ranges of magnitudes that RAVEN has: Type, Color, Size
_SLOTS = (2, 4, 9)
_TRIED = 4000  # matrices of a form, of which few may be legal


def check_rule(
    rule: Rule, *, n: int = 200, seed: int = 0, maxval: int = 100, columns: tuple[int, ...] = (3, 5, 10)
) -> None:
    """Tries a rule's methods against one another.

    Drawn matrices are in range, begin within ``first_range``, hold and are what ``complete`` says; the linear form
    gives the last panels; placements are placements, begin within ``first_count``, hold, and carry their entities.
    Drawn matrices are as ``form`` and ``pattern`` say, and what the form admits holds.

    Args:
        rule: the rule.
        n: matrices for each parameter and range.
        seed: of the draws.
        maxval: of the matrices with n columns.
        columns: of the matrices as I-RAVEN-X has them.

    Raises:
        VSAError: a law is broken; the sentence names rule, method, parameter, range and a matrix.
    """
    if not is_pattern(rule.pattern):
        _refuse(rule, "pattern", repr(rule.pattern), f"None or one of {', '.join(PATTERNS)}", "a declaration")
    if any(name in rule.governs for name in ("Number", "Type", "Size", "Color")):
        for parameter in rule.parameters:
            for low, high in _VALUES:
                _check_values(rule, parameter, low, high, n, seed)
            for width in columns:
                _check_wide(rule, parameter, maxval, width, n, seed)
    if any(name in rule.governs for name in ("Position", "Number/Position")):
        for parameter in rule.parameters:
            for slots in _SLOTS:
                _check_places(rule, parameter, slots, n, seed)


def _check_values(rule: Rule, parameter: int, low: int, high: int, n: int, seed: int) -> None:
    least, most = rule.first_range(low, high, parameter)
    if least > most:
        return  # impossible in this range, as it may be
    where = f"parameter {parameter}, values {low} .. {high}"
    rows = np.arange(n)
    drawn = rule.draw(Stream(seed, ("check", rule.name, low, high), rows), low, high, np.full(n, parameter), rows)
    _check_drawn(rule, "draw", drawn, (n, 3, 3), parameter, Values(low, high), (least, most), where)


def _check_wide(rule: Rule, parameter: int, maxval: int, columns: int, n: int, seed: int) -> None:
    top = rule.top(maxval)
    least, most = rule.first_range(0, top, parameter, columns)
    if least > most:
        return
    where = f"parameter {parameter}, {columns} columns, maxval {maxval}"
    rows = np.arange(n)
    stream = Stream(seed, ("check", rule.name, maxval, columns), rows)
    drawn = rule.draw_wide(stream, maxval, np.full(n, parameter), rows, columns)
    domain = Values(0, top, white=False)
    _check_drawn(rule, "draw_wide", drawn, (n, columns, columns), parameter, domain, (least, most), where)


def _check_drawn(
    rule: Rule,
    method: str,
    drawn: Ints,
    shape: tuple[int, ...],
    parameter: int,
    domain: Values,
    first: tuple[int, int],
    where: str,
) -> None:
    if not isinstance(drawn, np.ndarray) or drawn.shape != shape or drawn.dtype.kind != "i":
        received = f"{getattr(drawn, 'dtype', type(drawn).__name__)} of shape {np.shape(drawn)}"
        _refuse(rule, method, received, f"integers of shape {shape}", where)
    _require(rule, method, domain.legal(drawn).all(axis=(1, 2)), drawn, "values in the range", where)
    starts = ((drawn[:, :, 0] >= first[0]) & (drawn[:, :, 0] <= first[1])).all(axis=1)
    _require(rule, "first_range", starts, drawn, f"first panels in {first[0]} .. {first[1]}", where)
    _check_relation(rule, drawn, parameter, domain, where)
    form = rule.linear(shape[2], parameter)
    if form is None:
        return
    n, columns = len(drawn), shape[2]
    if len(form.row) != columns - 1 or len(form.context) != 2 * columns - 1:
        received = f"{len(form.row)} and {len(form.context)} coefficients"
        _refuse(rule, "linear", received, f"{columns - 1} and {2 * columns - 1}", where)
    context = np.concatenate([drawn[:, -3], drawn[:, -2, :-1]], axis=1)
    said = form.apply(drawn[:, -1, :-1], context).reshape(n)
    _require(rule, "linear", said == drawn[:, -1, -1], drawn, "the last panel of drawn matrices", where)


def _check_places(rule: Rule, parameter: int, slots: int, n: int, seed: int) -> None:
    least, most = rule.first_count(slots, parameter)
    if least > most:
        return
    where = f"parameter {parameter}, {slots} slots"
    rows = np.arange(n)
    placed = rule.place(Stream(seed, ("check", rule.name, slots), rows), slots, np.full(n, parameter), rows)
    shapes = (getattr(placed.order, "shape", None), getattr(placed.count, "shape", None))
    if not isinstance(placed, Placement) or shapes != ((n, 3, 3, slots), (n, 3, 3)):
        _refuse(rule, "place", f"shapes {shapes}", f"{(n, 3, 3, slots)} and {(n, 3, 3)}", where)
    legal = (np.sort(placed.order, axis=-1) == np.arange(slots)).all(axis=(1, 2, 3))
    _require(rule, "place", legal, placed.order, "permutations of the slots", where)
    counted = ((placed.count >= 1) & (placed.count <= slots)).all(axis=(1, 2))
    _require(rule, "place", counted, placed.count, f"1 .. {slots} entities in each panel", where)
    starts = ((placed.count[:, :, 0] >= least) & (placed.count[:, :, 0] <= most)).all(axis=1)
    _require(rule, "first_count", starts, placed.count, f"{least} .. {most} entities in first panels", where)
    _check_relation(rule, sets_of(placed.order, placed.count), parameter, SlotSets(slots), where)
    if rule.keeps_entities:
        present = np.arange(slots) < placed.count[..., None]
        entities = np.full(placed.order.shape, -1, dtype=np.int64)
        np.put_along_axis(entities, placed.order, np.where(present, np.arange(slots), -1), axis=-1)
        moved = rule.carries(entities[:, :, :-1], entities[:, :, 1:], parameter)
        _require(rule, "carries", moved.all(axis=(1, 2)), entities, "entities of a row that move as it says", where)
        by = rule.moves(parameter)
        if by is not None:
            moved = np.roll(entities[:, :, :-1], by, axis=-1) == entities[:, :, 1:]
            _require(rule, "moves", moved.all(axis=(1, 2, 3)), entities, f"entities that move on by {by} slots", where)


def _check_relation(rule: Rule, matrix: Ints, parameter: int, domain: Domain, where: str) -> None:
    """``holds`` and ``complete`` agree with what was drawn; no other last panel holds, nor a broken first row."""
    n, _, columns = matrix.shape
    held = rule.holds(matrix, parameter, domain)
    _require(rule, "holds", held, matrix, "drawn matrices to hold", where)
    context = matrix.reshape(n, -1)[:, :-1]
    said = rule.complete(context, columns, parameter, domain)
    _require(rule, "complete", said == matrix[:, -1, -1], matrix, "the last panel of drawn matrices", where)
    top = domain.high if isinstance(domain, Values) else (1 << domain.slots) - 1  # type: ignore[attr-defined]
    low = domain.low if isinstance(domain, Values) else 1
    other = matrix.copy()
    other[:, -1, -1] = np.where(matrix[:, -1, -1] < top, matrix[:, -1, -1] + 1, low)
    wrong = rule.holds(other, parameter, domain) & (other[:, -1, -1] != matrix[:, -1, -1])
    _require(rule, "holds", ~wrong, other, "no other last panel to hold: one answer is right", where)
    spoiled = matrix.copy()  # a broken row above: the rule is that of all rows
    spoiled[:, 0, -1] = np.where(matrix[:, 0, -1] < top, matrix[:, 0, -1] + 1, low)
    again = rule.holds(spoiled, parameter, domain) & (spoiled[:, 0, -1] != matrix[:, 0, -1])
    _require(rule, "holds", ~again, spoiled, "no matrix to hold whose first row is broken", where)
    _check_declared(rule, matrix, parameter, domain, where)


def _check_declared(rule: Rule, matrix: Ints, parameter: int, domain: Domain, where: str) -> None:
    """What the rule declares for reasoners says the same as its functions."""
    patterned = follows_pattern(rule, matrix, parameter, domain)
    if patterned is not None:
        _require(rule, "pattern", patterned, matrix, f"drawn matrices of the pattern {rule.pattern}", where)
    form = rule.form(matrix.shape[2], parameter)
    if form is None:
        return
    if form.columns != matrix.shape[2]:
        _refuse(rule, "form", f"a form of {form.columns} columns", f"{matrix.shape[2]}", where)
    _require(rule, "form", follows_form(form, matrix, domain), matrix, "drawn matrices to be of the form", where)
    if isinstance(domain, Values) and form.columns == 3:  # of sets, and of long rows, few are legal
        plain = Values(domain.low, domain.high, white=False)
        admitted = matrices_of(form, plain, _TRIED, 0)
        held = rule.holds(admitted, parameter, plain)
        _require(rule, "form", held, admitted, "all matrices that the form admits to hold", where)


def _require(rule: Rule, method: str, kept: Any, shown: np.ndarray, expected: str, where: str) -> None:
    if kept.shape != (len(shown),) or kept.dtype != np.bool_:
        _refuse(rule, method, f"{kept.dtype} of shape {kept.shape}", f"bool of shape ({len(shown)},)", where)
    broken = np.flatnonzero(~kept)
    if len(broken):
        received = f"{len(broken)} of {len(kept)} that break this, such as {shown[broken[0]].tolist()}"
        _refuse(rule, method, received, expected, where)


def _refuse(rule: Rule, method: str, received: str, expected: str, where: str) -> None:
    raise VSAError(f"check rule {rule.name}, {method} ({where})", received=received, expected=expected)
