"""The rules that NVSA weighs, and how many value combinations each admits.

For the patterns of the published rules all is worked out at once, in the order of :data:`PATTERNED`; a rule without a
pattern follows from its form.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from datasets.arrays import BOTH, GOVERNED
from datasets.panels import ROWS
from datasets.rules import SlotSets, Values, forms
from datasets.rules.base import PUBLISHED, Rule, rules_named
from datasets.rules.forms import PanelForm
from reasoning.learners.base import constant_code
from reasoning.learners.grammar.forms import form_counts
from vsa.errors import VSAError

__all__ = [
    "PATTERNED",
    "STEPS",
    "Evidence",
    "Grammar",
    "count_form_numbers",
    "count_form_sets",
    "count_form_values",
    "count_numbers",
    "count_sets",
    "count_values",
]

STEPS = (-2, -1, 1, 2)
PATTERNED: tuple[tuple[str, int | None], ...] = (
    (forms.ALIKE, None),
    *((forms.STEPS, step) for step in STEPS),
    (forms.TOTALS, 1),
    (forms.TOTALS, -1),
    (forms.SHIFTS, None),
)
"""Patterns with their parameters (None: all of them at once) whose evidence is worked out together."""


@dataclass(frozen=True)
class Evidence:
    """What the context says of one or several attributes.

    Attributes:
        agreement: (..., R), log of the product of similarities that a rule asks for.
        factors: (R,), how many similarities that are.
        predicted: (..., R, V), what each rule predicts for the missing panel; of sets the occupancies (..., R, S).
    """

    agreement: Tensor
    factors: Tensor
    predicted: Tensor

    def at(self, order: Sequence[int]) -> Evidence:
        """Some of the rules.

        Args:
            order: which, by their places.

        Returns:
            The evidence for them.
        """
        chosen = list(order)
        return Evidence(self.agreement[..., chosen], self.factors[..., chosen], self.predicted[..., chosen, :])


class Grammar:
    """The rules that are weighed: one for each parameter, and one in all where a pattern tells none apart.

    Args:
        names: of the rules that may be at work.

    Attributes:
        labels: R short names.
        words: R clauses.
        families: R names of rules.
        codes: R codes of rules.
        both: for each of the R, whether it is one rule on Number and Position together.
        constant: the code of the rule that what no rule explains is named by; UNKNOWN: there is none.

    Raises:
        VSAError: a rule declares neither a pattern nor a form.
    """

    def __init__(self, names: Iterable[str] = PUBLISHED) -> None:
        rules = rules_named(names)
        entries: dict[tuple[object, ...], tuple[Rule, int]] = {}
        order: list[int] = []
        self._declared: list[tuple[Rule, int]] = []
        for rule in rules:
            for parameter in rule.parameters:
                place = _place(rule, parameter)
                if place is None and rule.form(3, parameter) is None:
                    raise VSAError(
                        f"NVSA with the rule {rule.name}",
                        received="no form of its panels (Rule.form gives None)",
                        expected="a PanelForm: which panels follow from which, and which differ",
                        hint=f"declare {type(rule).__name__}.form, or use another model, such as symbolic",
                    )
                key = (rule.name, parameter if place is None else place)
                if key in entries:
                    continue
                entries[key] = rule, parameter
                if place is None:
                    place = len(PATTERNED) + len(self._declared)
                    self._declared.append((rule, parameter))
                order.append(place)
        self._order = order
        self.labels = tuple(rule.label(parameter) for rule, parameter in entries.values())
        self.words = tuple(rule.sentence(parameter) for rule, parameter in entries.values())
        self.families = tuple(rule.name for rule, _ in entries.values())
        self.codes = tuple(rule.code for rule, _ in entries.values())
        self.both = tuple(_is_both(rule) for rule, _ in entries.values())
        self.constant = constant_code(rule.name for rule in rules)

    @property
    def order(self) -> list[int] | None:
        """Places of the rules in what is worked out, patterns first, then forms; None: just so."""
        return None if self._order == list(range(len(PATTERNED) + len(self._declared))) else self._order

    def forms(self, columns: int) -> tuple[PanelForm, ...]:
        """The forms of the rules without a pattern.

        Args:
            columns: n.

        Returns:
            One for each rule and parameter.

        Raises:
            VSAError: a rule has none for so many columns.
        """
        found = []
        for rule, parameter in self._declared:
            form = rule.form(columns, parameter)
            if form is None:
                raise VSAError(
                    f"NVSA with the rule {rule.name}",
                    received=f"no form in rows of {columns} panels",
                    expected="a PanelForm for them",
                )
            found.append(form)
        return tuple(found)


def _is_both(rule: Rule) -> bool:
    """Whether a rule is one on Number and Position together."""
    return GOVERNED[BOTH] in rule.governs


def _place(rule: Rule, parameter: int) -> int | None:
    """Where the pattern of a rule stands among those that are worked out together; None: it needs its form."""
    for number, (pattern, of) in enumerate(PATTERNED):
        if pattern == rule.pattern and of in (None, parameter):
            return number
    return None


# A rule's probability is what its similarities say, divided by the number of matrices that it admits: a rule that
# leaves less open explains more. Rows are independent, so a row's number is cubed; but not that of Distribute_Three,
# whose first row settles the others. The functions give logs, (R,) float64; infinite where a rule is impossible.


@lru_cache(maxsize=256)
def count_values(low: int, high: int, columns: int) -> Tensor:
    """How many matrices of values each pattern admits.

    Args:
        low: smallest magnitude of the attribute.
        high: largest magnitude.
        columns: n.

    Returns:
        (R,) logs.
    """
    values = high - low + 1
    rows = [values, *(values - abs(step) * (columns - 1) for step in STEPS)]
    # n - 1 magnitudes of at least `low`, the sum of which is at most `high`: the operands, or all but the first panel.
    spare = high - low * (columns - 1)
    sums = math.comb(spare + columns - 1, columns - 1) if spare >= 0 else 0
    return _logs([*rows, sums, sums], math.perm(values, columns) if values >= columns else 0)


@lru_cache(maxsize=16)
def count_sets(slots: int) -> Tensor:
    """How many matrices of non-empty sets of slots each pattern admits, in rows of three.

    Args:
        slots: S.

    Returns:
        (R,) logs.
    """
    ways, sizes = _ways(slots), range(1, slots + 1)
    rows = [sum(ways)]
    # A moving set leaves two slots free per step, as in the original generator.
    rows += [sum(ways[1 : max(1, slots - 2 * abs(step) + 1)]) for step in STEPS]
    rows.append(sum(ways[size] * (2**slots - 2**size) for size in sizes))  # the second set adds something
    rows.append(sum(ways[size] * (2**slots - 2 ** (slots - size) - 1) for size in sizes))  # something is left
    return _logs(rows, sum(math.perm(ways[size], 3) for size in sizes))


@lru_cache(maxsize=16)
def count_numbers(slots: int) -> Tensor:
    """How many matrices of sets each pattern of their sizes admits, in rows of three: comparable to :func:`count_sets`.

    Args:
        slots: S.

    Returns:
        (R,) logs.
    """
    ways, sizes = _ways(slots), range(1, slots + 1)

    def rows_of(triples: Iterable[tuple[int, int, int]]) -> int:
        return sum(math.prod(ways[size] for size in triple) for triple in triples if set(triple) <= set(sizes))

    rows = [rows_of((size, size, size) for size in sizes)]
    rows += [rows_of((size, size + step, size + 2 * step) for size in sizes) for step in STEPS]
    sums = rows_of((a, b, a + b) for a in sizes for b in sizes)
    distinct = [(a, b, c) for a in sizes for b in sizes for c in sizes if len({a, b, c}) == 3]
    return _logs([*rows, sums, sums], sum(rows_of([triple]) ** ROWS for triple in distinct))


def count_form_values(form: PanelForm, low: int, high: int) -> float:
    """The log of how many matrices of values a form has.

    Args:
        form: of the rule.
        low: smallest magnitude of the attribute.
        high: largest magnitude.

    Returns:
        The log; infinite where there is none.
    """
    return form_counts(form, Values(low, high), tuple(range(low, high + 1)))


def count_form_sets(form: PanelForm, slots: int) -> float:
    """As :func:`count_form_values`, of non-empty sets of slots."""
    return form_counts(form, SlotSets(slots), tuple(range(1, 1 << slots)))


def count_form_numbers(form: PanelForm, slots: int) -> float:
    """As :func:`count_form_values`, of sets whose sizes have the form: comparable to :func:`count_form_sets`."""
    ways = torch.tensor(_ways(slots)[1:], dtype=torch.float64)
    return form_counts(form, Values(1, slots), tuple(range(1, slots + 1)), ways)


def _ways(slots: int) -> list[int]:
    """How many sets of each size there are; none is empty."""
    return [0, *(math.comb(slots, size) for size in range(1, slots + 1))]


def _logs(rows: list[int], distributed: int) -> Tensor:
    logs = [ROWS * math.log(count) if count > 0 else math.inf for count in rows]
    logs.append(math.log(distributed) if distributed > 0 else math.inf)
    return torch.tensor(logs, dtype=torch.float64)
