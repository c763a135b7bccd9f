"""The npz + xml form of RAVEN and I-RAVEN: two files per puzzle, ``RAVEN_<number>_<split>.{npz,xml}``.

The xml holds panels, rules and (I-RAVEN) which attributes of a candidate were changed; the npz holds the target beside
the images. Of the npz all but the image is read, and has to agree.

Reference:
    Zhang et al. 2019 (RAVEN) and Hu et al. 2021 (I-RAVEN): the form of the released generators.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn
from xml.etree.ElementTree import Element

import numpy as np

from vsa.errors import CorruptFileError, SettingsError

from ..arrays import CANDIDATES, GOVERNED, MODIFIABLE, RULE_SLOTS, ComponentArrays, PuzzleArrays
from ..attributes import ANGLE, UNIFORMITY_LEVELS
from ..constellations import CONSTELLATIONS, Component
from ..data_sets import listed_code, listed_rules
from .faults import Fault, consistent, gathered
from .finding import NUMBER, content
from .form import clipped
from .images import NpzImage
from .npz import Labels, check_labels, meta_matrices, read_labels, structure_of
from .tree import MOST_XML_BYTES, parse_xml

__all__ = ["read_xml"]

PANELS = 16
_NEAR = 1e-3
_LEVELS = ("Type", "Size", "Color", "Angle")
_DIGITS: dict[str | None, int] = {str(digit): digit for digit in range(10)}


def read_xml(
    files: Sequence[Path], faults: list[Fault] | None = None, digests: dict[Path, bytes] | None = None
) -> dict[str, PuzzleArrays]:
    """Reads puzzles from xml files, each with its npz beside it.

    Args:
        files: the xml files, of any constellations.
        faults: gathers what is wrong with single files, which are left out then; None: the first fault is raised.
        digests: gathers the SHA-256 of each file, for whoever has a manifest to compare.

    Returns:
        Puzzles by published constellation name, in the order of their numbers; parameters of rules are 0.

    Raises:
        CorruptFileError: a file is damaged, its npz is of another puzzle, its answer is not the one that its rules
            ask for, or two files hold the same puzzle.
    """
    found: dict[str, dict[int, _Puzzle]] = {}
    for path in files:
        with gathered(faults, path):
            puzzle = _Puzzle(path, digests)
            siblings = found.setdefault(puzzle.constellation, {})
            if puzzle.number in siblings:
                both = f"{siblings[puzzle.number].path} and {puzzle.path}"
                raise CorruptFileError(
                    "read puzzles",
                    received=f"{both}, both puzzle {puzzle.number} of {puzzle.constellation}",
                    expected="one file for each puzzle",
                    hint="name the folder of one data set",
                )
            siblings[puzzle.number] = puzzle
    joined = {
        name: _join(name, [found[name][k] for k in sorted(found[name])], faults)
        for name in CONSTELLATIONS
        if found.get(name)
    }
    return {name: arrays for name, arrays in joined.items() if len(arrays)}


def _join(constellation: str, puzzles: list[_Puzzle], faults: list[Fault] | None) -> PuzzleArrays:
    arrays = _joined(constellation, puzzles)
    structure = structure_of(constellation)
    sound = np.ones(len(puzzles), dtype=np.bool_)
    for i, (puzzle, matrix) in enumerate(zip(puzzles, meta_matrices(arrays), strict=True)):
        with gathered(faults, puzzle.path):
            sound[i] = False
            check_labels(puzzle.path.with_suffix(".npz"), puzzle.labels, puzzle.labels.target, matrix, structure)
            sound[i] = True
    return consistent(arrays, [puzzle.path for puzzle in puzzles], sound, faults)


def _joined(constellation: str, puzzles: list[_Puzzle]) -> PuzzleArrays:
    components = []
    for c in range(len(CONSTELLATIONS[constellation].components)):
        parts = [puzzle.components[c] for puzzle in puzzles]
        components.append(
            ComponentArrays(
                exists=np.stack([p["exists"] for p in parts]),
                attributes={name: np.stack([p[name] for p in parts]) for name in _LEVELS},
                uniformity=np.stack([p["uniformity"] for p in parts]),
                rules=np.stack([p["rules"] for p in parts]),
                governed=np.array([p["governed"] for p in parts], dtype=np.int8),
                parameters=np.zeros((len(parts), len(RULE_SLOTS)), dtype=np.int16),
            )
        )
    modified = [puzzle.modified for puzzle in puzzles]
    pixels = np.empty(len(puzzles), dtype=object)
    pixels[:] = [NpzImage(puzzle.path.with_suffix(".npz"), puzzle.labels.image) for puzzle in puzzles]
    return PuzzleArrays(
        dataset="files",
        constellation=constellation,
        columns=3,
        maxval=None,
        components=tuple(components),
        target=np.array([puzzle.labels.target for puzzle in puzzles], dtype=np.int8),
        index=np.array([puzzle.number for puzzle in puzzles], dtype=np.int64),
        modified=None if any(m is None for m in modified) else np.stack([m for m in modified if m is not None]),
        pixels=pixels,
    )


class _Puzzle:
    """One puzzle, read from its two files."""

    def __init__(self, path: Path, digests: dict[Path, bytes] | None) -> None:
        self.path = path
        name = NUMBER.fullmatch(path.stem)
        if name is None:
            raise CorruptFileError("read puzzles", received=str(path), expected="a name as RAVEN_12_train.xml")
        self.number = int(name[1])
        data = content(path, MOST_XML_BYTES, "the xml of one puzzle")
        if digests is not None:
            digests[path] = hashlib.sha256(data).digest()
        root = parse_xml(data, path)
        panels = root.findall("Panels/Panel")
        if root.tag != "Data" or len(panels) != PANELS:
            self._refuse("Panels", f"{len(panels)} panels under {root.tag}", f"{PANELS} under Data")
        self.constellation = self._constellation(panels[0].find("Struct"))
        self.layouts = CONSTELLATIONS[self.constellation].components
        self.components = [self._empty(layout) for layout in self.layouts]
        self._panels([panel.find("Struct") for panel in panels])
        self._rules(root.findall("Rules/Rule_Group"))
        self.modified = self._modified(root.find("Modified_attributes"))
        self.labels = _labels(path)

    def _refuse(self, field: str, received: object, expected: object) -> NoReturn:
        raise CorruptFileError(f"read {self.path}, {clipped(field)}", received=clipped(received), expected=expected)

    def _constellation(self, struct: Element | None) -> str:
        layouts = [] if struct is None else [node.get("name") for node in struct.findall("Component/Layout")]
        for name, constellation in CONSTELLATIONS.items():
            if layouts == [component.layout for component in constellation.components]:
                return name
        self._refuse("Panel 0", f"layouts {layouts}", "those of one of the seven constellations")

    def _empty(self, layout: Component) -> dict[str, Any]:
        shape = (PANELS, layout.slots)
        return {
            "exists": np.zeros(shape, dtype=bool),
            "uniformity": np.zeros(PANELS, dtype=np.int8),
            "rules": np.zeros(len(RULE_SLOTS), dtype=np.int8),
            "governed": 0,
            **{name: np.full(shape, -1, dtype=np.int16) for name in _LEVELS},
        }

    def _panels(self, structs: list[Element | None]) -> None:
        cells: list[list[tuple[int, ...]]] = [[] for _ in self.layouts]  # panel, slot, levels: one for each entity
        wanted = [layout.layout for layout in self.layouts]
        known = list(zip(self.layouts, map(_usual, self.layouts), cells, self.components, strict=True))
        for p, struct in enumerate(structs):
            parts = () if struct is None else [node for node in struct if node.tag == "Component"]
            nodes = [node for part in parts for node in part if node.tag == "Layout"]
            names = [node.get("name") for node in nodes]
            if names != wanted:
                self._refuse(f"Panel {p}", f"layouts {names}", f"those of {self.constellation}, as in panel 0")
            for node, (layout, usual, found, arrays) in zip(nodes, known, strict=True):
                field = f"Panel {p}, {layout.layout}"
                arrays["uniformity"][p] = self._int(node, "Uniformity", 0, UNIFORMITY_LEVELS - 1, field)
                before = len(found)
                boxes, types, sizes, colors, angles = usual
                for entity in node:
                    if entity.tag != "Entity":
                        continue
                    get = entity.get
                    try:
                        found.append(
                            (
                                p,
                                boxes[get("bbox")],
                                types[get("Type")],
                                sizes[get("Size")],
                                colors[get("Color")],
                                angles[get("Angle")],
                            )
                        )
                    except KeyError:  # another way to write it, or nothing good
                        found.append((p, *self._entity(entity, layout, field)))
                slots = [entity[1] for entity in found[before:]]
                if self._int(node, "Number", 0, layout.slots - 1, field) != len(slots) - 1:
                    expected = f"{len(slots) - 1}, one less than its entities"
                    self._refuse(f"{field}, Number", node.get("Number"), expected)
                if len({*slots}) != len(slots):
                    twice = next(slot for slot in slots if slots.count(slot) > 1)
                    self._refuse(f"{field}, bbox", f"a second entity in slot {twice}", "different slots")
        for _, _, found, arrays in known:
            at, slot, *levels = np.array(found).T
            arrays["exists"][at, slot] = True
            for name, values in zip(_LEVELS, levels, strict=True):
                arrays[name][at, slot] = values

    def _entity(self, entity: Element, layout: Component, field: str) -> tuple[int, ...]:
        """Slot and levels, each looked at with care."""
        levels = [self._int(entity, name, *_range(layout, name), field) for name in _LEVELS]
        return self._slot(entity, layout, field), *levels

    def _int(self, node: Element, name: str, low: int, high: int, field: str) -> int:
        text = node.get(name)
        level = _DIGITS.get(text, -1)
        if low <= level <= high:
            return level
        if text is None or not re.fullmatch(r"[0-9]{1,4}", text) or not low <= int(text) <= high:
            self._refuse(f"{field}, {name}", "nothing" if text is None else repr(text[:60]), f"{low} to {high}")
        return int(text)

    def _slot(self, entity: Element, layout: Component, field: str) -> int:
        text = entity.get("bbox", "")
        try:
            box = [float(x) for x in json.loads(text)]
        except (ValueError, TypeError, RecursionError):
            box = []
        for s, known in enumerate(layout.boxes):
            if len(box) == 4 and all(abs(a - b) <= _NEAR for a, b in zip(known, box, strict=True)):
                return s
        self._refuse(f"{field}, bbox", repr(text[:60]), ", ".join(str(list(known)) for known in layout.boxes))

    def _rules(self, groups: list[Element]) -> None:
        if len(groups) != len(self.layouts):
            self._refuse("Rules", f"{len(groups)} groups", f"{len(self.layouts)}")
        for c, (group, arrays) in enumerate(zip(groups, self.components, strict=True)):
            names = [rule.get("attr") for rule in group.findall("Rule")]
            if len(names) != len(RULE_SLOTS) or names[0] not in GOVERNED or tuple(names[1:]) != RULE_SLOTS[1:]:
                expected = "one of Number, Position, Number/Position, then Type, Size and Color"
                self._refuse(f"Rule_Group {c}", ", ".join(map(str, names)), expected)
            arrays["governed"] = GOVERNED.index(names[0])
            for k, rule in enumerate(group.findall("Rule")):
                code = listed_code(rule.get("name"))
                if code is None:
                    self._refuse(f"Rule_Group {c}, {names[k]}", repr(rule.get("name")), ", ".join(listed_rules()))
                arrays["rules"][k] = code

    def _modified(self, node: Element | None) -> np.ndarray[Any, Any] | None:
        if node is None:
            return None
        modified = np.zeros((CANDIDATES, len(self.layouts), len(MODIFIABLE)), dtype=bool)
        candidates = node.findall("Candidate")
        if [candidate.get("id") for candidate in candidates] != [str(k) for k in range(CANDIDATES)]:
            self._refuse("Modified_attributes", f"{len(candidates)} candidates", f"{CANDIDATES}, numbered from 0")
        for k, candidate in enumerate(candidates):
            for attribute in candidate.findall("Attribute"):
                name = attribute.get("name")
                if name not in MODIFIABLE:
                    self._refuse(f"Modified_attributes, Candidate {k}", repr(name), ", ".join(MODIFIABLE))
                c = self._int(
                    attribute, "component_id", 0, len(self.layouts) - 1, f"Modified_attributes, Candidate {k}"
                )
                modified[k, c, MODIFIABLE.index(name)] = True
        return modified


def _range(layout: Component, name: str) -> tuple[int, int]:
    return (ANGLE.low, ANGLE.high) if name == "Angle" else layout.range(name)


@functools.cache
def _usual(layout: Component) -> tuple[dict[str | None, int], ...]:
    """The usual texts of bbox and of each attribute, with what they mean."""
    boxes: dict[str | None, int] = {json.dumps(box): slot for slot, box in enumerate(layout.boxes)}
    forms = [boxes]
    for low, high in (_range(layout, name) for name in _LEVELS):
        forms.append({str(level): level for level in range(low, high + 1)})
    return tuple(forms)


def _labels(path: Path) -> Labels:
    """What the npz beside an xml says; its image is passed over."""
    beside = path.with_suffix(".npz")
    try:
        return read_labels(beside)
    except SettingsError:
        hint = "the target is in it"
        raise CorruptFileError(f"read {path}", received="no npz beside it", expected=str(beside), hint=hint) from None
