"""Lists where a setting takes one value: ``backend.age_seconds=[1,3600]`` is a sweep over two points."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reasoning.setup import commands
from reasoning.setup.restoring import completed
from reasoning.setup.settings import DatasetSettings
from vsa.commands import flatten, parse, quoted, schema
from vsa.errors import SettingsError

__all__ = ["Point", "points"]

SECTIONS = ("model", "dataset", "perception", "algebra", "backend")
_DATASET = schema.hints_of(DatasetSettings)
_LARGEST = 1000  # points: more is a slip of the pen


@dataclass(frozen=True)
class Point:
    """One of the combinations of swept values.

    Attributes:
        arguments: the command line with one value for each swept key.
        values: swept key -> value.
    """

    arguments: tuple[str, ...]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of folders and rows: ``age_seconds=3600,p_left=0.9``; empty where nothing but models is swept."""
        swept = {key: value for key, value in self.values.items() if key != "model"}
        return ",".join(f"{key.rpartition('.')[2]}={_short(value)}" for key, value in swept.items())


def points(config: str, arguments: Sequence[str]) -> list[Point]:
    """All combinations of the lists that a command line gives for single values.

    Args:
        config: the command's file of conf, such as ``benchmark``.
        arguments: overrides.

    Returns:
        The points, the last key varying fastest; one without values where nothing is swept.

    Raises:
        SettingsError: a list that is empty, repeats itself or holds what is no single value; too many points.
    """
    parsed = parse(arguments)
    maybe = [place for place, override in enumerate(parsed) if _may_be_swept(override)]
    if not maybe:
        return [Point(tuple(arguments))]
    listed = _listed(config, arguments, maybe)
    swept: dict[int, tuple[str, str, list[Any]]] = {}
    for place in maybe:
        key, values = parsed[place].key_or_group, parsed[place].value()
        if key in listed or not isinstance(values, list):
            continue
        if any(isinstance(value, list | dict) for value in values) or not values:
            raise SettingsError(f"argument {quoted(arguments[place])}", received=str(values), expected="single values")
        spelled = [_short(value) for value in values]
        if len(set(spelled)) < len(spelled):
            raise SettingsError(
                f"argument {quoted(arguments[place])}", received="a value twice", expected="different ones"
            )
        swept[place] = (key, arguments[place].partition("=")[0], values)
    count = 1
    for _, _, values in swept.values():
        count *= len(values)
    if count > _LARGEST:
        raise SettingsError("a sweep", received=f"{count} points", expected=f"at most {_LARGEST}")
    found = []
    for chosen in itertools.product(*(values for _, _, values in swept.values())):
        line = list(arguments)
        for (place, (_, before, _)), value in zip(swept.items(), chosen, strict=True):
            line[place] = f"{before}={_quoted(value)}"
        keys = (key for key, _, _ in swept.values())
        found.append(Point(tuple(line), dict(zip(keys, chosen, strict=True))))
    return found


def _may_be_swept(override: Any) -> bool:
    section = override.key_or_group.partition(".")[0]
    return section in SECTIONS and not override.is_delete() and isinstance(override.value(), list)


def _listed(config: str, arguments: Sequence[str], maybe: Sequence[int]) -> set[str]:
    """Keys whose value is a list to begin with: those of the files, with the first of the files that are swept."""
    line = list(arguments)
    for place in maybe:
        key, _, _ = arguments[place].partition("=")
        value = parse([arguments[place]])[0].value()
        first = value[0] if isinstance(value, list) and value else None
        line[place] = f"{key}={_quoted(first)}" if "." not in key and first is not None else ""
    composed = commands.compose_settings(config, completed([argument for argument in line if argument]))
    said = [parse([arguments[place]])[0] for place in maybe]
    chosen = {override.key_or_group: override.value() for override in said}
    return {
        *(key for key, value in flatten(composed).items() if _is_list(value)),
        *(key for key in chosen if _takes_lists(key, composed, chosen)),
    }


def _takes_lists(key: str, composed: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    """Whether a setting is declared as a list, by its section or by one of the members that are asked for.

    Args:
        key: such as ``model.formulas``; of a part, ``backend.device.levels``.
        composed: the settings.
        chosen: key -> the list that the command line gives; of a section, the members that are compared.
    """
    section, *path = key.split(".")
    path = path[1:] if path[:1] == ["options"] else path
    if not path:
        return False
    if section == "dataset":
        return path[0] in _DATASET and schema.takes_lists(_DATASET[path[0]])
    table = commands.registered()[section]
    names = [*chosen.get(section, ()), (composed.get(section) or {}).get("name")]
    if section == "model":
        names += [commands.model_and_mode(entry)[0] for entry in composed.get("compare") or ()]
    parts = composed.get(section) or {}
    for name in names:
        hints, inside = schema.hints_of(table.get(name)) if name in table else {}, parts
        for part in path[:-1]:  # a part with options of its own, as a backend's device
            inside = inside.get(part) if isinstance(inside, Mapping) else None
            hints = schema.part_hints(hints.get(part), inside)
        if schema.takes_lists(hints.get(path[-1])):
            return True
    return False


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _short(value: Any) -> str:
    """As a part of a folder's name."""
    return re.sub(r"[^\w.+-]+", "_", str(value)).strip("_") or "_"


def _quoted(value: Any) -> str:
    """A value as an override spells it."""
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return value if re.fullmatch(r"[\w./+-]*[A-Za-z_][\w./+-]*", value) else f'"{escaped}"'
