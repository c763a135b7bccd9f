"""Formulas over roles: what a panel is in terms of the panels beside and above it.

A formula adds and subtracts panels that are named by their role for the panel that it predicts, not by their place in
the matrix: the first of the row, the one to the left, the ones between. So the same formula predicts many panels of
rows of any length.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from datasets.panels import ROWS
from reasoning.learners.role_formulas.roles import role_set
from vsa.errors import SettingsError, UnknownNameError

__all__ = [
    "OFFSETS",
    "Formula",
    "Place",
    "enumerate_formulas",
    "mutations",
    "parse",
    "places",
    "plainest",
    "unlike",
]

OFFSETS = (-2, -1, 0, 1, 2)
_TERM = re.compile(r"\s*([+-]?)\s*([A-Za-z_]\w*|\d+)")


@dataclass(frozen=True)
class Place:
    """A panel that a formula predicts.

    Attributes:
        panel: its index, row by row.
        plus: panels that are added.
        minus: panels that are subtracted.
        level: how many predicted panels lie before it, one predicting the next; where only one panel enters.
    """

    panel: int
    plus: tuple[int, ...]
    minus: tuple[int, ...]
    level: int

    @property
    def repeats(self) -> bool:
        """Whether a panel enters twice."""
        return len({*self.plus, *self.minus}) < len(self.plus) + len(self.minus)


@dataclass(frozen=True)
class Formula:
    """What a panel is in terms of others.

    Args:
        coefficients: -1, 0 or 1 for each of the roles.
        offset: what is added.
        last: whether only the last panel of a row follows; otherwise every panel whose inputs exist.
        distinct: whether the panels of a row differ from each other besides.
        roles: relative or absolute, how panels are named.
    """

    coefficients: tuple[int, ...]
    offset: int = 0
    last: bool = False
    distinct: bool = False
    roles: str = "relative"

    def __post_init__(self) -> None:
        names = role_set(self.roles).names
        if len(self.coefficients) != len(names) or not all(one in (-1, 0, 1) for one in self.coefficients):
            raise SettingsError(
                "Formula", received=f"coefficients {self.coefficients}", expected=f"-1, 0 or 1 for each of {names}"
            )

    @property
    def terms(self) -> tuple[tuple[str, int], ...]:
        """Roles that enter, each with its sign."""
        return tuple(
            (role, one) for role, one in zip(role_set(self.roles).names, self.coefficients, strict=True) if one
        )

    def takes(self, roles: Iterable[str]) -> bool:
        """Whether one of some roles enters."""
        return any(role in roles for role, _ in self.terms)

    @property
    def inputs(self) -> int:
        """How many roles enter."""
        return sum(map(abs, self.coefficients))

    @property
    def complexity(self) -> int:
        """What it costs to say it: inputs, an offset, that panels differ; and a panel moved in last panels alone."""
        return self.inputs + (self.offset != 0) + self.distinct + (self.last and not self.sums)

    @property
    def sums(self) -> bool:
        """Whether several panels enter, in long rows at least."""
        return self.inputs > 1 or self.takes(role_set(self.roles).several)

    @property
    def copies(self) -> bool:
        """Whether a single panel is copied, up to the offset."""
        return self.inputs == 1 and max(self.coefficients) == 1

    def __str__(self) -> str:
        """The form that :func:`parse` reads."""
        terms = [f"{'-' if one < 0 else '+'} {role}" for role, one in self.terms]
        terms.sort(key=lambda term: term[0] == "-")
        if self.offset:
            terms.append(f"{'-' if self.offset < 0 else '+'} {abs(self.offset)}")
        said = " ".join(terms).removeprefix("+ ") or "0"
        return f"{'last' if self.last else 'panel'} = {said}{', row distinct' if self.distinct else ''}"

    def words(self) -> str:
        """A sentence."""
        words = role_set(self.roles).words
        plus = [words[role] for role, one in self.terms if one > 0]
        minus = [words[role] for role, one in self.terms if one < 0]
        said = " plus ".join(plus) or "nothing"
        said += "".join(f" minus {role}" for role in minus)
        if self.offset:
            said += f" {'plus' if self.offset > 0 else 'minus'} {abs(self.offset)}"
        what = "The last panel of a row is" if self.last else "Every panel is"
        return f"{what} {said}{'; the panels of a row differ' if self.distinct else ''}."


@lru_cache(maxsize=4096)
def places(formula: Formula, columns: int) -> tuple[Place, ...]:
    """The panels that a formula predicts in three rows, in the order in which they can be predicted.

    Args:
        formula: which.
        columns: n.

    Returns:
        Row by row; the last is the missing panel, if the formula reaches it.
    """
    found: dict[int, Place] = {}
    for row, column in itertools.product(range(ROWS), range(columns)):
        if formula.last and column != columns - 1:
            continue
        roles = role_set(formula.roles).at(row, column, columns)
        if any(role not in roles for role, _ in formula.terms):
            continue
        plus, minus = (
            tuple(panel for role, one in formula.terms if one == sign for panel in roles[role]) for sign in (1, -1)
        )
        if not plus and not minus:
            continue
        level = 1 + max((found[panel].level for panel in (*plus, *minus) if panel in found), default=-1)
        panel = row * columns + column
        found[panel] = Place(panel, plus, minus, level if len(plus) + len(minus) == 1 else 0)
    return tuple(found.values())


def enumerate_formulas(
    columns: int, inputs: int = 2, offsets: Sequence[int] = OFFSETS, roles: str = "relative"
) -> tuple[Formula, ...]:
    """All formulas of few inputs that say something different about rows of n.

    Args:
        columns: n.
        inputs: at most so many roles.
        offsets: what may be added.
        roles: relative or absolute.

    Returns:
        One of each kind of those that are alike in rows of n: of sums the one that speaks of the first panel and those
        between, which is the one that goes on holding in longer rows.
    """
    found = []
    kind = role_set(roles)
    scopes = (False, True) if kind.every else (True,)
    for count in range(1, inputs + 1):
        for chosen in itertools.combinations(range(len(kind.names)), count):
            for signs in itertools.product((1, -1), repeat=count):
                coefficients = [0] * len(kind.names)
                for role, sign in zip(chosen, signs, strict=True):
                    coefficients[role] = sign
                for offset, last in itertools.product(offsets, scopes):
                    formula = Formula(tuple(coefficients), offset, last, roles=roles)
                    found.append(formula)
                    if formula.copies and not offset and not last and kind.names[chosen[0]].startswith("above"):
                        found.append(replace(formula, distinct=True))
    return unlike(found, columns)


def mutations(formulas: Iterable[Formula], columns: int) -> tuple[Formula, ...]:
    """What differs from some formulas in one coefficient, the offset, or what it speaks of.

    Args:
        formulas: the formulas.
        columns: n.

    Returns:
        The others, one of each kind of those that are alike in rows of n.
    """
    given = list(formulas)
    found = []
    for formula in given:
        for role in range(len(formula.coefficients)):
            for one in {-1, 0, 1} - {formula.coefficients[role]}:
                changed = (*formula.coefficients[:role], one, *formula.coefficients[role + 1 :])
                if any(changed):
                    found.append(replace(formula, coefficients=changed))
        for offset in {formula.offset - 1, formula.offset + 1} & set(OFFSETS):
            found.append(replace(formula, offset=offset))
        found.append(replace(formula, last=not formula.last))
        found.append(replace(formula, distinct=not formula.distinct))
    known = {_meaning(formula, columns) for formula in given}
    return tuple(formula for formula in unlike(found, columns) if _meaning(formula, columns) not in known)


def unlike(formulas: Iterable[Formula], columns: int) -> tuple[Formula, ...]:
    """One of each kind of formulas that are alike in rows of n: the simplest, then the one that holds in longer rows.

    Args:
        formulas: any.
        columns: n.

    Returns:
        Those that reach the missing panel, add something, count no panel twice, and do not add up what they predicted
        themselves.
    """
    kept: dict[object, Formula] = {}
    for formula in formulas:
        reached = places(formula, columns)
        if not reached or reached[-1].panel != ROWS * columns - 1:
            continue
        if max(formula.coefficients) < 1 or any(place.repeats for place in reached):
            continue  # in long rows of arithmetic, which are half zeros, it holds by coincidence
        predicted = {place.panel for place in reached}
        if formula.distinct and any(panel < columns for panel in predicted):
            continue  # what predicts the row says already whether its panels differ
        entering = [{*place.plus, *place.minus} for place in reached]
        summed = any(len(panels) > 1 and panels & predicted for panels in entering)
        if summed and not role_set(formula.roles).predicted:
            continue  # sums of sums: what their panels share, reading them one by one does not see
        meaning = _meaning(formula, columns)
        if meaning not in kept or _plainness(formula) < _plainness(kept[meaning]):
            kept[meaning] = formula
    return tuple(sorted(kept.values(), key=_plainness))


def plainest(formulas: Iterable[Formula], columns: int, inputs: int = 2) -> list[Formula]:
    """For each formula the plainest one that says the same of rows of n, where that is a short one.

    Args:
        formulas: any.
        columns: n.
        inputs: of the short ones, at most.

    Returns:
        As many.
    """
    given = list(formulas)
    kinds = {formula.roles for formula in given}
    short = {_meaning(one, columns): one for kind in kinds for one in enumerate_formulas(columns, inputs, roles=kind)}
    return [short.get(_meaning(formula, columns), formula) for formula in given]


def _meaning(formula: Formula, columns: int) -> object:
    """What a formula says of every panel in terms of those that it leaves free."""
    said: dict[int, tuple[dict[int, int], int]] = {}
    for place in places(formula, columns):
        total: dict[int, int] = {}
        offset = formula.offset
        for sign, panels in ((1, place.plus), (-1, place.minus)):
            for panel in panels:
                terms, constant = said.get(panel, ({panel: 1}, 0))
                offset += sign * constant
                for free, times in terms.items():
                    total[free] = total.get(free, 0) + sign * times
        said[place.panel] = ({free: times for free, times in sorted(total.items()) if times}, offset)
    return tuple((panel, tuple(terms.items()), offset) for panel, (terms, offset) in said.items()), formula.distinct


def _plainness(formula: Formula) -> tuple[int, bool, bool, tuple[int, ...]]:
    """Sums come first that hold in longer rows: of last panels, and of "first" and "between", the whole of a row."""
    kind = role_set(formula.roles)
    whole, partly = formula.takes(kind.whole), formula.takes(kind.partly)
    aside = partly if formula.sums else whole
    return formula.complexity, formula.sums and not formula.last, aside, tuple(-one for one in formula.coefficients)


def parse(text: str, columns: int = 3, roles: str = "relative") -> Formula:
    """A formula from its text.

    Args:
        text: as ``panel = left + 1`` (every panel), ``last = first - between`` (the last of a row), or in the panels of
            a row, ``x3 = x1 + x2``; ``, row distinct`` may follow.
        columns: n, where panels of a row are named.
        roles: relative or absolute.

    Returns:
        The formula. ``x3 = x1 + x2`` becomes ``last = first + between``.

    Raises:
        SettingsError: no formula.
        UnknownNameError: a role that there is not.
    """
    said, _, claim = text.partition(",")
    left, equals, right = (part.strip() for part in said.partition("="))
    if not equals or claim.strip() not in ("", "row distinct"):
        raise SettingsError(
            f"formula {text!r}", received="no formula", expected="panel = ..., last = ... or x3 = ..., as x3 = x1 + x2"
        )
    numbered = re.fullmatch(r"x(\d+)", left)
    if left not in ("panel", "last") and not (numbered and int(numbered[1]) == columns):
        raise UnknownNameError(f"formula {text!r}", name=left, known=("panel", "last", f"x{columns}"), kind="panel")
    terms: list[tuple[int, str]] = []
    place = 0
    while place < len(right):
        found = _TERM.match(right, place)
        if not found or (terms and not found[1]):
            raise SettingsError(f"formula {text!r}", received=right[place:].strip(), expected="+ or - and a role")
        terms.append((-1 if found[1] == "-" else 1, found[2]))
        place = found.end()
    offset = sum(sign * int(name) for sign, name in terms if name.isdigit())
    named = [(sign, name) for sign, name in terms if not name.isdigit()]
    known = role_set(roles).names
    if numbered and not {name for _, name in named} <= set(known):
        named = _by_role(text, named, columns)
    coefficients = dict.fromkeys(known, 0)
    for sign, name in named:
        if name not in coefficients:
            raise UnknownNameError(f"formula {text!r}", name=name, known=known, kind="role")
        coefficients[name] += sign
    formula = Formula(tuple(coefficients.values()), offset, left != "panel", bool(claim.strip()), roles)
    if not formula.inputs:
        raise SettingsError(f"formula {text!r}", received="no panel", expected=f"at least one of {', '.join(known)}")
    return formula


def _by_role(text: str, terms: list[tuple[int, str]], columns: int) -> list[tuple[int, str]]:
    """Panels of a row, ``x1`` to ``x(n-1)``, as roles for the last one."""
    signs: dict[int, int] = {}
    for sign, name in terms:
        found = re.fullmatch(r"x(\d+)", name)
        if not found or not 1 <= int(found[1]) < columns or int(found[1]) in signs:
            known = [f"x{number}" for number in range(1, columns)]
            raise UnknownNameError(f"formula {text!r}", name=name, known=known, kind="panel, once each,")
        signs[int(found[1])] = sign
    middle = {signs.get(number, 0) for number in range(2, columns)}
    first = [(signs[1], "first")] if 1 in signs else []
    if len(middle) == 1 and (len(signs) > 1 or columns > 3) and 0 not in middle:
        return [*first, (middle.pop(), "between")]
    roles = {columns - 1: "left", columns - 2: "left2", 1: "first"}
    if unnamed := [number for number in signs if number not in roles]:
        expected = "all panels between the first and the last with one sign, or x1, the last but one and two"
        raise SettingsError(f"formula {text!r}", received=f"x{unnamed[0]}", expected=expected)
    return [(sign, roles[number]) for number, sign in signs.items()]
