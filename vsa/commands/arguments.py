"""The overrides of a command line: ``key=value``, ``+model=arlc``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = ["named_keys", "parse", "quoted", "value_of"]

_SHOWN = 80  # characters of an argument that a sentence repeats


def quoted(argument: str) -> str:
    """An argument as sentences repeat it: cut where it is long, in quotes."""
    return repr(argument if len(argument) <= _SHOWN else f"{argument[: _SHOWN - 3]}...")


def parse(arguments: Sequence[str]) -> list[Override]:
    """The overrides of a command line.

    Args:
        arguments: ``key=value``, ``+model=arlc``.

    Returns:
        One parsed override each.

    Raises:
        SettingsError: one is not of that form, or is a sweep.
    """
    return [_parsed(argument) for argument in arguments]


def _parsed(argument: str) -> Override:
    key, equals, value = argument.partition("=")
    override = _try(argument) if key else None
    if override is None:
        text = f"write {_as_text(key, value)} for this very text" if key and equals and _is_text(key, value) else ""
        raise SettingsError(
            f"argument {quoted(argument)}",
            received="a value with signs of the syntax in it" if text else "what is no setting",
            expected="key=value, such signs in quotes" if text else "key=value",
            hint=text or "see --help",
        )
    if override.is_sweep_override():
        ways = [f"write {shlex.quote(f'{key}=[{value}]')} for a list"] if _is_list(key, value) else []
        if _is_text(key, value):
            ways.append(f"write {_as_text(key, value)} for one text with a comma in it" if ways else "name one value")
        raise SettingsError(
            f"argument {quoted(argument)}",
            received="several values",
            expected="one value or a list",
            hint=", or ".join(ways),
        )
    return override


def _try(argument: str) -> Override | None:
    """The override; None where the argument is none."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(argument)
    except (HydraException, ValueError, RecursionError):  # ValueError: an integer of thousands of digits
        return None


def _is_list(key: str, value: str) -> bool:
    override = _try(f"{key}=[{value}]")
    return override is not None and "(" not in value and isinstance(override.value(), list)


def _is_text(key: str, value: str) -> bool:
    """Whether quotes make a text of a value that is short enough to be repeated."""
    override = _try(f"{key}={_quoted(value)}") if len(value) <= _SHOWN else None
    return override is not None and override.value() == value


def _as_text(key: str, value: str) -> str:
    """The argument whose value is this very text, as a shell takes it."""
    quoted = f"{key}={_quoted(value)}"
    return f'"{quoted}"' if "'" in quoted and not set(quoted) & set('"$`!') else shlex.quote(quoted)


def _quoted(value: str) -> str:
    quote = "'" if {"'", '"'} & set(value) else '"'
    return quote + value.replace(quote, f"\\{quote}") + quote


def named_keys(arguments: Sequence[str]) -> dict[str, str]:
    """Which keys a command line sets.

    Args:
        arguments: overrides.

    Returns:
        key without ``+`` -> the argument; the last one where a key is set twice.
    """
    return {override.key_or_group: argument for override, argument in zip(parse(arguments), arguments, strict=True)}


def value_of(argument: str) -> Any:
    """What an override sets its key to: ``value_of("n=3")`` is 3."""
    return parse([argument])[0].value()
