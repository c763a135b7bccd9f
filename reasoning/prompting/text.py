"""Puzzles as text for language models: the two forms of I-RAVEN-X, predictive and discriminative, for I-RAVEN too.

The wording is ours. Numbers are the magnitudes that arithmetic rules add (a Size level + 1), as our learners see
them. Properties have no names, and their order may be shuffled, a new order for every puzzle.

Reference: Hersche et al., "Towards learning to reason: comparing LLMs with neuro-symbolic on arithmetic relations in
abstract reasoning", 2025 (the two forms); Camposampiero et al., "I-RAVEN-X: benchmarking generalization and robustness
of analogical and mathematical reasoning in large language and reasoning models", 2025 (confounders, uncertainty);
Hu et al., "In-context analogical reasoning with pre-trained language models", 2023 (RAVEN as text).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsa.errors import SettingsError, UnsupportedError
from vsa.seeding import child_seed

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays

__all__ = ["FORMS", "ORDERS", "Form", "Prompt", "answer_values", "prompts", "written_places"]

FORMS = ("predictive", "discriminative")
ORDERS = ("given", "shuffled")
_WORDS = 1 << 23  # probabilities held at once

_GRID = (
    "A part in square brackets is a grid of {side} by {side} places, written place by place, row after row; - is an "
    "empty place. How many places are filled, or which, may follow a rule too. Where the objects of a panel differ in "
    "a property, that property is noise."
)
_DOUBT = (
    "The numbers were read by an instrument that is not sure: {4::0.20, 5::0.70, 6::0.10} means 4 with probability "
    "0.20, 5 with probability 0.70 and 6 with probability 0.10."
)
_CHOOSE = (
    "Exactly one candidate belongs in the hidden panel. Think as long as you like. Your last line must be the word "
    "answer, a colon and the number of that candidate, for example\nanswer: 8"
)
_SEVERAL = (
    "More than one candidate can be defended, since more than one rule fits the panels that are shown. Choose the one "
    "that convinces you most. Think as long as you like. Your last line must be the word answer, a colon and the "
    "number of that candidate, for example\nanswer: 8"
)
_RULES = (
    "Name the rules, too: the line before the last must be the word rules, a colon and {count} names of rules, "
    "separated by commas, {places}. The rules that there are: {names}. Write unknown where you find none{noise}."
)
_PREDICT = (
    "Which {count} numbers belong in the hidden panel? Think as long as you like. Your last line must be the word "
    "answer, a colon and the numbers in the order of the lists above{noise}:\nanswer: ({example})"
)


@dataclass(frozen=True)
class Form:
    """How puzzles are written.

    Attributes:
        form: "predictive" (say the missing panel's numbers) or "discriminative" (choose one of eight candidates).
        order: of the properties: "given", or "shuffled" puzzle by puzzle.
        seed: of the order.
        confounders: whether properties without a rule are written.
        stress: "none", "published" or "calibrated" uncertainty.
        p_left: lowest probability that stress leaves at the centre value.
        stress_seed: of the uncertainty.
        digits: of probabilities, behind the point.
        rules: whether the rules are asked for, too.
    """

    form: str = "discriminative"
    order: str = "given"
    seed: int = 0
    confounders: bool = True
    stress: str = "none"
    p_left: float = 1.0
    stress_seed: int = 0
    digits: int = 2
    rules: bool = False

    def __post_init__(self) -> None:
        for name, known in (("form", FORMS), ("order", ORDERS)):
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"setting {name}", received=repr(getattr(self, name)), expected=f"one of {', '.join(known)}"
                )
        if not 1 <= self.digits <= 6:
            raise SettingsError("setting digits", received=self.digits, expected="1 to 6")

    @property
    def doubtful(self) -> bool:
        """Whether values are written with probabilities."""
        return self.stress != "none" and self.p_left < 1.0

    def check(self, arrays: PuzzleArrays) -> None:
        """Refuse what cannot be put into a fair text.

        Args:
            arrays: the puzzles.

        Raises:
            UnsupportedError: grids in the predictive form or under stress.
        """
        if any(component.slots > 1 for component in arrays.components):
            if self.form == "predictive":
                raise UnsupportedError(
                    f"prompts of {arrays.constellation}",
                    received="form=predictive",
                    expected="form=discriminative",
                    hint="in a grid more than one panel can complete the matrix, since places and colors may be noise",
                )
            if self.doubtful:
                raise UnsupportedError(
                    f"prompts of {arrays.constellation}",
                    received=f"stress={self.stress}",
                    expected="stress=none",
                    hint="an empty place has no values whose uncertainty could be written",
                )


@dataclass(frozen=True)
class Prompt:
    """One puzzle as text.

    Attributes:
        id: puzzle set and number of the puzzle.
        text: the prompt; it does not hold the target.
    """

    id: str
    text: str


def prompts(name: str, arrays: PuzzleArrays, form: Form) -> Iterator[Prompt]:
    """The puzzles of a set as text.

    Args:
        name: of the set, for the ids.
        arrays: N puzzles.
        form: how they are written.

    Yields:
        N prompts in order.

    Raises:
        UnsupportedError: the form does not exist for these puzzles.
    """
    form.check(arrays)
    names = _names(arrays, form)
    values = sum(map(len, names)) * (1 if arrays.maxval is None else arrays.maxval + 1)
    step = max(1, _WORDS // (values * (3 * arrays.columns + 7)))
    for start in range(0, len(arrays), step):
        part = arrays[start : start + step]
        written = _Written(part, form)
        for item in range(len(part)):
            yield Prompt(f"{name}-{part.index[item]}", written.prompt(item))


def answer_values(arrays: PuzzleArrays, form: Form) -> list[list[int | None]]:
    """What the missing panel holds, for scoring the predictive form.

    Args:
        arrays: N puzzles without grids.
        form: how they were written.

    Returns:
        N lists of numbers in the order of the prompt; None: a property without a rule.
    """
    form.check(arrays)
    answers: list[list[int | None]] = []
    for item in range(len(arrays)):
        numbers: list[int | None] = []
        panel = arrays.context + int(arrays.target[item])
        for c, names in enumerate(_order(arrays, form, item)):
            for attribute in names:
                level = int(arrays.components[c].attributes[attribute][item, panel, 0])
                is_noise = attribute.startswith("Confounder")
                numbers.append(None if is_noise else level + _offset(arrays, attribute))
        answers.append(numbers)
    return answers


def written_places(arrays: PuzzleArrays, form: Form, item: int) -> list[tuple[int, str]]:
    """What the rules of one puzzle are asked for, in order.

    Args:
        arrays: the puzzles.
        form: how they are written.
        item: which puzzle.

    Returns:
        Component and rule slot (or confounder); of a grid its filled places first.
    """
    return [
        (c, name)
        for c, names in enumerate(_order(arrays, form, item))
        for name in (*(["Number/Position"] if arrays.components[c].slots > 1 else []), *names)
    ]


def _names(arrays: PuzzleArrays, form: Form) -> list[list[str]]:
    """Of each component the attributes that are written, in the given order."""
    from datasets.panels import attribute_keys

    names: list[list[str]] = [[] for _ in arrays.components]
    for component, name in attribute_keys(arrays, form.confounders):
        if name != "Number":  # one counts the places
            names[component].append(name)
    return names


def _order(arrays: PuzzleArrays, form: Form, item: int) -> list[list[str]]:
    """The same in the order of one puzzle."""
    names = _names(arrays, form)
    if form.order == "given":
        return names
    shuffled = []
    for component, part in enumerate(names):
        seed = child_seed(form.seed, "prompt order", component, int(arrays.index[item]))
        shuffled.append([part[k] for k in np.random.default_rng(seed).permutation(len(part))])
    return shuffled


def _offset(arrays: PuzzleArrays, attribute: str) -> int:
    """Magnitude minus level."""
    from datasets.attributes import ATTRIBUTES

    return 0 if arrays.maxval is not None else ATTRIBUTES[attribute].offset


class _Written:
    """The texts of some puzzles.

    Args:
        arrays: the puzzles.
        form: how they are written.
    """

    def __init__(self, arrays: PuzzleArrays, form: Form) -> None:
        from datasets.panels import shown_panels

        self.arrays, self.form = arrays, form
        self.first = shown_panels(arrays.columns).start
        self.several = np.zeros(len(arrays), dtype=np.bool_)
        if form.form == "discriminative":
            from datasets.judging.defensible import defensible

            self.several = defensible(arrays).sum(axis=1) > 1
        self.pmfs = None
        if form.doubtful:
            from datasets.pmf import oracle_pmfs

            self.pmfs = oracle_pmfs(
                arrays, stress=form.stress, p_left=form.p_left, seed=form.stress_seed, confounders=form.confounders
            ).pmfs

    def prompt(self, item: int) -> str:
        """The text of one puzzle."""
        n, order = self.arrays.columns, _order(self.arrays, self.form, item)
        panels = [self._panel(item, panel, order) for panel in range(self.arrays.panels - self.first)]
        context, candidates = [*panels[: 3 * n - 1], "?"], panels[3 * n - 1 :]
        rows = [f"row {row + 1}: {'  '.join(context[row * n : (row + 1) * n])}" for row in range(3)]
        parts = [*self._preface(order), "\n".join(rows)]
        if self.form.form == "discriminative":
            lines = [f"{k}: {candidate}" for k, candidate in enumerate(candidates, start=1)]
            parts.append("\n".join(["Candidates for the hidden panel:", *lines]))
        return "\n\n".join([*parts, *self._rules(order), self._question(order, bool(self.several[item]))])

    def _preface(self, order: list[list[str]]) -> list[str]:
        arrays, names = self.arrays, [name for part in order for name in part]
        several = len(order) > 1
        text = [
            f"Below is a table of 3 rows with {arrays.columns} panels each. The last panel of row 3 is hidden.",
            "A panel has two parts, separated by /. Each object is a list of numbers in round brackets."
            if several
            else "A panel is a list of numbers in round brackets.",
            "A place in the list always stands for the same property"
            f"{' of the same part' if several else ''}, and no property depends on another."
            " From left to right each property follows a rule of its own, the same in all three rows.",
        ]
        if any(name.startswith("Confounder") for name in names):
            text.append("Some of the properties follow no rule at all: they are noise.")
        grids = [component.slots for component in arrays.components if component.slots > 1]
        if grids:
            text.append(_GRID.format(side=round(max(grids) ** 0.5)))
        if arrays.maxval is not None:
            text.append(f"Numbers lie between 0 and {arrays.maxval}.")
        if self.form.doubtful:
            text.append(_DOUBT)
        return [" ".join(text)]

    def _rules(self, order: list[list[str]]) -> list[str]:
        """What is asked about rules."""
        if not self.form.rules:
            return []
        grids = [component.slots > 1 for component in self.arrays.components]
        count = sum(map(len, order)) + sum(grids)
        places = "one for each place of the list" + ("s, part after part" if len(order) > 1 else "")
        if any(grids):
            places += (
                ", and in front of those of a grid one for its filled places, with the word number or position, as in "
                "number progression"
            )
        noise = any(name.startswith("Confounder") for part in order for name in part)
        names = ", ".join(rule.name.replace("_", " ").lower() for rule in self.arrays.grammar)
        remark = ", and noise for a property that follows no rule" if noise else ""
        return [_RULES.format(count=count, places=places, names=names, noise=remark)]

    def _question(self, order: list[list[str]], several: bool) -> str:
        if self.form.form == "discriminative":
            return _SEVERAL if several else _CHOOSE
        names = [name for part in order for name in part]
        count, noise = len(names), any(name.startswith("Confounder") for name in names)
        example = ", ".join(f"n{k}" for k in range(1, count + 1)) if count <= 6 else f"n1, n2, ..., n{count}"
        remark = ", with ? for a property that follows no rule" if noise else ""
        return _PREDICT.format(count=count, noise=remark, example=example)

    def _panel(self, item: int, panel: int, order: list[list[str]]) -> str:
        parts = []
        for c, names in enumerate(order):
            component = self.arrays.components[c]
            objects = [
                f"({', '.join(self._value(item, panel, c, slot, name) for name in names)})"
                if component.exists[item, self.first + panel, slot]
                else "-"
                for slot in range(component.slots)
            ]
            parts.append(objects[0] if component.slots == 1 else f"[{' '.join(objects)}]")
        return " / ".join(parts)

    def _value(self, item: int, panel: int, component: int, slot: int, name: str) -> str:
        if self.pmfs is None:
            level = int(self.arrays.components[component].attributes[name][item, self.first + panel, slot])
            return str(level + _offset(self.arrays, name))
        from datasets.panels import magnitude_offset

        pmf = self.pmfs[component, name][item, panel]
        offset = magnitude_offset(self.arrays, (component, name))
        # In ascending order, so that the place says nothing about which of them is true.
        found = [f"{v + offset}::{pmf[v]:.{self.form.digits}f}" for v in np.flatnonzero(pmf)]
        return f"{{{', '.join(found)}}}"
