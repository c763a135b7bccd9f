"""The JSON form of I-RAVEN and I-RAVEN-X: one file per puzzle set, ``{number: {rules, rpm, target}}``.

A component of one slot is ``{Type, Size, Color, Angle}``, a grid ``{positions, entities}``; levels are strings. The
form holds neither the uniformity nor the parameters of rules.

Reference:
    Hersche et al. 2024 and 2025: the JSON form of I-RAVEN that ARLC reads, and I-RAVEN-X.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vsa.errors import CorruptFileError, SettingsError

from ..arrays import CANDIDATES, GOVERNED, RULE_SLOTS, ComponentArrays, PuzzleArrays
from ..attributes import ATTRIBUTES
from ..constellations import CONSTELLATIONS, SHORT_NAMES, Component
from ..data_sets import listed_code, listed_rules
from ..rules.base import RULES
from .faults import Fault, consistent, gathered
from .finding import content
from .form import MOST_JSON_BYTES, clipped, fits, level_table, levels_of, parse, shown

__all__ = ["named_constellation", "read_json"]

Array = NDArray[Any]

_CONFOUNDER = re.compile(r"Confounder(0|[1-9][0-9]*)")
_MAXVAL_IN_NAME = re.compile(r"maxval_([0-9]+)")
_BASE = ("Type", "Size", "Color", "Angle")
_LARGEST = 2**15 - 1  # levels are int16
_NEAR = 1e-3  # boxes are written with two digits


def read_json(
    path: str | PathLike[str],
    *,
    maxval: int | None = None,
    columns: int | None = None,
    faults: list[Fault] | None = None,
) -> PuzzleArrays:
    """Reads a file of puzzles.

    The constellation is the one that the file's name begins with; without it, it must follow from the panels.

    Args:
        path: the file.
        maxval: value range of I-RAVEN-X; by default what the name says (``..._maxval_1000...``), else RAVEN's levels.
        columns: what the number of columns should be; it follows from the number of panels.
        faults: gathers what is wrong with single puzzles, which are left out then; None: the first fault is raised.

    Returns:
        The puzzles in the file's order; no uniformity, parameters 0.

    Raises:
        SettingsError: an I-RAVEN-X file without a value range, or columns that the file does not have.
        CorruptFileError: the file is damaged, or an answer is not the one that its rules ask for.
    """
    path = Path(path)
    data = content(path, MOST_JSON_BYTES, "a JSON file")
    puzzles = parse(data, path)
    named = _MAXVAL_IN_NAME.search(path.stem)
    if maxval is None and named:
        maxval = int(named[1])
    if maxval is not None and not 1 <= maxval <= _LARGEST:
        raise SettingsError(f"read {path}", received=f"maxval = {maxval}", expected=f"1 to {_LARGEST}")
    arrays = _reader(path, puzzles, maxval, columns, faults).arrays(faults)
    if data.count(b":") != _keys(arrays):  # else no object has a key twice, which the parser passes over
        parse(data, path, unique=True)
    return consistent(arrays, [path], np.ones(len(arrays), dtype=np.bool_), faults)


def _keys(arrays: PuzzleArrays) -> int:
    """How many keys the objects of a file of these puzzles have."""
    n, count = len(arrays), 4 * len(arrays)
    for component in arrays.components:
        single = component.slots == 1
        count += len(RULE_SLOTS) * n + len(component.attributes) * int(component.exists.sum())
        count += 0 if single else 2 * n * arrays.panels
    return count


def _reader(
    path: Path, puzzles: dict[str, Any], maxval: int | None, columns: int | None, faults: list[Fault] | None
) -> _Reader:
    """The reader of a file; a first puzzle that is damaged says nothing about the others."""
    while True:
        try:
            return _Reader(path, puzzles, maxval, columns)
        except CorruptFileError as error:
            if faults is None or len(puzzles) == 1:
                raise
            faults.append(Fault(path, error))
            del puzzles[next(iter(puzzles))]


def named_constellation(stem: str) -> str | None:
    """The constellation that a file's name begins with.

    Args:
        stem: the name.

    Returns:
        Its published name; None where the name begins with none.
    """
    known = {**{name: name for name in CONSTELLATIONS}, **SHORT_NAMES}
    # The longest name first: "out_in_grid" begins with "out_in".
    for name in sorted(known, key=len, reverse=True):
        if re.match(rf"{re.escape(name)}(?![a-z0-9])", stem):
            return known[name]
    return None


class _Reader:
    """Reads puzzles of one file; a first puzzle tells columns, constellation and attributes, the others must agree."""

    def __init__(self, path: Path, puzzles: dict[str, Any], maxval: int | None, columns: int | None) -> None:
        self.path, self.puzzles, self.maxval = path, puzzles, maxval
        self.number, first = next(iter(puzzles.items()))
        self.still = {code for rule, code in listed_rules().items() if RULE_SLOTS[0] in RULES.get(rule).governs}
        self._check_puzzle(first)
        self.columns = self._columns(first, columns)
        self.panels = self.columns * self.columns - 1 + CANDIDATES
        self.constellation = self._constellation(first["rpm"][0])
        self.layouts = CONSTELLATIONS[self.constellation].components
        self.names = [self._names(first["rpm"][0][c], layout) for c, layout in enumerate(self.layouts)]
        wide = self.columns > 3 or any(len(names) > len(_BASE) for names in self.names)
        if wide and maxval is None:
            raise SettingsError(
                f"read {path}",
                received=f"I-RAVEN-X puzzles ({self.columns} columns, {len(self.names[0])} attributes)",
                expected="their value range",
                hint="give maxval=, or name the file ..._maxval_<maxval>...",
            )
        if maxval is not None and self.constellation != "center_single":
            raise SettingsError(
                f"read {path}",
                received=f"maxval = {maxval} for {self.constellation}",
                expected="no maxval: the levels are RAVEN's",
                hint="read these files without maxval",
            )
        self.lookups = [
            {name: level_table(*self._range(name, layout)) for name in names}
            for layout, names in zip(self.layouts, self.names, strict=True)
        ]
        self.boxes = [{box: s for s, box in enumerate(layout.boxes)} for layout in self.layouts]

    def arrays(self, faults: list[Fault] | None) -> PuzzleArrays:
        n = len(self.puzzles)
        index, target = np.empty(n, np.int64), np.empty(n, np.int8)
        self.levels = [  # attributes' of each component, together
            np.full((len(names), n, self.panels, layout.slots), -1, dtype=np.int16)
            for names, layout in zip(self.names, self.layouts, strict=True)
        ]
        components = [self._empty(n, c) for c in range(len(self.layouts))]
        sound = np.zeros(n, dtype=np.bool_)
        for i, (number, puzzle) in enumerate(self.puzzles.items()):
            self.number = number
            with gathered(faults, self.path):
                self._check_puzzle(puzzle)
                if len(puzzle["rpm"]) != self.panels:
                    self._refuse("rpm", f"{len(puzzle['rpm'])} panels", f"{self.panels}, as in the file's first puzzle")
                index[i] = self._index(number)
                target[i] = self._target(puzzle["target"])
                for c, arrays in enumerate(components):
                    self._rules(puzzle["rules"], c, arrays, i)
                    if self.layouts[c].slots == 1:
                        self._single(puzzle["rpm"], c, arrays, i)
                    else:
                        self._grid(puzzle["rpm"], c, arrays, i)
                sound[i] = True
        if not sound.all():
            index, target, components = index[sound], target[sound], [arrays[sound] for arrays in components]
        n = len(index)
        if len(np.unique(index)) != n:
            raise CorruptFileError(f"read {self.path}", received="a puzzle number twice", expected="different numbers")
        return PuzzleArrays(
            dataset="files",
            constellation=self.constellation,
            columns=self.columns,
            maxval=self.maxval,
            components=tuple(components),
            target=target,
            index=index,
        )

    def _refuse(self, field: str, received: object, expected: object) -> NoReturn:
        raise CorruptFileError(
            f"read {self.path}, puzzle {clipped(self.number, 40)}, {clipped(field)}",
            received=clipped(received),
            expected=expected,
        )

    def _check_puzzle(self, puzzle: Any) -> None:
        if not isinstance(puzzle, dict) or puzzle.keys() != {"rules", "rpm", "target"}:
            keys = sorted(map(str, puzzle)) if isinstance(puzzle, dict) else type(puzzle).__name__
            self._refuse("its keys", keys, "rules, rpm and target")
        rpm = puzzle["rpm"]
        if not isinstance(rpm, list) or not rpm:
            self._refuse("rpm", shown(rpm), "a list of panels")

    def _columns(self, puzzle: Mapping[str, Any], asked: int | None) -> int:
        panels = len(puzzle["rpm"])
        columns = math.isqrt(max(panels - CANDIDATES + 1, 0))
        if columns < 3 or columns * columns - 1 + CANDIDATES != panels:
            self._refuse("rpm", f"{panels} panels", "n * n + 7 for n columns, as 16 for 3 or 107 for 10")
        if asked not in (None, columns):
            raise SettingsError(
                f"read {self.path}",
                received=f"columns = {asked}",
                expected=f"{columns}, as its {panels} panels say",
                hint="leave columns out",
            )
        return columns

    def _constellation(self, panel: Any) -> str:
        named = named_constellation(self.path.stem)
        if named is not None and fits(panel, named):
            return named
        fitting = [name for name in CONSTELLATIONS if fits(panel, name)]
        if not fitting:
            self._refuse("rpm, panel 0", shown(panel), "the components of one of the seven constellations")
        if len(fitting) > 1:
            raise SettingsError(
                f"read {self.path}",
                received="panels that fit " + " and ".join(fitting),
                expected="a file name that begins with the constellation's",
                hint=f"rename it to {fitting[0]}.json or whichever it is",
            )
        return fitting[0]

    def _names(self, component: Mapping[str, Any], layout: Component) -> tuple[str, ...]:
        """The attributes of the first entity."""
        entity = component
        if layout.slots > 1:
            entities = component.get("entities")
            if not isinstance(entities, list) or not entities or not isinstance(entities[0], dict):
                self._refuse(f"rpm, panel 0, {layout.name}, entities", shown(entities), "a list of entities")
            entity = entities[0]
        confounders = sum(_CONFOUNDER.fullmatch(name) is not None for name in entity)
        names = (*_BASE, *(f"Confounder{k}" for k in range(confounders)))
        self._check_keys(entity, names, f"rpm, panel 0, {layout.name}")
        return names

    def _check_keys(self, entity: Any, names: Sequence[str], field: str) -> None:
        if not isinstance(entity, dict):
            self._refuse(field, shown(entity), "an object of attributes")
        unknown = [name for name in entity if name not in names]
        missing = [name for name in names if name not in entity]
        if unknown or missing:
            parts = [f"{what} {', '.join(map(str, k))}" for what, k in (("unknown", unknown), ("no", missing)) if k]
            self._refuse(field, " and ".join(parts), ", ".join(names[:6]) + (", ..." if len(names) > 6 else ""))

    def _range(self, name: str, layout: Component) -> tuple[int, int]:
        if self.maxval is not None:
            return 0, self.maxval
        attribute = ATTRIBUTES[name]
        return (attribute.low, attribute.high) if name == "Angle" else layout.range(name)

    def _empty(self, n: int, c: int) -> ComponentArrays:
        shape = (n, self.panels, self.layouts[c].slots)
        return ComponentArrays(
            exists=np.zeros(shape, dtype=bool),
            attributes=dict(zip(self.names[c], self.levels[c], strict=True)),
            uniformity=None,
            rules=np.zeros((n, len(RULE_SLOTS)), dtype=np.int8),
            governed=np.zeros(n, dtype=np.int8),
            parameters=np.zeros((n, len(RULE_SLOTS)), dtype=np.int16),
        )

    def _index(self, number: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", number):
            self._refuse("its number", repr(number), "digits")
        return int(number)

    def _target(self, target: Any) -> int:
        value = level_table(0, CANDIDATES - 1).get(target) if type(target) in (int, str) else None
        if value is None:
            self._refuse("target", shown(target), f"0 to {CANDIDATES - 1}")
        return value

    def _rules(self, rules: Any, c: int, arrays: ComponentArrays, i: int) -> None:
        if not isinstance(rules, list) or len(rules) != len(self.layouts) or not isinstance(rules[c], dict):
            self._refuse("rules", shown(rules), f"a list of {len(self.layouts)} objects")
        given = rules[c]
        governed = [name for name in GOVERNED if name in given]
        if len(governed) != 1 or set(given) != {governed[0], *RULE_SLOTS[1:]}:
            expected = "Type, Size, Color and one of Number, Position, Number/Position"
            self._refuse(f"rules of component {c}", ", ".join(map(str, given)), expected)
        arrays.governed[i] = GOVERNED.index(governed[0])
        for slot, name in enumerate((governed[0], *RULE_SLOTS[1:])):
            code = listed_code(given[name])
            if code is None:
                self._refuse(f"rules of component {c}, {name}", shown(given[name]), ", ".join(listed_rules()))
            arrays.rules[i, slot] = code
        if governed[0] not in ("Number", "Position") and arrays.rules[i, 0] not in self.still:
            expected = " or ".join(rule for rule, code in listed_rules().items() if code in self.still)
            self._refuse(f"rules of component {c}, Number/Position", given[governed[0]], expected)

    def _single(self, rpm: list[Any], c: int, arrays: ComponentArrays, i: int) -> None:
        count = len(self.names[c])
        try:
            entities = [panel[c] for panel in rpm]
            self.levels[c][:, i, :, 0] = [levels_of(entities, *named) for named in self.lookups[c].items()]
            sound = {*map(len, rpm)} == {len(self.layouts)} and {*map(len, entities)} == {count}
        except (KeyError, TypeError, IndexError):
            sound = False
        if not sound:
            self._explain(rpm)
        arrays.exists[i] = True

    def _grid(self, rpm: list[Any], c: int, arrays: ComponentArrays, i: int) -> None:
        count, width = len(self.names[c]), self.layouts[c].slots
        try:
            sound = {*map(len, rpm)} == {len(self.layouts)}
            places: list[int] = []
            entities: list[Any] = []
            for p, panel in enumerate(rpm):
                component = panel[c]
                slots, held = [self._slot(box, c) for box in component["positions"]], component["entities"]
                sound = sound and len(component) == 2 and 0 < len(slots) == len(held) == len(set(slots))
                places += [p * width + slot for slot in slots]
                entities += held
            arrays.exists[i].reshape(-1)[places] = True
            levels = self.levels[c][:, i].reshape(-1, self.panels * width)
            levels[:, places] = [levels_of(entities, *named) for named in self.lookups[c].items()]
            sound = sound and {*map(len, entities)} == {count}
        except (KeyError, TypeError, IndexError, ValueError):
            sound = False
        if not sound:
            self._explain(rpm)

    def _slot(self, box: Any, c: int) -> int:
        """The slot of a box, KeyError if it is none."""
        slot = self.boxes[c].get(tuple(box))
        if slot is None and len(box) == 4:
            near = [
                s
                for known, s in self.boxes[c].items()
                if all(abs(a - b) <= _NEAR for a, b in zip(known, box, strict=True))
            ]
            slot = near[0] if near else None
        if slot is None:
            raise KeyError(str(box))
        return slot

    def _explain(self, rpm: list[Any]) -> NoReturn:
        """Says what is wrong with a puzzle that the fast path could not read."""
        for p, panel in enumerate(rpm):
            if not isinstance(panel, list) or len(panel) != len(self.layouts):
                received = f"{len(panel)} components" if isinstance(panel, list) else shown(panel)
                self._refuse(f"rpm, panel {p}", received, f"{len(self.layouts)} ({self.constellation})")
            for c, layout in enumerate(self.layouts):
                field = f"rpm, panel {p}, {layout.name}"
                entities = [panel[c]] if layout.slots == 1 else self._explain_grid(panel[c], c, field)
                for entity in entities:
                    self._check_keys(entity, self.names[c], field)
                    for name, lookup in self.lookups[c].items():
                        value = entity[name]
                        if type(value) not in (str, int) or value not in lookup:
                            low, high = self._range(name, layout)
                            self._refuse(f"{field}, {name}", shown(value), f"{low} to {high}")
        self._refuse("rpm", "panels that can't be read", "panels in the published form")

    def _explain_grid(self, component: Any, c: int, field: str) -> list[Any]:
        if not isinstance(component, dict) or component.keys() != {"positions", "entities"}:
            self._refuse(field, shown(component), "an object of positions and entities")
        positions, entities = component["positions"], component["entities"]
        if not isinstance(positions, list) or not isinstance(entities, list) or len(positions) != len(entities):
            self._refuse(field, "positions and entities that do not match", "two lists of the same length")
        if not positions:
            self._refuse(field, "no entity", "at least one")
        slots = []
        for box in positions:
            try:
                slots.append(self._slot(box, c))
            except (KeyError, TypeError):
                expected = "one of the slots " + ", ".join(str(list(known)) for known in self.layouts[c].boxes)
                self._refuse(f"{field}, positions", shown(box), expected)
        if len(set(slots)) != len(slots):
            self._refuse(f"{field}, positions", "two entities in one slot", "different slots")
        return entities
