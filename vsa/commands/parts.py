"""Parts of a settings section that go by a name and have options of their own: ``device: {name: pcm}``.

A file of settings names a part and leaves its options, with their defaults, to the part's constructor. On the command
line an option of a part therefore needs no entry in a file, the part may be given by its name alone, and another name
brings none of the former part's options along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import SettingsError
from .arguments import quoted

__all__ = ["Override", "compose_with_parts"]


class Override(Protocol):
    """An argument of a command line, parsed."""

    @property
    def key_or_group(self) -> str:
        """Dotted key."""
        ...

    def value(self) -> Any:
        """What it sets the key to."""
        ...

    def is_delete(self) -> bool:
        """Whether it takes the key away."""
        ...


def compose_with_parts(
    compose: Callable[[list[str]], Any], arguments: Sequence[str], overrides: Sequence[Override]
) -> Any:
    """Compose settings; what the command line says about a part is applied to what the files say.

    Args:
        compose: makes nested settings, which can be assigned to, of arguments.
        arguments: of the command line: ``section.part=NAME``, ``section.part.name=NAME``, ``section.part.option=VALUE``
            are about parts where ``section.part`` is a mapping with a name; all others are left to ``compose``.
        overrides: the same, parsed.

    Returns:
        The settings.

    Raises:
        SettingsError: two names for one part, or an option that is taken away.
    """
    both = list(zip(arguments, overrides, strict=True))
    maybe = [argument for argument, override in both if _may_change_a_part(override)]
    if not maybe:
        return compose(list(arguments))
    composed = compose([argument for argument in arguments if argument not in maybe])
    changes: dict[tuple[str, str], list[tuple[str, Override]]] = {}
    others = []
    for argument, override in both:
        if argument in maybe:
            section, part, *option = override.key_or_group.split(".")
            current = composed.get(section)
            current = current.get(part) if isinstance(current, Mapping) else None
            if _is_part(current) or (isinstance(current, str) and option):
                changes.setdefault((section, part), []).append((argument, override))
                continue
        others.append(argument)
    if len(others) > len(arguments) - len(maybe):  # some were plain settings after all
        composed = compose(others)
    for (section, part), asked in changes.items():
        composed[section][part] = _changed(composed[section][part], asked)
    return composed


def _may_change_a_part(override: Override) -> bool:
    depth = override.key_or_group.count(".")
    return depth > 1 or (depth == 1 and not override.is_delete() and isinstance(override.value(), str | dict))


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and "name" in value


def _changed(current: Any, asked: Sequence[tuple[str, Override]]) -> dict[str, Any]:
    """The part as the command line wants it: its name, the options that go with that name."""
    part = {"name": current} if isinstance(current, str) else dict(current)
    options: dict[str, Any] = {}
    names: dict[str, str] = {}
    for argument, override in asked:
        key = ".".join(override.key_or_group.split(".")[2:])
        if override.is_delete():
            raise SettingsError(
                f"argument {quoted(argument)}", received="a setting to be taken away", expected="a value"
            )
        value = override.value()
        said = dict(value) if isinstance(value, Mapping) and not key else {key or "name": value}
        if "name" in said:
            names[argument] = str(said.pop("name"))
        options |= said
    if len(set(names.values())) > 1:
        first, second = list(names)[:2]
        raise SettingsError(
            f"argument {quoted(second)}", received=f"{quoted(first)} as well", expected="one of the two"
        )
    for name in names.values():
        if name != part["name"]:
            part = {"name": name}
    return {**part, **options}
